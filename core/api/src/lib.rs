//! Conveyor's listeners over the control service: today the Unix socket of a data directory.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `place` | where the socket of a data directory lies, and how others find it |
//! | `server` | the holder of the directory answers |
//! | `client` | others ask |

mod client;
mod place;
mod server;

pub use client::{connect, in_process};
pub use place::{POINTER_FILE, SOCKET_FILE};
pub use server::{Listener, MESSAGE_BYTES};

/// Where control requests go: the handlers of this process, or those of the holder of a data
/// directory. Callers do not know which.
pub type Control = tower::util::BoxCloneService<
    tonic::codegen::http::Request<tonic::body::Body>,
    tonic::codegen::http::Response<tonic::body::Body>,
    tonic::codegen::StdError,
>;
