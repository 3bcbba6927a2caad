//! The driver as a task sees it: requests to a server of the test, and to where they must not go.

mod answers;
mod cancel;
mod engine;
mod policy;
mod program;
mod redirects;
mod secrets;
mod server;
mod support;
mod tls;
