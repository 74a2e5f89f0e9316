//! Plugins and triggers as the catalog knows them.
//!
//! The structs are part of the catalog's stored format: a field is never renamed, removed or given
//! another meaning.

use super::spec::{TriggerKind, TriggerSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a named plugin is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginKind {
    /// Rows that were written.
    #[default]
    WalRows,
    /// Instants of a schedule.
    Scheduled,
    /// HTTP requests.
    Request,
}

impl PluginKind {
    /// The triggers that such a plugin fits.
    pub fn trigger_kind(self) -> TriggerKind {
        match self {
            Self::WalRows => TriggerKind::WalRows,
            Self::Scheduled => TriggerKind::Schedule,
            Self::Request => TriggerKind::Request,
        }
    }
}

/// Where the text of a named plugin is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PluginText {
    /// In a file of the plugin directory, by its path there.
    File(Arc<str>),
    /// Here.
    Code(Arc<str>),
}

/// A plugin with a name of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginDef {
    /// Its name, unique in its database.
    pub name: Arc<str>,
    /// What it is for.
    pub kind: PluginKind,
    /// Its text.
    pub text: PluginText,
}

impl PluginDef {
    /// The name of its file, as tables show it.
    pub fn file_name(&self) -> String {
        match &self.text {
            PluginText::File(path) => path.to_string(),
            PluginText::Code(_) => format!("{}.py", self.name),
        }
    }
}

/// The plugin of a trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PluginRef {
    /// A file or directory, by its path in the plugin directory; or, after `gh:`, in the
    /// repository.
    Path(Arc<str>),
    /// A plugin of the database, by its name.
    Named(Arc<str>),
}

/// What happens when a run fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorBehavior {
    /// It is logged.
    #[default]
    Log,
    /// It is run again.
    Retry,
    /// The trigger is disabled.
    Disable,
}

impl ErrorBehavior {
    /// The name in requests and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Retry => "retry",
            Self::Disable => "disable",
        }
    }

    /// The behaviour of that name, in any letter case.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Log, Self::Retry, Self::Disable];
        all.into_iter().find(|behavior| behavior.name().eq_ignore_ascii_case(name))
    }
}

/// Where runs of a trigger happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In the process of all triggers of the node.
    #[default]
    Shared,
    /// In a process of its own, whose global cache is its own too.
    Process,
}

impl Isolation {
    /// The one of that name, in any letter case.
    pub fn named(name: &str) -> Option<Self> {
        let all = [("shared", Self::Shared), ("process", Self::Process)];
        let found = all.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, isolation)| isolation)
    }

    fn is_shared(&self) -> bool {
        *self == Self::Shared
    }
}

/// What becomes of rows that a trigger could not be given when they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// They are told of and dropped.
    #[default]
    AtMostOnce,
    /// They are read from the log again, also after a restart, as long as the log has them.
    AtLeastOnce,
}

impl Delivery {
    /// The one of that name, in any letter case.
    pub fn named(name: &str) -> Option<Self> {
        let all = [("at-most-once", Self::AtMostOnce), ("at-least-once", Self::AtLeastOnce)];
        let found = all.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, delivery)| delivery)
    }

    fn is_at_most_once(&self) -> bool {
        *self == Self::AtMostOnce
    }
}

/// What binds a plugin to what happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerDef {
    /// Its identity in its database, never used again.
    pub id: u32,
    /// Its name, unique in its database.
    pub name: Arc<str>,
    /// What runs.
    pub plugin: PluginRef,
    /// When it runs, as it was given, without blanks around it.
    pub specification: Arc<str>,
    /// What the plugin is given each time.
    pub arguments: BTreeMap<Arc<str>, Arc<str>>,
    /// Runs may overlap.
    pub run_async: bool,
    /// What happens when a run fails.
    pub error_behavior: ErrorBehavior,
    /// It does not run.
    pub disabled: bool,
    /// Where its runs happen.
    #[serde(default, skip_serializing_if = "Isolation::is_shared")]
    pub isolation: Isolation,
    /// What becomes of rows that it could not be given at once.
    #[serde(default, skip_serializing_if = "Delivery::is_at_most_once")]
    pub delivery: Delivery,
}

impl TriggerDef {
    /// When it runs. `None` only where a later release knows more forms than this one.
    pub fn spec(&self) -> Option<TriggerSpec> {
        TriggerSpec::parse(&self.specification, |_| Ok(())).ok()
    }
}

/// The plugins and triggers of one database, each in order of creation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabasePlugins {
    /// The id that the next trigger gets.
    pub next_trigger_id: u32,
    /// Plugins with names of their own.
    pub plugins: Vec<Arc<PluginDef>>,
    /// Triggers.
    pub triggers: Vec<Arc<TriggerDef>>,
}

impl DatabasePlugins {
    /// True when the database never had a trigger and has no plugin.
    pub fn is_unused(&self) -> bool {
        self.next_trigger_id == 0 && self.plugins.is_empty()
    }

    /// The plugin of that name.
    pub fn plugin(&self, name: &str) -> Option<&Arc<PluginDef>> {
        self.plugins.iter().find(|plugin| plugin.name.as_ref() == name)
    }

    /// The trigger of that name.
    pub fn trigger(&self, name: &str) -> Option<&Arc<TriggerDef>> {
        self.triggers.iter().find(|trigger| trigger.name.as_ref() == name)
    }

    /// The name of the file or directory that a trigger runs.
    pub fn file_name(&self, trigger: &TriggerDef) -> String {
        match &trigger.plugin {
            PluginRef::Path(path) => path.to_string(),
            PluginRef::Named(name) => {
                self.plugin(name).map_or_else(|| name.to_string(), |plugin| plugin.file_name())
            }
        }
    }
}
