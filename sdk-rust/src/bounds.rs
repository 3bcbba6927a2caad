//! What the contract takes of a task's words, and what becomes of longer ones: they are made to fit before
//! they are sent, since an engine refuses the whole of what has one that does not.

use crate::Failure;
use conveyor_proto::v1;
use serde::Serialize;
use serde_json::{Value, json};
use std::io;

/// The longest code of a failure, in bytes.
const CODE_BYTES: usize = 128;
/// The longest message of a failure, in bytes.
const FAILURE_BYTES: usize = 64 << 10;
/// The longest words of progress, in bytes.
const PROGRESS_BYTES: usize = 1 << 10;
/// Stands for what was cut off.
const MORE: char = '…';

/// What an engine says that it takes; what it does not say is as the contract has it.
pub(crate) fn known(limits: v1::Limits) -> v1::Limits {
    let or = |told: u64, usual: u64| if told == 0 { usual } else { told };
    v1::Limits {
        message_bytes: or(limits.message_bytes, 64 << 20),
        outputs_bytes: or(limits.outputs_bytes, 8 << 20),
        log_line_bytes: or(limits.log_line_bytes, 64 << 10),
        log_batch_bytes: or(limits.log_batch_bytes, 1 << 20),
        checkpoint_bytes: or(limits.checkpoint_bytes, 1 << 20),
        failure_details_bytes: or(limits.failure_details_bytes, 256 << 10),
    }
}

/// How an action ended, as the engine takes it: outputs that are too long are an error, as they are to the
/// engine; those of a failure, which are only for reading, are left out.
pub(crate) fn held(result: Result<Value, Failure>, limits: &v1::Limits) -> Result<Value, Failure> {
    match result {
        Ok(outputs) => match too_long(&outputs, limits) {
            None => Ok(outputs),
            Some(why) => Err(Failure::errored("output_too_large", why).permanent()),
        },
        Err(failure) => Err(failed(failure, limits)),
    }
}

/// What is said of outputs that are longer than the engine takes.
pub(crate) fn too_long(outputs: &Value, limits: &v1::Limits) -> Option<String> {
    let (len, most) = (length(outputs), limits.outputs_bytes);
    (len > most)
        .then(|| format!("the outputs have {len} bytes; the limit `outputs_bytes` is {most}"))
}

/// A failure that fits.
pub(crate) fn failed(failure: Failure, limits: &v1::Limits) -> Failure {
    let most = limits.failure_details_bytes;
    let details = failure.details.map(|details| match length(&details) {
        len if len > most => {
            let why = format!(
                "the details have {len} bytes; the limit `failure_details_bytes` is {most}"
            );
            json!({ "left_out": why })
        }
        _ => details,
    });
    let outputs = failure.outputs.filter(|outputs| {
        let why = too_long(outputs, limits);
        if let Some(why) = &why {
            tracing::warn!(why, "a failure's outputs are left out");
        }
        why.is_none()
    });
    Failure {
        code: cut(failure.code, CODE_BYTES),
        message: cut(failure.message, FAILURE_BYTES),
        details,
        outputs,
        ..failure
    }
}

/// Words of progress that fit.
pub(crate) fn progress(words: String) -> String {
    cut(words, PROGRESS_BYTES)
}

/// At most so many bytes, the last of which say that there were more.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - MORE.len_utf8()));
        text.push(MORE);
    }
    text
}

/// Bytes of a value's JSON.
fn length(value: &Value) -> u64 {
    let mut count = Count(0);
    // Nothing is written that could fail.
    let _ = value.serialize(&mut serde_json::Serializer::new(&mut count));
    count.0
}

struct Count(u64);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> v1::Limits {
        known(v1::Limits {
            outputs_bytes: 10,
            failure_details_bytes: 10,
            ..v1::Limits::default()
        })
    }

    #[test]
    fn outputs_over_the_limit_are_an_error_and_those_at_it_are_not() {
        let fits = json!({ "a": 1234 });
        assert_eq!(length(&fits), 10);
        assert_eq!(held(Ok(fits.clone()), &limits()), Ok(fits));
        let failure = held(Ok(json!({ "a": 12345 })), &limits()).unwrap_err();
        assert_eq!(failure.kind, crate::failure::Kind::Errored);
        assert_eq!(failure.code, "output_too_large");
        assert_eq!(failure.retryable, Some(false));
        let why = "the outputs have 11 bytes; the limit `outputs_bytes` is 10";
        assert_eq!(failure.message, why);
    }

    #[test]
    fn a_failure_is_cut_between_letters_and_keeps_the_rest() {
        let failure = Failure::new("c".repeat(129), "ä".repeat(40_000))
            .details(json!({ "far": "too long" }))
            .outputs(json!({ "far": "too long" }))
            .retryable();
        let failure = held(Err(failure), &limits()).unwrap_err();
        assert_eq!(failure.code, format!("{}…", "c".repeat(125)));
        // A letter has two bytes, and the mark three: one byte is left.
        assert_eq!(failure.message, format!("{}…", "ä".repeat(32_766)));
        let why = "the details have 18 bytes; the limit `failure_details_bytes` is 10";
        assert_eq!(failure.details, Some(json!({ "left_out": why })));
        assert_eq!((failure.outputs, failure.retryable), (None, Some(true)));
        let fits = Failure::new("c".repeat(128), "ä".repeat(32_768)).details(json!([1, 2]));
        assert_eq!(held(Err(fits.clone()), &limits()), Err(fits));
    }
}
