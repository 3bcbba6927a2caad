//! Conveyor's conformance suite: whether a driver keeps the contract, requirement by requirement.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`v1`] | cases and programs as messages |
//! | [`CaseName`], [`RunName`], [`Pattern`] | what cases are called, and how they are chosen |
//! | [`Outcome`], [`Results`] | what came of cases, and what a program's exit status says of it |

mod names;
mod result;

pub use names::{Axis, CaseName, NameError, Pattern, RunName, Unmatched};
pub use result::{
    Counts, Expectation, Finding, Line, Outcome, Results, Rule, RuleError, Standing, Status,
    Subject, Verdict,
};

/// Cases, and what the suite and a driver say to each other: `proto/conveyor/conformance/v1`.
#[allow(
    clippy::all,
    rustdoc::all,
    missing_docs,
    unreachable_pub,
    reason = "generated; the comments come from the .proto files, where buf checks them"
)]
pub mod v1 {
    include!("gen/conveyor.conformance.v1.rs");
}

/// All of it as an encoded `FileDescriptorSet`, comments included, and what it imports.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");
