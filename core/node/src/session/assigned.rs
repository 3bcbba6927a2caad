//! Attempts that are with drivers in other processes: what their reports are judged by, and whether
//! their logs take lines.

use super::cut::CutLogs;
use super::of;
use crate::error::NodeError;
use crate::keys;
use crate::node::{Batch, Node};
use crate::storage;
use crate::token::Claimed;
use conveyor_bus::{LogState, Refused};
use conveyor_engine::plan::{ActionContract, DriverContract, Kind};
use conveyor_engine::run::{Fact, Report, Run};
use conveyor_engine::time::{Duration, Time};
use conveyor_mask::Mask;
use conveyor_proto::storage::v1::LogLine;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long after an attempt's end its log takes lines (PROTOCOL P33).
pub const SEALED_AFTER: Duration = Duration::secs(300);
/// So many attempts are remembered: as many as all sessions of a large node hold. What is forgotten
/// is read again.
const KEPT: usize = 65_536;

/// What an attempt is judged by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assigned {
    /// `None` where it is not known any more.
    contract: Option<Arc<DriverContract>>,
    action: Option<Arc<str>>,
    mask: Mask,
}

impl Assigned {
    pub(crate) fn new(
        contract: Option<Arc<DriverContract>>,
        action: Option<&Arc<str>>,
        mask: Mask,
    ) -> Assigned {
        Assigned {
            contract,
            action: action.cloned(),
            mask,
        }
    }

    pub(crate) fn action(&self) -> Option<&ActionContract> {
        self.contract.as_ref()?.action(self.action.as_deref())
    }

    /// The attempt's secrets.
    pub(crate) fn mask(&self) -> &Mask {
        &self.mask
    }
}

/// Attempts that are with drivers.
#[derive(Debug, Default)]
pub(crate) struct Assignments {
    known: Mutex<HashMap<Claimed, Assigned>>,
    cut: CutLogs,
}

impl Assignments {
    fn known(&self) -> MutexGuard<'_, HashMap<Claimed, Assigned>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, claimed: Claimed, assigned: Assigned) {
        let mut known = self.known();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(claimed, assigned);
    }

    /// The secrets of an attempt that is with its driver; `None` where it is not known.
    pub(crate) fn mask(&self, claimed: &Claimed) -> Option<Mask> {
        self.known().get(claimed).map(|known| known.mask.clone())
    }

    pub(crate) fn end(&self, claimed: &Claimed) {
        self.known().remove(claimed);
    }
}

