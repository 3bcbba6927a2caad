//! What the engine takes of a task's words: they are made to fit before they are sent, for it refuses the whole
//! of a message that has one which does not.

use conveyor_proto::v1;
use prost::Message;
use prost::bytes::Bytes;

/// The most thousandths of progress.
const WHOLE: u32 = 1_000;
/// The longest words of progress, code and sentence of a failure, in bytes: `TaskProgress` and `Failure`.
const PROGRESS_BYTES: usize = 1 << 10;
const CODE_BYTES: usize = 128;
const FAILURE_BYTES: usize = 64 << 10;
/// How much of a message is left for what is not the result.
const ENVELOPE: u64 = 64 << 10;

/// What the engine takes; what it does not say is as the contract has it.
pub(crate) fn known(limits: v1::Limits) -> v1::Limits {
    let or = |told: u64, usual: u64| if told == 0 { usual } else { told };
    v1::Limits {
        message_bytes: or(limits.message_bytes, 68 << 20),
        outputs_bytes: or(limits.outputs_bytes, 8 << 20),
        log_line_bytes: or(limits.log_line_bytes, 64 << 10),
        log_batch_bytes: or(limits.log_batch_bytes, 1 << 20),
        checkpoint_bytes: or(limits.checkpoint_bytes, 1 << 20),
        failure_details_bytes: or(limits.failure_details_bytes, 256 << 10),
    }
}

/// How far a task is, so that it fits.
pub(crate) fn progress(permille: u32, message: &str) -> (u32, String) {
    (permille.min(WHOLE), cut(message, PROGRESS_BYTES))
}

/// A failure that fits: details that are too long are left out, and that is said in their place.
pub(crate) fn failure(failure: v1::Failure, limits: &v1::Limits) -> v1::Failure {
    let (length, most) = (failure.details.len() as u64, limits.failure_details_bytes);
    let details = match length > most {
        true => Bytes::from(format!(
            r#"{{"left_out": "{length} bytes; the limit `failure_details_bytes` is {most}"}}"#
        )),
        false => failure.details,
    };
    v1::Failure {
        code: cut(&failure.code, CODE_BYTES),
        message: cut(&failure.message, FAILURE_BYTES),
        details,
        ..failure
    }
}

/// Whether a result goes into one message. Outputs over `outputs_bytes` are for the engine to judge (R26).
pub(crate) fn goes(result: &v1::Result, limits: &v1::Limits) -> bool {
    result.encoded_len() as u64 + ENVELOPE <= limits.message_bytes
}

fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_a_letter_and_details_left_out() {
        assert_eq!(progress(1_200, "half"), (1_000, "half".to_owned()));
        let long = v1::Failure {
            code: "ä".repeat(100),
            details: Bytes::from(vec![b' '; 300 << 10]),
            ..v1::Failure::default()
        };
        let fits = failure(long, &known(v1::Limits::default()));
        assert_eq!(fits.code.len(), 128);
        let details: serde_json::Value = serde_json::from_slice(&fits.details).expect("JSON");
        let said = "307200 bytes; the limit `failure_details_bytes` is 262144";
        assert_eq!(details["left_out"], said);
    }
}
