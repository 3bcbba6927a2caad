//! A driver runtime of its own: the driver contract, over the generated stubs alone, or as JSON.
//!
//! It is what an author writes who has no SDK, and reads `docs/driver-contract.md` from the first rule to the last.
//! Its one action, `interpret`, performs the programs of the conformance suite.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`launch`] | how the suite starts it |
//! | `hello` | who it says that it is |
//! | `connect`, `wire`, `polled` | a connection: a stream, or calls that stand in for one |
//! | `rest`, `forms` | the calls as JSON over HTTP |
//! | [`session`], `told`, `tasks`, `said`, `clock`, `push` | the session: what is heard, held and said |
//! | `held`, `logs`, `pace`, `bounds` | tasks, their lines, heartbeats, and what fits |
//! | `interpreter`, `program`, `template`, `says`, `mask` | user code, and what it speaks through |
//! | [`breaks`] | the broken driver: switches that violate one requirement each |
//!
//! The code is honest but for [`breaks`]: where a rule is kept that a switch violates, it asks
//! `self.breaks(…)`, in one line that a reader who writes a runtime leaves out.

mod bounds;
pub mod breaks;
mod clock;
mod connect;
mod forms;
mod held;
mod hello;
mod interpreter;
pub mod launch;
mod logs;
mod mask;
mod pace;
mod polled;
mod program;
mod push;
mod rest;
mod said;
mod says;
pub mod session;
mod tasks;
mod template;
mod told;
mod wire;

/// What the suite and a driver say to each other: `proto/conveyor/conformance/v1`.
#[allow(
    clippy::all,
    rustdoc::all,
    missing_docs,
    unreachable_pub,
    reason = "generated; the comments come from the .proto files, where buf checks them"
)]
pub mod v1 {
    include!("../../../src/gen/conveyor.conformance.v1.rs");
}
