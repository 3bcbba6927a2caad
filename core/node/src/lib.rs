//! Conveyor's node: drives the engine over a store and a bus.
//!
//! One owner thread folds, applies and groups; one committer thread makes groups durable; drivers in
//! this process run as tasks of the caller's tokio runtime.

pub mod driver;
