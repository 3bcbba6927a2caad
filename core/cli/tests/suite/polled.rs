//! Drivers that speak JSON and hold no connection: some of them lie.

use crate::rest::{Answer, post};
use crate::serve::GATED;
use crate::site::Site;
use crate::tally;
use serde_json::{Value, json};

/// A driver that speaks JSON and holds no connection.
pub(crate) struct Polling<'a> {
    site: &'a Site,
    session: Value,
}

impl<'a> Polling<'a> {
    pub(crate) fn register(site: &'a Site) -> Polling<'a> {
        Polling::register_as(site, "exec")
    }

    pub(crate) fn register_as(site: &'a Site, driver: &str) -> Polling<'a> {
        let hello = json!({"hello": {
            "driver": driver, "contract_versions": [1], "actions": [{"name": "run"}], "capacity": 4,
        }});
        let welcome = post(site, "/v1/driver/register", &hello);
        assert_eq!(welcome.status, 200, "{}", welcome.body);
        let welcome = &welcome.body["welcome"];
        let session = json!({
            "session": welcome["session"], "resume_secret": welcome["resume_secret"],
        });
        Polling { site, session }
    }

    pub(crate) fn call(&self, call: &str, more: &Value) -> Answer {
        let mut body = self.session.clone();
        for (key, value) in more.as_object().expect("an object") {
            body[key] = value.clone();
        }
        post(self.site, &format!("/v1/driver/{call}"), &body)
    }

    /// Takes one task, and accepts it.
    pub(crate) fn take(&self, request: &str) -> Value {
        let polled = self.call("poll", &json!({"request_id": request, "wait_ms": 20_000}));
        assert_eq!(polled.status, 200, "{}", polled.body);
        let task = polled.body["tasks"][0].clone();
        let answers = json!({"answers": [{"token": task["token"], "accepted": {}}]});
        let answered = self.call("answer", &answers);
        assert_eq!(
            answered.body["stale_tokens"],
            json!([]),
            "{}",
            answered.body
        );
        task
    }
}

pub(crate) fn report(site: &Site, token: &Value, result: &Value) -> Value {
    let body = json!({"report": {"token": token, "result": result}});
    let answer = post(site, "/v1/driver/report", &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["outcome"]["status"].clone()
}

#[test]
fn a_driver_without_a_connection_does_its_work_by_json() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let _server = site.serve();
    let run = site.start("gated.yaml");
    let driver = Polling::register(&site);
    let task = driver.take("one");
    assert_eq!(task["id"]["step"], "first");
    assert_eq!(
        task["inputs"]["run"]
            .as_str()
            .map(|text| text.contains("begun")),
        Some(true)
    );
    let repeated = driver.call("poll", &json!({"request_id": "one"}));
    assert_eq!(
        repeated.body["tasks"][0]["token"], task["token"],
        "a repeat has the same answer"
    );
    let beat = driver.call(
        "heartbeat",
        &json!({"tasks": [{"token": task["token"], "permille": 500}]}),
    );
    assert_eq!(beat.body["stale_tokens"], json!([]), "{}", beat.body);
    let logs = json!({"logs": {"token": task["token"], "lines": [{"text": "ä"}, {"text": "b"}]}});
    for _ in 0..2 {
        let kept = post(&site, "/v1/driver/logs", &logs);
        assert_eq!(
            kept.body["acknowledgement"]["next_offset"], 2,
            "{}",
            kept.body
        );
    }
    let gap =
        json!({"logs": {"token": task["token"], "first_offset": 9, "lines": [{"text": "z"}]}});
    let expected = post(&site, "/v1/driver/logs", &gap);
    assert_eq!(
        expected.body["acknowledgement"]["next_offset"], 2,
        "{}",
        expected.body
    );
    let saved = json!({"checkpoint": {"token": task["token"], "data": "AQI="}});
    let saved = post(&site, "/v1/driver/checkpoint", &saved);
    assert_eq!(saved.body["status"], "accepted", "{}", saved.body);
    let long = "A".repeat(1 << 21);
    let long = json!({"checkpoint": {"token": task["token"], "data": long}});
    let long = post(&site, "/v1/driver/checkpoint", &long);
    assert_eq!(
        (long.status, &long.body["status"]),
        (200, &json!("invalid"))
    );
    assert_eq!(
        long.body["reason"],
        "the checkpoint has 1572864 bytes; the limit `checkpoint_bytes` is 1048576"
    );
    let result = json!({"state": "succeeded", "outputs": {"n": 1}, "last_log_offset": 1});
    assert_eq!(report(&site, &task["token"], &result), "accepted");
    assert_eq!(report(&site, &task["token"], &result), "already");
    let other = json!({"state": "succeeded", "outputs": {"n": 2}, "last_log_offset": 1});
    assert_eq!(report(&site, &task["token"], &other), "stale");
    let second = driver.take("two");
    let failed = json!({"state": "failed", "failure": {"code": "no", "message": "it said no"}});
    assert_eq!(report(&site, &second["token"], &failed), "accepted");
    let view = site.ended(&run);
    assert_eq!(view["state"], "failed", "{view:#}");
    assert_eq!(site.log(&run), "first | ä\nfirst | b\n");
    assert_eq!(driver.call("leave", &json!({})).status, 200);
    assert_eq!(
        driver.call("poll", &json!({"request_id": "three"})).status,
        404
    );
}

#[test]
fn a_reader_waits_for_the_lines_that_a_result_told_of() {
    let mut site = Site::new(&[(
        "one.yaml",
        "name: one\nsteps:\n  - {id: a, name: a, driver: exec, with: {run: x}}\n",
    )]);
    let _server = site.serve();
    let run = site.start("one.yaml");
    let driver = Polling::register(&site);
    let task = driver.take("one");
    let result = json!({"state": "succeeded", "last_log_offset": 1});
    assert_eq!(report(&site, &task["token"], &result), "accepted");
    assert_eq!(site.ended(&run)["state"], "succeeded");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| site.conveyor(&["logs", &run, "--follow"]));
        for (offset, text) in [(0, "late"), (1, "later")] {
            let logs = json!({"logs": {
                "token": task["token"], "first_offset": offset, "lines": [{"text": text}],
            }});
            let kept = post(&site, "/v1/driver/logs", &logs);
            assert_eq!(
                kept.body["acknowledgement"]["next_offset"],
                offset + 1,
                "{}",
                kept.body
            );
        }
        assert_eq!(reader.join().expect("it ends").out, "a | late\na | later\n");
    });
    let more =
        json!({"logs": {"token": task["token"], "first_offset": 2, "lines": [{"text": "x"}]}});
    let sealed = post(&site, "/v1/driver/logs", &more);
    assert_eq!(
        sealed.body["acknowledgement"]["sealed"], true,
        "{}",
        sealed.body
    );
}

