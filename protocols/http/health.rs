//! The answer of `/health` to clients that ask for JSON, as version 2 gives it.

use serde::Serialize;

/// How the server is.
#[derive(Debug, Serialize)]
pub struct HealthBody<'a> {
    /// Name of the service: `influxdb`.
    pub name: &'a str,
    /// How it is, for people.
    pub message: &'a str,
    /// `pass` or `fail`.
    pub status: &'a str,
    /// Parts of the service that are told one by one: none.
    pub checks: [(); 0],
    /// Its version.
    pub version: &'a str,
}

impl<'a> HealthBody<'a> {
    /// What is said of a server that does its work.
    pub fn pass(version: &'a str) -> Self {
        Self { status: "pass", ..Self::fail("ready for queries and writes", version) }
    }

    /// What is said of one that does not, and why.
    pub fn fail(message: &'a str, version: &'a str) -> Self {
        Self { name: "influxdb", message, status: "fail", checks: [], version }
    }
}
