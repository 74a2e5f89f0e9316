//! The processing engine: what plugins and triggers are, and what the server and the process that
//! runs Python say to each other.

pub mod def;
pub mod host;
pub mod spec;

pub use def::{
    DatabasePlugins, Delivery, ErrorBehavior, Isolation, PluginDef, PluginKind, PluginRef,
    PluginText, TriggerDef,
};
pub use spec::{SpecError, TriggerKind, TriggerSpec};
