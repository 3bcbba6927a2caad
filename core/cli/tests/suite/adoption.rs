//! Drivers that start anew with the tokens that they still hold (R44), and what versions of drivers mean (R8).

use crate::polled::report;
use crate::rest::{Answer, post};
use crate::site::Site;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a condition may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two steps that drivers of the test do.
const TWO: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: two}
spec:
  steps:
    - {id: one, driver: far, action: run, needs: []}
    - {id: other, driver: far, action: run, needs: []}
";

/// A process of the driver, by what its `welcome` says.
struct Process {
    session: Value,
    welcome: Value,
}

fn hello(site: &Site, more: &Value) -> Answer {
    let mut hello = json!({
        "driver": "far", "contract_versions": [1], "actions": [{"name": "run"}], "capacity": 4,
    });
    for (key, value) in more.as_object().expect("an object") {
        hello[key] = value.clone();
    }
    post(site, "/v1/driver/register", &json!({ "hello": hello }))
}

impl Process {
    fn start(site: &Site, more: &Value) -> Process {
        let answer = hello(site, more);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let welcome = answer.body["welcome"].clone();
        let session = json!({
            "session": welcome["session"], "resume_secret": welcome["resume_secret"],
        });
        Process { session, welcome }
    }

    fn call(&self, site: &Site, call: &str, more: &Value) -> Value {
        let mut body = self.session.clone();
        for (key, value) in more.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let answer = post(site, &format!("/v1/driver/{call}"), &body);
        assert_eq!(answer.status, 200, "{call}: {}", answer.body);
        answer.body
    }

    /// Takes tasks, and accepts them. `name` is in no other call.
    fn take(&self, site: &Site, name: &str, many: usize) -> Vec<Value> {
        let mut tasks: Vec<Value> = Vec::new();
        while tasks.len() < many {
            let request = format!("{name} {}", tasks.len());
            let asked = json!({"request_id": request, "max_tasks": 1, "wait_ms": 20_000});
            let polled = self.call(site, "poll", &asked);
            let task = polled["tasks"][0].clone();
            let answers = json!({"answers": [{"token": task["token"], "accepted": {}}]});
            let answered = self.call(site, "answer", &answers);
            assert_eq!(answered["stale_tokens"], json!([]), "{polled}");
            tasks.push(task);
        }
        tasks
    }

    /// Which of these tokens it does not hold.
    fn stale(&self, site: &Site, tokens: &[&Value]) -> Value {
        let tasks: Vec<_> = tokens.iter().map(|token| json!({"token": token})).collect();
        self.call(site, "heartbeat", &json!({ "tasks": tasks }))["stale_tokens"].clone()
    }
}

#[test]
fn a_driver_that_starts_anew_goes_on_with_the_tokens_that_it_adopts() {
    let mut site = Site::new(&[("two.yaml", TWO)]);
    let mut server = site.serve();
    let first = Process::start(&site, &json!({}));
    let run = site.start("two.yaml");
    let tasks = first.take(&site, "both", 2);
    let of = |step: &str| {
        let task = tasks.iter().find(|task| task["id"]["step"] == step);
        &task.expect("it was sent")["token"]
    };
    let (one, other) = (of("one"), of("other"));
    let line = |token: &Value, offset: u64| {
        let logs = json!({"token": token, "first_offset": offset, "lines": [{"text": offset.to_string()}]});
        let kept = post(&site, "/v1/driver/logs", &json!({ "logs": logs }));
        kept.body["acknowledgement"]["next_offset"].clone()
    };
    assert_eq!(line(one, 0), 1);
    // The process is gone without a word; the next one knows a token of nobody, too.
    let nobodys = json!("bm9ib2R5");
    let second = Process::start(&site, &json!({"adopts": [one, nobodys]}));
    assert_ne!(second.session, first.session);
    assert_eq!(second.welcome["stale_tokens"], json!([nobodys]));
    assert_eq!(second.stale(&site, &[one]), json!([]));
    assert_eq!(
        first.stale(&site, &[one]),
        json!([one]),
        "it is another's now"
    );
    // What was not adopted is the first one's, as long as that is heard.
    assert_eq!(first.stale(&site, &[other]), json!([]));
    assert_eq!(second.stale(&site, &[other]), json!([other]));
    assert_eq!(line(one, 1), 2);
    // Server and driver both start anew.
    server.kill();
    let _server = site.serve();
    let third = Process::start(&site, &json!({"adopts": [one, other]}));
    assert_eq!(third.welcome["stale_tokens"], json!([]));
    assert_eq!(third.stale(&site, &[one, other]), json!([]));
    let done = json!({"state": "succeeded", "last_log_offset": 1});
    assert_eq!(report(&site, one, &done), "accepted");
    assert_eq!(
        report(&site, other, &json!({"state": "succeeded"})),
        "accepted"
    );
    // There is nothing left to adopt: the next process is told so, with its heartbeat at the latest.
    let fourth = Process::start(&site, &json!({"adopts": [one]}));
    let deadline = Instant::now() + PATIENCE;
    while fourth.stale(&site, &[one]) != json!([one]) {
        assert!(Instant::now() < deadline, "it is not told");
    }
    let view = site.ended(&run);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    for step in [0, 1] {
        let attempts = &view["steps"][step]["instances"][0]["attempts"];
        assert_eq!(attempts.as_array().map(Vec::len), Some(1), "{view:#}");
    }
    assert_eq!(site.log(&run), "one | 0\none | 1\n");
}

