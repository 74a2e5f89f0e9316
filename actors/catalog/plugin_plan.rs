//! Plugins and triggers in the catalog: from a request to the changes it takes, and what a change
//! does. Pure.

use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::Change;
use protocols::messages::catalog::{
    CatalogError, CreatePlugin, CreateTrigger, DeletePlugin, DeleteTrigger, SetTriggerDisabled,
};
use protocols::plugins::{DatabasePlugins, PluginRef, TriggerDef, TriggerSpec};
use protocols::schema::DatabaseSchema;
use std::sync::Arc;

/// Longest name of a plugin or a trigger, in bytes.
const NAME_BYTES_MAX: usize = 256;

fn live<'a>(
    catalog: &'a CatalogSnapshot,
    db: &str,
) -> Result<&'a Arc<DatabaseSchema>, CatalogError> {
    catalog.database(db).ok_or_else(|| CatalogError::NotFound(db.to_owned()))
}

fn check_name(name: &str) -> Result<(), CatalogError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let text = "a name has 1 to 256 bytes and no control characters";
        return Err(CatalogError::InvalidTrigger(text.to_owned()));
    }
    Ok(())
}

pub(super) fn create_plugin(
    catalog: &CatalogSnapshot,
    wanted: &CreatePlugin,
) -> Result<Vec<Change>, CatalogError> {
    let database = live(catalog, &wanted.db)?;
    check_name(&wanted.plugin.name)?;
    match database.plugins.plugin(&wanted.plugin.name) {
        Some(known) if **known == wanted.plugin => Ok(Vec::new()),
        Some(_) => Err(CatalogError::AlreadyExists),
        None => {
            let (db, plugin) = (Arc::clone(&database.name), Arc::new(wanted.plugin.clone()));
            Ok(vec![Change::CreatePlugin { db, plugin }])
        }
    }
}

pub(super) fn delete_plugin(
    catalog: &CatalogSnapshot,
    unwanted: &DeletePlugin,
) -> Result<Vec<Change>, CatalogError> {
    let database = live(catalog, &unwanted.db)?;
    let plugin = known_plugin(database, &unwanted.plugin)?;
    let uses = |t: &&Arc<TriggerDef>| matches!(&t.plugin, PluginRef::Named(name) if **name == *unwanted.plugin);
    if let Some(user) = database.plugins.triggers.iter().find(uses) {
        return Err(CatalogError::PluginInUse {
            plugin: unwanted.plugin.clone(),
            db: unwanted.db.clone(),
            trigger: user.name.to_string(),
        });
    }
    let (db, plugin) = (Arc::clone(&database.name), Arc::clone(&plugin));
    Ok(vec![Change::DeletePlugin { db, plugin }])
}

/// The name of a plugin that is there.
fn known_plugin(database: &DatabaseSchema, name: &str) -> Result<Arc<str>, CatalogError> {
    let plugin = database.plugins.plugin(name).ok_or_else(|| CatalogError::PluginNotFound {
        plugin: name.to_owned(),
        db: database.name.to_string(),
    })?;
    Ok(Arc::clone(&plugin.name))
}

pub(super) fn create_trigger(
    catalog: &CatalogSnapshot,
    wanted: &CreateTrigger,
) -> Result<Vec<Change>, CatalogError> {
    let database = live(catalog, &wanted.db)?;
    check_name(&wanted.name)?;
    let is_of_named = match &wanted.plugin {
        PluginRef::Path(_) => false,
        PluginRef::Named(name) => {
            check_fits(database, name, &wanted.spec)?;
            true
        }
    };
    let known = database.plugins.trigger(&wanted.name);
    let trigger = TriggerDef {
        id: known.map_or(database.plugins.next_trigger_id, |known| known.id),
        name: wanted.name.as_str().into(),
        plugin: wanted.plugin.clone(),
        specification: wanted.specification.trim().into(),
        arguments: wanted.arguments.clone(),
        run_async: wanted.run_async,
        error_behavior: wanted.error_behavior,
        disabled: wanted.disabled,
        isolation: wanted.isolation,
        delivery: wanted.delivery,
    };
    match known {
        Some(known) if is_of_named && **known == trigger => return Ok(Vec::new()),
        Some(_) if is_of_named => {
            let (trigger, db) = (wanted.name.clone(), wanted.db.clone());
            return Err(CatalogError::TriggerDiffers { trigger, db });
        }
        Some(_) => return Err(CatalogError::AlreadyExists),
        None => {}
    }
    if !wanted.disabled {
        check_path_is_free(catalog, &wanted.spec)?;
    }
    let (db, trigger) = (Arc::clone(&database.name), Arc::new(trigger));
    Ok(vec![Change::CreateTrigger { db, trigger }])
}

