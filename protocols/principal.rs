//! On whose behalf something is asked, and what they may do.

use crate::access::rights::{Right, Rights, SystemResource};
use crate::access::tokens::Token;
use crate::catalog::CatalogSnapshot;
use crate::ids::TokenId;
use crate::schema::{DatabaseSchema, INTERNAL_DB};
use crate::trace_id::TraceId;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Who a request comes from, as far as the server knows. Made once at each edge and carried with
/// the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Principal {
    /// Somebody of whom nothing is known: may do nothing.
    #[default]
    Nobody,
    /// Whoever can connect where no token is asked for: may do everything.
    Everybody,
    /// The server itself: may do everything.
    Server,
    /// Whoever has this token.
    Token(Arc<Token>),
}

/// Where a request came from, as the audit log tells it. Made once at each edge, and carried beside
/// the principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The other end of its connection.
    pub peer: Option<SocketAddr>,
    /// The trace that it belongs to.
    pub trace_id: Option<TraceId>,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Something with the database of this name.
    In(Right, &'a str),
    /// Look at the server itself.
    System(SystemResource),
    /// Anything that only admins may.
    Administrate,
}

/// Somebody may not do what they want to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unauthorized to perform requested action with the token: it lacks {0}")]
pub struct Denied(String);

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Names come from outside and may hold anything.
            Self::In(right, name) => write!(f, "db:{}:{right}", name.escape_debug()),
            Self::System(resource) => write!(f, "system:{}:read", resource.name()),
            Self::Administrate => f.write_str("the rights of an admin"),
        }
    }
}

impl Principal {
    /// The one place that decides who may do what. A name that no database has is treated as one
    /// that the token says nothing of, so that the answer tells nothing about what exists.
    ///
    /// # Errors
    /// When it is not allowed; the text names the right that is missing.
    pub fn authorize(&self, action: Action<'_>, catalog: &CatalogSnapshot) -> Result<(), Denied> {
        let is_allowed = match self {
            Self::Nobody => false,
            Self::Everybody | Self::Server => true,
            Self::Token(token) => match (&token.rights, action) {
                (Rights::Admin, _) => true,
                (Rights::Listed(_), Action::Administrate) => false,
                (Rights::Listed(listed), Action::System(what)) => listed.system.contains(&what),
                (Rights::Listed(listed), Action::In(right, name)) => {
                    let id = catalog.databases.get(name).map(|db| db.id);
                    listed.has(right, id, name) || (right == Right::Read && self.sees_name(name))
                }
            },
        };
        if is_allowed { Ok(()) } else { Err(Denied(action.to_string())) }
    }

    /// The built-in database may be read by whoever may read any: it lists what there is, and its
    /// tables show each reader only what that one may read.
    fn sees_name(&self, name: &str) -> bool {
        let Self::Token(token) = self else { return false };
        let Rights::Listed(listed) = &token.rights else { return false };
        let given = || listed.databases.values().chain(listed.expected.values());
        name == INTERNAL_DB && given().any(|rights| rights.contains(&Right::Read))
    }

    /// True if nothing is refused.
    pub fn is_admin(&self) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everybody | Self::Server => true,
            Self::Token(token) => token.rights == Rights::Admin,
        }
    }

    /// True if the database may be read.
    pub fn sees(&self, db: &DatabaseSchema) -> bool {
        match self {
            Self::Token(token) => match &token.rights {
                Rights::Admin => true,
                Rights::Listed(listed) => {
                    listed.has(Right::Read, Some(db.id), &db.name) || self.sees_name(&db.name)
                }
            },
            other => other.is_admin(),
        }
    }

    /// The token, if there is one.
    pub fn token(&self) -> Option<&Arc<Token>> {
        match self {
            Self::Token(token) => Some(token),
            _ => None,
        }
    }

    /// The id of the token, if there is one.
    pub fn token_id(&self) -> Option<TokenId> {
        self.token().map(|token| token.id)
    }

    /// How it is called in logs.
    pub fn name(&self) -> &str {
        match self {
            Self::Nobody => "nobody",
            Self::Everybody => "everybody",
            Self::Server => "server",
            Self::Token(token) => &token.name,
        }
    }
}

/// The catalog as somebody may see it. Whatever shows names of databases takes this.
#[derive(Clone, Debug)]
pub struct Visible {
    catalog: Arc<CatalogSnapshot>,
    principal: Principal,
}

impl Visible {
    /// What `principal` sees of `catalog`.
    pub fn new(catalog: Arc<CatalogSnapshot>, principal: Principal) -> Self {
        Self { catalog, principal }
    }

    /// Who sees it.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// As [`Principal::authorize`].
    ///
    /// # Errors
    /// When it is not allowed.
    pub fn authorize(&self, action: Action<'_>) -> Result<(), Denied> {
        self.principal.authorize(action, &self.catalog)
    }

    /// The databases that may be read, deleted ones included.
    pub fn databases(&self) -> impl Iterator<Item = &Arc<DatabaseSchema>> {
        self.catalog.databases.values().filter(|db| self.principal.sees(db))
    }

    /// The live databases that may be read, sorted by name.
    pub fn live_databases(&self) -> Vec<&Arc<DatabaseSchema>> {
        let mut all: Vec<_> = self.databases().filter(|db| db.deletion.is_none()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The live database of that name, if it may be read.
    pub fn database(&self, name: &str) -> Option<&Arc<DatabaseSchema>> {
        self.catalog.database(name).filter(|db| self.principal.sees(db))
    }

    /// Width of a chunk by row time, in nanoseconds.
    pub fn gen1_duration_ns(&self) -> i64 {
        self.catalog.gen1_duration_ns
    }

    /// The whole catalog, for those who may see all of it.
    pub fn whole(&self) -> Option<&Arc<CatalogSnapshot>> {
        self.principal.is_admin().then_some(&self.catalog)
    }
}
