//! Each field and parameter of REST, given what it does not take: the problem says which it is, and nothing
//! has changed.

mod unread;

use crate::rest::{Answer, get, http, post};
use crate::serve::GATED;
use crate::site::Site;
use serde_json::{Map, Value, json};

/// The place of the first thing that is wrong.
fn place(answer: &Answer) -> Option<&str> {
    answer.body["errors"][0]["pointer"].as_str()
}

/// Refused, as a request that cannot be read, at a place.
#[track_caller]
fn refused_at(asked: &str, answer: &Answer, pointer: &str) {
    assert_eq!(answer.status, 400, "{asked}: {}", answer.body);
    assert_eq!(place(answer), Some(pointer), "{asked}: {}", answer.body);
    let first = &answer.body["errors"][0];
    for text in [&first["message"], &first["code"], &answer.body["detail"]] {
        assert!(
            text.as_str().is_some_and(|text| !text.is_empty()),
            "{asked}: {}",
            answer.body
        );
    }
}

/// All that a server has, by its listings.
fn all(site: &Site) -> Vec<Value> {
    let kinds = [
        "runs",
        "pipelines",
        "definitions",
        "resources",
        "namespaces",
        "tokens",
        "drivers",
    ];
    let list = |kind| get(site, &format!("/v1/{kind}")).body;
    kinds.map(list).into()
}

/// A schema, with what it refers to in its place.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let all = schema["allOf"][0]["$ref"].as_str();
    match schema["$ref"].as_str().or(all) {
        Some(name) => resolved(
            document,
            document.pointer(&name[1..]).expect("it is defined"),
        ),
        None => schema,
    }
}

/// What a schema does not take, as a whole and in each part: values with the place of what is wrong in them.
fn wrong(document: &Value, schema: &Value, depth: usize) -> Vec<(Value, String)> {
    let schema = resolved(document, schema);
    let mut found = Vec::new();
    let kind = schema["type"].as_str();
    match kind {
        Some("string") => found.push((json!(7), String::new())),
        // Inline JSON: handlers look at it.
        Some("object")
            if schema.get("properties").is_none()
                && schema.get("additionalProperties").is_none() => {}
        Some(_) => found.push((json!("x"), String::new())),
        // Any JSON may stand there.
        None => {}
    }
    if depth == 0 {
        return found;
    }
    let inner = |schema: &Value, of: &str| -> Vec<(Value, String)> {
        let parts = wrong(document, schema, depth - 1).into_iter();
        parts
            .map(|(value, rest)| (value, format!("/{of}{rest}")))
            .collect()
    };
    for (name, part) in schema["properties"].as_object().into_iter().flatten() {
        for (value, place) in inner(part, name) {
            found.push((json!({ name.as_str(): value }), place));
        }
    }
    if kind == Some("array") {
        let parts = inner(&schema["items"], "0").into_iter();
        found.extend(parts.map(|(value, place)| (json!([value]), place)));
    }
    if schema["additionalProperties"].is_object() {
        let parts = inner(&schema["additionalProperties"], "a~1b").into_iter();
        found.extend(parts.map(|(value, place)| (json!({ "a/b": value }), place)));
    }
    found
}

#[test]
fn every_documented_field_and_parameter_is_named_where_it_cannot_be_read() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let before = all(&site);
    let document = get(&site, "/v1/openapi.json").body;
    let paths = document["paths"].as_object().expect("it has paths");
    let (mut parameters, mut fields) = (0, 0);
    // The document itself takes anything.
    let calls = |path: &&String| path.starts_with("/v1/") && *path != "/v1/openapi.json";
    for (template, operations) in paths.iter().filter(|(path, _)| calls(path)) {
        let path = template.replace(['{', '}'], "");
        for (method, operation) in operations.as_object().expect("it has operations") {
            let method = method.to_uppercase();
            let ask = |query: &str| {
                let asked = format!("{path}?{query}");
                let answer = http(&site.url, &method, &asked, "application/json", "");
                (format!("{method} {asked}"), answer)
            };
            let given = operation["parameters"].as_array();
            for parameter in given.into_iter().flatten() {
                let name = parameter["name"].as_str().expect("it has a name");
                let items = &parameter["schema"]["items"];
                // Any text is an item of a list of texts: see the next test.
                let any = items["type"] == "string" && items.get("pattern").is_none();
                if parameter["in"] == "query"
                    && !(any && resolved(&document, items).get("enum").is_none())
                {
                    let (asked, answer) = ask(&format!("{name}=%7B&{name}=%7B"));
                    let list = resolved(&document, items).get("enum").is_some();
                    let place = format!("/{name}{}", if list { "/0" } else { "" });
                    refused_at(&asked, &answer, &place);
                    parameters += 1;
                }
            }
            let (asked, answer) = ask("nobody_knows=1");
            if operation.get("parameters").is_some() {
                refused_at(&asked, &answer, "/nobody_knows");
            }
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            let mut bodies = wrong(&document, body, 4);
            bodies.retain(|(_, place)| !place.is_empty());
            if !body.is_null() {
                bodies.push((json!({"nobody_knows": 1}), "/nobody_knows".to_owned()));
            }
            for (body, pointer) in bodies {
                let answer = http(
                    &site.url,
                    &method,
                    &path,
                    "application/json",
                    &body.to_string(),
                );
                refused_at(&format!("{method} {path} {body}"), &answer, &pointer);
                fields += 1;
            }
        }
    }
    assert!(parameters > 50 && fields > 200, "{parameters} {fields}");
    assert_eq!(all(&site), before, "nothing has changed");
}