/// Refuses a plugin that is not there, or is for other triggers.
fn check_fits(
    database: &DatabaseSchema,
    plugin: &str,
    spec: &TriggerSpec,
) -> Result<(), CatalogError> {
    let name = known_plugin(database, plugin)?;
    let plugin = database.plugins.plugin(&name);
    match plugin.map(|plugin| plugin.kind.trigger_kind()) {
        Some(kind) if kind != spec.kind() => Err(CatalogError::InvalidTrigger(format!(
            "plugin {name} is for {} triggers, not for {} triggers",
            kind.name(),
            spec.kind().name()
        ))),
        _ => Ok(()),
    }
}

/// Refuses a request path that an enabled trigger of any database has.
fn check_path_is_free(catalog: &CatalogSnapshot, spec: &TriggerSpec) -> Result<(), CatalogError> {
    let TriggerSpec::Request(_) = spec else { return Ok(()) };
    let databases = catalog.live_databases();
    let mut enabled = databases.iter().flat_map(|db| &db.plugins.triggers).filter(|t| !t.disabled);
    match enabled.any(|trigger| trigger.spec().as_ref() == Some(spec)) {
        true => Err(CatalogError::AlreadyExists),
        false => Ok(()),
    }
}

pub(super) fn set_disabled(
    catalog: &CatalogSnapshot,
    wanted: &SetTriggerDisabled,
) -> Result<Vec<Change>, CatalogError> {
    let database = live(catalog, &wanted.db)?;
    let trigger = known_trigger(database, &wanted.trigger)?;
    if trigger.disabled == wanted.disabled {
        return Ok(Vec::new());
    }
    if let (false, Some(spec)) = (wanted.disabled, trigger.spec()) {
        check_path_is_free(catalog, &spec)?;
    }
    let (db, trigger) = (Arc::clone(&database.name), Arc::clone(&trigger.name));
    Ok(vec![Change::SetTriggerDisabled { db, trigger, disabled: wanted.disabled }])
}

fn known_trigger<'a>(
    database: &'a DatabaseSchema,
    name: &str,
) -> Result<&'a Arc<TriggerDef>, CatalogError> {
    database.plugins.trigger(name).ok_or_else(|| CatalogError::NotFound(name.to_owned()))
}

pub(super) fn delete_trigger(
    catalog: &CatalogSnapshot,
    unwanted: &DeleteTrigger,
) -> Result<Vec<Change>, CatalogError> {
    let database = live(catalog, &unwanted.db)?;
    let trigger = known_trigger(database, &unwanted.trigger)?;
    if !trigger.disabled && !unwanted.force {
        return Err(CatalogError::TriggerRuns(unwanted.trigger.clone()));
    }
    let (db, trigger) = (Arc::clone(&database.name), Arc::clone(&trigger.name));
    Ok(vec![Change::DeleteTrigger { db, trigger }])
}

/// Applies a change of plugins or triggers; others have no effect.
///
/// # Errors
/// When the change contradicts what is there.
pub(super) fn apply(plugins: &mut DatabasePlugins, change: &Change) -> Result<(), String> {
    match change {
        Change::CreatePlugin { plugin, .. } => {
            if plugins.plugin(&plugin.name).is_some() {
                return Err(format!("plugin {} is there already", plugin.name));
            }
            plugins.plugins.push(Arc::clone(plugin));
        }
        Change::DeletePlugin { plugin, .. } => {
            let place = plugins.plugins.iter().position(|known| known.name == *plugin);
            plugins.plugins.remove(place.ok_or_else(|| format!("plugin {plugin} is unknown"))?);
        }
        Change::CreateTrigger { trigger, .. } => {
            if plugins.trigger(&trigger.name).is_some() || trigger.id < plugins.next_trigger_id {
                return Err(format!("trigger {} is there already", trigger.name));
            }
            plugins.next_trigger_id = trigger.id.saturating_add(1);
            plugins.triggers.push(Arc::clone(trigger));
        }
        Change::SetTriggerDisabled { trigger, disabled, .. } => {
            let known = plugins.triggers.iter_mut().find(|known| known.name == *trigger);
            let known = known.ok_or_else(|| format!("trigger {trigger} is unknown"))?;
            Arc::make_mut(known).disabled = *disabled;
        }
        Change::DeleteTrigger { trigger, .. } => {
            let place = plugins.triggers.iter().position(|known| known.name == *trigger);
            plugins.triggers.remove(place.ok_or_else(|| format!("trigger {trigger} is unknown"))?);
        }
        _ => {}
    }
    Ok(())
}
