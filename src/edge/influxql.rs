//! InfluxQL texts before they are sent to `Query`: where one statement ends and the next begins,
//! and which database each is about.

use protocols::influxql::{self, Measurement, ParsedStatement, Show, ShowWhat, Source, Statement};
use protocols::principal::Visible;

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

/// A database as a statement names it, or the part of it that it names.
#[derive(Clone, Copy, Debug, Default)]
struct Named<'a> {
    database: Option<&'a str>,
    policy: Option<&'a str>,
}

/// What a statement names.
#[derive(Default)]
struct Names<'a> {
    /// For the statement as a whole.
    on: Option<&'a str>,
    /// For each of its measurements.
    sources: Vec<Named<'a>>,
}

impl<'a> Names<'a> {
    /// A database that the text names.
    fn database(&self) -> Option<&'a str> {
        self.on.or_else(|| self.sources.iter().find_map(|named| named.database))
    }
}

/// The database of a statement. `db` and `rp` are the parameters of the request.
///
/// # Errors
/// When none is named, or several are.
pub fn database(
    statement: &Statement,
    db: Option<&str>,
    rp: Option<&str>,
    visible: &Visible,
) -> Result<String, String> {
    let mut names = names(statement);
    if names.sources.is_empty() {
        names.sources.push(Named::default());
    }
    // What neither a measurement nor the request says is taken from what the text says elsewhere.
    let default = names.on.or(db).or(names.database()).filter(|db| !db.is_empty());
    let mut found: Option<String> = None;
    for named in &names.sources {
        let Some(db) = named.database.or(default) else {
            return match is_about_all(statement) {
                true => Ok(ANY_DATABASE.to_owned()),
                false => Err(NO_DATABASE.to_owned()),
            };
        };
        let is_in_text = named.database.or(names.on).is_some();
        let this = of_policy(db, named.policy.or(rp), is_in_text, visible);
        if *found.get_or_insert_with(|| this.clone()) != this {
            return Err("can only perform queries on a single database".to_owned());
        }
    }
    found.ok_or_else(|| NO_DATABASE.to_owned())
}

/// The database that holds a retention policy of `db`. One that the text names goes with the
/// policy; one that the request names need not.
fn of_policy(db: &str, policy: Option<&str>, is_in_text: bool, visible: &Visible) -> String {
    let Some(policy) = policy.filter(|policy| !is_default(policy)) else { return db.to_owned() };
    let of_policy = format!("{db}/{policy}");
    match is_in_text || visible.database(&of_policy).is_some() {
        true => of_policy,
        false => db.to_owned(),
    }
}

/// The same for the interface of version 3, where the request must not name another database.
///
/// # Errors
/// As [`database`], and when the request names another.
pub fn database_of_v3(
    statement: &Statement,
    db: Option<&str>,
    visible: &Visible,
) -> Result<String, String> {
    let is_of_all = matches!(
        statement,
        Statement::Show(show) if show.what == ShowWhat::RetentionPolicies && show.on.is_none()
    );
    if is_of_all && db.is_none() {
        return Ok(ANY_DATABASE.to_owned());
    }
    let found = database(statement, db, None, visible)?;
    match (names(statement).database(), db) {
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

fn names(statement: &Statement) -> Names<'_> {
    let mut found = Names::default();
    match statement {
        Statement::Select(select) => in_sources(&select.from, &mut found.sources),
        Statement::Explain(explain) => return names(&explain.statement),
        Statement::Show(show) => {
            let Show { on, from, .. } = show.as_ref();
            found.on = on.as_deref().filter(|on| *on != "*");
            in_sources(from, &mut found.sources);
        }
        Statement::CreatePolicy { on, .. }
        | Statement::AlterPolicy { on, .. }
        | Statement::DropPolicy { on, .. } => found.on = Some(on),
        Statement::Delete { from, .. } | Statement::DropSeries { from, .. } => {
            in_sources(from, &mut found.sources)
        }
        Statement::CreateDatabase { .. }
        | Statement::DropDatabase { .. }
        | Statement::DropMeasurement { .. } => {}
    }
    found
}

fn in_sources<'a>(sources: &'a [Source], found: &mut Vec<Named<'a>>) {
    for source in sources {
        match source {
            Source::Subquery(select) => in_sources(&select.from, found),
            Source::Measurement(Measurement { database, policy, .. }) => {
                found.push(Named { database: database.as_deref(), policy: policy.as_deref() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocols::catalog::CatalogSnapshot;
    use protocols::principal::Principal;
    use protocols::schema::DatabaseSchema;
    use std::sync::Arc;

    fn visible() -> Visible {
        let name: Arc<str> = "foo/bar".into();
        let db = DatabaseSchema {
            id: protocols::ids::DbId(0),
            name: Arc::clone(&name),
            retention_ns: None,
            tables: Default::default(),
            deletion: None,
            plugins: Default::default(),
            downsamples: Default::default(),
            indexed: None,
        };
        let snapshot = CatalogSnapshot {
            uuid: uuid::Uuid::from_u128(7),
            sequence: 1,
            databases: [(name, Arc::new(db))].into_iter().collect(),
            gen1_duration_ns: 1,
            next_db_id: 1,
            next_table_id: 0,
            index: Default::default(),
            tokens: Arc::default(),
            row_deletes: Arc::default(),
        };
        Visible::new(Arc::new(snapshot), Principal::Everybody)
    }

    #[test]
    fn the_database_of_a_statement() {
        let check = |text: &str, db: Option<&str>, rp: Option<&str>, expected: Option<&str>| {
            let parsed = parse(text).unwrap();
            let found = database(&parsed[0].statement, db, rp, &visible());
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
        check("SELECT v FROM foo.bar.m, foo.week.m", None, None, None);
        check("SELECT v FROM m, bar.m", Some("foo"), None, None);
        check("SELECT v FROM m, bar.m", Some("foo"), Some("bar"), Some("foo/bar"));
        check("SELECT v FROM autogen.m, m", Some("foo"), None, Some("foo"));
        check("SELECT v FROM e..m, m", Some("d"), None, None);
        check("SELECT v FROM e..m, m", None, None, Some("e"));
        check("SHOW TAG KEYS ON e FROM m", Some("d"), None, Some("e"));
        check("SHOW TAG KEYS ON foo FROM bar.m", Some("d"), None, Some("foo/bar"));
        check("SHOW DATABASES", None, None, Some("_internal"));
    }
}