/// So many letters.
fn long(length: usize) -> String {
    "k".repeat(length)
}

#[test]
fn every_value_that_a_handler_refuses_is_told_with_its_place() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let _server = site.serve();
    let run = site.start("gated.yaml");
    let made = http(
        &site.url,
        "POST",
        "/v1/pipelines",
        "application/yaml",
        GATED,
    );
    assert_eq!(made.status, 200, "{}", made.body);
    let schema = json!({"type": "object"});
    let definition = json!({"definition": {"metadata": {"name": "app"}, "schema": schema}});
    assert_eq!(post(&site, "/v1/definitions", &definition).status, 200);
    let before = all(&site);
    for (path, pointer) in in_queries(&run) {
        refused_at(&path, &get(&site, &path), &pointer);
    }
    for (path, body, pointer) in in_bodies(&run) {
        let asked = format!("{path} {body:.200}");
        refused_at(&asked, &post(&site, &path, &body), &pointer);
    }
    assert_eq!(all(&site), before, "nothing has changed");
}

/// Paths with queries, and the place of what is wrong.
fn in_queries(run: &str) -> Vec<(String, String)> {
    let key = long(64);
    let states = "states=failed&".repeat(11);
    let of_runs = [
        ("page_size=1001", "/page_size"),
        ("page_token=x", "/page_token"),
        (
            "page_token=01890a5d-ac96-774b-bcce-b302099a8057",
            "/page_token",
        ),
        ("namespace=No", "/namespace"),
        ("labels==x", "/labels/"),
        ("created_from_ms=-1", "/created_from_ms"),
    ];
    let mut asked: Vec<(String, &str)> = Vec::new();
    asked.extend(of_runs.map(|(query, place)| (format!("/v1/runs?{query}"), place)));
    asked.push((format!("/v1/runs?pipeline={key}"), "/pipeline"));
    asked.push((format!("/v1/events?pipeline={key}"), "/pipeline"));
    asked.push((format!("/v1/events?{states}"), "/states"));
    asked.push(("/v1/runs/zz".to_owned(), "/run"));
    let of_one = [
        ("", "page_token=x", "/page_token"),
        ("", "page_size=10001", "/page_size"),
        ("", "steps=first&steps=nope", "/steps/1"),
        ("/events", "after=x", "/after"),
        ("/events", "after=99999.0", "/after"),
        ("/logs", "after=x", "/after"),
        ("/logs", "after=0000a0b1;0;0-99;7:0", "/after"),
        ("/logs", "step=nope", "/step"),
        ("/logs", "instance=0", "/instance"),
        ("/logs", "attempt=1", "/attempt"),
        ("/logs", "step=first&from_offset=3", "/from_offset"),
        ("/logs", "tail=100001", "/tail"),
    ];
    asked.extend(of_one.map(|(of, query, place)| (format!("/v1/runs/{run}{of}?{query}"), place)));
    let of_events = [
        ("cursor=x", "/cursor"),
        ("namespace=No", "/namespace"),
        ("labels==x", "/labels/"),
    ];
    asked.extend(of_events.map(|(query, place)| (format!("/v1/events?{query}"), place)));
    for kind in [
        "pipelines",
        "definitions",
        "resources",
        "namespaces",
        "tokens",
        "drivers",
    ] {
        let of_all = [
            ("page_size=1001", "/page_size"),
            ("page_token=x", "/page_token"),
            ("labels==x", "/labels/"),
        ];
        asked.extend(of_all.map(|(query, place)| (format!("/v1/{kind}?{query}"), place)));
    }
    let named = [
        ("/v1/resources?definition=No", "/definition"),
        ("/v1/resources/No/x", "/definition"),
        ("/v1/resources/app/No", "/name"),
        ("/v1/definitions/No", "/name"),
        ("/v1/pipelines/No", "/name"),
        ("/v1/pipelines/gated?digest=xyz", "/digest"),
    ];
    asked.extend(named.map(|(path, place)| (path.to_owned(), place)));
    let mut asked: Vec<_> = asked
        .into_iter()
        .map(|(path, place)| (path, place.to_owned()))
        .collect();
    for kind in ["runs", "pipelines", "events"] {
        let path = format!("/v1/{kind}?labels={key}=x");
        asked.push((path, format!("/labels/{key}")));
        let path = format!("/v1/{kind}?labels=k={}", long(257));
        asked.push((path, "/labels/k".to_owned()));
    }
    asked
}