/// What a claim is judged by; `None` when it is over.
///
/// # Errors
/// When the store cannot be read, or the attempt's secrets are not found again: nothing of it is kept
/// until they are.
pub(super) async fn assigned(node: &Node, claimed: Claimed) -> Result<Option<Assigned>, NodeError> {
    if let Some(known) = node.assignments().known().get(&claimed) {
        return Ok(Some(known.clone()));
    }
    // Sent by an earlier process, or so long ago that it was forgotten.
    let run = match node.reader().load(of(&claimed)).await {
        Ok(run) => run,
        Err(NodeError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    if run.nonce(claimed.id) != Some(claimed.nonce) {
        return Ok(None);
    }
    let found = by_journal(node, &run, &claimed).await?;
    node.assignments().begin(claimed, found.clone());
    Ok(Some(found))
}

async fn by_journal(node: &Node, run: &Run, claimed: &Claimed) -> Result<Assigned, NodeError> {
    let mask = mask(node, run, claimed).await?;
    let plan = run.plan();
    let step = plan.steps.get(claimed.id.step as usize);
    let Some(Kind::Driver { driver, action, .. }) = step.map(|step| &step.kind) else {
        return Ok(Assigned::new(None, None, mask));
    };
    let contract = run.claim(claimed.id).and_then(|claim| {
        let directory = node.directory();
        directory.contract(driver, &plan.namespace, &claim.version, claim.schema)
    });
    Ok(Assigned::new(contract, action.as_ref(), mask))
}

/// The secrets of an attempt as they are now: its driver was given them as they were then.
async fn mask(node: &Node, run: &Run, claimed: &Claimed) -> Result<Mask, NodeError> {
    let resolved = node.resolve(run.plan(), claimed.id.step).await;
    let resolved = resolved.map_err(|failure| {
        NodeError::Unavailable(format!(
            "nothing of the attempt is kept until its secrets can be masked: {}",
            failure.message
        ))
    })?;
    Ok(resolved.mask)
}

/// The secrets of an attempt that is over.
///
/// # Errors
/// As [`assigned`].
pub(super) async fn mask_of_over(node: &Node, claimed: Claimed) -> Result<Mask, NodeError> {
    match node.reader().load(of(&claimed)).await {
        Ok(run) => mask(node, &run, &claimed).await,
        // Nothing of it is kept.
        Err(NodeError::NotFound(_)) => Ok(Mask::default()),
        Err(error) => Err(error),
    }
}

pub(super) async fn append_logs(
    node: &Node,
    claimed: Claimed,
    first: u64,
    lines: Vec<LogLine>,
) -> Result<Result<LogState, Refused>, NodeError> {
    let attempt = keys::log(claimed.run, claimed.id);
    let mut seal = false;
    let mask = if let Some(assigned) = assigned(node, claimed).await? {
        assigned.mask
    } else {
        let Some(end) = attempt_end(node, claimed).await? else {
            return Ok(Err(Refused::Sealed { count: 0 }));
        };
        let last = end.report.and_then(|report| report.last_log);
        let count = last.map_or(0, |last| last.saturating_add(1));
        if end.at.after(SEALED_AFTER) <= node.now() {
            return Ok(Err(Refused::Sealed { count }));
        }
        seal = last.is_some() && first.saturating_add(lines.len() as u64) >= count;
        mask_of_over(node, claimed).await?
    };
    let cut = &node.assignments().cut;
    let batch = Batch {
        attempt,
        first,
        lines: cut.mask(claimed, &mask, first, lines),
        seal,
    };
    let kept = node.log_writer().append(batch).await;
    match &kept {
        Ok(Ok(state)) if !seal => cut.kept(&claimed, state.next),
        // Where it has a gap, what is missing is sent again.
        Ok(Err(Refused::Gap { .. })) | Err(_) => {}
        Ok(_) => cut.end(&claimed),
    }
    kept
}

/// How an attempt ended.
pub(super) struct AttemptEnd {
    /// When.
    at: Time,
    /// The report that ended it; `None` where something else did.
    pub(super) report: Option<Report>,
}

/// How an attempt ended; `None` when there is no such attempt.
pub(super) async fn attempt_end(
    node: &Node,
    claimed: Claimed,
) -> Result<Option<AttemptEnd>, NodeError> {
    let reader = node.reader().clone();
    let look = move || {
        let (mut claim, mut end, mut last_record) = (false, None, Time(0));
        storage::records(reader.store().as_ref(), claimed.run, 0, |record| {
            for entry in &record.entries {
                last_record = entry.time;
                match &entry.fact {
                    Fact::Claimed(made) if made.id == claimed.id => {
                        claim = made.nonce == claimed.nonce;
                    }
                    Fact::Reported(report) if report.id == claimed.id => {
                        end.get_or_insert_with(|| AttemptEnd {
                            at: entry.time,
                            report: Some(report.clone()),
                        });
                    }
                    Fact::Lost { id, .. } if *id == claimed.id => {
                        end.get_or_insert(AttemptEnd {
                            at: entry.time,
                            report: None,
                        });
                    }
                    _ => {}
                }
            }
            Ok(true)
        })?;
        // A timer, or a stop, may have ended it: by the last record it had ended.
        let by_other = AttemptEnd {
            at: last_record,
            report: None,
        };
        Ok(claim.then(|| end.unwrap_or(by_other)))
    };
    let looked = node.reader().workers().run(look).await;
    looked.ok_or_else(|| NodeError::Corrupt("reading a journal panicked".into()))?
}

/// The log of an attempt that ended has all of its lines, or gets no more than those that its result
/// told of: its end is marked.
pub(super) async fn seal(node: &Node, claimed: Claimed, last: u64) {
    let batch = Batch {
        attempt: keys::log(claimed.run, claimed.id),
        first: last.saturating_add(1),
        lines: Vec::new(),
        seal: true,
    };
    // Lines that are still on their way leave a gap: the log is marked when they have come.
    if let Err(error) = node.log_writer().append(batch).await {
        tracing::debug!(run = %claimed.run, %error, "the end of a log was not marked");
    }
}
