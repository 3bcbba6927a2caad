//! Conveyor's `http` driver: makes an HTTP request. It is written with the Rust SDK, and runs as the
//! program `conveyor-driver-http`.
//!
//! What a document may say is in `docs/drivers/http.md`; why addresses are checked where they are is in
//! `docs/decisions/0062-the-http-driver-checks-the-address-it-connects-to.md`.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `driver` | one task from `with` to outcome |
//! | `with` | what a document says, checked, and its JSON Schema |
//! | `policy` | where connections may go |
//! | `target` | addresses of requests, and redirects |
//! | `connect` | a connection to an address that was checked |
//! | `exchange` | one request and its answer |
//! | `outputs` | what the answer becomes |
//! | `secrets` | values that are never told |
//! | `failure` | how each end is told |

mod connect;
mod driver;
mod exchange;
mod failure;
mod outputs;
mod policy;
mod secrets;
mod target;
mod with;

pub use connect::{Trust, TrustError};
pub use driver::driver;
pub use policy::{Policy, PolicyError};
pub use with::{MAX_BYTES, MAX_REDIRECTS, MAX_TIMEOUT};