/// Metadata that is wrong in one thing, and the place of it.
fn metadata(name: &str) -> Vec<(Value, &'static str)> {
    let many: Map<_, _> = (0..65).map(|n| (format!("k{n}"), json!("x"))).collect();
    vec![
        (json!({"name": "No"}), "/name"),
        (json!({"name": name, "labels": {"": "x"}}), "/labels/"),
        (
            json!({"name": name, "labels": {"a/b": long(257)}}),
            "/labels/a~1b",
        ),
        (json!({"name": name, "labels": many}), "/labels"),
        (
            json!({"name": name, "annotations": {"a": long(256 << 10)}}),
            "/annotations",
        ),
    ]
}

/// Paths with bodies, and the place of what is wrong.
fn in_bodies(run: &str) -> Vec<(String, Value, String)> {
    let mut asked: Vec<(&str, Value, String)> = Vec::new();
    let mut add = |path, body: Value, place: &str| asked.push((path, body, place.to_owned()));
    let stored = |more: Value| {
        let mut body = json!({"stored": {"name": "gated"}});
        for (key, value) in more.as_object().expect("an object") {
            body[key] = value.clone();
        }
        body
    };
    let runs = "/v1/runs";
    add(runs, json!({}), "/document");
    add(runs, json!({"stored": {"name": "No"}}), "/stored/name");
    let digest = json!({"stored": {"name": "gated", "digest": "xyz"}});
    add(runs, digest, "/stored/digest");
    let file = json!({"source": GATED, "file_name": long(4097)});
    add(runs, json!({"document": file}), "/document/file_name");
    let document = json!({"source": GATED});
    let elsewhere = json!({"document": document, "namespace": "other"});
    add(runs, elsewhere, "/namespace");
    for (more, place) in [
        (json!({"run_id": "x"}), "/run_id"),
        (json!({"wait_ms": 60_001}), "/wait_ms"),
        (json!({"actor": long(257)}), "/actor"),
        (json!({"idempotency_key": long(129)}), "/idempotency_key"),
        (json!({"labels": {"": "x"}}), "/labels/"),
        (json!({"labels": {"k": long(257)}}), "/labels/k"),
        (
            json!({"annotations": {"k": long(256 << 10)}}),
            "/annotations",
        ),
        (json!({"inputs": [1]}), "/inputs"),
        (
            json!({"inputs": {"n": 1}, "text_inputs": {"n": "1"}}),
            "/text_inputs/n",
        ),
        (json!({"namespace": "No"}), "/namespace"),
        (
            json!({"resource": {"definition": "No", "name": "x"}}),
            "/resource/definition",
        ),
        (
            json!({"resource": {"definition": "app", "name": "No"}}),
            "/resource/name",
        ),
        (json!({"resource": {"spec": {}}}), "/resource/spec"),
    ] {
        add(runs, stored(more), place);
    }
    add("/v1/check", json!({}), "/documents");
    add(
        "/v1/check",
        json!({"documents": [document, file]}),
        "/documents/1/file_name",
    );
    add("/v1/plan", json!({}), "/document");
    add("/v1/pipelines", json!({}), "/document");
    for (meta, place) in metadata("other") {
        let (namespace, definition) = (
            json!({"metadata": meta}),
            json!({"metadata": meta, "schema": {}}),
        );
        let resource = json!({"metadata": meta, "definition": "app"});
        for (path, object, of) in [
            ("/v1/namespaces", namespace, "namespace"),
            ("/v1/definitions", definition, "definition"),
            ("/v1/resources", resource, "resource"),
        ] {
            add(path, json!({of: object}), &format!("/{of}/metadata{place}"));
        }
    }
    add("/v1/namespaces", json!({}), "/namespace/metadata");
    add("/v1/definitions", json!({}), "/definition");
    let own = json!({"name": "other"});
    let without = json!({"definition": {"metadata": own}});
    add("/v1/definitions", without, "/definition/schema");
    let nowhere = json!({"name": "other", "namespace": "No"});
    let elsewhere = json!({"definition": {"metadata": nowhere, "schema": {}}});
    add(
        "/v1/definitions",
        elsewhere,
        "/definition/metadata/namespace",
    );
    add("/v1/resources", json!({}), "/resource");
    for (resource, place) in [
        (json!({"metadata": own, "definition": "No"}), "/definition"),
        (
            json!({"metadata": own, "definition": "app", "spec": [1]}),
            "/spec",
        ),
        (
            json!({"metadata": own, "definition": "app", "pipeline": "No"}),
            "/pipeline",
        ),
    ] {
        let place = format!("/resource{place}");
        add("/v1/resources", json!({"resource": resource}), &place);
    }
    let key = json!({"namespace": {"metadata": own}, "idempotency_key": long(129)});
    add("/v1/namespaces", key, "/idempotency_key");
    add("/v1/tokens", json!({}), "/scope");
    add(
        "/v1/tokens",
        json!({"scope": "client", "principal": "local"}),
        "/principal",
    );
    add(
        "/v1/tokens",
        json!({"scope": "client", "namespace": "No"}),
        "/namespace",
    );
    let mut asked: Vec<_> = asked
        .into_iter()
        .map(|(path, body, place)| (path.to_owned(), body, place))
        .collect();
    let verbs = [
        "drain",
        "cancel",
        "terminate",
        "pause",
        "resume",
        "release",
        "continue",
    ];
    for verb in verbs {
        let path = format!("/v1/runs/{run}/{verb}");
        asked.push((
            path.clone(),
            json!({"actor": long(257)}),
            "/actor".to_owned(),
        ));
        if !["release", "continue"].contains(&verb) {
            asked.push((path, json!({"reason": long(4097)}), "/reason".to_owned()));
        }
    }
    let fork = format!("/v1/runs/{run}/fork");
    for (body, place) in [
        (json!({}), "/from_steps"),
        (json!({"from_failed": true, "run_id": "x"}), "/run_id"),
        (json!({"from_failed": true, "actor": long(257)}), "/actor"),
        (
            json!({"from_failed": true, "labels": {"": "x"}}),
            "/labels/",
        ),
        (json!({"from_failed": true, "inputs": [1]}), "/inputs"),
    ] {
        asked.push((fork.clone(), body, place.to_owned()));
    }
    asked.extend(of_drivers());
    asked
}

