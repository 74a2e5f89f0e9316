//! How the last runs of each trigger went.

use hashbrown::HashMap;
use protocols::limits;
use protocols::messages::plugins::PluginRun;
use std::collections::VecDeque;
use std::sync::Arc;

/// Database and trigger.
type TriggerName = (Arc<str>, Arc<str>);

/// The newest runs of each trigger: so many of one, and so many of all.
#[derive(Debug, Default)]
pub(super) struct Runs {
    of: HashMap<TriggerName, VecDeque<Arc<PluginRun>>>,
    count: usize,
}

impl Runs {
    pub(super) fn keep(&mut self, mut run: PluginRun) {
        if let Some(error) = &mut run.error
            && error.len() > limits::PLUGIN_RUN_ERROR_BYTES_MAX
        {
            error.truncate(error.floor_char_boundary(limits::PLUGIN_RUN_ERROR_BYTES_MAX));
            error.push('…');
        }
        let name = (Arc::clone(&run.database), Arc::clone(&run.trigger));
        let runs = self.of.entry(name).or_default();
        runs.push_back(Arc::new(run));
        self.count += 1;
        if runs.len() > limits::PLUGIN_RUNS_MAX {
            runs.pop_front();
            self.count -= 1;
        }
        while self.count > limits::PLUGIN_RUNS_ALL_MAX && self.drop_stalest() {}
    }

    /// Drops the trigger that has not run for longest: it may have ended long ago.
    fn drop_stalest(&mut self) -> bool {
        let ended = |runs: &VecDeque<Arc<PluginRun>>| runs.back().map(|run| run.started_ns);
        let stalest = self.of.iter().min_by_key(|(_, runs)| ended(runs));
        let Some(name) = stalest.map(|(name, _)| name.clone()) else { return false };
        self.count -= self.of.remove(&name).map_or(0, |runs| runs.len());
        true
    }

    /// Those of a database, or all: by trigger, the oldest of each first.
    pub(super) fn of(&self, database: Option<&str>) -> Vec<Arc<PluginRun>> {
        let wanted =
            self.of.iter().filter(|((db, _), _)| database.is_none_or(|name| **db == *name));
        let mut wanted: Vec<_> = wanted.collect();
        wanted.sort_by_key(|(name, _)| *name);
        wanted.into_iter().flat_map(|(_, runs)| runs).map(Arc::clone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn run(trigger: &str, number: u64, started_ns: i64) -> PluginRun {
        PluginRun {
            database: "d".into(),
            trigger: trigger.into(),
            number,
            attempt: 0,
            started_ns,
            duration: Duration::ZERO,
            rows_in: 0,
            lines_out: 0,
            error: Some("x".repeat(limits::PLUGIN_RUN_ERROR_BYTES_MAX + 1)),
        }
    }

    #[test]
    fn the_last_of_each_trigger_stay() {
        let mut runs = Runs::default();
        for number in 1..=limits::PLUGIN_RUNS_MAX as u64 + 5 {
            runs.keep(run("b", number, number as i64));
        }
        runs.keep(run("a", 1, 1000));
        let kept = runs.of(Some("d"));
        assert_eq!(kept.len(), limits::PLUGIN_RUNS_MAX + 1);
        let first: Vec<_> = kept.iter().take(2).map(|r| (&*r.trigger, r.number)).collect();
        assert_eq!(first, [("a", 1), ("b", 6)]);
        assert!(kept.iter().all(|run| run.error.as_ref().is_some_and(|e| e.ends_with("x…"))));
        assert!(runs.of(Some("e")).is_empty());
    }

    #[test]
    fn triggers_that_do_not_run_any_more_make_room() {
        let mut runs = Runs::default();
        for trigger in 0..=limits::PLUGIN_RUNS_ALL_MAX {
            runs.keep(run(&format!("t{trigger}"), 1, trigger as i64));
        }
        let kept = runs.of(None);
        assert_eq!(kept.len(), limits::PLUGIN_RUNS_ALL_MAX);
        assert!(kept.iter().all(|run| *run.trigger != *"t0"));
    }
}
