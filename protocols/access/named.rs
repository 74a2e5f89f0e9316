//! Rights by the names that databases have, and back.

use super::rights::{Listed, Permission, Right, Rights, joined};
use crate::catalog::CatalogSnapshot;
use std::collections::{BTreeMap, BTreeSet};

impl Listed {
    /// The same rights in the words of [`Permission`], with the names of now.
    fn words(&self, catalog: &CatalogSnapshot) -> String {
        let mut by_rights: BTreeMap<&BTreeSet<Right>, Vec<&str>> = BTreeMap::new();
        let mut names: Vec<(&str, &BTreeSet<Right>)> = catalog
            .databases
            .values()
            .filter_map(|db| Some((db.name.as_ref(), self.databases.get(&db.id)?)))
            .chain(self.expected.iter().map(|(name, rights)| (name.as_ref(), rights)))
            .collect();
        names.sort_unstable();
        for (name, rights) in names {
            by_rights.entry(rights).or_default().push(name);
        }
        let words = |rights: &BTreeSet<Right>| joined(rights.iter().map(|right| right.name()));
        let mut parts = Vec::new();
        if !self.all.is_empty() {
            parts.push(format!("db:*:{}", words(&self.all)));
        }
        for (rights, names) in by_rights {
            parts.push(format!("db:{}:{}", names.join(","), words(rights)));
        }
        if !self.system.is_empty() {
            let names = joined(self.system.iter().map(|resource| resource.name()));
            parts.push(format!("system:{names}:read"));
        }
        parts.join(";")
    }
}

impl Rights {
    /// The rights in words, as `system.tokens` shows them.
    pub fn words(&self, catalog: &CatalogSnapshot) -> String {
        match self {
            Self::Admin => "*:*:*".to_owned(),
            Self::Listed(listed) => listed.words(catalog),
        }
    }

    /// What a list of permissions gives, with the databases that there are.
    pub fn of(permissions: &[Permission], catalog: &CatalogSnapshot) -> Self {
        let mut listed = Listed::default();
        for permission in permissions {
            match permission {
                Permission::AllDatabases(rights) => listed.all.extend(rights),
                Permission::Databases(names, rights) => {
                    for name in names {
                        let given = match catalog.database(name) {
                            Some(db) => listed.databases.entry(db.id).or_default(),
                            None => listed.expected.entry(name.as_str().into()).or_default(),
                        };
                        given.extend(rights);
                    }
                }
                Permission::System(resources) => listed.system.extend(resources),
            }
        }
        Self::Listed(listed)
    }
}