/// What drivers send by JSON.
fn of_drivers() -> Vec<(String, Value, String)> {
    let hello = |more: Value| {
        let mut hello = json!({
            "driver": "exec", "contract_versions": [1], "actions": [{"name": "run"}], "capacity": 4,
        });
        for (key, value) in more.as_object().expect("an object") {
            hello[key] = value.clone();
        }
        json!({ "hello": hello })
    };
    let schema =
        json!([{"name": "run"}, {"name": "other", "inputs_schema": 7, "description": long(4097)}]);
    let twice = json!([{"name": "run"}, {"name": "run"}]);
    let mut asked = vec![("register", json!({}), "/hello")];
    for (more, place) in [
        (json!({"driver": "No"}), "/hello/driver"),
        (json!({"version": "one"}), "/hello/version"),
        (json!({"version": long(65)}), "/hello/version"),
        (json!({"sdk": long(129)}), "/hello/sdk"),
        (json!({"instance": long(257)}), "/hello/instance"),
        (json!({"capacity": 10_001}), "/hello/capacity"),
        (json!({"actions": []}), "/hello/actions"),
        (json!({"actions": schema}), "/hello/actions/1/description"),
        (json!({"actions": twice}), "/hello/actions/1/name"),
        (json!({"actions": [{"name": ""}]}), "/hello/actions/0/name"),
        (json!({"queues": ["other"]}), "/hello/queues"),
        (json!({"namespace": "No"}), "/hello/namespace"),
    ] {
        asked.push(("register", hello(more), place));
    }
    asked.extend([
        ("poll", json!({"request_id": long(65)}), "/request_id"),
        ("poll", json!({"wait_ms": 60_001}), "/wait_ms"),
        ("checkpoint", json!({}), "/checkpoint"),
        ("report", json!({}), "/report"),
        ("complete", json!({}), "/report"),
        ("logs", json!({}), "/logs"),
    ]);
    let each = asked.into_iter();
    each.map(|(call, body, place)| (format!("/v1/driver/{call}"), body, place.to_owned()))
        .collect()
}
