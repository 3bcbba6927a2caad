//! Faults as an axis: what goes wrong while a case is performed whose outcome is the same.

use crate::script::{Background, Stage};
use crate::v1::Pattern;
use crate::v1::interfere::How;

/// Faults that a case may name, besides `cut-1` and so on.
pub(crate) const FAULTS: &[&str] = &[
    "restart",
    "cut",
    "half-open",
    "double-acknowledgements",
    "late-acknowledgements",
    "slow",
    CLOCK_JUMP,
    "lease-lost",
];
/// Only an engine within this process has a clock that can be put forward.
pub(crate) const CLOCK_JUMP: &str = "clock-jump";
/// A cut in the place of a message by its number: `cut-3` is before the third, whichever side says it, behind the task
/// itself.
const CUT: &str = "cut-";
/// The last of them: no case's task has more to say for sure.
const LAST: u32 = 32;
/// So many messages are said of each task: that it is accepted, its report, and the answer to that.
const ALWAYS: u64 = 3;

/// Whether there is such a fault.
pub(crate) fn is_fault(name: &str) -> bool {
    FAULTS.contains(&name) || number(name).is_some()
}

/// All names, for who gave another.
pub(crate) fn names() -> String {
    format!("{}, {CUT}1 to {CUT}{LAST}", FAULTS.join(", "))
}

/// The message in whose place a fault cuts the connection.
fn cut(fault: &str, seed: u64) -> Option<u32> {
    match fault {
        // One that each task comes to.
        "cut" => u32::try_from(1 + seed % ALWAYS).ok(),
        named => number(named),
    }
}

/// The number of a cut that is named by it.
fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(CUT)?;
    let number = digits
        .parse::<u32>()
        .ok()
        .filter(|at| (1..=LAST).contains(at))?;
    // Each has one name.
    (digits == number.to_string()).then_some(number)
}

/// A fault that is on. What of it goes on in the background ends with it.
pub(super) struct Fault {
    name: String,
    /// `None` where it happens to messages on their way.
    background: Option<Background>,
}

fn pattern(from: &str, kind: &str) -> Pattern {
    Pattern {
        from: from.to_owned(),
        kind: kind.to_owned(),
        ..Pattern::default()
    }
}

/// What is answered by an acknowledgement, or the like of it, as a call.
const ACKNOWLEDGED: &[&str] = &["accepted", "logs", "checkpoint", "report"];

impl Fault {
    /// Begins one.
    pub(super) fn begin(fault: &str, stage: &Stage, seed: u64) -> Fault {
        let interferences = &stage.site.tap.interferences;
        let told = || format!("the fault `{fault}`");
        let each = |kinds: &[&str], how: How| {
            let messages = kinds.iter().map(|kind| pattern("engine", kind));
            interferences.add(fault.to_owned(), messages.collect(), 0, how, told());
        };
        let streams = stage.site.transport.spoken() == "stream";
        let background = match fault {
            "double-acknowledgements" if streams => {
                each(&["acknowledgement", "outcome"], How::Double(true));
                None
            }
            // A call is answered once: what was answered in vain comes again, and is answered a second time.
            "double-acknowledgements" => {
                let messages = ACKNOWLEDGED.iter().map(|kind| pattern("driver", kind));
                interferences.add(
                    fault.to_owned(),
                    messages.collect(),
                    1,
                    How::LoseAnswer(true),
                    told(),
                );
                None
            }
            "late-acknowledgements" => {
                each(&["acknowledgement", "outcome"], How::DelayMs(250));
                None
            }
            "slow" => {
                each(
                    &["task", "acknowledgement", "outcome", "log_window"],
                    How::DelayMs(60),
                );
                None
            }
            _ => match cut(fault, seed) {
                Some(number) => {
                    interferences.cut_before(number);
                    None
                }
                None => Some(stage.in_background(fault)),
            },
        };
        Fault {
            name: fault.to_owned(),
            background,
        }
    }

    /// Where it has not come about, as the script has ended: a sentence.
    pub(super) fn missed(&self, stage: &Stage) -> Option<String> {
        let came = match &self.background {
            Some(background) => background.came_about(),
            None => !stage.site.tap.interferences.is_cut_to_come(),
        };
        (!came).then(|| {
            format!(
                "the fault `{}` never happened: the case was over before",
                self.name
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_has_one_name_and_what_is_none_is_refused_by_name() {
        for name in ["cut", "cut-1", "cut-32", "restart", "lease-lost"] {
            assert!(is_fault(name), "{name}");
        }
        for name in ["none", "cut-0", "cut-33", "cut-01", "cut-", "cut-x", "cuts"] {
            assert!(!is_fault(name), "{name}");
        }
        assert!(names().ends_with("lease-lost, cut-1 to cut-32"));
    }
}
