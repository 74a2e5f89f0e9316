//! What the audit log is told of changes. Pure.

use super::request::Request;
use protocols::access::tokens::OPERATOR;
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::Change;
use protocols::downsamples::DownsampleDef;
use protocols::ids::{CacheId, TokenId};
use protocols::row_deletes::{self, RowDelete};

/// What was done, what it was done to, and more about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) action: &'static str,
    pub(super) object: String,
    pub(super) detail: Option<String>,
}

impl Told {
    fn new(action: &'static str, names: &[&str]) -> Self {
        Self { action, object: joined(names), detail: None }
    }

    fn with(self, detail: String) -> Self {
        Self { detail: Some(detail), ..self }
    }
}

/// Names one in the other, with points between them. What is no plain word is in quotes, so that it
/// is clear where each ends.
fn joined(names: &[&str]) -> String {
    let is_plain =
        |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let quoted = |name: &&str| match is_plain(name) && !name.is_empty() {
        true => (*name).to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    };
    names.iter().map(quoted).collect::<Vec<_>>().join(".")
}

/// What is told of a change of `before`; nothing of what is no change of names.
pub(super) fn change(before: &CatalogSnapshot, change: &Change) -> Option<Told> {
    let retention = |ns: &Option<i64>| match ns {
        Some(ns) => format!("retention period of {} s", ns / 1_000_000_000),
        None => "kept for ever".to_owned(),
    };
    Some(match change {
        Change::CreateCatalog { .. } | Change::SetNode(_) => return None,
        Change::CreateDatabase { db, retention_ns, .. } => {
            Told::new("create_database", &[db]).with(retention(retention_ns))
        }
        Change::SetRetention { db, retention_ns } => {
            Told::new("set_retention", &[db]).with(retention(retention_ns))
        }
        Change::SetTableRetention { db, table, retention_ns } => {
            let told = match retention_ns {
                Some(_) => retention(retention_ns),
                None => "retention period of the database".to_owned(),
            };
            Told::new("set_table_retention", &[db, table]).with(told)
        }
        Change::SetIndexedColumns { db, table, columns } => {
            let names: Vec<&str> = std::iter::once(db.as_ref()).chain(table.as_deref()).collect();
            match columns {
                Some(columns) => Told::new("create_file_index", &names)
                    .with(listed(columns.iter().map(AsRef::as_ref))),
                None => Told::new("delete_file_index", &names),
            }
        }
        Change::DeleteDatabase { db, deletion, .. } if deletion.rows_removed => {
            Told::new("remove_rows", &[db])
        }
        Change::DeleteDatabase { db, renamed, .. } => {
            Told::new("delete_database", &[db]).with(format!("now {}", joined(&[renamed])))
        }
        Change::ForgetDatabase { db } => Told::new("forget_database", &[db]),
        Change::UndeleteDatabase { db, renamed } => {
            Told::new("undelete_database", &[db]).with(format!("now {}", joined(&[renamed])))
        }
        Change::CreateTable { db, table, columns, .. } => Told::new("create_table", &[db, table])
            .with(listed(columns.iter().map(|column| column.name.as_ref()))),
        Change::AddColumns { db, table, columns } => Told::new("add_columns", &[db, table])
            .with(listed(columns.iter().map(|column| column.name.as_ref()))),
        Change::DeleteTable { db, table, deletion, .. } if deletion.rows_removed => {
            Told::new("remove_rows", &[db, table])
        }
        Change::DeleteTable { db, table, renamed, .. } => {
            Told::new("delete_table", &[db, table]).with(format!("now {}", joined(&[renamed])))
        }
        Change::ForgetTable { db, table } => Told::new("forget_table", &[db, table]),
        Change::UndeleteTable { db, table, renamed } => {
            Told::new("undelete_table", &[db, table]).with(format!("now {}", joined(&[renamed])))
        }
        Change::RequestRowDelete(delete) => {
            Told::new("delete_rows", &[&delete.db_name, &delete.table_name]).with(rows(delete))
        }
        Change::AbortRowDelete { sequence, reason, .. } => {
            let delete = before.row_deletes.get(*sequence)?;
            let why = reason.iter().map(|reason| format!("; {reason}")).collect::<String>();
            Told::new("abort_row_delete", &[&delete.db_name, &delete.table_name])
                .with(format!("number {sequence}{why}"))
        }
        other => return of_other(before, other),
    })
}

