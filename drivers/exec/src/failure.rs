//! How each end is told: a code for programs, a sentence for people.

use conveyor_sdk::Failure;
use rustix::process::Signal;
use serde_json::json;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

/// A failure that leaves it to the step's `retry` whether it is tried again.
pub(crate) fn failure(code: &str, message: impl AsRef<str>) -> Failure {
    Failure::new(code, message.as_ref())
}

/// A failure that another try cannot mend.
pub(crate) fn permanent(code: &str, message: impl AsRef<str>) -> Failure {
    failure(code, message).permanent()
}

/// What a status that is not success means, and what the command said last on standard error.
pub(crate) fn of_status(status: ExitStatus, said: Option<&str>) -> Failure {
    let mut failure = of_status_alone(status);
    if let Some(said) = said {
        failure.message = format!("{}: {said}", failure.message);
    }
    failure
}

fn of_status_alone(status: ExitStatus) -> Failure {
    match (status.code(), status.signal()) {
        (Some(code), _) => failure(
            "exit_status",
            format!("the command exited with status {code}"),
        )
        .details(json!({ "exit_code": code })),
        (None, Some(signal)) => {
            let name = signal_name(signal);
            failure("signal", format!("the command was ended by {name}"))
                .details(json!({ "signal": name }))
        }
        (None, None) => failure("exit_status", "the command ended without a status"),
    }
}

fn signal_name(number: i32) -> String {
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
        (Signal::SYS, "SIGSYS"),
    ];
    names
        .iter()
        .find(|(signal, _)| signal.as_raw() == number)
        .map_or_else(
            || format!("signal {number}"),
            |(_, name)| (*name).to_owned(),
        )
}
