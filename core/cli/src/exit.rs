//! Exit statuses.

use crate::terminal;
use std::process::ExitCode;

/// How the program ends. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: what was asked for is done; a run ended `succeeded`.
    Succeeded,
    /// 1: a run ended `failed`, a test case did not pass, or the program itself failed.
    Failed,
    /// 2: refused, nothing was done: bad input, a limit, no such run, a data directory that cannot be
    /// used or whose holder does not answer.
    Refused,
    /// 3: the process that moves the run, or was asked, went away before it had answered.
    Unreachable,
    /// 130: a run ended `cancelled`, or Ctrl-C ended the program.
    Cancelled,
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Exit::Succeeded => 0,
            Exit::Failed => 1,
            Exit::Refused => 2,
            Exit::Unreachable => 3,
            Exit::Cancelled => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Says on standard error why nothing was done, and gives exit status 2.
pub(crate) fn refuse(reason: impl AsRef<str>) -> Exit {
    terminal::error(reason.as_ref());
    Exit::Refused
}