/// One step of a driver in the version that is asked for.
fn asks_for(requirement: &str) -> String {
    let wanted = format!("{{id: only, driver: \"far{requirement}\", action: run}}");
    format!(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: asks}}\nspec:\n  steps:\n    - {wanted}\n"
    )
}

#[test]
fn a_pre_release_of_a_driver_is_one_of_its_major_version_and_before_its_release() {
    let (major, exact) = (asks_for("@1"), asks_for("@>=1.2.0"));
    let older = asks_for("@=1.2.0-dev");
    let files = [
        ("major.yaml", &*major),
        ("exact.yaml", &*exact),
        ("older.yaml", &*older),
    ];
    let mut site = Site::new(&files);
    let _server = site.serve();
    let dev = Process::start(&site, &json!({"version": "1.2.0-dev"}));
    for file in ["major.yaml", "older.yaml"] {
        let run = site.start(file);
        let tasks = dev.take(&site, file, 1);
        assert_eq!(tasks[0]["id"]["run"], json!(run), "{file}");
        let done = json!({"state": "succeeded"});
        assert_eq!(report(&site, &tasks[0]["token"], &done), "accepted");
        assert_eq!(site.ended(&run)["state"], "succeeded", "{file}");
    }
    // It comes before the release that this one asks for.
    let run = site.start("exact.yaml");
    let waits = "the driver `far@>=1.2.0`, which nobody offers";
    site.until(&run, "waiting", |view| {
        view["steps"][0]["waiting_for"] == waits
    });
    let release = Process::start(&site, &json!({"version": "1.2.0"}));
    let tasks = release.take(&site, "exact", 1);
    assert_eq!(tasks[0]["id"]["run"], json!(run));
    assert_eq!(
        report(&site, &tasks[0]["token"], &json!({"state": "succeeded"})),
        "accepted"
    );
    assert_eq!(site.ended(&run)["state"], "succeeded");
    // What ends in `-dev` may change its schemas at each hello, other pre-releases and releases may not.
    let schemas = [
        json!({"type": "object"}),
        json!({"type": "object", "required": ["x"]}),
    ];
    for (version, second) in [("2.0.0-dev", 200), ("2.0.0-rc.1", 409), ("2.0.0", 409)] {
        let statuses = schemas.clone().map(|schema| {
            let actions = json!([{"name": "run", "inputs_schema": schema}]);
            hello(&site, &json!({"version": version, "actions": actions}))
        });
        assert_eq!(statuses[0].status, 200, "{version}: {}", statuses[0].body);
        assert_eq!(
            statuses[1].status, second,
            "{version}: {}",
            statuses[1].body
        );
    }
    let listed = crate::rest::get(&site, "/v1/drivers").body;
    let all = listed["drivers"].as_array().expect("drivers").iter();
    let far = all.clone().find(|driver| driver["name"] == "far");
    let versions = far.expect("it is registered")["versions"].as_array();
    let versions: Vec<_> = versions
        .expect("versions")
        .iter()
        .map(|version| version["version"].as_str().expect("a version"))
        .collect();
    let newest_first = ["2.0.0", "2.0.0-rc.1", "2.0.0-dev", "1.2.0", "1.2.0-dev"];
    assert_eq!(versions, newest_first);
}
