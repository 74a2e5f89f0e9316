//! The one way to end the process because going on could lose data.

use tokio::sync::watch;

/// Why the process has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatalReason {
    /// Exit code of the process.
    pub code: i32,
    /// Text for the log and standard error.
    pub reason: String,
}

/// Raised by any part, awaited by the main task.
#[derive(Clone, Debug)]
pub struct Fatal(watch::Sender<Option<FatalReason>>);

impl Default for Fatal {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Fatal {
    /// Asks the main task to end the process. The first reason stays.
    pub fn raise(&self, code: i32, reason: String) {
        tracing::error!(reason, code, "fatal: the server stops");
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(FatalReason { code, reason });
            }
            first
        });
    }

    /// Waits until a reason is raised.
    pub async fn raised(&self) -> FatalReason {
        let mut receiver = self.0.subscribe();
        loop {
            if let Some(reason) = receiver.borrow_and_update().clone() {
                return reason;
            }
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The reason, if one was raised.
    pub fn reason(&self) -> Option<FatalReason> {
        self.0.borrow().clone()
    }
}
