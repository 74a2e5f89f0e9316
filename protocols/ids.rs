//! Typed identifiers. Ids are given out by the catalog, count up and are never used again.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A database. `_internal` is always 0.
    DbId,
    u32
);
id!(
    /// A token.
    TokenId,
    u64
);
id!(
    /// A table, unique over all databases.
    TableId,
    u32
);
id!(
    /// A tag or field column, unique in its table. The `time` column has no id: it is always there.
    ColumnId,
    u32
);
id!(
    /// A last-value or distinct-value cache, unique in its table.
    CacheId,
    u32
);
