use crate::{HEARTBEAT_INTERVAL_MS, RESUME_WINDOW_MS, WAIT_MS};
use conveyor_engine::plan::{GRACE, Timeouts};
use conveyor_node::owner::{FORGOTTEN, NOT_TAKEN, REFUSED, UNANSWERED};
use conveyor_node::session::SEALED_AFTER;
use conveyor_proto::contract::{FIRST_MESSAGE_MS, REPORT_AGAIN_MS, UNHEARD};

/// A time that the contract counts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Its name, for programs.
    pub name: &'static str,
    /// How long: milliseconds. Of what a document or a message may set, the default.
    pub ms: u64,
    /// Who keeps it: `engine`, `driver` or `both`.
    pub who: &'static str,
    /// The requirement in docs/driver-contract.md.
    pub rule: &'static str,
    /// What it is, for people.
    pub what: &'static str,
    /// Where another value comes from; empty where it is always this one.
    pub set_by: &'static str,
}

/// All timings of the contract, from the code's own constants.
#[must_use]
pub fn timings() -> Vec<Timing> {
    let heartbeat = Timeouts::default().heartbeat.0;
    let (part, of) = UNHEARD;
    let timing = |name, ms, who, rule, set_by, what| Timing {
        name,
        ms,
        who,
        rule,
        what,
        set_by,
    };
    vec![
        timing(
            "first_message",
            FIRST_MESSAGE_MS,
            "driver",
            "R2",
            "",
            "until `hello` or `resume` on a new stream",
        ),
        timing(
            "heartbeat_interval",
            HEARTBEAT_INTERVAL_MS,
            "driver",
            "R20",
            "welcome.heartbeat_interval_ms",
            "between two heartbeats, also while nothing is held",
        ),
        timing(
            "heartbeat_timeout",
            heartbeat,
            "engine",
            "R22",
            "task.heartbeat_timeout_ms (`timeouts.heartbeat`)",
            "the longest silence about a task",
        ),
        timing(
            "unheard",
            heartbeat * u64::from(part) / u64::from(of),
            "driver",
            "R22",
            "two thirds of task.heartbeat_timeout_ms",
            "without an answer until the runtime stops a task",
        ),
        timing(
            "grace",
            GRACE.0,
            "both",
            "R34",
            "task.grace_ms (`grace`)",
            "from a cancel to the end of the attempt",
        ),
        timing(
            "answer",
            UNANSWERED.0,
            "driver",
            "R12",
            "",
            "until a task is answered; then it is sent again",
        ),
        timing(
            "not_taken_pause",
            NOT_TAKEN.0,
            "engine",
            "R12",
            "",
            "without a task for a session that is heard and did not take one within its lease",
        ),
        timing(
            "report_again",
            REPORT_AGAIN_MS,
            "driver",
            "R25",
            "",
            "until a report that is not answered is sent again",
        ),
        timing(
            "refusal_pause",
            REFUSED.0,
            "engine",
            "R14",
            "",
            "without a task for a session that refused one",
        ),
        timing(
            "resume_window",
            RESUME_WINDOW_MS,
            "engine",
            "R40",
            "welcome.resume_window_ms",
            "silence after which a session without tasks is closed",
        ),
        timing(
            "session_forgotten",
            FORGOTTEN.0,
            "engine",
            "R40",
            "",
            "silence after which a session without tasks is forgotten",
        ),
        timing(
            "poll_wait",
            WAIT_MS,
            "engine",
            "R50",
            "poll.wait_ms",
            "the longest that a poll waits",
        ),
        timing(
            "log_seal",
            SEALED_AFTER.0,
            "engine",
            "R32",
            "",
            "a log takes lines after its attempt's end",
        ),
    ]
}
