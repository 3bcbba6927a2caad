//! Conveyor's node: drives the engine over a store and a bus.
//!
//! One owner thread folds, applies and groups; one committer thread makes groups durable; drivers in
//! this process run as tasks of the caller's tokio runtime.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`driver`] | what a driver in this process is |
//! | [`owner`] | the deterministic machine over all runs: the simulator drives it as the node does |
//! | [`storage`] | an owner's groups and runs in the store's terms |
//! | [`keys`], [`envelope`] | where things lie in a store, and in what |
//! | [`token`] | the proof of a claim |

mod chunks;
pub mod driver;
pub mod envelope;
mod error;
mod id;
pub mod keys;
pub mod owner;
mod plans;
pub mod storage;
pub mod token;

pub use error::NodeError;
pub use id::RunId;
pub use plans::Plans;
