//! A step that does not run says what it waits for, with the names.

use crate::polled::{Polling, report};
use crate::rest::{get, post};
use crate::serve::GATED;
use crate::site::{PATIENCE, Site};
use serde_json::{Value, json};
use std::time::Instant;

/// Waits until a run is so, by REST.
fn until(site: &Site, run: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = get(site, &format!("/v1/runs/{run}")).body;
        if is(&told) {
            return told;
        }
        assert!(Instant::now() < deadline, "not {what}: {told:#}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_driver_that_is_absent_or_has_another_version_is_named() {
    let document = "\
name: absent
steps:
  - {id: any, name: any, driver: ghost, with: {}}
  - {id: newer, name: newer, driver: \"exec@>=9.1\", with: {run: x}, needs: []}
";
    let mut site = Site::new(&[("absent.yaml", document)]);
    let _server = site.serve();
    let _driver = Polling::register(&site);
    let run = site.start("absent.yaml");
    let told = until(&site, &run, "queued", |told| {
        told["steps"][1]["state"] == "queued"
    });
    let waits = |step: usize| told["steps"][step]["waiting_for"][0].clone();
    assert_eq!(
        waits(0)["driver"],
        json!({"name": "ghost", "version": ""}),
        "{told:#}"
    );
    assert_eq!(
        waits(0)["message"],
        "the driver `ghost`, which nobody offers"
    );
    // One of that name is there, but in another version.
    assert_eq!(
        waits(1)["driver"],
        json!({"name": "exec", "version": ">=9.1"}),
        "{told:#}"
    );
    assert_eq!(
        waits(1)["message"],
        "the driver `exec@>=9.1`, which nobody offers"
    );
    let instance = &told["steps"][0]["instances"][0];
    assert_eq!(instance["waiting_for"][0], waits(0), "{told:#}");
}

#[test]
fn a_busy_driver_and_max_parallel_are_named() {
    let document = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: wide}
spec:
  steps:
    - id: wide
      driver: exec
      matrix: {axes: {n: [1, 2, 3]}, max_parallel: 2}
      with: {run: x}
";
    let mut site = Site::new(&[("wide.yaml", document), ("gated.yaml", GATED)]);
    let _server = site.serve();
    let hello = json!({"hello": {
        "driver": "exec", "contract_versions": [1], "actions": [{"name": "run"}], "capacity": 1,
    }});
    let welcome = post(&site, "/v1/driver/register", &hello);
    assert_eq!(welcome.status, 200, "{}", welcome.body);
    let run = site.start("wide.yaml");
    let told = until(&site, &run, "queued", |told| {
        told["steps"][0]["instances"].as_array().map(Vec::len) == Some(3)
    });
    let waits = |instance: usize| told["steps"][0]["instances"][instance]["waiting_for"][0].clone();
    assert_eq!(
        waits(0)["capacity"],
        json!({"driver": "exec", "capacity": 1, "held": 0, "free": 0}),
        "{told:#}"
    );
    assert_eq!(
        waits(0)["message"],
        "the driver `exec` to ask for tasks: it holds 0 of 1, and does not poll now"
    );
    assert_eq!(waits(2)["parallel"], json!({"limit": 2}), "{told:#}");
    assert_eq!(waits(2)["message"], "a free place: at most 2 at once");
    // What stands behind another step names it; a run that is paused says so.
    let run = site.start("gated.yaml");
    let told = until(&site, &run, "queued", |told| {
        told["steps"][0]["state"] == "queued"
    });
    let second = &told["steps"][1]["waiting_for"][0];
    assert_eq!(second["steps"]["ids"], json!(["first"]), "{told:#}");
    post(&site, &format!("/v1/runs/{run}/pause"), &json!({}));
    let told = until(&site, &run, "paused", |told| {
        told["run"]["state"] == "paused"
    });
    let first = &told["steps"][0]["waiting_for"][0];
    assert_eq!(first["message"], "the end of the pause", "{told:#}");
}

#[test]
fn a_retry_and_a_timer_say_until_when() {
    let document = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: later}
spec:
  steps:
    - id: again
      driver: exec
      retry: {attempts: 3, backoff: {initial: 1h, max: 1h}}
      with: {run: x}
    - id: pause
      wait: {duration: 2h}
      needs: []
";
    let mut site = Site::new(&[("later.yaml", document)]);
    let _server = site.serve();
    let driver = Polling::register(&site);
    let run = site.start("later.yaml");
    let task = driver.take("one");
    let failed = json!({"state": "failed", "failure": {"code": "no", "message": "it said no"}});
    assert_eq!(report(&site, &task["token"], &failed), "accepted");
    let told = until(&site, &run, "waiting", |told| {
        told["steps"][0]["state"] == "waiting"
    });
    let retry = &told["steps"][0]["waiting_for"][0];
    assert_eq!(retry["retry"]["attempt"], 2, "{told:#}");
    let now = told["run"]["created_ms"].as_u64().expect("an instant");
    let due = |waits: &Value, kind: &str| waits[kind]["at_ms"].as_u64().expect("an instant") - now;
    assert!(
        (3_600_000..3_700_000).contains(&due(retry, "retry")),
        "{told:#}"
    );
    let message = retry["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("attempt 2, due at "), "{message}");
    let timer = &told["steps"][1]["instances"][0]["waiting_for"][0];
    assert!(
        (7_200_000..7_300_000).contains(&due(timer, "timer")),
        "{told:#}"
    );
}
