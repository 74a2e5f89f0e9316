//! The answer of `/health` and `/ready` to clients that ask for JSON, as version 2 gives it.

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
    /// How its parts are.
    pub checks: Vec<HealthCheck>,
    /// Its version.
    pub version: &'a str,
}

/// How a part of the server is.
#[derive(Debug, Serialize)]
pub struct HealthCheck {
    /// Which part.
    pub name: &'static str,
    /// How it is, for people.
    pub message: String,
    /// `pass` or `fail`.
    pub status: &'static str,
}
