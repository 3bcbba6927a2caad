//! Conveyor's Rust SDK: drivers, a client ([`Client`]), the engine in a program of one's own (`embedded`).
//!
//! A driver is a name, a version and actions; an action is an `async` function from a [`Task`] to its
//! outputs:
//!
//! ```no_run
//! use conveyor_sdk::{Driver, Failure, Task};
//! use serde_json::json;
//!
//! async fn clone(task: Task) -> Result<serde_json::Value, Failure> {
//!     let url = task.inputs["url"].as_str().unwrap_or_default();
//!     task.log.info(format!("cloning {url}"));
//!     Ok(json!({ "sha": "7c5e2f…" }))
//! }
//!
//! # async fn run() -> Result<(), conveyor_sdk::Error> {
//! Driver::new("git").version("1.0.0").action("clone", clone).run().await
//! # }
//! ```
//!
//! [`Driver::run`] connects to `CONVEYOR_URL`, else to `http://127.0.0.1:7420`, and stays until the
//! process is told to end: it reconnects, sends heartbeats, keeps within what the server grants, sends
//! reports until they are answered, and drains on SIGTERM.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `driver` | what a driver is made of |
//! | `task` | an attempt as its action sees it |
//! | `failure` | how an action says no |
//! | `log` | the run's log |
//! | `detach` | a task goes on outside |
//! | `runtime` | the driver's end of the contract |
//! | `client` | every call of the control service, runs, events and logs |
//! | [`testing`] | one task without a server |
//! | `embedded` | the engine in this process, and its drivers (feature `embedded`) |
//! | `layer` | `tracing` events as log lines (feature `tracing-layer`, on by default) |

mod bounds;
mod client;
mod detach;
mod dial;
mod driver;
#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod failure;
#[cfg(feature = "tracing-layer")]
mod layer;
mod log;
mod runtime;
mod secrets;
mod sink;
mod task;
pub mod testing;
mod tls;
mod unreachable;

pub use client::{
    Appended, Client, ClientOptions, Ended, Events, Feed, Fork, Logs, Run, Runs, Start, Told,
};
/// The contract's messages, as [`Client`]'s calls take and give them.
pub use conveyor_mask::Masker;
pub use conveyor_proto::v1;
pub use detach::{Detach, Handover};
pub use dial::server_address;
pub use driver::{Action, Driver, IntoOutputs};
pub use error::{Answer, Error, ErrorKind};
pub use failure::Failure;
#[cfg(feature = "tracing-layer")]
pub use layer::TaskLayer;
pub use log::{Log, Stream};
pub use runtime::{Options, Stop};
pub use secrets::SecretValues;
pub use task::{Cancelled, Resource, Task};
pub use tls::{Tls, token_file};
pub use unreachable::tls_advice;

/// Where a server listens unless it is told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7420";

/// The examples of the guide are run.
#[cfg(all(doctest, feature = "embedded", feature = "tracing-layer"))]
#[doc = include_str!("../../docs/sdk-rust.md")]
mod guide {}

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
