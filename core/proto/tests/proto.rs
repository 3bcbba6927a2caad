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

/// What stands in each message below where a secret stands.
const SECRET: &[u8] = b"hunter22";

#[test]
fn no_message_shows_its_secret() {
    let session = || "session-7".to_owned();
    let secret = || SECRET.into();
    let task = v1::Task {
        pipeline: session(),
        secrets: [("TOKEN".to_owned(), secret())].into(),
        ..v1::Task::default()
    };
    let welcome = v1::Welcome {
        session: session(),
        resume_secret: secret(),
        ..v1::Welcome::default()
    };
    // What holds such a message shows it no more than the message itself.
    let told = v1::SessionResponse {
        sequence: 1,
        message: Some(v1::session_response::Message::Task(task.clone())),
    };
    let polled = v1::PollResponse {
        tasks: vec![task.clone()],
        ..v1::PollResponse::default()
    };
    let registered = v1::RegisterResponse {
        welcome: Some(welcome.clone()),
    };
    let resume = v1::Resume {
        session: session(),
        resume_secret: secret(),
        ..v1::Resume::default()
    };
    let poll = v1::PollRequest {
        session: session(),
        resume_secret: secret(),
        ..v1::PollRequest::default()
    };
    let answer = v1::AnswerRequest {
        session: session(),
        resume_secret: secret(),
        ..v1::AnswerRequest::default()
    };
    let heartbeat = v1::HeartbeatRequest {
        session: session(),
        resume_secret: secret(),
        ..v1::HeartbeatRequest::default()
    };
    let leave = v1::LeaveRequest {
        session: session(),
        resume_secret: secret(),
        ..v1::LeaveRequest::default()
    };
    let token = v1::CreateTokenResponse {
        token: Some(v1::AccessToken {
            id: session(),
            ..v1::AccessToken::default()
        }),
        secret: "hunter22".to_owned(),
    };
    let meta = storage::v1::StoreMeta {
        created_by: session(),
        token_key: secret(),
        ..storage::v1::StoreMeta::default()
    };
    let messages: [&dyn std::fmt::Debug; 12] = [
        &task,
        &told,
        &polled,
        &welcome,
        &registered,
        &resume,
        &poll,
        &answer,
        &heartbeat,
        &leave,
        &token,
        &meta,
    ];
    for message in messages {
        for shown in [format!("{message:?}"), format!("{message:#?}")] {
            // As text, and as the numbers of its bytes.
            assert!(!shown.contains("hunter22"), "{shown}");
            assert!(
                !shown.contains("104, 117") && !shown.contains("104,\n"),
                "{shown}"
            );
            assert!(
                shown.contains("***") && shown.contains("session-7"),
                "{shown}"
            );
        }
    }
    assert!(format!("{task:?}").contains(r#"secrets: {"TOKEN": ***}"#));
}

/// A field whose name says that it is one, of a message that prost shows as it is.
#[test]
fn every_message_that_names_a_secret_writes_its_debug_by_hand() {
    for (name, text) in [
        ("v1", include_str!("../src/gen/conveyor.v1.rs")),
        ("storage", include_str!("../src/gen/conveyor.storage.v1.rs")),
    ] {
        let mut message = "";
        let mut skips = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[derive") {
                skips = false;
            }
            skips |= line == "#[prost(skip_debug)]";
            message = line.strip_prefix("pub struct ").unwrap_or(message);
            let field = line
                .strip_prefix("pub ")
                .and_then(|line| line.split_once(':'));
            let Some((field, kind)) = field else { continue };
            let value = kind.contains("Bytes") || kind.contains("string::String");
            // A step names the secrets of its pipeline: these have no values.
            let secret = (field.contains("secret") || field == "token_key") && value;
            assert!(
                !secret || skips,
                "{name}: {field} of {message} shows itself"
            );
        }
    }
}
