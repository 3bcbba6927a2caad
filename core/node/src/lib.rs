//! Conveyor's node: drives the engine over a store and a bus.
//!
//! One owner thread folds, applies and groups; one committer thread makes groups durable; drivers in
//! this process run as tasks of the caller's tokio runtime.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`node`] | the node of a process: open it, start and stop runs |
//! | [`reader`] | what is durable: rows, journals, events, logs, followers |
//! | [`feed`] | what followers of a namespace are told |
//! | [`driver`] | what a driver in this process is |
//! | [`session`] | drivers in other processes: hello, tasks, reports, logs |
//! | [`owner`] | the deterministic machine over all runs: the simulator drives it as the node does |
//! | [`storage`] | an owner's groups and runs in the store's terms |
//! | [`backup`] | all that a store holds, as a file |
//! | [`retention`] | what goes away, and the space that it took |
//! | [`objects`] | what people make beside runs: guarded rows |
//! | [`revisions`] | those of pipelines, by digest and by number |
//! | [`resources`] | versions of Resources, and the runs that their changes start |
//! | [`repeats`] | requests with an idempotency key |
//! | [`keys`], [`envelope`] | where things lie in a store, and in what |
//! | [`metrics`] | what a node counts while it works |
//! | [`token`] | the proof of a claim |

pub mod backup;
mod chunks;
mod clock;
pub mod driver;
mod error;
pub mod feed;
mod held;
mod id;
pub mod keys;
pub mod metrics;
pub mod node;
pub mod objects;
pub mod owner;
mod plans;
pub mod reader;
pub mod repeats;
pub mod resources;
pub mod retention;
pub mod revisions;
mod secrets;
pub mod session;
pub mod storage;
mod stored;
pub mod token;
mod workers;

pub use clock::{Clock, SystemClock};
pub use conveyor_proto::storage::envelope;
pub use error::NodeError;
pub use id::RunId;
pub use node::{Adopt, Config, Limits, Node, StartRun, Started, keep_document, random_bytes};
pub use plans::Plans;
pub use reader::Reader;
pub use secrets::{Resolved, SECRET_BYTES, SecretValues, Secrets, without_secrets};
