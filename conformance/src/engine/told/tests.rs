use super::*;
use crate::cases::{files, pool};
use crate::engine::{embedded, read_cases};
use conveyor_engine::document::{Limits, Located};
use prost::Message as _;
use prost_reflect::{DynamicMessage, Value as Field};
use std::collections::BTreeSet;

fn steps() -> Vec<(String, EngineStep)> {
    let cases = embedded().expect("they are read");
    let each = cases.into_iter().flat_map(|case| {
        let steps = case.steps.into_iter().enumerate();
        let name = case.name;
        steps.map(move |(at, step)| (format!("{name}, step {}", at + 1), step))
    });
    each.collect()
}

fn of(steps: &str) -> Vec<String> {
    let text =
        format!("cases: [{{name: a/b/c, purpose: It is., requires: [R1], steps: [{steps}]}}]");
    let cases = read_cases("a.yaml", &text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    cases[0].steps.iter().map(sentence).collect()
}

/// The texts and numbers of JSON, names of fields aside.
fn leaves(json: &Value, all: &mut Vec<String>) {
    match json {
        Value::Object(fields) => fields.values().for_each(|value| leaves(value, all)),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, all)),
        Value::String(text) => {
            let quoted = quoted(text).to_string();
            all.push(quoted[1..quoted.len() - 1].to_owned());
        }
        Value::Number(number) => all.push(number.to_string()),
        Value::Bool(_) | Value::Null => {}
    }
}

/// Messages that lack one of the fields that are set, deep within them too, and the field's name.
fn without_one(message: &DynamicMessage) -> Vec<(String, DynamicMessage)> {
    let mut lacking = Vec::new();
    for (field, value) in message.fields() {
        let name = field.name();
        let mut less = message.clone();
        less.clear_field(&field);
        lacking.push((name.to_owned(), less));
        let mut inner = |of: &DynamicMessage, wrap: &dyn Fn(DynamicMessage) -> Field| {
            for (deeper, less) in without_one(of) {
                let mut whole = message.clone();
                whole.set_field(&field, wrap(less));
                lacking.push((format!("{name}/{deeper}"), whole));
            }
        };
        match value {
            Field::Message(of) => inner(of, &Field::Message),
            Field::Map(map) => {
                for (key, value) in map {
                    if let Field::Message(of) = value {
                        inner(of, &|less| {
                            let mut map = map.clone();
                            map.insert(key.clone(), Field::Message(less));
                            Field::Map(map)
                        });
                    }
                }
            }
            Field::List(list) => {
                for (at, value) in list.iter().enumerate() {
                    if let Field::Message(of) = value {
                        inner(of, &|less| {
                            let mut list = list.clone();
                            list[at] = Field::Message(less);
                            Field::List(list)
                        });
                    }
                }
            }
            _ => {}
        }
    }
    lacking
}

#[test]
fn a_change_that_is_guarded_is_told_with_all_that_is_called() {
    let cases = embedded().expect("they are read");
    let guarded = "objects/etags/a-change-that-is-guarded";
    let case = cases.iter().find(|case| case.name == guarded);
    let told: Vec<_> = case
        .expect("it is there")
        .steps
        .iter()
        .map(sentence)
        .collect();
    let body = r#"{"definition":{"metadata":{"name":"thing","namespace":"${namespace}"}"#;
    assert!(
        told[1].starts_with(&format!("Call POST /v1/definitions with the body {body}")),
        "{told:#?}"
    );
    assert!(
        told[1].contains(r#", the header `if-match: "nonsense"`; the answer is 412 like {"#),
        "{told:#?}"
    );
    assert!(told[0].ends_with("; keep its header `etag` as `etag`."));
    assert_eq!(
        told[5],
        "Call DELETE /v1/definitions/thing?namespace=${namespace} with the header `if-match: ${etag}`; the answer is 412."
    );
}

#[test]
fn names_that_nothing_was_kept_under_are_told_before_the_first_step() {
    let cases = embedded().expect("they are read");
    let name = regex::Regex::new(r"\$\{([A-Za-z_][A-Za-z0-9_]*)").expect("a pattern");
    for case in cases {
        let arranged = arranged(&case).concat();
        let told: Vec<String> = case.steps.iter().map(sentence).collect();
        let told = told.concat();
        for found in name.captures_iter(&told) {
            let kept = told.contains(&format!(" as `{}`", &found[1]));
            let named = arranged.contains(&format!("`{}", &found[0]));
            assert!(kept || named, "{}: {}", case.name, &found[0]);
        }
    }
}

#[test]
fn what_a_driver_plays_is_told_of_each_attempt() {
    let told = of(
        r#"{driver: {hello: {capacity: 2}, transport: rest, play: {a: {attempts: [
            {logs: [x], checkpoint: "1\n", hold: true, cancelled: ignore, fail: {code: no}},
            {refuse: true}, {forget: true}, {echo: true}, {succeed: {n: 1}}, {error: {code: e}}]}}}}"#,
    );
    assert_eq!(
        told,
        [concat!(
            r#"Connect the driver `d` over `rest`, without a stream, with the hello {"capacity":2}; "#,
            r#"attempt 1 of `a`: it says the log lines ["x"], then says the checkpoint "1\n", "#,
            "then waits until it is released (cancelled before, it ignores it and goes on to wait), ",
            r#"then reports it `failed` with {"code":"no"}; "#,
            "attempt 2 of `a`: it refuses it; ",
            "attempt 3 of `a`: it takes it and says nothing more of it, not in heartbeats either; ",
            "attempt 4 of `a`: it succeeds with what its task came with; ",
            r#"attempt 5 of `a`: it succeeds with {"n":1}; "#,
            r#"attempt 6 of `a`: it reports it `errored` with {"code":"e"}; "#,
            "any other attempt succeeds without outputs.",
        )]
    );
}

