//! Faults as an axis: what goes wrong while a case is performed whose outcome is the same.

use crate::script::Stage;
use crate::v1::Pattern;
use crate::v1::interfere::How;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long one that lasts is waited for: longer than a network is silent, or a server starts.
const LASTS: Duration = Duration::from_secs(3);

/// A fault that is on. What of it goes on in the background ends with it.
pub(super) struct Fault {
    name: String,
    /// `None` where it is an interference: what is on tells by itself what became of it.
    background: Option<JoinHandle<()>>,
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
            _ => Some(stage.in_background(fault, seed)),
        };
        Fault {
            name: fault.to_owned(),
            background,
        }
    }

    /// What of it did not happen, as the script has ended: a sentence.
    pub(super) async fn missed(&mut self) -> Option<String> {
        let going = self.background.as_mut()?;
        // One that lasts may have begun, and be there until a short task has ended.
        let lasts = matches!(self.name.as_str(), "half-open" | "restart");
        let over = match lasts {
            true => timeout(LASTS, going).await.is_ok(),
            false => going.is_finished(),
        };
        (!over).then(|| {
            format!(
                "the fault `{}` never happened before the script ended: the case, or its sample, is too short for it",
                self.name
            )
        })
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        if let Some(task) = &self.background {
            task.abort();
        }
    }
}
