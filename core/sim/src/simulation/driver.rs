//! Drivers that succeed, fail, dawdle, ignore cancels and report twice.

use crate::model::SplitMix64;
use conveyor_engine::run::{AttemptState, EndedAttempt, Failure};
use conveyor_engine::value::Value;
use serde_json::json;
use std::sync::Arc;

/// How an attempt will end, if nothing stops it.
pub(super) fn result(random: &mut SplitMix64) -> EndedAttempt {
    let roll = random.below(100);
    let state = match roll {
        0..70 => AttemptState::Succeeded,
        70..88 => AttemptState::Failed,
        88..97 => AttemptState::Errored,
        _ => AttemptState::Cancelled,
    };
    ended(state, random)
}

/// The answer to a cancel.
pub(super) fn cancelled(random: &mut SplitMix64) -> EndedAttempt {
    ended(AttemptState::Cancelled, random)
}

fn ended(state: AttemptState, random: &mut SplitMix64) -> EndedAttempt {
    let failure = Failure {
        code: Arc::from("no"),
        message: Arc::from("it said no"),
        details: None,
        retryable: random.percent(10).then_some(false),
        retry_after_millis: random.percent(10).then_some(700),
    };
    let failed = matches!(state, AttemptState::Failed | AttemptState::Errored);
    EndedAttempt {
        state,
        outputs: (state == AttemptState::Succeeded)
            .then(|| Value::inline(&json!({"n": random.below(100)}))),
        failure: failed.then_some(failure),
    }
}

/// How long an attempt takes, in milliseconds.
pub(super) fn duration(random: &mut SplitMix64) -> u64 {
    let most = if random.percent(10) { 60_000 } else { 2_000 };
    random.below(most) as u64
}
