//! Planted faults for tests, compiled in with the feature `failpoints` only.
//!
//! `INFLUXDB3_FAILPOINTS="name=action;…"`. Actions: `abort`, `error(n)` (the next n times), `fail`
//! (every time until the file named in `INFLUXDB3_FAILPOINT_RELEASE` exists), `sleep(ms)`, `pause`
//! (until that file exists) and `panic(n)`. A panic can be planted in any handler under the name `<actor>:<message>`, for
//! example `wal:AppendRows=panic(1)`. A simulation plants its own, see `simulated`.

#[cfg(feature = "failpoints")]
pub use on::fails;
#[cfg(feature = "failpoints")]
pub(super) use on::plant_panic;

/// True when an error is planted at `name`. Never in builds without fail points.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn fails(name: &str) -> bool {
    name.is_empty()
}

#[cfg(not(feature = "failpoints"))]
#[inline]
pub(super) fn plant_panic(_actor: &str, _message: &str) {}

#[cfg(feature = "failpoints")]
mod on {
    use std::collections::HashMap;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    enum Action {
        Abort,
        Error(AtomicI64),
        Fail,
        Panic(AtomicI64),
        Sleep(Duration),
        Pause,
    }

    static POINTS: LazyLock<HashMap<String, Action>> = LazyLock::new(|| {
        let text = std::env::var("INFLUXDB3_FAILPOINTS").unwrap_or_default();
        text.split(';').filter_map(parse).collect()
    });

    fn parse(point: &str) -> Option<(String, Action)> {
        let (name, action) = point.trim().split_once('=')?;
        let (verb, number) = match action.split_once('(') {
            Some((verb, rest)) => (verb, rest.trim_end_matches(')').parse::<u32>().ok()?),
            None => (action, 1),
        };
        let action = match verb {
            "abort" => Action::Abort,
            "error" => Action::Error(AtomicI64::new(number.into())),
            "fail" => Action::Fail,
            "panic" => Action::Panic(AtomicI64::new(number.into())),
            "sleep" => Action::Sleep(Duration::from_millis(number.into())),
            "pause" => Action::Pause,
            _ => return None,
        };
        Some((name.to_owned(), action))
    }

    /// Does what is planted at `name`. True when the caller is to fail.
    pub fn fails(name: &str) -> bool {
        if let Some(machine) = crate::runtime::simulated::machine() {
            return machine.pass(name);
        }
        match POINTS.get(name) {
            None => false,
            Some(Action::Abort) => std::process::abort(),
            Some(Action::Error(left)) => left.fetch_sub(1, Ordering::Relaxed) > 0,
            Some(Action::Fail) => !released(),
            Some(Action::Panic(left)) => {
                assert!(left.fetch_sub(1, Ordering::Relaxed) <= 0, "planted panic at {name}");
                false
            }
            Some(Action::Sleep(time)) => {
                std::thread::sleep(*time);
                false
            }
            Some(Action::Pause) => {
                while !released() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                false
            }
        }
    }

    fn released() -> bool {
        let release = std::env::var("INFLUXDB3_FAILPOINT_RELEASE").unwrap_or_default();
        std::path::Path::new(&release).exists()
    }

    pub(in super::super) fn plant_panic(actor: &str, message: &str) {
        if let Some(machine) = crate::runtime::simulated::machine() {
            let name = format!("{actor}:{message}");
            // The plan is let go of first: it is looked at again while the panic unwinds.
            let planted = machine.faults.borrow_mut().panics(&name);
            assert!(!planted, "planted panic at {name}");
            return;
        }
        if !POINTS.is_empty() {
            fails(&format!("{actor}:{message}"));
        }
    }
}
