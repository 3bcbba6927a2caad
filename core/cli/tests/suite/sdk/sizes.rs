//! Values as large as they may be, over the wire.

use super::{connect, runtime};
use crate::polled::{Polling, report};
use crate::rest::post;
use crate::site::Site;
use conveyor_sdk::{Driver, Failure, Start, Stop, Task};
use serde_json::{Value, json};

/// `value_bytes` and `outputs_bytes`: of the JSON, as it is written.
const MOST: usize = 8 << 20;

/// The second step takes what the first one gave.
const HANDED: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: handed}
spec:
  inputs: {type: object, properties: {len: {type: integer}}}
  steps:
    - {id: make, driver: texts, action: make, with: {len: \"${{ inputs.len }}\"}}
    - {id: take, driver: texts, action: take, needs: [make], with: {text: \"${{ steps.make.outputs.text }}\"}}
  outputs: {len: \"${{ steps.take.outputs.len }}\"}
";

/// So long a text makes `{\"text\": …}` as long as it may be.
fn longest() -> usize {
    MOST - json!({"text": ""}).to_string().len()
}

fn len(inputs: &Value) -> usize {
    inputs["text"].as_str().expect("a text").len()
}

/// A driver that makes texts and counts them.
fn texts(site: &Site) -> Driver {
    let make = async |task: Task| {
        let len = task.inputs["len"].as_u64().expect("a number");
        Ok::<_, Failure>(
            json!({ "text": "ä".repeat(len as usize / 2) + &"x".repeat(len as usize % 2) }),
        )
    };
    let take = async |task: Task| Ok::<_, Failure>(json!({ "len": len(&task.inputs) }));
    let url = site.url.clone();
    Driver::new("texts")
        .version("1.0.0")
        .action("make", make)
        .action("take", take)
        .options(|options| options.url = Some(url))
}

#[test]
fn a_value_as_large_as_it_may_be_goes_from_task_to_task_and_one_byte_more_is_refused_by_name() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let runtime = runtime();
    let stop = Stop::new();
    let driver = runtime.spawn(texts(&site).run_until(stop.clone()));
    let (whole, over) = runtime.block_on(async {
        let client = connect(&site).await;
        let start = |len: usize| Start::document(HANDED).inputs(json!({ "len": len }));
        let run = client.start(start(longest())).await.expect("a run");
        let whole = run.wait().await.expect("it ends");
        let run = client.start(start(longest() + 1)).await.expect("a run");
        let over = run.wait().await.expect("it ends");
        stop.drain();
        driver.await.expect("no panic").expect("it was told to");
        (whole, over)
    });
    assert!(whole.succeeded(), "{whole:?}");
    assert_eq!(whole.outputs().expect("JSON"), json!({ "len": longest() }));
    let shown = site.show(&over.0.id);
    assert_eq!(shown["state"], "failed", "{shown:#}");
    let told = shown["steps"][0]["instances"][0]["attempts"][0]["failure"]["message"].as_str();
    let told = told.unwrap_or_else(|| panic!("no reason: {shown:#}"));
    let right = format!("{} bytes; the limit `outputs_bytes` is {MOST}", MOST + 1);
    assert!(told.contains(&right), "{told}");
}

const POLLED: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: polled}
spec:
  inputs: {type: object, properties: {text: {type: string}}}
  steps:
    - {id: take, driver: exec, action: run, with: {text: \"${{ inputs.text }}\"}}
  outputs: {text: \"${{ steps.take.outputs.text }}\"}
";

#[test]
fn the_largest_value_goes_in_and_out_as_json() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let text = "x".repeat(longest());
    let start =
        json!({"document": {"source": POLLED, "file_name": "p.yaml"}, "inputs": {"text": text}});
    let started = post(&site, "/v1/runs", &start);
    assert_eq!(started.status, 200, "{}", started.head);
    let run = started.body["run"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let driver = Polling::register(&site);
    let task = driver.take("one");
    assert!(task["inputs"] == json!({ "text": text }), "it is whole");
    let result = json!({"state": "succeeded", "outputs": {"text": text}});
    assert_eq!(report(&site, &task["token"], &result), "accepted");
    let ended = site.ended(&run);
    assert_eq!(ended["state"], "succeeded");
    assert!(ended["outputs"] == json!({ "text": text }), "it is whole");
}