/// Which rows a delete is about.
fn rows(delete: &RowDelete) -> String {
    let at = |ns: Option<i64>| ns.map_or_else(|| "any time".to_owned(), |ns| format!("{ns} ns"));
    let (from, to) = (at(delete.min_time_ns), at(delete.max_time_ns));
    let tags = match delete.tags.is_empty() {
        true => String::new(),
        false => format!(", {}", row_deletes::text(&delete.tags)),
    };
    format!("number {}: from {from} to {to}{tags}", delete.sequence)
}

/// The same for caches, tokens, plugins, triggers and downsamples.
fn of_other(before: &CatalogSnapshot, change: &Change) -> Option<Told> {
    Some(match change {
        Change::CreateLastCache { db, table, cache } => {
            Told::new("create_last_cache", &[db, table, &cache.name])
        }
        Change::CreateDistinctCache { db, table, cache } => {
            Told::new("create_distinct_cache", &[db, table, &cache.name])
        }
        Change::DeleteCache { db, table, cache } => {
            let name = cache_name(before, db, table, *cache);
            Told::new("delete_cache", &[db, table, &name])
        }
        Change::CreateToken(token) => {
            let rights = token.rights.words(before);
            let detail = match token.expires_at_ns {
                None => rights,
                Some(ns) => format!("{rights}; expires at {} s", ns / 1_000_000_000),
            };
            Told::new("create_token", &[&token.name]).with(detail)
        }
        Change::ReplaceToken { id, .. } => {
            Told::new("regenerate_token", &[&token_name(before, *id)])
        }
        Change::DeleteToken { id } => Told::new("delete_token", &[&token_name(before, *id)]),
        Change::CreatePlugin { db, plugin } => Told::new("create_plugin", &[db, &plugin.name]),
        Change::DeletePlugin { db, plugin } => Told::new("delete_plugin", &[db, plugin]),
        Change::CreateTrigger { db, trigger } => Told::new("create_trigger", &[db, &trigger.name])
            .with(trigger.specification.to_string()),
        Change::SetTriggerDisabled { db, trigger, disabled: true } => {
            Told::new("disable_trigger", &[db, trigger])
        }
        Change::SetTriggerDisabled { db, trigger, disabled: false } => {
            Told::new("enable_trigger", &[db, trigger])
        }
        Change::DeleteTrigger { db, trigger } => Told::new("delete_trigger", &[db, trigger]),
        Change::CreateDownsample { db, downsample } => {
            let DownsampleDef { name, source, target_db, target, .. } = &**downsample;
            let (from, to) = (joined(&[db, source]), joined(&[target_db, target]));
            Told::new("create_downsample", &[db, name]).with(format!("from {from} to {to}"))
        }
        Change::SetDownsampleDisabled { db, downsample, disabled } => {
            Told::new(switch_of_downsample(*disabled), &[db, downsample])
        }
        Change::DeleteDownsample { db, downsample } => {
            Told::new("delete_downsample", &[db, downsample])
        }
        _ => return None,
    })
}

fn switch_of_downsample(disabled: bool) -> &'static str {
    if disabled { "disable_downsample" } else { "enable_downsample" }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| joined(&[name])).collect::<Vec<_>>().join(", ")
}

fn token_name(catalog: &CatalogSnapshot, id: TokenId) -> String {
    let found = catalog.tokens.all().find(|token| token.id == id);
    found.map_or_else(|| id.to_string(), |token| token.name.to_string())
}

fn cache_name(catalog: &CatalogSnapshot, db: &str, table: &str, id: CacheId) -> String {
    let table = catalog.databases.get(db).and_then(|db| db.tables.get(table));
    let last = table.iter().flat_map(|table| &table.caches.last);
    let last = last.filter(|cache| cache.id == id).map(|cache| &cache.name);
    let distinct = table.iter().flat_map(|table| &table.caches.distinct);
    let distinct = distinct.filter(|cache| cache.id == id).map(|cache| &cache.name);
    let name = last.chain(distinct).next();
    name.map_or_else(|| id.0.to_string(), |name| name.to_string())
}

