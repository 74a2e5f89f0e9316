//! What a statement sees, and what it is planned with.

use super::catalog_view::Catalogs;
use super::session::{Session, Sessions};
use super::shapes::Shapes;
use protocols::principal::Visible;
use std::sync::Arc;

/// See the module's page.
pub(super) struct View {
    pub(super) sessions: Arc<Sessions>,
    /// Plans that may be used again.
    pub(super) shapes: Shapes,
    pub(super) catalogs: Arc<Catalogs>,
    /// All databases that may be read.
    pub(super) visible: Visible,
    /// When it began, nanoseconds since 1970.
    pub(super) now_ns: i64,
}

impl View {
    /// A session of its own.
    pub(super) fn session(&self) -> Session {
        self.sessions.open(Arc::clone(&self.catalogs), self.now_ns)
    }
}
