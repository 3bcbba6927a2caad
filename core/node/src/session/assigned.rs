//! Attempts that are with drivers in other processes: what their reports are judged by, and whether
//! their logs take lines.

use super::of;
use crate::error::NodeError;
use crate::keys;
use crate::node::{Batch, Node};
use crate::storage;
use crate::token::Claimed;
use conveyor_bus::{LogState, Refused};
use conveyor_engine::plan::{ActionContract, DriverContract, Kind};
use conveyor_engine::run::{Fact, Run};
use conveyor_engine::time::{Duration, Time};
use conveyor_proto::storage::v1::LogLine;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long after an attempt's end its log takes lines (PROTOCOL P33).
pub const SEALED_AFTER: Duration = Duration::secs(300);
/// So many attempts are remembered: as many as all sessions of a large node hold. What is forgotten
/// is read again.
const KEPT: usize = 65_536;

/// What an attempt is judged by.
#[derive(Clone, Debug)]
pub(crate) struct Assigned {
    contract: Arc<DriverContract>,
    action: Option<Arc<str>>,
}

impl Assigned {
    pub(crate) fn new(contract: &Arc<DriverContract>, action: Option<&Arc<str>>) -> Assigned {
        Assigned {
            contract: Arc::clone(contract),
            action: action.cloned(),
        }
    }

    pub(crate) fn action(&self) -> Option<&ActionContract> {
        self.contract.action(self.action.as_deref())
    }
}

/// Attempts that are with drivers; `None` where the contract is not known any more.
#[derive(Debug, Default)]
pub(crate) struct Assignments {
    known: Mutex<HashMap<Claimed, Option<Assigned>>>,
}

impl Assignments {
    fn known(&self) -> MutexGuard<'_, HashMap<Claimed, Option<Assigned>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, claimed: Claimed, assigned: Option<Assigned>) {
        let mut known = self.known();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(claimed, assigned);
    }

    pub(crate) fn end(&self, claimed: &Claimed) {
        self.known().remove(claimed);
    }
}

/// What a claim is judged by; `None` when it is over.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn assigned(
    node: &Node,
    claimed: Claimed,
) -> Result<Option<Option<Assigned>>, NodeError> {
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
    let found = by_journal(node, &run, &claimed);
    node.assignments().begin(claimed, found.clone());
    Ok(Some(found))
}

fn by_journal(node: &Node, run: &Run, claimed: &Claimed) -> Option<Assigned> {
    let plan = run.plan();
    let Kind::Driver { driver, action, .. } = &plan.steps.get(claimed.id.step as usize)?.kind
    else {
        return None;
    };
    let claim = run.claim(claimed.id)?;
    let directory = node.directory();
    let contract = directory.contract(driver, &plan.namespace, &claim.version, claim.schema)?;
    Some(Assigned::new(&contract, action.as_ref()))
}

pub(super) async fn append_logs(
    node: &Node,
    claimed: Claimed,
    first: u64,
    lines: Vec<LogLine>,
) -> Result<Result<LogState, Refused>, NodeError> {
    let attempt = keys::log(claimed.run, claimed.id);
    let mut seal = false;
    if assigned(node, claimed).await?.is_none() {
        let Some((ended, last)) = attempt_end(node, claimed).await? else {
            return Ok(Err(Refused::Sealed { count: 0 }));
        };
        let count = last.map_or(0, |last| last + 1);
        if ended.after(SEALED_AFTER) <= node.now() {
            return Ok(Err(Refused::Sealed { count }));
        }
        seal = last.is_some() && first + lines.len() as u64 >= count;
    }
    let batch = Batch {
        attempt,
        first,
        lines,
        seal,
    };
    node.log_writer().append(batch).await
}

/// When an attempt ended, and its last log offset as its result told it; `None` when there is no such
/// attempt.
async fn attempt_end(
    node: &Node,
    claimed: Claimed,
) -> Result<Option<(Time, Option<u64>)>, NodeError> {
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
                        end = end.or(Some((entry.time, report.last_log)));
                    }
                    Fact::Lost { id, .. } if *id == claimed.id => {
                        end = end.or(Some((entry.time, None)));
                    }
                    _ => {}
                }
            }
            Ok(true)
        })?;
        // A timer, or a stop, may have ended it: by the last record it had ended.
        Ok(claim.then(|| end.unwrap_or((last_record, None))))
    };
    let looked = node.reader().workers().run(look).await;
    looked.ok_or_else(|| NodeError::Corrupt("reading a journal panicked".into()))?
}

/// The log of an attempt that ended has all of its lines, or gets no more than those that its result
/// told of: its end is marked.
pub(super) async fn seal(node: &Node, claimed: Claimed, last: u64) {
    let batch = Batch {
        attempt: keys::log(claimed.run, claimed.id),
        first: last + 1,
        lines: Vec::new(),
        seal: true,
    };
    // Lines that are still on their way leave a gap: the log is marked when they have come.
    if let Err(error) = node.log_writer().append(batch).await {
        tracing::debug!(run = %claimed.run, %error, "the end of a log was not marked");
    }
}