#[test]
fn a_task_that_goes_on_elsewhere_outlives_its_driver_and_the_server() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let mut server = site.serve();
    let run = site.start("gated.yaml");
    let driver = Polling::register(&site);
    let task = driver.take("one");
    let token = task["token"].clone();
    let until = u64::MAX / 2;
    let detached = json!({"answers": [{"token": token, "detached": {"until_ms": until}}]});
    let answered = driver.call("answer", &detached);
    assert_eq!(
        answered.body["stale_tokens"],
        json!([]),
        "{}",
        answered.body
    );
    assert_eq!(driver.call("leave", &json!({})).status, 200);
    server.kill();
    let _server = site.serve();
    let extend = post(
        &site,
        "/v1/driver/extend",
        &json!({"token": token, "until_ms": until}),
    );
    assert_eq!(extend.body["status"], "accepted", "{}", extend.body);
    // No longer than the attempt has: an hour.
    let least = task["deadline_ms"].as_u64().expect("it has a deadline");
    assert_eq!(extend.body["until_ms"], json!(least), "{}", extend.body);
    let logs = json!({"logs": {"token": token, "lines": [{"text": "from elsewhere"}]}});
    assert_eq!(
        post(&site, "/v1/driver/logs", &logs).body["acknowledgement"]["next_offset"],
        1
    );
    let body =
        json!({"report": {"token": token, "result": {"state": "succeeded", "last_log_offset": 0}}});
    let completed = post(&site, "/v1/driver/complete", &body);
    assert_eq!(
        completed.body["outcome"]["status"], "accepted",
        "{}",
        completed.body
    );
    let _exec = site.driver();
    let view = site.ended(&run);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    assert_eq!(site.log(&run), "first | from elsewhere\nsecond | second\n");
}

#[test]
fn a_poll_that_a_dead_server_never_answered_is_repeated_and_brings_its_task() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let mut server = site.serve();
    let run = site.start("gated.yaml");
    let poll = json!({"request_id": "one", "wait_ms": 20_000});
    let driver = Polling::register(&site);
    let lost = driver.call("poll", &poll).body["tasks"][0]["token"].clone();
    assert!(lost.is_string(), "{lost}");
    // The answer is taken for lost: its task is durable, and nobody accepted it.
    server.kill();
    let mut again = site.serve_again();
    again.line(&["listening"]);
    let task = driver.take("one");
    assert_eq!(task["token"], lost, "under the same token");
    let result = json!({"state": "succeeded"});
    assert_eq!(report(&site, &task["token"], &result), "accepted");
    let second = driver.take("two");
    assert_eq!(report(&site, &second["token"], &result), "accepted");
    let view = site.ended(&run);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    let attempts = &view["steps"][0]["instances"][0]["attempts"];
    assert_eq!(attempts.as_array().map(Vec::len), Some(1), "{view:#}");
}

