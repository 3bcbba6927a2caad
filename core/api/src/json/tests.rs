use super::{from_json, message, to_json};
use conveyor_proto::v1;
use serde_json::json;

#[test]
fn the_contracts_descriptors_are_read() {
    assert!(message("StartRunRequest").is_some());
    assert!(message("NoSuchMessage").is_none());
}

#[test]
fn a_run_is_told_with_numbers_words_and_values_as_they_are() {
    let run = v1::Run {
        id: "0197".to_owned(),
        state: v1::RunState::Running.into(),
        created_ms: u64::MAX,
        inputs: br#"{"n":9007199254740993}"#.as_slice().into(),
        ..v1::Run::default()
    };
    let told = to_json("Run", &run);
    assert_eq!(told["state"], "running");
    assert_eq!(told["created_ms"], json!(u64::MAX));
    assert_eq!(told["inputs"]["n"], json!(9_007_199_254_740_993_u64));
    assert_eq!(told["labels"], json!({}));
    assert!(
        told.get("outputs").is_none() && told.get("ended_ms").is_none(),
        "{told:#}"
    );
    let back: v1::Run = from_json("Run", &told).expect("it reads back");
    assert_eq!(back, run);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let cases = [
        (json!({"labels": {"a": 1}}), "/labels/a", "a string"),
        (json!({"documment": {}}), "/documment", "`document`"),
        (
            json!({"document": {"source": 3}}),
            "/document/source",
            "a string",
        ),
        (json!({"wait_ms": -1}), "/wait_ms", "from 0 on"),
        (
            json!({"document": {}, "stored": {}}),
            "/stored",
            "exclude each other",
        ),
        (json!([]), "", "an object"),
    ];
    for (body, pointer, words) in cases {
        let flaw = from_json::<v1::StartRunRequest>("StartRunRequest", &body).unwrap_err();
        assert_eq!(flaw.pointer, pointer, "{flaw:?}");
        assert!(flaw.message.contains(words), "{flaw:?}");
    }
    let body = json!({"run": "x", "kind": "gently"});
    let flaw = from_json::<v1::StopRunRequest>("StopRunRequest", &body).unwrap_err();
    assert!(
        flaw.message.contains("drain, cancel, terminate"),
        "{flaw:?}"
    );
}

#[test]
fn tokens_are_base64_and_log_lines_are_text() {
    let batch = v1::LogBatch {
        token: vec![0, 255].into(),
        lines: vec![v1::LogLine {
            text: "höre".as_bytes().to_vec().into(),
            ..v1::LogLine::default()
        }],
        ..v1::LogBatch::default()
    };
    let told = to_json("LogBatch", &batch);
    assert_eq!(told["token"], "AP8=");
    assert_eq!(told["lines"][0]["text"], "höre");
    let back: v1::LogBatch = from_json("LogBatch", &told).expect("it reads back");
    assert_eq!(back, batch);
}
