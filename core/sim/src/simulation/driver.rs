//! Drivers that succeed, fail, dawdle, ignore cancels and report twice.

use crate::model::SplitMix64;
use conveyor_engine::run::{AttemptState, EndedAttempt, Failure, Identity};
use conveyor_engine::value::{Hash, INLINE_BYTES, Json, Value, canonical_bytes};
use conveyor_node::RunId;
use conveyor_node::owner::ValueTexts;
use serde_json::json;
use std::sync::Arc;

/// An attempt's end, with the texts that it names by hash.
#[derive(Clone, Debug)]
pub(super) struct Result {
    pub(super) ended: EndedAttempt,
    pub(super) values: ValueTexts,
}

/// How an attempt will end, if nothing stops it.
pub(super) fn result(random: &mut SplitMix64, run: RunId, id: Identity) -> Result {
    let roll = random.below(100);
    let state = match roll {
        0..70 => AttemptState::Succeeded,
        70..88 => AttemptState::Failed,
        88..97 => AttemptState::Errored,
        _ => AttemptState::Cancelled,
    };
    ended(state, random, run, id)
}

/// The answer to a cancel.
pub(super) fn cancelled(random: &mut SplitMix64, run: RunId, id: Identity) -> Result {
    ended(AttemptState::Cancelled, random, run, id)
}

/// What an attempt's outputs say of it, so that whoever sees them can tell whose they are.
pub(super) fn mark(run: RunId, id: Identity) -> String {
    format!("{run} {id}")
}

fn ended(state: AttemptState, random: &mut SplitMix64, run: RunId, id: Identity) -> Result {
    let failure = Failure {
        code: Arc::from("no"),
        message: Arc::from("it said no"),
        details: None,
        retryable: random.percent(10).then_some(false),
        retry_after_millis: random.percent(10).then_some(700),
    };
    let failed = matches!(state, AttemptState::Failed | AttemptState::Errored);
    let mut values = Vec::new();
    // Drivers may give outputs with a failure, too; nobody is to see them.
    let gives = state == AttemptState::Succeeded || random.percent(30);
    let outputs = gives.then(|| {
        // A few runs have outputs that are too long for a record.
        let long = run.0[15].is_multiple_of(8) && random.percent(30);
        let padding = if long { INLINE_BYTES } else { 0 };
        let text = format!("{};{}", mark(run, id), "x".repeat(padding));
        keep(&json!({"n": random.below(100), "text": text}), &mut values)
    });
    let ended = EndedAttempt {
        state,
        outputs,
        failure: failed.then_some(failure),
    };
    Result { ended, values }
}

fn keep(json: &Json, values: &mut ValueTexts) -> Value {
    let text: Arc<[u8]> = canonical_bytes(json).into();
    if text.len() <= INLINE_BYTES {
        return Value::Inline(text);
    }
    let (hash, len) = (Hash::of(&text), text.len() as u64);
    values.push((hash, text));
    Value::Stored { hash, len }
}

/// How long an attempt takes, in milliseconds; `None`: until something ends it.
pub(super) fn duration(random: &mut SplitMix64) -> Option<u64> {
    let most = match random.below(100) {
        0..3 => return None,
        3..13 => 60_000,
        _ => 2_000,
    };
    Some(random.below(most) as u64)
}
