//! The bash driver before an engine that answers as no engine at hand does.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// What the driver said: a call's name and its body.
type Calls = Arc<Mutex<Vec<(String, Value)>>>;
/// What is answered to a call, by all that was said until then, itself the last.
type Answers = fn(&[(String, Value)]) -> (u16, Value);

/// How long something has to come: a busy machine starts many processes slowly, and a driver in bash has many.
const PATIENCE: Duration = Duration::from_secs(60);
/// The token of the one task.
const TOKEN: &str = "dG9rZW4=";

struct Engine {
    calls: Calls,
    _driver: Child,
}

impl Engine {
    async fn start(answers: Answers) -> Engine {
        let calls = Calls::default();
        let router = Router::new()
            .route("/v1/driver/{name}", post(answer))
            .with_state((Arc::clone(&calls), answers));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("it has one");
        tokio::spawn(async move { axum::serve(listener, router).await });
        let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/drivers/bash/driver.sh");
        let driver = Command::new(driver)
            .env("CONVEYOR_URL", format!("http://{address}"))
            .kill_on_drop(true)
            .spawn();
        Engine {
            calls,
            _driver: driver.expect("it starts"),
        }
    }

    fn said(&self, name: &str) -> Vec<Value> {
        let calls = self.calls.lock().expect("nobody panics");
        let of = calls.iter().filter(|(called, _)| called == name);
        of.map(|(_, body)| body.clone()).collect()
    }

    /// Waits until a call was made so often.
    async fn until(&self, name: &str, times: usize) {
        let until = Instant::now() + PATIENCE;
        while self.said(name).len() < times {
            assert!(Instant::now() < until, "no {times} calls `{name}` came");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn answer(
    State((calls, answers)): State<(Calls, Answers)>,
    Path(name): Path<String>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let (status, answer) = {
        let mut calls = calls.lock().expect("nobody panics");
        calls.push((name.clone(), body));
        answers(&calls)
    };
    if name == "poll" && answer == json!({}) {
        sleep(Duration::from_millis(100)).await;
    }
    let status = StatusCode::from_u16(status).expect("a status");
    (status, Json(answer))
}

fn count(calls: &[(String, Value)], name: &str) -> usize {
    calls.iter().filter(|(called, _)| called == name).count()
}

/// What an engine answers that has one task with a program.
fn usual(calls: &[(String, Value)], program: &Value) -> (u16, Value) {
    let (name, _) = calls.last().expect("the call that is answered");
    let answer = match name.as_str() {
        "register" => json!({"welcome": {
            "session": "AAAA", "resume_secret": "AAAA", "heartbeat_interval_ms": 100,
        }}),
        "poll" if count(calls, "poll") == 1 && !program.is_null() => json!({"tasks": [{
            "token": TOKEN,
            "id": {"run": "r", "step": "a", "instance": 0, "attempt": 1},
            "inputs": {"program": program},
            "heartbeat_timeout_ms": 30000, "grace_ms": 4000, "time_left_ms": 600_000,
        }]}),
        "logs" => json!({"acknowledgement": {}}),
        "report" => json!({"outcome": {"token": TOKEN, "status": "accepted"}}),
        _ => json!({}),
    };
    (200, answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_that_is_a_mistake_is_not_made_again() {
    for status in [400, 409] {
        let answers: Answers = match status {
            400 => |calls| match calls.last() {
                Some((name, _)) if name == "heartbeat" => (400, json!({"detail": "a mistake"})),
                _ => usual(calls, &Value::Null),
            },
            _ => |calls| match calls.last() {
                Some((name, _)) if name == "heartbeat" => (409, json!({"detail": "a mistake"})),
                _ => usual(calls, &Value::Null),
            },
        };
        let engine = Engine::start(answers).await;
        engine.until("heartbeat", 1).await;
        // Those that were on their way have come by then.
        engine.until("poll", engine.said("poll").len() + 5).await;
        let made = engine.said("heartbeat").len();
        engine.until("poll", engine.said("poll").len() + 5).await;
        assert_eq!(engine.said("heartbeat").len(), made, "answered {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_has_not_it_does_without() {
    let engine = Engine::start(|calls| match calls.last() {
        Some((name, _)) if name == "logs" => (501, json!({"detail": "comes later"})),
        _ => usual(
            calls,
            &json!([{"log": {"text": "hello"}}, {"return": {"outputs": {"a": 1}}}]),
        ),
    })
    .await;
    engine.until("report", 1).await;
    let report = &engine.said("report")[0]["report"];
    assert_eq!(report["result"]["state"], "succeeded", "{report}");
    assert_eq!(report["result"]["last_log_offset"], Value::Null, "{report}");
    assert_eq!(engine.said("logs").len(), 1);
    // It goes on.
    engine.until("poll", 3).await;
}

/// How often lines are refused: the next pause is longer than the grace then.
const REFUSED: usize = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_nobody_acknowledged_are_said_again_before_user_code_that_was_cut_off_is_reported()
 {
    let engine = Engine::start(|calls| {
        let refused = count(calls, "logs") > REFUSED;
        match calls.last() {
            Some((name, _)) if name == "logs" && !refused => (503, json!({"detail": "busy"})),
            Some((name, body)) if name == "heartbeat" && count(calls, "logs") >= REFUSED => {
                match body["tasks"].as_array().is_some_and(|tasks| !tasks.is_empty()) {
                    true => {
                        let cancel = json!({"token": TOKEN, "grace_ms": 4000});
                        (200, json!({"cancels": [cancel]}))
                    }
                    false => (200, json!({})),
                }
            }
            _ => usual(
                calls,
                &json!([{"ignore_cancel": {}}, {"log": {"text": "hello"}}, {"sleep": {"ms": 60000}}]),
            ),
        }
    })
    .await;
    engine.until("report", 1).await;
    let report = &engine.said("report")[0]["report"];
    assert_eq!(report["result"]["state"], "cancelled", "{report}");
    assert_eq!(report["result"]["last_log_offset"], 0, "{report}");
    let calls = engine.calls.lock().expect("nobody panics").clone();
    let place = |name: &str| calls.iter().rposition(|(called, _)| called == name);
    assert_eq!(count(&calls, "logs"), REFUSED + 1);
    assert!(place("logs") < place("report"), "{calls:?}");
}
