//! What this program calls itself.

use std::sync::LazyLock;

/// The version of InfluxDB 3 Core whose interfaces this server offers. Clients read it to decide
/// which features they may use.
pub const COMPAT_VERSION: &str = "3.10.0";

/// The short commit hash, given at build time as `INFLUXDB3_REVISION`.
pub const REVISION: &str = match option_env!("INFLUXDB3_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The version of this implementation itself.
pub const CRATE_VERSION: &str = env!("CARGO_PKG_VERSION");

static TEXT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "InfluxDB 3 Core, {COMPAT_VERSION}, revision {REVISION}\n\
         independent implementation, compatible with InfluxDB 3 Core; influxdb3 {CRATE_VERSION}"
    )
});

/// What `influxdb3 --version` prints after the program's name. The first line has the form that
/// scripts expect, the second says who is speaking.
pub fn text() -> &'static str {
    &TEXT
}
