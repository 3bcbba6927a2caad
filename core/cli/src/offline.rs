//! Verbs that need nothing but files.

mod completion;

pub(crate) use completion::completion;

use crate::args::{CheckArgs, PlanArgs, TestArgs};
use crate::exit::{Exit, refuse};

/// `conveyor check`.
pub(crate) fn check(_args: &CheckArgs) -> Exit {
    refuse("`conveyor check` is not supported yet")
}

/// `conveyor plan`.
pub(crate) fn plan(_args: &PlanArgs) -> Exit {
    refuse("`conveyor plan` is not supported yet")
}

/// `conveyor test`.
pub(crate) fn test(_args: &TestArgs) -> Exit {
    refuse("`conveyor test` is not supported yet")
}
