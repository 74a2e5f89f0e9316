//! Arguments of `influxdb3 debug`.

use clap::{Args, Subcommand, ValueEnum};

use super::serve::object_store::ObjectStoreArgs;

/// Options of `debug`.
#[derive(Args, Debug)]
pub struct DebugArgs {
    /// What to look at.
    #[command(subcommand)]
    pub what: What,
}

/// What to look at. The store is only read; a server may run on it meanwhile.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Print what the catalog has stored: names, columns, triggers, tokens
    Catalog(CatalogArgs),

    /// List the Parquet files that the index knows
    Index(IndexArgs),

    /// List the files of the WAL, or print what is in one
    Wal(WalArgs),

    /// Describe a Parquet file: columns, row groups, sizes
    File(FileArgs),

    /// Check that every Parquet file of the index is there, with its size
    VerifyReferences(VerifyArgs),
}

/// Where the objects are, and how they are shown.
#[derive(Args, Debug)]
pub struct StoreArgs {
    /// The store.
    #[command(flatten)]
    pub store: ObjectStoreArgs,

    /// Prefix of the objects [default: the node id]
    #[arg(long, value_name = "PREFIX", env = "INFLUXDB3_CATALOG_PREFIX")]
    pub catalog_prefix: Option<String>,

    /// The same, where others have clusters
    #[arg(long, value_name = "PREFIX", hide = true)]
    pub cluster_id: Option<String>,

    /// Name of the node
    #[arg(long, value_name = "NODE_ID", env = "INFLUXDB3_NODE_IDENTIFIER_PREFIX")]
    pub node_id: Option<String>,

    /// Form of the result
    #[arg(long, value_enum, default_value = "pretty")]
    pub format: Shape,
}

/// How objects are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Tables and lists for a person
    Pretty,
    /// One JSON document
    Json,
}

/// Options of `debug catalog`.
#[derive(Args, Debug)]
pub struct CatalogArgs {
    /// Which part.
    #[command(subcommand)]
    pub what: CatalogWhat,
}

/// A part of the catalog.
#[derive(Debug, Subcommand)]
pub enum CatalogWhat {
    /// List its objects: those that a start reads
    #[command(visible_alias = "ls")]
    List(CatalogListArgs),
    /// Print the newest checkpoint
    Snapshot(CatalogSnapshotArgs),
    /// Print a record of its log, the newest if no number is given
    Sequence(CatalogSequenceArgs),
}

/// Options of `debug catalog list`.
#[derive(Args, Debug)]
pub struct CatalogListArgs {
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,

    /// Also those that a later checkpoint has made unnecessary
    #[arg(long)]
    pub all: bool,
}

/// Options of `debug catalog snapshot`.
#[derive(Args, Debug)]
pub struct CatalogSnapshotArgs {
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,

    /// All that it holds: columns, caches, plugins, nodes and tokens
    #[arg(long)]
    pub full: bool,

    /// Read it even if its checksum is wrong
    #[arg(long)]
    pub skip_crc: bool,
}

/// Options of `debug catalog sequence`.
#[derive(Args, Debug)]
pub struct CatalogSequenceArgs {
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,

    /// Number of the record
    #[arg(value_name = "N")]
    pub sequence: Option<u64>,

    /// Only which record of which catalog it is
    #[arg(long)]
    pub headers_only: bool,

    /// Read it even if its checksum is wrong
    #[arg(long)]
    pub skip_crc: bool,
}

/// Options of `debug index`.
#[derive(Args, Debug)]
pub struct IndexArgs {
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,

    /// Also files that are no longer part of their tables, whose objects may still be there
    #[arg(long)]
    pub all: bool,
}

/// Options of `debug wal`.
#[derive(Args, Debug)]
pub struct WalArgs {
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,

    /// Number of the file whose groups are printed
    #[arg(value_name = "N")]
    pub file: Option<u64>,
}

/// Options of `debug file`.
#[derive(Args, Debug)]
pub struct FileArgs {
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,

    /// Its path in the store, as `debug index` prints it
    #[arg(value_name = "PATH")]
    pub path: String,
}

/// Options of `debug verify-references`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,

    /// Read each file, too, and compare its checksum
    #[arg(long)]
    pub checksums: bool,
}
