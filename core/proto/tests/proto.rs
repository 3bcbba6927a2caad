//! What the API tells and what a store holds are separate messages, so that one can change without
//! the other. Their words are the same ones.

use conveyor_proto::{storage, v1};

/// Compares two enums value by value, beyond the last one that either has.
macro_rules! same_words {
    ($($name:ident),+) => {$({
        let mut values = 0;
        for code in 0..64 {
            let told = v1::$name::try_from(code).ok().map(|value| value.as_str_name());
            let stored = storage::v1::$name::try_from(code).ok().map(|value| value.as_str_name());
            assert_eq!(told, stored, "{} {code}", stringify!($name));
            values += usize::from(told.is_some());
        }
        assert!(values > 1, "{} has no values", stringify!($name));
    })+};
}

#[test]
fn states_have_one_number_in_the_api_and_in_the_store() {
    same_words!(StepState, RunState, StopKind, LogStream);
    // What is told of an attempt that has not ended is stored nowhere.
    let running = v1::AttemptState::Running;
    for code in (0..64).filter(|code| *code != running as i32) {
        let told = v1::AttemptState::try_from(code)
            .ok()
            .map(|value| value.as_str_name());
        let stored = storage::v1::AttemptState::try_from(code).ok();
        assert_eq!(
            told,
            stored.map(|value| value.as_str_name()),
            "AttemptState {code}"
        );
    }
    assert!(storage::v1::AttemptState::try_from(running as i32).is_err());
}

#[test]
fn a_field_from_a_newer_release_shows_in_the_length() {
    use prost::Message as _;
    let quarantine = storage::v1::Quarantine {
        sequence: 7,
        ..Default::default()
    };
    let mut bytes = quarantine.encode_to_vec();
    assert_eq!(
        storage::v1::Quarantine::decode(&bytes[..])
            .unwrap()
            .encoded_len(),
        bytes.len()
    );
    // Field 100, a varint, holding 1: decoders drop it without a word.
    bytes.extend([0xa0, 0x06, 1]);
    let read = storage::v1::Quarantine::decode(&bytes[..]).unwrap();
    assert_eq!(read, quarantine);
    assert_ne!(read.encoded_len(), bytes.len());
}
