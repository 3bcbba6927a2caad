//! Definitions, resources and the runs that their changes start, against a server that is killed.

use crate::http::ask;
use crate::program::{Ended, conveyor};
use crate::rest::get;
use crate::site::{PATIENCE, Site};
use serde_json::{Value, json};
use std::time::Instant;

const ALL: &str = "\
apiVersion: conveyor/v1
kind: Resource
metadata: {name: web, labels: {team: shop}}
definition: application
spec: {image: \"shop:1\"}
---
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: deploy}
spec:
  resource: application
  triggers:
    - {id: changed, resource: {events: [created, updated], when: \"old == null || new.spec.image != old.spec.image\"}}
  steps:
    - {id: roll, driver: exec, with: {run: \"echo rolling ${{ resource.spec.image }} for ${{ event.type }} ${{ resource.version }}\"}}
---
apiVersion: conveyor/v1
kind: ResourceDefinition
metadata: {name: application}
schema: {type: object, required: [image], properties: {image: {type: string}}}
";

fn at(site: &Site, args: &[&str]) -> Ended {
    let mut all = args.to_vec();
    all.extend(["--server", &site.url]);
    conveyor(site.dir.path(), &all)
}

fn told(site: &Site, args: &[&str]) -> Value {
    let mut all = args.to_vec();
    all.extend(["-o", "json"]);
    let ended = at(site, &all);
    assert_eq!(ended.status, 0, "{args:?}: {}", ended.err);
    serde_json::from_str(&ended.out).expect("JSON")
}

fn change(site: &Site, image: &str) {
    let text = format!(
        "apiVersion: conveyor/v1\nkind: Resource\nmetadata: {{name: web}}\ndefinition: \
         application\nspec: {{image: \"{image}\"}}\n"
    );
    std::fs::write(site.dir.path().join("web.yaml"), text).expect("it is written");
}

#[test]
fn each_version_of_a_resource_starts_one_run_though_the_server_is_killed() {
    let mut site = Site::new(&[("all.yaml", ALL)]);
    let mut server = site.serve();
    let _driver = site.driver();
    let applied = told(&site, &["apply", "-f", "all.yaml"]);
    let kinds: Vec<_> = applied
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| &row["kind"])
        .collect();
    assert_eq!(kinds, ["definition", "pipeline", "resource"]);
    let run = applied[2]["runs"][0].as_str().expect("a run").to_owned();
    assert_eq!(site.ended(&run)["state"], "succeeded");
    assert_eq!(site.log(&run), "roll | rolling shop:1 for created 1\n");
    for number in 2..=6 {
        change(&site, &format!("shop:{number}"));
        // Killed while the change is on its way: before, within or after its commit.
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_conveyor"));
        command
            .args(["apply", "-f", "web.yaml", "--server", &site.url])
            .current_dir(site.dir.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut client = command.spawn().expect("the program starts");
        std::thread::sleep(std::time::Duration::from_millis(17 * number));
        server.kill();
        client.wait().expect("it ends");
        server = site.serve();
        // Whether or not it was made, it is now.
        let again = at(&site, &["apply", "-f", "web.yaml"]);
        assert_eq!(again.status, 0, "{}", again.err);
    }
    let web = told(&site, &["resources", "show", "application", "web"]);
    assert_eq!(web["spec"]["image"], "shop:6");
    assert_eq!(web["version"], 6);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let runs = told(&site, &["runs", "list"]);
        let runs = runs.as_array().cloned().unwrap_or_default();
        let done = runs
            .iter()
            .filter(|run| run["state"] == "succeeded")
            .count();
        if done >= 6 {
            assert_eq!(runs.len(), 6, "{runs:#?}");
            let mut logs: Vec<_> = runs
                .iter()
                .map(|run| site.log(run["id"].as_str().expect("an id")))
                .collect();
            logs.sort();
            for (at, log) in logs.iter().enumerate().skip(1) {
                let version = at + 1;
                let wanted = format!("roll | rolling shop:{version} for updated {version}\n");
                assert_eq!(*log, wanted);
            }
            break;
        }
        assert!(Instant::now() < deadline, "{runs:#?}");
    }
}

#[test]
fn a_run_is_started_for_a_resource_and_once_under_a_key() {
    let mut site = Site::new(&[("all.yaml", ALL)]);
    let _server = site.serve();
    let _driver = site.driver();
    told(&site, &["apply", "-f", "all.yaml"]);
    change(&site, "shop:2");
    told(&site, &["apply", "-f", "web.yaml"]);
    let start = |more: &[&str]| {
        let run = told(&site, &[&["start", "deploy"], more].concat());
        run["id"].as_str().expect("an id").to_owned()
    };
    // Its step takes what an event tells besides: only what it is for is looked at here.
    let of = |run: &str| get(&site, &format!("/v1/runs/{run}")).body["run"]["resource"].clone();
    let old = start(&["--resource", "application/web@1"]);
    assert_eq!(of(&old)["version"], 1);
    let newest = start(&["--resource", "application/web", "--idempotency-key", "k"]);
    assert_eq!(of(&newest)["version"], 2);
    let again = start(&["--resource", "application/web", "--idempotency-key", "k"]);
    assert_eq!(again, newest);
    let wrong = at(
        &site,
        &["start", "deploy", "--resource", "application/web@0"],
    );
    assert_eq!(wrong.status, 2);
    assert!(
        wrong.err.contains("DEFINITION/NAME@VERSION"),
        "{}",
        wrong.err
    );
    let other = ["start", "deploy", "--resource", "application/web@1"];
    let other = at(&site, &[&other[..], &["--idempotency-key", "k"]].concat());
    assert_eq!(
        other.status, 2,
        "another request under the key: {}",
        other.err
    );

    site.ended(&old);
    let fork = |more: &[&str]| {
        let fork = ["fork", &old, "--from", "roll", "--idempotency-key", "f"];
        at(
            &site,
            &[
                &fork[..],
                &["--label", "why=outage", "--annotation", "ticket=7"],
                more,
            ]
            .concat(),
        )
    };
    let forks = || {
        let runs = told(&site, &["runs", "list", "-l", "why=outage"]);
        let runs = runs.as_array().into_iter().flatten();
        runs.map(|run| run["id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    fork(&[]);
    let made = forks();
    assert_eq!(made.len(), 1);
    fork(&[]);
    assert_eq!(forks(), made, "a repeat is the same run");
    let shown = get(&site, &format!("/v1/runs/{}", made[0])).body;
    assert_eq!(shown["run"]["annotations"], json!({"ticket": "7"}));
}

#[test]
fn resources_and_definitions_are_listed_shown_and_deleted() {
    let mut site = Site::new(&[("all.yaml", ALL)]);
    let _server = site.serve();
    told(&site, &["apply", "-f", "all.yaml"]);
    assert_eq!(told(&site, &["definitions", "list"])[0]["version"], 1);
    let schema = told(&site, &["definitions", "show", "application"]);
    assert_eq!(schema["schema"]["required"][0], "image");
    let listed = told(&site, &["resources", "list", "-l", "team=shop"]);
    assert_eq!(listed[0]["name"], "web");
    let none = told(&site, &["resources", "list", "-l", "team=other"]);
    assert_eq!(none, Value::Array(Vec::new()));
    let used = at(&site, &["definitions", "delete", "application"]);
    assert_ne!(used.status, 0);
    assert!(used.err.contains("has 1 Resources"), "{}", used.err);
    change(&site, "7, and no text: it is one");
    let text = "apiVersion: conveyor/v1\nkind: Resource\nmetadata: {name: web}\ndefinition: \
                application\nspec: {image: 7}\n";
    std::fs::write(site.dir.path().join("wrong.yaml"), text).expect("it is written");
    let wrong = at(&site, &["apply", "-f", "wrong.yaml"]);
    assert_ne!(wrong.status, 0);
    assert!(wrong.err.contains("/spec/image"), "{}", wrong.err);
    assert_eq!(
        at(&site, &["resources", "delete", "application", "web"]).status,
        0
    );
    assert_eq!(
        at(&site, &["definitions", "delete", "application"]).status,
        0
    );
    assert_eq!(
        told(&site, &["resources", "list"]),
        Value::Array(Vec::new())
    );
}

#[test]
fn rest_has_definitions_and_resources_with_etags_and_keys() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let asked = |method: &str, path: &str, body: &Value| {
        ask(&site.url, method, path, body).expect("the server answers")
    };
    let definition = json!({"definition": {"metadata": {"name": "application"}, "schema": {"type": "object",
        "properties": {"image": {"type": "string"}}}}});
    let made = asked("POST", "/v1/definitions", &definition);
    assert_eq!((made.status, &made.body["changed"]), (200, &json!(true)));
    let resource = |image: Value, key: &str| {
        json!({"resource": {"metadata": {"name": "web"}, "definition": "application",
            "spec": {"image": image}}, "idempotency_key": key})
    };
    let first = asked("POST", "/v1/resources", &resource(json!("a"), "k"));
    assert_eq!(first.body["resource"]["version"], 1, "{}", first.body);
    let repeat = asked("POST", "/v1/resources", &resource(json!("a"), "k"));
    assert_eq!(repeat.body, first.body);
    let other = asked("POST", "/v1/resources", &resource(json!("b"), "k"));
    assert_eq!(other.status, 409, "{}", other.body);
    let wrong = asked("POST", "/v1/resources", &resource(json!(7), ""));
    assert_eq!(wrong.status, 422, "{}", wrong.body);
    assert!(
        wrong.body.to_string().contains("/spec/image"),
        "{}",
        wrong.body
    );
    let there = asked("GET", "/v1/resources/application/web", &Value::Null);
    assert_eq!(
        there.body["resource"]["spec"]["image"], "a",
        "{}",
        there.body
    );
    let gone = asked(
        "DELETE",
        "/v1/resources/application/web?etag=0",
        &Value::Null,
    );
    assert_eq!(gone.status, 409, "{}", gone.body);
    let gone = asked("DELETE", "/v1/resources/application/web", &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.body);
    let gone = asked("GET", "/v1/resources/application/web", &Value::Null);
    assert_eq!(gone.status, 404, "{}", gone.body);
}
