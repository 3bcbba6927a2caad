use super::{PLAIN, build, openapi};
use crate::rest;
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// Every value of a document, with its pointer.
fn walk<'a>(value: &'a Json, at: &str, visit: &mut impl FnMut(&str, &'a Json)) {
    visit(at, value);
    match value {
        Json::Object(object) => {
            for (key, value) in object {
                let key = key.replace('~', "~0").replace('/', "~1");
                walk(value, &format!("{at}/{key}"), visit);
            }
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{at}/{index}"), visit);
            }
        }
        _ => {}
    }
}

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let document = build();
    let mut there = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("it has paths") {
        for method in item.as_object().expect("it has methods").keys() {
            there.insert((path.clone(), method.clone()));
        }
    }
    let routes = rest::routes().map(|route| (route.path.to_owned(), route.method.to_owned()));
    let plain = PLAIN
        .iter()
        .map(|one| (one.path.to_owned(), "get".to_owned()));
    assert_eq!(there, routes.chain(plain).collect());
}

#[test]
fn every_reference_leads_somewhere() {
    let document = build();
    let mut count = 0;
    walk(&document, "", &mut |at, value| {
        if let Some(reference) = value.get("$ref").and_then(Json::as_str) {
            let pointer = reference.strip_prefix('#').expect("it is of this document");
            assert!(document.pointer(pointer).is_some(), "{at}: {reference}");
            count += 1;
        }
    });
    assert!(count > 200, "{count} references");
}

#[test]
fn every_schema_is_one_and_every_operation_says_what_it_does() {
    let document = build();
    let schemas = document["components"]["schemas"].as_object();
    for (name, schema) in schemas.expect("it has schemas") {
        assert!(
            jsonschema::draft202012::meta::is_valid(schema),
            "{name}: {schema:#}"
        );
        assert_ne!(schema["description"], "", "{name} has no description");
    }
    let mut names = BTreeSet::new();
    walk(&document["paths"], "", &mut |at, value| {
        if let Some(name) = value.get("operationId") {
            assert!(names.insert(name.to_string()), "{name} is there twice");
            let summary = value["summary"].as_str().unwrap_or_default();
            assert!(
                !summary.is_empty() && !summary.contains("(later)"),
                "{at}: {summary:?}"
            );
        }
        if at.ends_with("/description") && value.is_string() {
            assert_ne!(value, "", "{at} says nothing");
        }
    });
}

#[test]
fn the_document_is_the_same_each_time() {
    assert_eq!(format!("{:#}\n", build()), openapi());
    assert!(openapi().starts_with("{\n"), "people can read it");
}

#[test]
fn requests_say_what_they_must_and_must_not_have() {
    let document = build();
    let schema = |name: &str| &document["components"]["schemas"][name];
    let start = schema("StartRunRequest");
    assert_eq!(start["additionalProperties"], false, "{start:#}");
    assert_eq!(start["properties"]["labels"]["maxProperties"], 64);
    assert_eq!(start["properties"]["actor"]["maxLength"], 256);
    assert_eq!(start["properties"]["inputs"]["type"], "object");
    assert_eq!(
        start["allOf"][0]["oneOf"].as_array().map(Vec::len),
        Some(2),
        "{start:#}"
    );
    let run = schema("Run");
    assert_eq!(run["properties"]["created_ms"]["format"], "uint64");
    let required = run["required"]
        .as_array()
        .expect("fields that are always there");
    assert!(required.contains(&"state".into()) && !required.contains(&"ended_ms".into()));
    let states = schema("RunState")["enum"].as_array().expect("words");
    assert!(states.contains(&"succeeded".into()), "{states:?}");
}
