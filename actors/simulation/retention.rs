//! Retention periods in the model: which rows must not be seen, and which need not be there.

use std::collections::{BTreeMap, BTreeSet};

/// When the driver saw something: a number that only rises.
pub type Moment = u64;

/// A setting of a database's retention period.
#[derive(Clone, Debug)]
struct Setting {
    period_ns: Option<i64>,
    sent: Moment,
    answered: Option<Moment>,
}

/// The retention periods of all databases.
#[derive(Debug, Default)]
pub struct Retention {
    settings: BTreeMap<u8, Vec<Setting>>,
    /// Databases with a deletion whose outcome nobody knows yet: one of the same name has none of
    /// their settings.
    in_doubt: BTreeSet<u8>,
    /// Rows before this may have been removed for good.
    dropped_before_ns: BTreeMap<u8, i64>,
}

impl Retention {
    /// True when rows of the database were never in danger of being past their time.
    pub fn is_untouched(&self, db: u8) -> bool {
        self.settings.get(&db).is_none_or(Vec::is_empty)
            && !self.dropped_before_ns.contains_key(&db)
    }

    /// Notes a setting that is sent now.
    pub fn set(&mut self, db: u8, period_ns: Option<i64>, now: Moment) {
        let settings = self.settings.entry(db).or_default();
        settings.push(Setting { period_ns, sent: now, answered: None });
    }

    /// Notes that the last setting has taken effect: earlier ones do not count any more.
    pub fn is_set(&mut self, db: u8, now: Moment) {
        let settings = self.settings.entry(db).or_default();
        if let Some(mut last) = settings.pop() {
            last.answered = Some(now);
            *settings = vec![last];
        }
    }

    /// Notes that the last setting has had no effect, because there is no such database.
    pub fn is_not_set(&mut self, db: u8) {
        self.settings.entry(db).or_default().pop();
    }

    /// Notes that the database may be deleted from now on.
    pub fn may_be_deleted(&mut self, db: u8) {
        self.in_doubt.insert(db);
    }

    /// Notes that it is known again whether the database was deleted.
    pub fn is_known(&mut self, db: u8) {
        self.in_doubt.remove(&db);
    }

    /// Forgets the settings of a database that was deleted.
    pub fn forget(&mut self, db: u8) {
        self.settings.remove(&db);
    }

    /// True when some database has a retention period, or may have one.
    pub fn is_in_use(&self) -> bool {
        self.settings.values().flatten().any(|setting| setting.period_ns.is_some())
    }

    /// Notes what the wall clock shows.
    pub fn tick(&mut self, clock_ns: i64) {
        for (db, settings) in &self.settings {
            let periods = settings.iter().filter_map(|setting| setting.period_ns);
            let before = periods.map(|period| clock_ns.saturating_sub(period)).max();
            let dropped = self.dropped_before_ns.entry(*db).or_insert(i64::MIN);
            *dropped = (*dropped).max(before.unwrap_or(i64::MIN));
        }
    }

    /// True when a row of that time has never been past a retention period.
    pub fn surely_keeps(&self, db: u8, time_ns: i64) -> bool {
        self.dropped_before_ns.get(&db).is_none_or(|before| time_ns >= *before)
    }

    /// A look at that moment must not show rows before this, if there is only one answer.
    pub fn oldest_ns(&self, db: u8, asked: Moment, clock_ns: i64) -> Option<i64> {
        let [setting] = self.settings.get(&db)?.as_slice() else { return None };
        if self.in_doubt.contains(&db) {
            return None;
        }
        let in_force = setting.answered.is_some_and(|a| a < asked) && setting.sent < asked;
        setting.period_ns.filter(|_| in_force).map(|period| clock_ns.saturating_sub(period))
    }
}
