//! What the node says of a task before its driver sees it, and of its end before it is a fact: limits,
//! and the schemas of the driver's action (PROTOCOL P6, P27).

use super::start::inline_or_stored;
use crate::driver::Outcome;
use crate::owner::ValueTexts;
use conveyor_engine::plan::{ActionContract, DriverContract, Kind, Schema, Step, Violation};
use conveyor_engine::run::{AttemptState, EndedAttempt, Failure};
use conveyor_engine::value::{Json, Value};
use conveyor_mask::Mask;

/// The code of outputs that are not what the driver says that it gives, or no object.
pub(crate) const INVALID_OUTPUT: &str = "invalid_output";
/// The code of outputs that contain a secret.
pub(crate) const SECRET_IN_OUTPUTS: &str = "secret_in_outputs";

/// As many violations of a schema as a failure tells.
const TOLD: usize = 10;

/// The action of a driver.
pub(crate) fn action<'a>(
    driver: &'a DriverContract,
    wanted: Option<&str>,
) -> Result<&'a ActionContract, Failure> {
    driver.action(wanted).ok_or_else(|| {
        let known = driver.actions.iter();
        let known: Vec<_> = known.map(|known| format!("`{}`", known.name)).collect();
        let (known, wanted, name) = (known.join(", "), wanted.unwrap_or_default(), &driver.name);
        let message = format!("driver `{name}` has no action `{wanted}`; it has {known}");
        failure("no_such_action", message, false)
    })
}

/// The task's inputs are not there.
pub(crate) fn no_inputs(error: &dyn std::fmt::Display, retryable: bool) -> Failure {
    let message = format!("the task's inputs cannot be read: {error}");
    failure("no_inputs", message, retryable)
}

/// Whether `with` is what the action asks for. No further attempt changes what was evaluated, unless
/// it names `attempt`.
pub(crate) fn inputs(action: &ActionContract, step: &Step, with: &Json) -> Result<(), Failure> {
    let Some(violations) = broken(action.inputs.as_ref(), with) else {
        return Ok(());
    };
    let again = matches!(&step.kind, Kind::Driver { with, .. } if with.names_attempt());
    let what = "`with` is not what the driver takes";
    let message = told(what, &format!("{}/with", step.pointer), &violations);
    Err(failure("invalid_input", message, again))
}

fn broken(schema: Option<&Schema>, value: &Json) -> Option<Vec<Violation>> {
    schema?.check(value).err()
}

fn told(what: &str, place: &str, violations: &[Violation]) -> String {
    let each = violations.iter().take(TOLD);
    let each: Vec<_> = each
        .map(|violation| format!("{place}{}: {}", violation.pointer, violation.message))
        .collect();
    let more = match violations.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{what}: {}{more}", each.join("; "))
}

/// How an attempt ended, for its fact: without the secrets that the attempt had.
pub(crate) fn ended(
    action: Option<&ActionContract>,
    mask: &Mask,
    outcome: Outcome,
    output_bytes: u64,
    values: &mut ValueTexts,
) -> EndedAttempt {
    let mut keep = |outputs: &Json| {
        let value = inline_or_stored(outputs, values);
        if value.len() > output_bytes {
            values.pop();
            let len = value.len();
            let message =
                format!("the outputs have {len} bytes; the limit `output_bytes` is {output_bytes}");
            return Err(failure("output_too_large", message, false));
        }
        Ok(value)
    };
    let end = |state, outputs, failure| EndedAttempt {
        state,
        outputs,
        failure,
    };
    match masked(mask, outcome) {
        Outcome::Succeeded(outputs) if !outputs.is_object() => {
            let message = "the outputs are not a JSON object".to_owned();
            end(
                AttemptState::Errored,
                None,
                Some(failure(INVALID_OUTPUT, message, None)),
            )
        }
        Outcome::Succeeded(outputs) => match keep(&outputs) {
            Ok(value) => {
                match broken(action.and_then(|action| action.outputs.as_ref()), &outputs) {
                    None => end(AttemptState::Succeeded, Some(value), None),
                    Some(violations) => {
                        let what = "the outputs are not what the driver says that it gives";
                        let message = told(what, "outputs", &violations);
                        let failure = failure(INVALID_OUTPUT, message, None);
                        end(AttemptState::Errored, Some(value), Some(failure))
                    }
                }
            }
            Err(failure) => end(AttemptState::Errored, None, Some(failure)),
        },
        Outcome::Failed(failure, outputs) => {
            // Outputs of a failure are only for reading: too long ones are left out.
            let outputs = outputs.and_then(|outputs| keep(&outputs).ok());
            end(AttemptState::Failed, outputs, Some(failure))
        }
        Outcome::Errored(failure) => end(AttemptState::Errored, None, Some(failure)),
        Outcome::Cancelled => end(AttemptState::Cancelled, None, None),
    }
}

/// An outcome without secrets (SEMANTICS 9). Outputs that feed steps are never changed: the attempt is
/// in error.
fn masked(mask: &Mask, outcome: Outcome) -> Outcome {
    if mask.is_empty() {
        return outcome;
    }
    match outcome {
        Outcome::Succeeded(outputs) => match mask.find_in_json(&outputs) {
            None => Outcome::Succeeded(outputs),
            Some(name) => {
                let message = format!(
                    "the outputs contain the secret `{name}`: hand it to other steps by their `secrets`"
                );
                Outcome::Errored(failure(SECRET_IN_OUTPUTS, message, false))
            }
        },
        Outcome::Failed(failure, outputs) => {
            let outputs = outputs.filter(|outputs| mask.find_in_json(outputs).is_none());
            Outcome::Failed(masked_failure(mask, failure), outputs)
        }
        Outcome::Errored(failure) => Outcome::Errored(masked_failure(mask, failure)),
        Outcome::Cancelled => Outcome::Cancelled,
    }
}

fn masked_failure(mask: &Mask, failure: Failure) -> Failure {
    let details = failure.details.map(|details| match &details {
        Value::Inline(text) => match serde_json::from_slice::<Json>(text) {
            Ok(json) => Value::inline(&mask.json(&json)),
            Err(_) => Value::inline(&Json::from(conveyor_mask::HIDDEN)),
        },
        Value::Stored { .. } => details,
    });
    Failure {
        code: mask.text(&failure.code).into(),
        message: mask.text(&failure.message).into(),
        details,
        ..failure
    }
}

/// What is said of a checkpoint in which a secret is.
pub(crate) fn secret_in_checkpoint(mask: &Mask, data: &[u8]) -> Option<String> {
    let name = mask.find(data)?;
    Some(format!(
        "the checkpoint contains the secret `{name}`, and is kept on disk: save what names it"
    ))
}

/// What is said of principals that a detached attempt names, where a secret is in one.
pub(crate) fn secret_in_principals(mask: &Mask, principals: &[String]) -> Option<String> {
    let name = principals
        .iter()
        .find_map(|name| mask.find(name.as_bytes()))?;
    Some(format!(
        "`principals` contains the secret `{name}`, and is kept on disk: name who may end the task"
    ))
}

/// A panic of a driver.
pub(crate) fn exception(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = format!(
        "the driver panicked: {}",
        text.unwrap_or("without a message")
    );
    failure("exception", message, true)
}

/// A failure that the node tells. `retryable` absent: the document decides.
pub(crate) fn failure(code: &str, message: String, retryable: impl Into<Option<bool>>) -> Failure {
    Failure {
        code: code.into(),
        message: message.into(),
        details: None,
        retryable: retryable.into(),
        retry_after_millis: None,
    }
}
