//! Verbs that need an engine: this process's own, or the one that holds the data directory.

use crate::args::{
    EventsArgs, ForkArgs, ListArgs, LogsArgs, ReleaseArgs, RunArgs, ShowArgs, StopArgs,
};
use crate::exit::{Exit, refuse};

fn not_supported(verb: &str) -> Exit {
    refuse(format!("`conveyor {verb}` is not supported yet"))
}

/// `conveyor run`.
pub(crate) fn run(_args: RunArgs) -> Exit {
    not_supported("run")
}

/// `conveyor runs list`.
pub(crate) fn runs_list(_args: ListArgs) -> Exit {
    not_supported("runs list")
}

/// `conveyor runs show`.
pub(crate) fn runs_show(_args: ShowArgs) -> Exit {
    not_supported("runs show")
}

/// `conveyor runs release`.
pub(crate) fn runs_release(_args: ReleaseArgs) -> Exit {
    not_supported("runs release")
}

/// `conveyor logs`.
pub(crate) fn logs(_args: LogsArgs) -> Exit {
    not_supported("logs")
}

/// `conveyor events`.
pub(crate) fn events(_args: EventsArgs) -> Exit {
    not_supported("events")
}

/// `conveyor cancel`.
pub(crate) fn cancel(_args: StopArgs) -> Exit {
    not_supported("cancel")
}

/// `conveyor drain`.
pub(crate) fn drain(_args: StopArgs) -> Exit {
    not_supported("drain")
}

/// `conveyor terminate`.
pub(crate) fn terminate(_args: StopArgs) -> Exit {
    not_supported("terminate")
}

/// `conveyor pause`.
pub(crate) fn pause(_args: StopArgs) -> Exit {
    not_supported("pause")
}

/// `conveyor resume`.
pub(crate) fn resume(_args: StopArgs) -> Exit {
    not_supported("resume")
}

/// `conveyor fork`.
pub(crate) fn fork(_args: ForkArgs) -> Exit {
    not_supported("fork")
}
