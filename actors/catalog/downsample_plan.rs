//! Downsamples in the catalog: from a request to the changes it takes, and what a change does. Pure.

use super::schema_plan::check_length;
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::Change;
use protocols::downsamples::{DatabaseDownsamples, DownsampleDef, INTERVAL_NS_MIN};
use protocols::messages::catalog::CatalogError;
use protocols::messages::downsamples::{CreateDownsample, DeleteDownsample, SetDownsampleDisabled};
use protocols::schema::{DatabaseSchema, INTERNAL_DB};
use std::sync::Arc;

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 256;

fn invalid<T>(why: impl Into<String>) -> Result<T, CatalogError> {
    Err(CatalogError::InvalidDownsample(why.into()))
}

fn live<'a>(
    catalog: &'a CatalogSnapshot,
    db: &str,
) -> Result<&'a Arc<DatabaseSchema>, CatalogError> {
    catalog.database(db).ok_or_else(|| CatalogError::DatabaseNotFound(db.to_owned()))
}

pub(super) fn create(
    catalog: &CatalogSnapshot,
    wanted: &CreateDownsample,
    now_ns: i64,
) -> Result<Vec<Change>, CatalogError> {
    let database = live(catalog, &wanted.db)?;
    let not_there =
        || CatalogError::TableNotFound { db: wanted.db.clone(), table: wanted.source.clone() };
    let source = database.table(&wanted.source).ok_or_else(not_there)?;
    let target_db = match &wanted.target_db {
        Some(name) if name == INTERNAL_DB => return Err(CatalogError::Internal("modify")),
        Some(name) => live(catalog, name)?,
        None => database,
    };
    check_options(wanted)?;
    let made_up = format!("{}_to_{}", wanted.source, wanted.target);
    let name = wanted.name.clone().unwrap_or(made_up);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return invalid("a name has 1 to 256 bytes and no control characters");
    }
    if database.downsamples.named(&name).is_some() {
        return Err(CatalogError::AlreadyExists);
    }
    let downsample = DownsampleDef {
        id: database.downsamples.next_id,
        name: name.into(),
        source: Arc::clone(&source.name),
        target_db: Arc::clone(&target_db.name),
        target: wanted.target.as_str().into(),
        interval_ns: wanted.interval_ns,
        offset_ns: wanted.offset_ns,
        aggregates: wanted.aggregates.clone(),
        from_ns: wanted.from_ns,
        created_at_ns: now_ns,
        disabled: wanted.disabled,
    };
    check_others(catalog, &database.name, &downsample)?;
    let (db, downsample) = (Arc::clone(&database.name), Arc::new(downsample));
    Ok(vec![Change::CreateDownsample { db, downsample }])
}

fn check_options(wanted: &CreateDownsample) -> Result<(), CatalogError> {
    let target = &wanted.target;
    if target.is_empty() || target.contains(['\n', '\t', '\0']) || target.ends_with('\\') {
        return invalid("the table to write to has no name, or one that no table can have");
    }
    check_length(&wanted.target)?;
    if wanted.interval_ns < INTERVAL_NS_MIN {
        return invalid("the interval is shorter than a second");
    }
    if wanted.offset_ns < 0 {
        return invalid("the offset is negative");
    }
    if wanted.aggregates.is_empty() {
        return invalid("there are no aggregates");
    }
    for (place, aggregate) in wanted.aggregates.iter().enumerate() {
        if wanted.aggregates.iter().take(place).any(|other| other == aggregate) {
            return invalid(format!("the aggregate '{}' is named twice", aggregate.name()));
        }
    }
    Ok(())
}

/// Refuses one that writes where another does, or that is fed by what it writes.
fn check_others(
    catalog: &CatalogSnapshot,
    db: &str,
    wanted: &DownsampleDef,
) -> Result<(), CatalogError> {
    let databases = catalog.live_databases();
    let all =
        || databases.iter().flat_map(|db| db.downsamples.all.iter().map(|one| (&db.name, one)));
    let into = |(_, one): &(&Arc<str>, &Arc<DownsampleDef>)| {
        one.target_db == wanted.target_db && one.target == wanted.target
    };
    if let Some((other_db, other)) = all().find(into) {
        return invalid(format!(
            "'{}' of database '{other_db}' writes to table '{}' already",
            other.name, wanted.target
        ));
    }
    let begin = (db, wanted.source.as_ref());
    let mut reached = vec![(wanted.target_db.as_ref(), wanted.target.as_ref())];
    let mut next = 0;
    while let Some(at) = reached.get(next).copied() {
        if at == begin {
            return invalid(match next {
                0 => "the table is the one to write to".to_owned(),
                _ => format!("table '{}' is made of table '{}'", wanted.source, wanted.target),
            });
        }
        for (_, one) in all().filter(|(db, one)| (db.as_ref(), one.source.as_ref()) == at) {
            let to = (one.target_db.as_ref(), one.target.as_ref());
            if !reached.contains(&to) {
                reached.push(to);
            }
        }
        next += 1;
    }
    Ok(())
}

fn known<'a>(
    database: &'a DatabaseSchema,
    name: &str,
) -> Result<&'a Arc<DownsampleDef>, CatalogError> {
    database.downsamples.named(name).ok_or_else(|| CatalogError::NotFound(name.to_owned()))
}

pub(super) fn set_disabled(
    catalog: &CatalogSnapshot,
    wanted: &SetDownsampleDisabled,
) -> Result<Vec<Change>, CatalogError> {
    let database = live(catalog, &wanted.db)?;
    let downsample = known(database, &wanted.name)?;
    if downsample.disabled == wanted.disabled {
        return Ok(Vec::new());
    }
    let (db, downsample) = (Arc::clone(&database.name), Arc::clone(&downsample.name));
    Ok(vec![Change::SetDownsampleDisabled { db, downsample, disabled: wanted.disabled }])
}

pub(super) fn delete(
    catalog: &CatalogSnapshot,
    unwanted: &DeleteDownsample,
) -> Result<Vec<Change>, CatalogError> {
    let database = live(catalog, &unwanted.db)?;
    let downsample = Arc::clone(&known(database, &unwanted.name)?.name);
    Ok(vec![Change::DeleteDownsample { db: Arc::clone(&database.name), downsample }])
}

/// Applies a change of downsamples; others have no effect.
///
/// # Errors
/// When the change contradicts what is there.
pub(super) fn apply(downsamples: &mut DatabaseDownsamples, change: &Change) -> Result<(), String> {
    let place = |all: &[Arc<DownsampleDef>], name: &Arc<str>| {
        let found = all.iter().position(|known| known.name == *name);
        found.ok_or_else(|| format!("downsample {name} is unknown"))
    };
    match change {
        Change::CreateDownsample { downsample, .. } => {
            let DownsampleDef { id, name, .. } = &**downsample;
            if downsamples.named(name).is_some() || *id < downsamples.next_id {
                return Err(format!("downsample {name} is there already"));
            }
            downsamples.next_id = id.saturating_add(1);
            downsamples.all.push(Arc::clone(downsample));
        }
        Change::SetDownsampleDisabled { downsample, disabled, .. } => {
            let place = place(&downsamples.all, downsample)?;
            if let Some(known) = downsamples.all.get_mut(place) {
                Arc::make_mut(known).disabled = *disabled;
            }
        }
        Change::DeleteDownsample { downsample, .. } => {
            let place = place(&downsamples.all, downsample)?;
            downsamples.all.remove(place);
        }
        _ => {}
    }
    Ok(())
}
