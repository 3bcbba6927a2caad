//! Faults as an axis: what goes wrong while a case is performed whose outcome is the same.

use crate::script::Stage;
use crate::v1::Pattern;
use crate::v1::interfere::How;

/// A fault that is on. What of it goes on in the background ends with it.
pub(super) struct Fault(Option<tokio::task::JoinHandle<()>>);

fn of_engine(kind: &str) -> Pattern {
    Pattern {
        from: "engine".to_owned(),
        kind: kind.to_owned(),
        ..Pattern::default()
    }
}

impl Fault {
    /// Begins one.
    pub(super) fn begin(fault: &str, stage: &Stage, seed: u64) -> Fault {
        let interferences = &stage.site.tap.interferences;
        let each = |kinds: &[&str], how: &How| {
            for kind in kinds {
                let name = format!("{fault} {kind}");
                interferences.begin(name, of_engine(kind), 0, how.clone());
            }
        };
        match fault {
            "double-acknowledgements" => {
                each(&["acknowledgement", "outcome"], &How::Double(true));
                Fault(None)
            }
            "late-acknowledgements" => {
                each(&["acknowledgement", "outcome"], &How::DelayMs(250));
                Fault(None)
            }
            "slow" => {
                each(
                    &["task", "acknowledgement", "outcome", "log_window"],
                    &How::DelayMs(60),
                );
                Fault(None)
            }
            _ => Fault(Some(stage.in_background(fault, seed))),
        }
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