/// What is told of a request that comes to nothing; nothing of those that no person made.
pub(super) fn request(request: &Request) -> Option<Told> {
    let unnamed = |name: &Option<String>| name.clone().unwrap_or_default();
    Some(match request {
        Request::EnsureSchema(_) | Request::SweepDeleted | Request::NodeStopped => return None,
        Request::CreateDatabase(wanted) => Told::new("create_database", &[&wanted.name]),
        Request::SetRetention(wanted) => Told::new("set_retention", &[&wanted.name]),
        Request::SetTableRetention(wanted) => {
            Told::new("set_table_retention", &[&wanted.db, &wanted.table])
        }
        Request::SetIndexedColumns(wanted) => {
            let action = match wanted.columns {
                Some(_) => "create_file_index",
                None => "delete_file_index",
            };
            let table = wanted.table.as_deref();
            Told::new(action, &std::iter::once(&*wanted.db).chain(table).collect::<Vec<_>>())
        }
        Request::DeleteDatabase(unwanted) => Told::new("delete_database", &[&unwanted.name]),
        Request::UndeleteDatabase(wanted) => Told::new("undelete_database", &[&wanted.name]),
        Request::CreateTable(wanted) => Told::new("create_table", &[&wanted.db, &wanted.table]),
        Request::DeleteTable(unwanted) => {
            Told::new("delete_table", &[&unwanted.db, &unwanted.table])
        }
        Request::UndeleteTable(wanted) => Told::new("undelete_table", &[&wanted.db, &wanted.table]),
        Request::RequestRowDelete(wanted) => Told::new("delete_rows", &[&wanted.db, &wanted.table]),
        Request::AbortRowDelete(unwanted) => {
            Told::new("abort_row_delete", &[&unwanted.sequence.to_string()])
        }
        Request::AcceptRowDelete(_) | Request::DropRowDelete(_) | Request::CompleteRowDelete(_) => {
            return None;
        }
        Request::CreateLastCache(wanted) => {
            let name = unnamed(&wanted.name);
            Told::new("create_last_cache", &[&wanted.db, &wanted.table, &name])
        }
        Request::CreateDistinctCache(wanted) => {
            let name = unnamed(&wanted.name);
            Told::new("create_distinct_cache", &[&wanted.db, &wanted.table, &name])
        }
        Request::DeleteCache(unwanted) => {
            Told::new("delete_cache", &[&unwanted.db, &unwanted.table, &unwanted.name])
        }
        Request::CreateToken(wanted) => Told::new("create_token", &[&wanted.name]),
        Request::RegenerateToken(_) => Told::new("regenerate_token", &[OPERATOR]),
        Request::DeleteToken(unwanted) => Told::new("delete_token", &[&unwanted.name]),
        Request::CreatePlugin(wanted) => {
            Told::new("create_plugin", &[&wanted.db, &wanted.plugin.name])
        }
        Request::DeletePlugin(unwanted) => {
            Told::new("delete_plugin", &[&unwanted.db, &unwanted.plugin])
        }
        Request::CreateTrigger(wanted) => Told::new("create_trigger", &[&wanted.db, &wanted.name]),
        Request::SetTriggerDisabled(wanted) => {
            let action = if wanted.disabled { "disable_trigger" } else { "enable_trigger" };
            Told::new(action, &[&wanted.db, &wanted.trigger])
        }
        Request::DeleteTrigger(unwanted) => {
            Told::new("delete_trigger", &[&unwanted.db, &unwanted.trigger])
        }
        Request::CreateDownsample(wanted) => {
            Told::new("create_downsample", &[&wanted.db, &unnamed(&wanted.name)])
        }
        Request::SetDownsampleDisabled(wanted) => {
            Told::new(switch_of_downsample(wanted.disabled), &[&wanted.db, &wanted.name])
        }
        Request::DeleteDownsample(unwanted) => {
            Told::new("delete_downsample", &[&unwanted.db, &unwanted.name])
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_clear_where_a_name_ends() {
        assert_eq!(joined(&["sensors", "home"]), "sensors.home");
        assert_eq!(joined(&["a.b", "c"]), "\"a.b\".c");
        assert_eq!(joined(&["a", "b\".c"]), "a.\"b\"\".c\"");
        assert_eq!(joined(&["a", ""]), "a.\"\"");
    }
}
