//! Conveyor's conformance suite: whether a driver keeps the contract, requirement by requirement.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`v1`] | cases and programs as messages |
//! | [`CaseName`], [`RunName`], [`Pattern`] | what cases are called, and how they are chosen |
//! | [`Outcome`], [`Results`] | what came of cases, and what a program's exit status says of it |
//! | [`choose`], [`pairwise`] | which of a case's many runs are done |
//! | [`Lists`] | what is known to fail |
//! | [`text_report`], [`junit_report`], [`json_report`], [`profile`], [`badge`] | what is written of it |

mod axes;
mod lists;
mod names;
mod report;
mod result;

pub use axes::{Axes, Choice, ChoiceError, Row, choose, every, pairwise, product, select};
pub use lists::{ListErrors, ListFile, Lists, known_failing};
pub use names::{Axis, CaseName, NameError, Pattern, RunName, Unmatched};
pub use report::{
    Group, Sentences, Tally, TextOptions, badge, groups, json_report, junit_report, profile,
    text_report,
};
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
