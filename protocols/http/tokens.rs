//! Bodies and parameters of the endpoints about tokens. What is not known is refused: a limit
//! that is spelt wrong must not be left out.

use serde::{Deserialize, Serialize};

/// Body of `POST /api/v3/configure/token/named_admin`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateAdminBody {
    /// Name of the token.
    pub token_name: String,
    /// Seconds after which it is refused.
    #[serde(default)]
    pub expiry_secs: Option<u64>,
}

/// Body of `POST /api/v3/enterprise/configure/token`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateLimitedBody {
    /// Name of the token.
    pub token_name: String,
    /// What it may do.
    pub permissions: Vec<PermissionBody>,
    /// Seconds after which it is refused.
    #[serde(default)]
    pub expiry_secs: Option<u64>,
}

/// One permission.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionBody {
    /// `db` or `system`.
    pub resource_type: String,
    /// Names of databases or endpoints; `*` is all.
    pub resource_names: Vec<String>,
    /// What may be done to them.
    pub actions: Vec<String>,
}

/// Parameters of `DELETE /api/v3/configure/token`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DeleteTokenParams {
    /// Name of the token.
    pub token_name: String,
}

/// The answer to the creation of a token: the only time that its text is told.
#[derive(Clone, Debug, Serialize)]
pub struct TokenCreated<'a> {
    /// Its identity.
    pub id: u64,
    /// Its name.
    pub name: &'a str,
    /// Its text.
    pub token: &'a str,
    /// SHA-512 of its text, in hexadecimal.
    pub hash: String,
    /// When it got its text.
    pub created_at: String,
    /// From when on it is refused.
    pub expiry: Option<String>,
}

/// A file with the operator's token, or one of the tokens of a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct TokenFile {
    /// Its text.
    pub token: String,
    /// Its name.
    pub name: String,
    /// From when on it is refused, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_millis: Option<i64>,
    /// What it may do, each as `db:NAME,…:read,write,create,delete` or `system:health,…:read`.
    /// An operator's token has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<String>,
}
