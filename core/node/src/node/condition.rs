//! How the node is, for whoever asks from outside of its threads.

use tokio::sync::watch;

/// How the node is.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    failing: watch::Sender<Option<String>>,
}

impl Condition {
    /// A commit failed, or was made again.
    pub(crate) fn commits(&self, failed: Option<String>) {
        self.failing.send_if_modified(|failing| {
            let other = *failing != failed;
            if other {
                *failing = failed;
            }
            other
        });
    }

    /// Why the last commit failed, if it did.
    pub(crate) fn failing(&self) -> Option<String> {
        self.failing.borrow().clone()
    }

    /// Told whenever that changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<String>> {
        self.failing.subscribe()
    }
}
