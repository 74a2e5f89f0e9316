//! Options about what is told of who has done what.

use crate::cli::paths::path;
use crate::sizes::parse_bytes;
use actors::audit::{AuditOptions, AuditTarget, RotatedFile};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use std::path::PathBuf;

use super::positive;

/// What is told of who has done what.
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// Where lines about changes of names and tokens and about refused requests go: a file,
    /// `stdout` or `none`
    #[arg(
        long,
        value_name = "FILE|stdout|none",
        env = "INFLUXDB3_AUDIT_LOG",
        default_value = "none",
        value_parser = path(),
        hide_short_help = true
    )]
    pub audit_log: PathBuf,

    /// Size at which the file gets another name and is begun anew
    #[arg(
        long,
        value_name = "SIZE",
        env = "INFLUXDB3_AUDIT_LOG_MAX_SIZE",
        default_value = "100mb",
        value_parser = parse_bytes,
        hide_short_help = true
    )]
    pub audit_log_max_size: usize,

    /// Full files that are kept, as FILE.1, FILE.2 and so on
    #[arg(
        long,
        value_name = "N",
        env = "INFLUXDB3_AUDIT_LOG_FILES",
        default_value_t = 10,
        value_parser = positive,
        hide_short_help = true
    )]
    pub audit_log_files: usize,

    /// Tell of each statement too
    #[arg(long, env = "INFLUXDB3_AUDIT_QUERIES", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub audit_queries: bool,
}

impl AuditArgs {
    /// What is told, and where.
    pub fn options(&self) -> AuditOptions {
        let target = match self.audit_log.to_str() {
            Some("" | "none") => AuditTarget::None,
            Some("stdout") => AuditTarget::Stdout,
            _ => AuditTarget::File(RotatedFile {
                path: self.audit_log.clone(),
                bytes_max: self.audit_log_max_size as u64,
                kept: self.audit_log_files,
            }),
        };
        AuditOptions { target, queries: self.audit_queries }
    }
}
