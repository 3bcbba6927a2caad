//! Values as large as they may be, over the wire.

use super::{connect, runtime};
use crate::polled::{Polling, report};
use crate::rest::post;
use crate::site::{PATIENCE, Site};
use conveyor_sdk::{Driver, Failure, Start, Stop, Stream, Task};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

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

const TOO_MUCH: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: too-much}
spec:
  steps:
    - {id: big, driver: much, action: give, allow_failure: true}
    - {id: beside, driver: much, action: wait}
";

#[test]
fn what_no_message_has_is_an_error_of_its_task_alone_and_its_log_is_whole() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let gate = Arc::new(Notify::new());
    let gates = Arc::clone(&gate);
    let give = async |task: Task| {
        // No window has it.
        task.log.line(Stream::Stdout, "l".repeat(2 << 20)).await;
        task.log.info("and this");
        Ok::<_, Failure>(json!({ "all": "x".repeat(69 << 20) }))
    };
    let wait = move |_: Task| {
        let gate = Arc::clone(&gates);
        async move {
            gate.notified().await;
            Ok::<_, Failure>(json!({}))
        }
    };
    let url = site.url.clone();
    let driver = Driver::new("much")
        .action("give", give)
        .action("wait", wait)
        .options(|options| options.url = Some(url));
    let (stop, runtime) = (Stop::new(), runtime());
    let driver = runtime.spawn(driver.run_until(stop.clone()));
    let (ended, lines) = runtime.block_on(async {
        let client = connect(&site).await;
        let start = Start::document(TOO_MUCH);
        let run = client.start(start).await.expect("a run");
        let (mut logs, mut lines) = (run.logs(), Vec::new());
        // As many as the long line has pieces, and the one after it.
        while lines.len() < 33 {
            let line = tokio::time::timeout(PATIENCE, logs.next()).await;
            let line = line.expect("it comes in time").expect("there is more");
            lines.push(line.expect("it is told"));
        }
        let errored = async {
            while site.show(run.id())["steps"][0]["state"] != "errored" {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let errored = tokio::time::timeout(PATIENCE, errored).await;
        errored.expect("it ends beside the other");
        gate.notify_one();
        let ended = run.wait().await.expect("it ends");
        stop.drain();
        let left = tokio::time::timeout(PATIENCE, driver).await;
        let left = left.expect("nothing is left to say");
        left.expect("no panic").expect("it was told to");
        (ended, lines)
    });
    let shown = site.show(&ended.0.id);
    let attempts = |step: usize| shown["steps"][step]["instances"][0]["attempts"].clone();
    let failure = &attempts(0)[0]["failure"];
    assert_eq!(failure["code"], "output_too_large", "{shown:#}");
    let told = failure["message"].as_str().unwrap_or_default();
    assert!(
        told.ends_with(&format!("the limit `outputs_bytes` is {MOST}")),
        "{told}"
    );
    // The other task went on: it is neither told nor begun a second time.
    let beside = attempts(1);
    assert_eq!(beside.as_array().map(Vec::len), Some(1), "{shown:#}");
    assert_eq!(beside[0]["state"], "succeeded", "{shown:#}");
    let (pieces, last) = lines.split_at(32);
    let goes_on: Vec<_> = pieces.iter().map(|line| line.truncated).collect();
    assert!(
        goes_on[..31].iter().all(|on| *on) && !goes_on[31],
        "{goes_on:?}"
    );
    assert!(pieces.iter().all(|line| line.text == vec![b'l'; 64 << 10]));
    assert_eq!(last[0].text, b"and this".as_slice());
}
