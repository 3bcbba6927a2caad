use crate::clock::{Clock, SystemClock};
use crate::driver::Driver;
use crate::secrets::Secrets;
use conveyor_store::Store;
use std::sync::Arc;

/// What a node is opened with.
#[derive(Clone)]
pub struct Config {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Where log lines are kept; `None`: in `store`.
    pub logs: Option<Arc<dyn Store>>,
    /// Drivers in this process.
    pub drivers: Vec<Arc<dyn Driver>>,
    /// How many tasks of theirs run at once. Default 16.
    pub capacity: u32,
    /// What becomes of runs that an earlier process began. Default [`Adopt::All`].
    pub adopt: Adopt,
    /// Where drivers run.
    pub runtime: tokio::runtime::Handle,
    /// Where instants come from. Default [`SystemClock`].
    pub clock: Arc<dyn Clock>,
    /// Threads that read the store and fold. Default 2.
    pub workers: usize,
    /// How much drivers in this process may hand over.
    pub limits: Limits,
    /// Where the values of secrets are found. Default: nowhere.
    pub secrets: Arc<Secrets>,
}

/// What drivers may hand over. Each refusal names the limit, its maximum and the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest outputs of an attempt, in bytes of JSON. Default 8 MiB.
    pub output_bytes: u64,
    /// The longest checkpoint, in bytes. Default 1 MiB: each is a record of the journal.
    pub checkpoint_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            output_bytes: 8 << 20,
            checkpoint_bytes: 1 << 20,
        }
    }
}

/// What becomes of runs that an earlier process began and that have not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopt {
    /// They go on by themselves: a server, an embedded engine.
    All,
    /// They stay interrupted until they are continued: `conveyor run`.
    None,
}

impl Config {
    /// Over a store, with drivers that run on the caller's runtime; everything else as by default.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        drivers: Vec<Arc<dyn Driver>>,
        runtime: tokio::runtime::Handle,
    ) -> Config {
        Config {
            store,
            logs: None,
            drivers,
            capacity: 16,
            adopt: Adopt::All,
            runtime,
            clock: Arc::new(SystemClock::new()),
            workers: 2,
            limits: Limits::default(),
            secrets: Arc::default(),
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("capacity", &self.capacity)
            .field("adopt", &self.adopt)
            .finish_non_exhaustive()
    }
}
