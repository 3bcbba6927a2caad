//! Verbs that need nothing but files.

mod check;
mod completion;
mod conformance;
mod contract;
mod plan;
mod restore;
mod test;

pub(crate) use check::check;
pub(crate) use completion::completion;
pub(crate) use conformance::conformance;
pub(crate) use contract::contract;
pub(crate) use plan::{plan, show as show_plan};
pub(crate) use restore::{restore, verified};
pub(crate) use test::test;
