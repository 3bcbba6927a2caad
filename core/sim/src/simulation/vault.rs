//! Where the secret of a seed is found, or not.

use super::driver;
use crate::model::SplitMix64;
use conveyor_engine::plan::{Plan, StepIndex};
use conveyor_engine::run::{AttemptState, Failure};
use conveyor_engine::value::{Json, Value, canonical_bytes};
use conveyor_mask::Mask;
use conveyor_node::driver::Outcome;
use conveyor_node::{Secrets, without_secrets};
use std::sync::LazyLock;

/// The secret. It is to be nowhere in a store.
const VALUE: &str = "correct-horse-battery-staple";
/// As a node's own limit.
const OUTPUT_BYTES: u64 = 8 << 20;

static HERE: LazyLock<Secrets> = LazyLock::new(|| Secrets::found_by(|_| Ok(VALUE.into())));
static AWAY: LazyLock<Secrets> =
    LazyLock::new(|| Secrets::found_by(|_| Err("nobody answers".into())));

/// What masks the secrets of a step; the failure where they are not found.
pub(super) fn mask(away: bool, plan: &Plan, step: StepIndex) -> Result<Mask, Failure> {
    let secrets = if away { &*AWAY } else { &*HERE };
    secrets.of_step(plan, step).map(|resolved| resolved.mask)
}

/// Whether a step has a secret.
pub(super) fn has(plan: &Plan, step: StepIndex) -> bool {
    let resolved = HERE.of_step(plan, step);
    resolved.is_ok_and(|resolved| resolved.values.iter().next().is_some())
}

/// Whether the secret is in there.
pub(super) fn shows(bytes: &[u8]) -> bool {
    static SECRET: LazyLock<Mask> = LazyLock::new(|| Mask::new([("secret", VALUE.as_bytes())]));
    SECRET.find(bytes).is_some()
}

/// Some drivers tell what they were given.
pub(super) fn tell(random: &mut SplitMix64, result: &mut driver::Result) -> bool {
    if !random.percent(30) {
        return false;
    }
    let ended = &mut result.ended;
    if let Some(Value::Inline(text)) = &ended.outputs {
        let mut outputs: Json = serde_json::from_slice(text).unwrap_or_default();
        outputs["told"] = format!("token={VALUE}").into();
        ended.outputs = Some(Value::Inline(canonical_bytes(&outputs).into()));
    }
    if let Some(failure) = &mut ended.failure {
        failure.message = format!("{} with {VALUE}", failure.message).into();
        failure.details = Some(Value::inline(&VALUE.into()));
    }
    true
}

/// A result as the node keeps it.
pub(super) fn kept(mask: &Mask, result: driver::Result) -> driver::Result {
    if mask.is_empty() {
        return result;
    }
    let driver::Result { ended, mut values } = result;
    let outputs = ended.outputs.map(|outputs| {
        let text = match &outputs {
            Value::Inline(text) => text.clone(),
            Value::Stored { hash, .. } => {
                let found = values.iter().find(|(of, _)| of == hash);
                found.map(|(_, text)| text.clone()).unwrap_or_default()
            }
        };
        serde_json::from_slice(&text).unwrap_or_default()
    });
    let outcome = match (ended.state, ended.failure) {
        (AttemptState::Succeeded, _) => Outcome::Succeeded(outputs.unwrap_or_default()),
        (AttemptState::Failed, Some(failure)) => Outcome::Failed(failure, outputs),
        (_, Some(failure)) => Outcome::Errored(failure),
        (_, None) => Outcome::Cancelled,
    };
    values.clear();
    let ended = without_secrets(mask, outcome, OUTPUT_BYTES, &mut values);
    driver::Result { ended, values }
}
