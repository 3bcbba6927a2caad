//! A small reference model of SEMANTICS, written from its text alone.
//!
//! It shares nothing with the engine but the words for states. It is naive on purpose: after each
//! input every rule is looked at again for every step, one change at a time, until nothing changes.
//! Each rule is cited by its number beside the code that says it. Expressions are out of its scope:
//! a pipeline here says what its conditions come to, and [`Pipeline::document`] prints a document
//! whose expressions come to just that, so that the engine can be given the same case.

mod attempts;
mod document;
mod end;
mod order;
mod pipeline;
mod random;
mod rule;
mod state;
mod stopping;
mod view;

pub use document::Document;
pub use pipeline::{
    Allow, BackoffKind, FailFast, Fan, FanSource, Kind, Needs, Pipeline, Retry, Step, Timeouts,
    When,
};
pub use random::{SplitMix64, random_input, random_pipeline};
pub use rule::{Predicate, Rule};
pub use state::{Input, Model, Refused, Result as AttemptResult};
pub use view::{InstanceView, StepView, View};
