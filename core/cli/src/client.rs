//! The control service as the verbs use it: opened once, in this process or over the socket of
//! whoever holds the data directory.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `directory` | which data directory |
//! | `open` | hold it, or reach who holds it |
//! | `holder` | what this process does for others while it holds the directory |
//! | `runtime` | the threads that all of it runs on |
//! | `told` | that store, with words where it cannot write |
//! | `steady` | streams that outlive their server |
//! | `status` | an answer that says no, as a message and an exit status |
//! | `view`, `event` | answers as what is drawn |

mod directory;
mod event;
mod holder;
mod open;
mod runtime;
mod status;
mod steady;
mod told;
mod view;

pub(crate) use directory::data_dir;
pub(crate) use event::Events;
pub(crate) use open::{Engine, Options};
pub(crate) use runtime::with_runtime;
pub(crate) use status::{Problem, no_certificate, root_cause};
pub(crate) use steady::Steady;
pub(crate) use told::told;
pub(crate) use view::{json, run_view};

use conveyor_proto::v1::control_service_client::ControlServiceClient;

/// What the verbs call.
pub(crate) type Client = ControlServiceClient<conveyor_api::Control>;
