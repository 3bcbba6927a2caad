//! Conveyor's listeners over its services: the Unix socket of a data directory, and addresses.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `router` | everything that is answered |
//! | `rest`, `json` | the same calls by method and path, as JSON |
//! | `openapi` | the document of the API |
//! | `metrics` | figures for Prometheus |
//! | `access` | who comes in, and by what |
//! | `tls` | certificates, read again when they change |
//! | `validity` | from when until when they hold |
//! | `guard` | pages of a browser are kept out |
//! | `undecoded` | bytes of gRPC that are no message |
//! | `leftover` | what a client still sends when it is answered |
//! | `health` | whether the process lives, and takes new work |
//! | `serve` | connections, and what they may cost |
//! | `wire` | what their bytes go over |
//! | `presence` | whether anybody is still there |
//! | `server` | where a process listens |
//! | `place` | where the socket of a data directory lies, and how others find it |
//! | `client` | others ask |

mod access;
mod client;
mod guard;
mod health;
mod json;
mod leftover;
mod metrics;
mod openapi;
mod place;
mod presence;
mod rest;
mod router;
mod serve;
mod server;
mod tls;
mod undecoded;
mod validity;
mod wire;

pub use access::{Admission, Named, Shown};
pub use client::{Broken, Credentials, connect, connect_to, in_process};
pub use guard::Origin;
pub use json::{Flaw, from_json_of, to_json, to_json_of};
pub use openapi::openapi;
pub use place::{POINTER_FILE, SOCKET_FILE};
pub use router::{Front, MESSAGE_BYTES, Services};
pub use serve::ConnectionLimits;
pub use server::{Listener, TcpEndpoint};
pub use tls::{Tls, TlsFiles};
pub use validity::{Standing, Validity};

/// Where control requests go: the handlers of this process, or those of another process, over
/// a socket or an address. Callers do not know which.
pub type Control = tower::util::BoxCloneService<
    tonic::codegen::http::Request<tonic::body::Body>,
    tonic::codegen::http::Response<tonic::body::Body>,
    Broken,
>;
