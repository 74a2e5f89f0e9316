//! What a token may do.

use crate::ids::DbId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Something that can be done to a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Ask for its rows and what it has.
    Read,
    /// Add rows, and the tables and columns that they need.
    Write,
    /// Make it, and its tables and caches.
    Create,
    /// Take away it, its tables, its caches or its rows; that includes its retention period.
    Delete,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Create, Self::Delete];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Create => "create",
            Self::Delete => "delete",
        }
    }
}

/// An endpoint about the server itself that needs a right of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemResource {
    /// `/health`
    Health,
    /// `/metrics`
    Metrics,
    /// `/ping`
    Ping,
    /// `/ready`
    Ready,
    /// `/debug/pprof`
    Pprof,
    /// The stop of a node.
    NodeStop,
}

impl SystemResource {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Health, Self::Metrics, Self::Ping, Self::Ready, Self::Pprof, Self::NodeStop];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Metrics => "metrics",
            Self::Ping => "ping",
            Self::Ready => "ready",
            Self::Pprof => "pprof",
            Self::NodeStop => "node_stop",
        }
    }

    /// The resource of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.name() == name)
    }
}

/// What a token may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rights {
    /// Everything.
    Admin,
    /// What is listed.
    Listed(Listed),
}

/// What a token may do that is no admin's. Databases are listed by id: one that is made again
/// under the name of another is not the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// With every database, those included that do not exist yet.
    pub all: BTreeSet<Right>,
    /// With these databases.
    pub databases: BTreeMap<DbId, BTreeSet<Right>>,
    /// With the first database that gets this name.
    pub expected: BTreeMap<Arc<str>, BTreeSet<Right>>,
    /// These endpoints may be read.
    pub system: BTreeSet<SystemResource>,
}

impl Listed {
    /// True if `right` is given with the database of this id and name, or with the one that will
    /// get the name.
    pub fn has(&self, right: Right, id: Option<DbId>, name: &str) -> bool {
        let given = match id {
            Some(id) => self.databases.get(&id),
            None => self.expected.get(name),
        };
        self.all.contains(&right) || given.is_some_and(|rights| rights.contains(&right))
    }

    /// A database was made: whoever was to have rights with it has them now.
    pub fn created(&mut self, name: &str, id: DbId) {
        if let Some(rights) = self.expected.remove(name) {
            self.databases.entry(id).or_default().extend(rights);
        }
    }
}

pub(super) fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(",")
}

/// A permission as it is asked for: `db:NAME,…|*:read,write,create,delete` or
/// `system:health,metrics,…|*:read`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// With every database.
    AllDatabases(BTreeSet<Right>),
    /// With the databases of these names.
    Databases(Vec<String>, BTreeSet<Right>),
    /// Endpoints that may be read.
    System(BTreeSet<SystemResource>),
}

/// A permission that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot parse token permission, {0}")]
pub struct PermissionError(pub String);

impl Permission {
    /// Reads one from its text. A name of a database may hold colons, but no commas.
    ///
    /// # Errors
    /// When it is none; says why.
    pub fn parse(text: &str) -> Result<Self, PermissionError> {
        let wrong = || PermissionError(format!("{text:?} is not of the form TYPE:NAMES:ACTIONS"));
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (names, actions) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        Self::new(kind, &list(names), &list(actions))
    }

    /// Makes one of its parts.
    ///
    /// # Errors
    /// When a part is unknown or empty; says which.
    pub fn new(kind: &str, names: &[String], actions: &[String]) -> Result<Self, PermissionError> {
        if names.is_empty() || names.iter().any(String::is_empty) {
            return Err(PermissionError("there is a name missing".to_owned()));
        }
        if actions.is_empty() {
            return Err(PermissionError("there is no action".to_owned()));
        }
        let all = names.iter().any(|name| name == "*");
        if all && names.len() > 1 {
            return Err(PermissionError("'*' stands for all names and by itself".to_owned()));
        }
        match kind {
            "db" => {
                let rights = actions.iter().map(|action| right(action));
                let rights = rights.collect::<Result<BTreeSet<_>, _>>()?;
                Ok(match all {
                    true => Self::AllDatabases(rights),
                    false => Self::Databases(names.to_vec(), rights),
                })
            }
            "system" => {
                if let Some(action) = actions.iter().find(|action| *action != "read") {
                    let text = format!("{action:?} is no action of system, which has read");
                    return Err(PermissionError(text));
                }
                if all {
                    return Ok(Self::System(SystemResource::ALL.into()));
                }
                let resource = |name: &String| {
                    SystemResource::parse(name).ok_or_else(|| {
                        let known = joined(SystemResource::ALL.iter().map(|r| r.name()));
                        PermissionError(format!("{name:?} is none of {known}"))
                    })
                };
                names.iter().map(resource).collect::<Result<_, _>>().map(Self::System)
            }
            other => Err(PermissionError(format!("{other:?} is neither db nor system"))),
        }
    }
}

fn right(action: &str) -> Result<Right, PermissionError> {
    Right::ALL.into_iter().find(|right| right.name() == action).ok_or_else(|| {
        let known = joined(Right::ALL.iter().map(|right| right.name()));
        PermissionError(format!("{action:?} is none of {known}"))
    })
}

impl std::str::FromStr for Permission {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