#[test]
fn calls_and_events_are_told_with_who_asks_when_and_what_is_kept() {
    let told = of(
        r#"{call: {path: /v1/runs, token: nobody, unanswered: later}, why: it waits},
        {call: {answered: later, status: 401, not_before_ms: 50, save: {k: /a, e: "header:etag"}}},
        {call: {path: /v1/runs, method: PUT, text: "{", type: text/plain, within_ms: 70}},
        {read: {path: /v1/x, last_event_id: "7", count: 2, save: {n: /0/id}}}"#,
    );
    assert_eq!(
        told,
        [
            "Call GET /v1/runs with no access token, as `nobody`; go on without its answer, which is that of the call `later` (it waits).",
            "Wait for the answer of the call `later`; the answer is 401; it comes no sooner than 50 ms behind the call; keep its header `etag` as `e`, its `/a` as `k`.",
            "Call PUT /v1/runs with the body as text \"{\", the media type `text/plain`; the answer is 200; call again until it is so, for 70 ms.",
            "Read the events of /v1/x with the header `Last-Event-ID: 7`, and hang up behind 2 events, within 10000 ms; keep its `/0/id` as `n`.",
        ]
    );
}

#[test]
fn every_text_and_number_of_a_step_stands_in_its_sentence() {
    let mut count = 0;
    for (path, text) in files("engine") {
        let file = Located::read(path, text.as_bytes(), &Limits::default()).expect("YAML");
        let file = file.to_json();
        let written = file["cases"].as_array().expect("cases").iter();
        let cases = read_cases(path, text).expect("they are read");
        for (case, json) in cases.iter().zip(written) {
            let written = json["steps"].as_array().expect("steps");
            for (step, json) in case.steps.iter().zip(written) {
                let told = sentence(step);
                let mut all = Vec::new();
                leaves(json, &mut all);
                for leaf in all {
                    // Headers and names are told as they are, and JSON as JSON.
                    let bare = leaf.replace("\\\"", "\"");
                    let named = leaf.trim_start_matches("header:");
                    let has = |text: &str| told.contains(text);
                    assert!(
                        has(&leaf) || has(&bare) || has(named),
                        "{}: `{leaf}` is not in {told}",
                        case.name
                    );
                    count += 1;
                }
            }
        }
    }
    assert!(count > 1_000, "{count}");
}

#[test]
fn no_field_that_is_set_is_left_out() {
    let of = pool().get_message_by_name("conveyor.conformance.v1.EngineStep");
    let of = of.expect("it is there");
    let mut kinds = BTreeSet::new();
    for (place, step) in steps() {
        let told = sentence(&step);
        assert!(told.len() > 10, "{place}: {told}");
        let bytes = step.encode_to_vec();
        let whole = DynamicMessage::decode(of.clone(), &bytes[..]).expect("a step");
        kinds.extend(whole.fields().map(|(field, _)| field.name().to_owned()));
        for (field, less) in without_one(&whole) {
            let less = EngineStep::decode(&less.encode_to_vec()[..]).expect("a step");
            assert_ne!(sentence(&less), told, "{place} without {field}");
        }
    }
    let all: BTreeSet<_> = of.fields().map(|field| field.name().to_owned()).collect();
    assert_eq!(kinds, all, "each kind of step is of a case");
}
