//! Faults that a simulation plants at named points: panics in handlers, errors at fail points.

use std::collections::BTreeMap;

/// What is planted, by name: the point fails at its hit with this number, counted from one.
#[derive(Debug, Default)]
pub struct FaultPlan {
    errors: BTreeMap<String, u32>,
    panics: BTreeMap<String, u32>,
    stops: BTreeMap<String, u32>,
    /// How often each point was passed.
    pub passed: BTreeMap<String, u64>,
}

impl FaultPlan {
    /// The fail point `name` fails when it is passed for the `hit`th time from now.
    pub fn plant_error(&mut self, name: &str, hit: u32) {
        self.errors.insert(name.to_owned(), hit.max(1));
    }

    /// The handler `name` (`<actor>:<message>`) panics at its `hit`th message from now.
    pub fn plant_panic(&mut self, name: &str, hit: u32) {
        self.panics.insert(name.to_owned(), hit.max(1));
    }

    /// The machine stops when `name` is passed for the `hit`th time from now.
    pub fn plant_stop(&mut self, name: &str, hit: u32) {
        self.stops.insert(name.to_owned(), hit.max(1));
    }

    /// Forgets what has not happened yet.
    pub fn clear(&mut self) {
        self.errors.clear();
        self.panics.clear();
        self.stops.clear();
    }

    pub(super) fn fails(&mut self, name: &str) -> bool {
        *self.passed.entry(name.to_owned()).or_default() += 1;
        due(&mut self.errors, name)
    }

    pub(super) fn stops(&mut self, name: &str) -> bool {
        due(&mut self.stops, name)
    }

    pub(super) fn panics(&mut self, name: &str) -> bool {
        *self.passed.entry(name.to_owned()).or_default() += 1;
        due(&mut self.panics, name)
    }
}

fn due(planted: &mut BTreeMap<String, u32>, name: &str) -> bool {
    let Some(left) = planted.get_mut(name) else { return false };
    *left -= 1;
    let due = *left == 0;
    if due {
        planted.remove(name);
    }
    due
}
