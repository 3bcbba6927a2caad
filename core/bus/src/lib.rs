//! Conveyor's bus within one process: wake-ups, and the log store.
//!
//! The bus is a hint and the store the truth (PROTOCOL P28): [`Hub`] says that something may be new,
//! and whoever is woken reads the store. [`AttemptLog`] turns batches of log lines into rows that
//! join any commit, and [`StoreLogs`] is a [`LogStore`] over a [`conveyor_store::Store`].

mod hub;
mod log;

pub use hub::{Hub, Subscription};
pub use log::{
    AttemptKey, AttemptLog, LINE_BYTES, LOG_LINES, LogCommits, LogError, LogPage, LogState,
    LogStore, NumberedLine, Refused, StoreLogs,
};
