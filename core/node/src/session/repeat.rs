//! Whether a report is one that is durable, said again, where it can no longer be judged as it was: what
//! was hidden in it then is not known now.
//!
//! The owner knows a durable report by its hash. A report that comes again is judged again before it gets
//! there, and that comes to the same only with the same secrets and the same schemas. The secrets may have
//! gone, or changed, and the schemas of an attempt that is over are not kept. So what is in the journal is
//! compared but for what was put in place of something.

use super::assigned::attempt_end;
use super::of;
use crate::error::NodeError;
use crate::node::Node;
use crate::node::judge::{INVALID_OUTPUT, SECRET_IN_OUTPUTS};
use crate::token::Claimed;
use conveyor_engine::plan::Kind;
use conveyor_engine::run::{AttemptState, EndedAttempt, Failure, Report};
use conveyor_engine::value::{Json, Value, parse_json};
use conveyor_mask::HIDDEN;

/// Whether an attempt that is over ended by this report, as far as that can be said. `said` is the report as
/// it came, with nothing hidden.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn is_repeat(
    node: &Node,
    claimed: Claimed,
    said: &EndedAttempt,
    last_log: Option<u64>,
) -> Result<bool, NodeError> {
    let end = attempt_end(node, claimed).await?;
    let Some(kept) = end.and_then(|end| end.report) else {
        return Ok(false);
    };
    let run = match node.reader().load(of(&claimed)).await {
        Err(NodeError::NotFound(_)) => return Ok(false),
        run => run?,
    };
    let step = run.plan().steps.get(claimed.id.step as usize);
    let hides = step.is_some_and(
        |step| matches!(&step.kind, Kind::Driver { secrets, .. } if !secrets.is_empty()),
    );
    Ok(kept.last_log == last_log && same(&kept, said, hides))
}

/// `hides`: whether the attempt had secrets.
fn same(kept: &Report, said: &EndedAttempt, hides: bool) -> bool {
    let kept = &kept.result;
    if (kept.state, said.state) == (AttemptState::Errored, AttemptState::Succeeded) {
        // Then it was judged, and its outputs were why.
        return match kept.failure.as_ref().map(|failure| &*failure.code) {
            Some(SECRET_IN_OUTPUTS) => hides,
            Some(INVALID_OUTPUT) => kept.outputs == said.outputs,
            _ => false,
        };
    }
    // Outputs of a failure are left out where a secret is in them.
    let outputs = kept.outputs == said.outputs
        || hides && kept.outputs.is_none() && said.state == AttemptState::Failed;
    kept.state == said.state
        && outputs
        && match (&kept.failure, &said.failure) {
            (Some(kept), Some(said)) if hides => same_failure(kept, said),
            (kept, said) => kept == said,
        }
}

fn same_failure(kept: &Failure, said: &Failure) -> bool {
    text(&kept.code, &said.code)
        && text(&kept.message, &said.message)
        && kept.retryable == said.retryable
        && kept.retry_after_millis == said.retry_after_millis
        && match (&kept.details, &said.details) {
            (Some(Value::Inline(kept)), Some(Value::Inline(said))) => {
                match (parse_json(kept), parse_json(said)) {
                    (Ok(kept), Ok(said)) => json(&kept, &said),
                    _ => kept == said,
                }
            }
            (kept, said) => kept == said,
        }
}

/// Whether a text is the one that is kept, with anything in place of what is hidden.
fn text(kept: &str, said: &str) -> bool {
    let Some((first, rest)) = kept.split_once(HIDDEN) else {
        return kept == said;
    };
    let Some(mut said) = said.strip_prefix(first) else {
        return false;
    };
    let (between, last) = rest.rsplit_once(HIDDEN).unwrap_or(("", rest));
    for part in between.split(HIDDEN) {
        match said.find(part) {
            Some(at) => said = &said[at + part.len()..],
            None => return false,
        }
    }
    said.ends_with(last)
}

fn json(kept: &Json, said: &Json) -> bool {
    match (kept, said) {
        (Json::String(kept), _) if kept == HIDDEN => true,
        (Json::String(kept), Json::String(said)) => text(kept, said),
        (Json::Array(kept), Json::Array(said)) => {
            kept.len() == said.len() && kept.iter().zip(said).all(|(kept, said)| json(kept, said))
        }
        (Json::Object(kept), Json::Object(said)) => {
            // Names that were hidden may have become one.
            let hidden = kept.keys().any(|name| name.contains(HIDDEN));
            let each = |(name, kept): (&String, &Json)| match said.get(name) {
                Some(said) => json(kept, said),
                None => name.contains(HIDDEN),
            };
            (hidden || kept.len() == said.len()) && kept.iter().all(each)
        }
        (kept, said) => kept == said,
    }
}

#[cfg(test)]
mod tests {
    use super::{json, text};
    use serde_json::json as value;

    #[test]
    fn a_text_is_the_one_that_is_kept_but_for_what_is_hidden() {
        for (kept, said, same) in [
            ("no: x", "no: x", true),
            ("no: x", "no: y", false),
            ("no: ***", "no: hunter22", true),
            ("no: ***", "no: ***", true),
            ("no: ***", "yes: hunter22", false),
            ("***.", "hunter22", false),
            ("a *** b *** c", "a hunter22 b hunter22 c", true),
            ("a *** b *** c", "a hunter22 b c", false),
            ("a *** b *** c", "a hunter22 c", false),
            ("***", "", true),
            ("x***x", "x", false),
            ("******", "hunter22hunter22", true),
        ] {
            assert_eq!(text(kept, said), same, "{kept} {said}");
        }
    }

    #[test]
    fn details_are_those_that_are_kept_but_for_what_is_hidden() {
        let kept = value!({"a": ["x ***", "***"], "n": 1});
        assert!(json(&kept, &value!({"a": ["x hunter22", 123_456], "n": 1})));
        assert!(!json(
            &kept,
            &value!({"a": ["y hunter22", 123_456], "n": 1})
        ));
        assert!(!json(&kept, &value!({"a": ["x hunter22"], "n": 1})));
        assert!(!json(&kept, &value!({"a": ["x hunter22", 1], "n": 2})));
        assert!(!json(
            &kept,
            &value!({"a": ["x hunter22", 1], "n": 1, "m": 1})
        ));
        let kept = value!({"***": 1, "b": 2});
        assert!(json(&kept, &value!({"hunter22": 1, "b": 2})));
        assert!(!json(&kept, &value!({"hunter22": 1, "b": 3})));
        assert!(json(&value!("***"), &value!({"x": [1, 2]})));
    }
}
