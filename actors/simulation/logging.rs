//! Keeps what the actors log, to be shown with the run.

use crate::runtime::simulated;
use std::fmt::{Debug, Write};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// From now on, log lines of simulated threads are kept with their machine.
pub fn keep_log() {
    // Somebody else's subscriber stays: then there is nothing to show.
    tracing::subscriber::set_global_default(Keeper).ok();
}

struct Keeper;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string does not fail.
        match field.name() {
            "message" => write!(self.0, " {value:?}").ok(),
            name => write!(self.0, " {name}={value:?}").ok(),
        };
    }
}

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(machine) = simulated::machine() else { return };
        let metadata = event.metadata();
        let mut text = Text(format!("             {} {}:", metadata.level(), metadata.target()));
        event.record(&mut text);
        if let Ok(mut notes) = machine.notes.try_borrow_mut() {
            notes.push(text.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
