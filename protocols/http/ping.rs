//! The answer of `/ping`, from which clients learn what they talk to.

use serde::Serialize;
use uuid::Uuid;

/// Who answers.
#[derive(Debug, Serialize)]
pub struct PingBody<'a> {
    /// Name of the product whose interfaces are offered.
    pub product_name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Commit this server was built from.
    pub revision: &'a str,
    /// Changes with each start.
    pub process_id: Uuid,
}
