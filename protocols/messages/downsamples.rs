//! What is said about downsamples: to the catalog, and to the actor that computes them.

use super::Command;
use super::catalog::CatalogError;
use crate::catalog::CatalogSnapshot;
use crate::downsamples::Aggregate;
use std::sync::Arc;

/// Has the catalog create a downsample.
#[derive(Clone, Debug)]
pub struct CreateDownsample {
    /// Name of the database.
    pub db: String,
    /// Its name; made of the tables if there is none.
    pub name: Option<String>,
    /// The table that is read.
    pub source: String,
    /// The database that is written to, if it is another one.
    pub target_db: Option<String>,
    /// The table that is written to.
    pub target: String,
    /// How long an interval is, in nanoseconds.
    pub interval_ns: i64,
    /// How long after its end an interval is computed, in nanoseconds.
    pub offset_ns: i64,
    /// What is computed of each field.
    pub aggregates: Vec<Aggregate>,
    /// Since when rows are taken that are there already, nanoseconds since 1970.
    pub from_ns: Option<i64>,
    /// Nothing is computed yet.
    pub disabled: bool,
}

/// Has the catalog note that a downsample is computed, or is not for the time being.
#[derive(Clone, Debug)]
pub struct SetDownsampleDisabled {
    /// Name of the database.
    pub db: String,
    /// Name of the downsample.
    pub name: String,
    /// Whether nothing is computed.
    pub disabled: bool,
}

/// Has the catalog delete a downsample. What it has written stays.
#[derive(Clone, Debug)]
pub struct DeleteDownsample {
    /// Name of the database.
    pub db: String,
    /// Name of the downsample.
    pub name: String,
}

macro_rules! admin_command {
    ($($name:ident),*) => {$(
        impl Command for $name {
            type Reply = Result<Arc<CatalogSnapshot>, CatalogError>;
            const NAME: &'static str = stringify!($name);
        }
    )*};
}
admin_command!(CreateDownsample, SetDownsampleDisabled, DeleteDownsample);

/// Takes in which downsamples the catalog has, and looks for rows that were written. Answered when it
/// is durable since when each downsample misses no row. Sent by HTTP handlers and a ticker.
#[derive(Clone, Copy, Debug)]
pub struct SyncDownsamples;

impl Command for SyncDownsamples {
    type Reply = ();
    const NAME: &'static str = "SyncDownsamples";
}
