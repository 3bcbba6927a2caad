//! A store that says when it cannot write, and when it can again: meanwhile nothing of a run moves, and
//! whoever watches has to know why.

use conveyor_store::{
    CommitError, Direction, Error, ErrorKind, KeyRange, Limits, Page, Stats, Store, Transaction,
    View,
};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Shorter failures are not worth a word; and whoever was refused by one has been told already.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the last commit could be written.
#[derive(Debug)]
enum Turn {
    Fails(String),
    Writes,
}

/// A store whose commits are watched.
#[derive(Debug)]
pub(crate) struct Told<S> {
    store: S,
    failing: Mutex<bool>,
    turns: UnboundedSender<Turn>,
}

/// What is to be told, in its order.
#[derive(Debug)]
pub(crate) struct Telling(UnboundedReceiver<Turn>);

/// Watches `store`.
pub(crate) fn told<S>(store: S) -> (Told<S>, Telling) {
    let (turns, told) = unbounded_channel();
    let failing = Mutex::new(false);
    let store = Told {
        store,
        failing,
        turns,
    };
    (store, Telling(told))
}

impl Telling {
    /// Tells until the store is gone, in whatever way `say` does. A task of its own does so: a reader of standard
    /// error that stops must not stop commits.
    pub(crate) async fn tell(mut self, say: impl Fn(&str)) {
        while let Some(turn) = self.0.recv().await {
            let Turn::Fails(why) = turn else { continue };
            if tokio::time::timeout(PATIENCE, self.0.recv()).await.is_ok() {
                continue;
            }
            say(&format!(
                "the store cannot write, and what runs waits until it can: {why}"
            ));
            if self.0.recv().await.is_some() {
                say("the store writes again; what waited goes on");
            }
        }
    }
}

impl<S> Told<S> {
    fn turn(&self, outcome: &Result<(), CommitError>) {
        let (fails, turn) = match outcome {
            Ok(()) => (false, Turn::Writes),
            Err(CommitError::Failed(error) | CommitError::Unknown(error))
                if matches!(
                    error.kind(),
                    ErrorKind::DiskFull | ErrorKind::Io | ErrorKind::Corrupt
                ) =>
            {
                (true, Turn::Fails(error.to_string()))
            }
            // A refusal of what was asked says nothing of the disk.
            Err(_) => return,
        };
        let mut failing = self.failing.lock().unwrap_or_else(|lock| lock.into_inner());
        if *failing != fails {
            *failing = fails;
            // Nobody may listen: the program is about to end.
            let _ = self.turns.send(turn);
        }
    }
}

impl<S: Store> Store for Told<S> {
    fn get(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, Error> {
        self.store.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        self.store.scan(range, direction, limit)
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        let outcome = self.store.commit(transaction);
        self.turn(&outcome);
        outcome
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn view(&self) -> Result<Box<dyn View>, Error> {
        self.store.view()
    }

    fn reclaim(&self, deleted: u64) -> Result<(), Error> {
        self.store.reclaim(deleted)
    }

    fn stats(&self) -> Result<Stats, Error> {
        self.store.stats()
    }
}
