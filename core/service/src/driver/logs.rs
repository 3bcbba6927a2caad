//! Log batches of a stream on their way to the log store: each attempt's in order, and no more at once than
//! the window allows, so that a driver that floods waits for itself (R31).

use super::convert;
use conveyor_bus::Refused;
use conveyor_node::token::Claimed;
use conveyor_node::{Node, NodeError};
use conveyor_proto::v1;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long a call without a stream tries before it says that its lines cannot be kept for now.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// A stream tries until it ends: its driver waits for the acknowledgement, and for nothing else.
const EVER: Duration = Duration::MAX;
/// The longest pause before lines are handed over again.
const PAUSE: Duration = Duration::from_secs(1);

/// What a line takes of the window besides its text, and a batch without lines at all (R31).
pub(super) const LINE_COST: u64 = 64;
const BATCH_BYTES: u64 = super::LOG_BATCH_BYTES;
const BATCH_LINES: usize = 10_000;

/// What a batch takes of the window.
///
/// # Errors
/// Which limit of a batch it breaks.
pub(super) fn check(logs: &v1::LogBatch) -> Result<u64, String> {
    let lines = logs.lines.len();
    if lines > BATCH_LINES {
        return Err(format!(
            "a log batch has {lines} lines; the limit `log_batch_lines` is {BATCH_LINES}"
        ));
    }
    let bytes: u64 = logs.lines.iter().map(|line| line.text.len() as u64).sum();
    if bytes > BATCH_BYTES {
        return Err(format!(
            "a log batch has {bytes} bytes of text; the limit `log_batch_bytes` is {BATCH_BYTES}"
        ));
    }
    Ok(bytes + LINE_COST * lines.max(1) as u64)
}

/// One batch, checked.
pub(super) struct Batch {
    pub(super) claimed: Claimed,
    pub(super) logs: v1::LogBatch,
    /// What it takes of the window.
    pub(super) bytes: u64,
}

/// A batch is durable, or is not taken.
pub(super) struct Kept {
    pub(super) acknowledgement: Option<v1::LogAcknowledgement>,
    /// What the window has again.
    pub(super) bytes: u64,
}

/// Hands batches over: those of one attempt in their order. No attempt waits for another whose lines cannot
/// be kept for now, for its secrets are not found, say.
pub(super) async fn keep(
    node: Node,
    mut batches: mpsc::UnboundedReceiver<Batch>,
    kept: mpsc::UnboundedSender<Kept>,
) {
    let mut under_way = FuturesUnordered::new();
    // What waits for the batch of the same attempt that is under way.
    let mut waiting: HashMap<Claimed, VecDeque<Batch>> = HashMap::new();
    loop {
        let next = tokio::select! {
            Some((claimed, done)) = under_way.next() => {
                if kept.send(done).is_err() {
                    return;
                }
                let next = waiting.get_mut(&claimed).and_then(VecDeque::pop_front);
                if next.is_none() {
                    waiting.remove(&claimed);
                }
                next
            }
            batch = batches.recv() => {
                // The conversation is over: what is not acknowledged is sent again.
                let Some(batch) = batch else { return };
                match waiting.entry(batch.claimed) {
                    Entry::Vacant(free) => {
                        free.insert(VecDeque::new());
                        Some(batch)
                    }
                    Entry::Occupied(mut busy) => {
                        busy.get_mut().push_back(batch);
                        None
                    }
                }
            }
        };
        if let Some(batch) = next {
            under_way.push(one(&node, batch));
        }
    }
}

async fn one(node: &Node, batch: Batch) -> (Claimed, Kept) {
    let (claimed, bytes) = (batch.claimed, batch.bytes);
    let appended = append(node, claimed, batch.logs, EVER).await;
    let kept = Kept {
        acknowledgement: appended.ok(),
        bytes,
    };
    (claimed, kept)
}

/// Appends until it is durable or refused, or its patience is over.
///
/// # Errors
/// When it cannot be: later, or for now, and that for so long.
pub(super) async fn append(
    node: &Node,
    claimed: Claimed,
    logs: v1::LogBatch,
    patience: Duration,
) -> Result<v1::LogAcknowledgement, NodeError> {
    let lines = convert::lines(logs.lines);
    let (began, mut pause) = (Instant::now(), Duration::from_millis(20));
    let told = |next_offset, sealed| v1::LogAcknowledgement {
        token: logs.token.clone(),
        next_offset,
        sealed,
    };
    loop {
        let appended = node.append_logs(claimed, logs.first_offset, lines.clone());
        match appended.await {
            Ok(Ok(state)) => return Ok(told(state.next, false)),
            Ok(Err(Refused::Sealed { count })) => return Ok(told(count, true)),
            Ok(Err(Refused::Gap { expected, .. })) => return Ok(told(expected, false)),
            Err(error) if error.is_temporary() && began.elapsed() < patience => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE);
            }
            Err(error) => {
                tracing::warn!(run = %claimed.run, %error, "log lines were not kept");
                return Err(error);
            }
        }
    }
}
