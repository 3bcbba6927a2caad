//! What is given to `apply`, and what a run, its forks and its drivers know of a resource.

use crate::polled::{Polling, report};
use crate::program::conveyor_with;
use crate::rest::{get, post};
use crate::site::{PATIENCE, Site};
use conveyor_sdk::{Driver, Failure, Stop, Task};
use serde_json::{Value, json};
use std::time::Duration;

const DEFINITION: &str = "\
apiVersion: conveyor/v1
kind: ResourceDefinition
metadata: {name: application}
schema: {type: object, required: [image], properties: {image: {type: string}}}
";

const DEPLOY: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: deploy}
spec:
  resource: application
  triggers: [{id: changed, resource: {events: [created]}}]
  steps:
    - {id: pull, transform: {image: \"${{ resource.spec.image }}\"}}
    - {id: roll, needs: [pull], driver: exec, with: {run: \"echo ${{ event.type }} ${{ steps.pull.outputs.image }}\"}}
";

const REMOVE: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: remove}
spec:
  resource: application
  triggers: [{id: gone, resource: {events: [deleted]}}]
  steps: [{id: clean, transform: {was: \"${{ resource.spec.image }} ${{ event.type }}\"}}]
  outputs: {was: \"${{ steps.clean.outputs.was }}\"}
";

const WEB: &str = "\
apiVersion: conveyor/v1
kind: Resource
metadata: {name: web}
definition: application
spec: {image: \"shop:1\"}
";

fn joined(documents: &[&str]) -> String {
    documents.join("---\n")
}

/// Applies, and gives kinds and names in their order.
fn applied(site: &Site, args: &[&str], input: &str) -> Vec<(String, String)> {
    let mut all = vec!["apply", "-o", "json", "--server", &site.url];
    all.extend(args);
    let ended = conveyor_with(site.dir.path(), &all, input);
    assert_eq!(ended.status, 0, "{args:?}: {}", ended.err);
    let rows: Vec<Value> = serde_json::from_str(&ended.out).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let each = rows.iter();
    each.map(|row| (text(&row["kind"]), text(&row["name"])))
        .collect()
}

#[test]
fn mixed_documents_are_applied_from_a_directory_from_standard_input_and_from_several_files() {
    let mut site = Site::new(&[
        ("web.yaml", WEB),
        ("deploy.yaml", DEPLOY),
        ("application.yaml", DEFINITION),
    ]);
    let all = site.dir.path().join("all");
    std::fs::create_dir(&all).expect("it is new");
    for (name, text) in [
        ("a.yaml", joined(&[WEB, DEPLOY]).as_str()),
        ("z.yml", DEFINITION),
        ("z.test.yaml", "no: document"),
    ] {
        std::fs::write(all.join(name), text).expect("it is writable");
    }
    let _server = site.serve();
    let directory = applied(&site, &["-f", "all"], "");
    let kinds: Vec<_> = directory.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["definition", "pipeline", "resource"],
        "{directory:?}"
    );
    let input = joined(&[WEB, DEPLOY, DEFINITION]);
    assert_eq!(applied(&site, &["-f", "-"], &input), directory);
    let files = [
        "-f",
        "web.yaml",
        "-f",
        "deploy.yaml",
        "-f",
        "application.yaml",
    ];
    assert_eq!(applied(&site, &files, ""), directory);
    // A mistake in the last of them leaves the first as it is.
    let wrong = WEB.replace("kind: Resource", "kind: Resorce");
    let changed = DEFINITION.replace("schema: {", "schema: {title: changed, ");
    let refused = conveyor_with(
        site.dir.path(),
        &["apply", "-f", "-", "--server", &site.url],
        &joined(&[&changed, &wrong]),
    );
    assert_eq!(refused.status, 2, "{}", refused.err);
    let shown = site.conveyor(&["definitions", "show", "application", "-o", "json"]);
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!(shown["version"], 1, "{shown:#}");
}

#[test]
fn a_driver_is_told_the_resource_of_its_run_and_a_fork_keeps_resource_and_event() {
    let all = joined(&[DEFINITION, DEPLOY, WEB]);
    let mut site = Site::new(&[("all.yaml", all.as_str())]);
    let _server = site.serve();
    let driver = Polling::register(&site);
    applied(&site, &["-f", "all.yaml"], "");
    let rolled = |request: &str| {
        let task = driver.take(request);
        let resource = &task["resource"];
        assert_eq!(resource["definition"], "application", "{task:#}");
        assert_eq!(resource["name"], "web");
        assert_eq!(resource["version"], 1);
        assert_eq!(resource["spec"], json!({"image": "shop:1"}));
        assert_eq!(task["inputs"]["run"], "echo created shop:1", "{task:#}");
        let result = json!({"state": "succeeded"});
        assert_eq!(report(&site, &task["token"], &result), "accepted");
    };
    rolled("one");
    let first = site.ended("latest");
    assert_eq!(first["state"], "succeeded", "{first:#}");
    let id = first["id"].as_str().expect("an id");
    // What the resource is now is nothing to a run of an earlier version.
    let fork = json!({"from_steps": ["roll"]});
    let forked = post(&site, &format!("/v1/runs/{id}/fork"), &fork);
    assert_eq!(forked.status, 200, "{}", forked.body);
    rolled("two");
    let second = site.ended("latest");
    assert_ne!(second["id"], first["id"]);
    let told = get(&site, "/v1/runs/latest").body;
    let resource = &told["run"]["resource"];
    assert_eq!(
        (&resource["name"], &resource["version"]),
        (&json!("web"), &json!(1)),
        "{told:#}"
    );
}

#[test]
fn the_deletion_of_a_resource_starts_the_pipeline_that_waits_for_it_with_the_last_version() {
    let all = joined(&[DEFINITION, REMOVE, WEB]);
    let mut site = Site::new(&[("all.yaml", all.as_str())]);
    let _server = site.serve();
    applied(&site, &["-f", "all.yaml"], "");
    let gone = site.conveyor(&["resources", "delete", "application", "web"]);
    assert_eq!(gone.status, 0, "{}", gone.err);
    let run = site.ended("latest");
    assert_eq!(run["outputs"]["was"], "shop:1 deleted", "{run:#}");
    let told = get(&site, "/v1/runs/latest").body;
    assert_eq!(told["run"]["resource"]["name"], "web", "{told:#}");
}

#[test]
fn an_action_of_the_sdk_reads_the_resource_of_its_run() {
    let all = joined(&[DEFINITION, DEPLOY, WEB]);
    let mut site = Site::new(&[("all.yaml", all.as_str())]);
    let _server = site.serve();
    let (sender, seen) = std::sync::mpsc::channel();
    let stop = Stop::new();
    let run = move |task: Task| {
        let sender = sender.clone();
        async move {
            let resource = task.resource.as_ref();
            let seen = resource.map(|of| (of.name.clone(), of.version, of.spec.clone()));
            let _ = sender.send(seen);
            Ok::<_, Failure>(json!({}))
        }
    };
    let url = site.url.clone();
    let driver = Driver::new("exec").action("run", run);
    let driver = driver.options(|options| options.url = Some(url));
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let driver = runtime.spawn(driver.run_until(stop.clone()));
    applied(&site, &["-f", "all.yaml"], "");
    let told = seen.recv_timeout(PATIENCE).expect("the action ran");
    let spec = json!({"image": "shop:1"});
    assert_eq!(told, Some(("web".to_owned(), 1, spec)));
    assert_eq!(site.ended("latest")["state"], "succeeded");
    stop.drain();
    let ended =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), driver).await });
    let ended = ended.expect("it ends in time").expect("no panic");
    ended.expect("it was told to");
}