#[test]
fn a_task_that_its_driver_forgot_is_lost_though_the_driver_polls_on() {
    let document = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: forgotten}
spec:
  defaults: {timeouts: {heartbeat: 1s}}
  steps:
    - {id: a, driver: exec, grace: 1s, retry: {lost: 1}, with: {run: x}}
";
    let mut site = Site::new(&[("forgotten.yaml", document)]);
    let _server = site.serve();
    let run = site.start("forgotten.yaml");
    let driver = Polling::register(&site);
    let forgotten = driver.take("one");
    // It names the task in no heartbeat, and asks for others all the time: one of the polls says that the claim
    // is over, and one brings the next attempt.
    let mut polls = (0..100).map(|n| {
        let poll = json!({"request_id": format!("next {n}"), "wait_ms": 200});
        driver.call("poll", &poll).body["tasks"][0].clone()
    });
    let next = polls.find(|task| !task.is_null()).expect("it is lost");
    assert_eq!(next["id"]["attempt"], 2, "{next}");
    let result = json!({"state": "succeeded"});
    assert_eq!(report(&site, &forgotten["token"], &result), "stale");
    assert_eq!(report(&site, &next["token"], &result), "accepted");
    assert_eq!(site.ended(&run)["state"], "succeeded");
}

#[test]
fn a_driver_that_lies_changes_nothing() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let _server = site.serve();
    let run = site.start("gated.yaml");
    let driver = Polling::register(&site);
    let task = driver.take("one");
    let token = task["token"].as_str().expect("it has a token");
    let succeeded = json!({"state": "succeeded", "outputs": {}});
    // A token that nobody made: one bit of another.
    let first = if token.starts_with('A') { 'B' } else { 'A' };
    let forged = json!(format!("{first}{}", &token[1..]));
    assert_eq!(report(&site, &forged, &succeeded), "stale");
    assert_eq!(report(&site, &json!("AAAA"), &succeeded), "stale");
    // Whatever it says by such a token is answered alike.
    let line = json!({"logs": {"token": forged, "lines": [{"text": "not mine"}]}});
    let checkpoint = json!({"checkpoint": {"token": forged, "data": "AQI="}});
    let extend = json!({"token": forged, "until_ms": 1});
    for (call, body) in [
        ("logs", line),
        ("checkpoint", checkpoint),
        ("extend", extend),
    ] {
        let answer = post(&site, &format!("/v1/driver/{call}"), &body);
        assert_eq!(answer.status, 200, "{call}: {}", answer.body);
        assert_eq!(answer.body["status"], "stale", "{call}: {}", answer.body);
    }
    let beat = driver.call("heartbeat", &json!({"tasks": [{"token": forged}]}));
    assert_eq!(beat.body["stale_tokens"], json!([forged]), "{}", beat.body);
    // A session that is another's.
    let mut stranger = Polling::register(&site);
    stranger.session["session"] = driver.session["session"].clone();
    assert_eq!(
        stranger.call("poll", &json!({"request_id": "x"})).status,
        404
    );
    assert_eq!(stranger.call("leave", &json!({})).status, 404);
    // A result that cannot be.
    let waits = json!({"state": "timed_out"});
    assert_eq!(report(&site, &task["token"], &waits), "invalid");
    let view = site.ended(&run);
    let attempt = &view["steps"][0]["instances"][0]["attempts"][0];
    assert_eq!(attempt["state"], "errored", "{view:#}");
    assert_eq!(report(&site, &task["token"], &succeeded), "stale");
    tally::held(
        "a driver lies",
        "forged tokens are stale, another's session is not found, a result that cannot be ends the attempt, and \
         nothing changes it afterwards",
    );
}

