//! InfluxQL texts before they are sent to `Query`: where one statement ends and the next begins,
//! and which database each is about.

use protocols::influxql::{
    self, Measurement, ParsedStatement, Select, Show, ShowWhat, Source, Statement,
};
use protocols::schema::CatalogSnapshot;

/// No database was named anywhere.
pub const NO_DATABASE: &str =
    "must specify a 'db' parameter, or provide the database in the InfluxQL query";

/// What is asked where a statement is about all databases.
const ANY_DATABASE: &str = "_internal";

/// Reads all statements of a text.
///
/// # Errors
/// When one of them is wrong; says where.
pub fn parse(text: &str) -> Result<Vec<ParsedStatement>, String> {
    influxql::parse(text, actors::query::is_time_zone)
        .map_err(|error| format!("error in InfluxQL statement: parsing error: {error}"))
}

/// A database as a statement names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Named {
    database: Option<String>,
    policy: Option<String>,
}

/// The database of a statement. `db` and `rp` are the parameters of the request.
///
/// # Errors
/// When none is named, or several are.
pub fn database(
    statement: &Statement,
    db: Option<&str>,
    rp: Option<&str>,
    snapshot: &CatalogSnapshot,
) -> Result<String, String> {
    let Named { database, policy } = named(statement)?;
    let policy = policy.as_deref().or(rp).filter(|policy| !is_default(policy));
    let Some(db) = database.as_deref().or(db).filter(|db| !db.is_empty()) else {
        return match is_about_all(statement) {
            true => Ok(ANY_DATABASE.to_owned()),
            false => Err(NO_DATABASE.to_owned()),
        };
    };
    let Some(policy) = policy else { return Ok(db.to_owned()) };
    let of_policy = format!("{db}/{policy}");
    // A database that the text names goes with the policy; one that the request names need not.
    match database.is_some() || snapshot.database(&of_policy).is_some() {
        true => Ok(of_policy),
        false => Ok(db.to_owned()),
    }
}

/// The same for the interface of version 3, where the request must not name another database.
///
/// # Errors
/// As [`database`], and when the request names another.
pub fn database_of_v3(
    statement: &Statement,
    db: Option<&str>,
    snapshot: &CatalogSnapshot,
) -> Result<String, String> {
    let is_of_all = matches!(
        statement,
        Statement::Show(show) if show.what == ShowWhat::RetentionPolicies && show.on.is_none()
    );
    if is_of_all && db.is_none() {
        return Ok(ANY_DATABASE.to_owned());
    }
    let found = database(statement, db, None, snapshot)?;
    match (named(statement)?.database, db) {
        (Some(_), Some(db)) if db != found => Err(format!(
            "provided a database in both the parameters ({db}) and query string ({found}) that do \
             not match, if providing a query that specifies the database, you can omit the \
             'database' parameter from your request"
        )),
        _ => Ok(found),
    }
}

fn is_default(policy: &str) -> bool {
    matches!(policy, "" | "autogen" | "default")
}

fn is_about_all(statement: &Statement) -> bool {
    match statement {
        Statement::Show(show) => matches!(show.what, ShowWhat::Databases),
        Statement::Explain(explain) => is_about_all(&explain.statement),
        Statement::CreateDatabase { .. } | Statement::DropDatabase { .. } => true,
        _ => false,
    }
}

fn named(statement: &Statement) -> Result<Named, String> {
    let mut found = None;
    match statement {
        Statement::Select(select) => in_select(select, &mut found)?,
        Statement::Explain(explain) => return named(&explain.statement),
        Statement::Show(show) => {
            let Show { on, from, .. } = show.as_ref();
            if let Some(on) = on.clone().filter(|on| on != "*") {
                add(Named { database: Some(on), policy: None }, &mut found)?;
            }
            in_sources(from, &mut found)?;
        }
        Statement::CreatePolicy { on, .. }
        | Statement::AlterPolicy { on, .. }
        | Statement::DropPolicy { on, .. } => {
            add(Named { database: Some(on.clone()), policy: None }, &mut found)?;
        }
        Statement::Delete { from, .. } => in_sources(from, &mut found)?,
        Statement::CreateDatabase { .. }
        | Statement::DropDatabase { .. }
        | Statement::DropMeasurement { .. } => {}
    }
    Ok(found.unwrap_or_default())
}

fn in_select(select: &Select, found: &mut Option<Named>) -> Result<(), String> {
    in_sources(&select.from, found)
}

fn in_sources(sources: &[Source], found: &mut Option<Named>) -> Result<(), String> {
    for source in sources {
        match source {
            Source::Subquery(select) => in_select(select, found)?,
            Source::Measurement(Measurement { database, policy, .. }) => {
                let named = Named { database: database.clone(), policy: policy.clone() };
                add(named, found)?;
            }
        }
    }
    Ok(())
}

fn add(named: Named, found: &mut Option<Named>) -> Result<(), String> {
    match found {
        Some(other) if *other != named => match (named.database, &other.database) {
            // What is not said is taken from what is.
            (None, _) => Ok(()),
            (Some(database), None) => {
                *found = Some(Named { database: Some(database), policy: named.policy });
                Ok(())
            }
            (Some(one), Some(other)) if one == *other => Ok(()),
            _ => Err("can only perform queries on a single database".to_owned()),
        },
        Some(_) => Ok(()),
        None => {
            *found = Some(named);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocols::schema::DatabaseSchema;
    use std::sync::Arc;

    fn snapshot() -> CatalogSnapshot {
        let name: Arc<str> = "foo/bar".into();
        let db = DatabaseSchema {
            id: protocols::ids::DbId(0),
            name: Arc::clone(&name),
            retention_ns: None,
            tables: Default::default(),
            deletion: None,
        };
        CatalogSnapshot {
            uuid: uuid::Uuid::from_u128(7),
            sequence: 1,
            databases: [(name, Arc::new(db))].into_iter().collect(),
            gen1_duration_ns: 1,
            next_db_id: 1,
            next_table_id: 0,
        }
    }

    #[test]
    fn the_database_of_a_statement() {
        let check = |text: &str, db: Option<&str>, rp: Option<&str>, expected: Option<&str>| {
            let parsed = parse(text).unwrap();
            let found = database(&parsed[0].statement, db, rp, &snapshot());
            assert_eq!(found.ok().as_deref(), expected, "{text} {db:?} {rp:?}");
        };
        check("SELECT v FROM m", Some("d"), None, Some("d"));
        check("SELECT v FROM m", None, None, None);
        check("SELECT v FROM e..m", Some("d"), None, Some("e"));
        check("SELECT v FROM e.autogen.m", None, Some("bar"), Some("e"));
        check("SELECT v FROM e.week.m", None, None, Some("e/week"));
        check("SELECT v FROM bar.m", Some("foo"), None, Some("foo/bar"));
        check("SELECT v FROM week.m", Some("foo"), None, Some("foo"));
        check("SELECT v FROM m", Some("foo"), Some("bar"), Some("foo/bar"));
        check("SELECT v FROM (SELECT v FROM e..m)", None, None, Some("e"));
        check("SELECT v FROM a..m, b..m", None, None, None);
        check("SHOW TAG KEYS ON e FROM m", Some("d"), None, Some("e"));
        check("SHOW DATABASES", None, None, Some("_internal"));
    }
}