#[test]
fn a_hello_that_cannot_be_is_refused_with_what_to_do() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let hello = |change: Value| {
        let mut hello = json!({
            "driver": "exec", "version": "1.0.0", "contract_versions": [1], "actions": [{"name": "run"}],
        });
        for (key, value) in change.as_object().expect("an object") {
            hello[key] = value.clone();
        }
        post(&site, "/v1/driver/register", &json!({"hello": hello}))
    };
    assert_eq!(hello(json!({})).status, 200);
    let schema = json!({"actions": [{"name": "run", "inputs_schema": {"type": "object", "required": ["a"]}}]});
    let cases = [
        (hello(schema), 409, "raise its version"),
        (hello(json!({"driver": "No Name"})), 400, "lower-case"),
        (hello(json!({"version": "one"})), 400, "semantic version"),
        (hello(json!({"contract_versions": [7]})), 409, "[7]"),
        (hello(json!({"actions": []})), 400, "at least one"),
        (
            hello(json!({"actions": [{"name": "a"}, {"name": "a"}]})),
            400,
            "twice",
        ),
        (hello(json!({"capacity": 10_001})), 400, "10000"),
        (hello(json!({"queues": ["gpu"]})), 400, "later release"),
        (
            hello(
                json!({"version": "2.0.0", "actions": [{"name": "run", "inputs_schema": {"type": 3}}]}),
            ),
            409,
            "inputs",
        ),
    ];
    for (answer, status, words) in cases {
        assert_eq!(answer.status, status, "{}", answer.body);
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(words), "{words}: {}", answer.body);
    }
}

#[test]
fn a_version_that_comes_with_other_schemas_is_told_both_digests() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let register = |version: &str, schema: Value| {
        let action = json!({"name": "run", "inputs_schema": schema});
        let hello = json!({
            "driver": "exec", "version": version, "contract_versions": [1], "actions": [action],
        });
        post(&site, "/v1/driver/register", &json!({"hello": hello}))
    };
    let (one, other) = (json!({"type": "object"}), json!({"type": "array"}));
    // What each has by itself, as the refusals of the other tell it: their two digests change places.
    let digests = |version: &str, first: &Value, second: &Value| {
        assert_eq!(register(version, first.clone()).status, 200);
        let refused = register(version, second.clone());
        assert_eq!(refused.status, 409, "{}", refused.body);
        let detail = refused.body["detail"].as_str().unwrap_or_default();
        assert!(
            detail.contains("`exec`") && detail.contains(version),
            "{detail}"
        );
        let is_digest =
            |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let words = detail.split(|of: char| !of.is_ascii_alphanumeric());
        let found: Vec<String> = words.filter(is_digest).map(str::to_owned).collect();
        let [registered, offered] = &found[..] else {
            panic!("both digests: {detail}");
        };
        // The one that is registered stays.
        assert_eq!(register(version, first.clone()).status, 200);
        (registered.clone(), offered.clone())
    };
    let (registered, offered) = digests("1.0.0", &one, &other);
    assert_ne!(registered, offered);
    assert_eq!(digests("2.0.0", &other, &one), (offered, registered));
}

#[test]
fn limits_that_are_set_are_told_and_hold() {
    const ONE: &str = "name: one\nsteps:\n  - {id: a, name: a, driver: exec, with: {run: x}}\n";
    let set = "[limits]\noutput_bytes = 2048\ncheckpoint_bytes = 1024\n";
    let mut site = Site::new(&[("one.yaml", ONE), ("conveyor.toml", set)]);
    let _server = site.serve_with("data", &["--config", "conveyor.toml"]);
    let hello = json!({"hello": {
        "driver": "told", "contract_versions": [1], "actions": [{"name": "run"}], "capacity": 1,
    }});
    let welcome = post(&site, "/v1/driver/register", &hello);
    let limits = &welcome.body["welcome"]["limits"];
    assert_eq!(limits["outputs_bytes"], 2048, "{}", welcome.body);
    assert_eq!(limits["checkpoint_bytes"], 1024, "{}", welcome.body);
    let run = site.start("one.yaml");
    let driver = Polling::register(&site);
    let task = driver.take("one");
    // In base64: 341 times three bytes, and one or two.
    let save = |rest: &str| {
        let data = "AAAA".repeat(341) + rest;
        let checkpoint = json!({"checkpoint": {"token": task["token"], "data": data}});
        post(&site, "/v1/driver/checkpoint", &checkpoint).body
    };
    assert_eq!(save("AA==")["status"], "accepted");
    assert_eq!(
        save("AAA=")["reason"],
        "the checkpoint has 1025 bytes; the limit `checkpoint_bytes` is 1024"
    );
    // As JSON it is {"x":"…"}.
    let result = |bytes: usize| {
        let outputs = json!({"x": "o".repeat(bytes - 8)});
        json!({"state": "succeeded", "outputs": outputs})
    };
    assert_eq!(report(&site, &task["token"], &result(2049)), "invalid");
    let view = site.ended(&run).to_string();
    let words = "the outputs have 2049 bytes; the limit `outputs_bytes` is 2048";
    assert!(view.contains(words), "{view}");
    let run = site.start("one.yaml");
    let task = driver.take("two");
    assert_eq!(report(&site, &task["token"], &result(2048)), "accepted");
    assert_eq!(site.ended(&run)["state"], "succeeded");
}
