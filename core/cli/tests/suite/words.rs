//! Words of drivers that nobody asked for, with a secret in them: the server says them to nobody.

use crate::polled::{Polling, report};
use crate::raw::{Raw, talk};
use crate::rest::{get, post};
use crate::site::{Background, Site};
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use serde_json::json;

const VALUE: &str = "s3cr3t-value-7Q";
const ENCODED: &str = "czNjcjN0LXZhbHVlLTdR";

/// A server that logs all that it can.
fn site(driver: &str) -> (Site, Background) {
    let document = format!(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: words}}\nspec:\n  \
         secrets: [{{name: token, from: 'file:token'}}]\n  \
         steps: [{{id: use, driver: {driver}, secrets: {{TOKEN: token}}, with: {{run: 'true'}}}}]\n"
    );
    let mut site = Site::new(&[
        ("p.yaml", document.as_str()),
        (
            "conveyor.toml",
            "[log]\nlevel = \"trace\"\n[secrets]\ndirectory = \"secrets\"\n",
        ),
    ]);
    let secrets = site.dir.path().join("secrets");
    std::fs::create_dir(&secrets).expect("a directory");
    std::fs::write(secrets.join("token"), VALUE).expect("it is writable");
    let server = site.serve_with("data", &["--config", "conveyor.toml"]);
    (site, server)
}

/// All that the server has said, now that it has ended.
fn said(server: &mut Background) -> String {
    server.signal(rustix::process::Signal::TERM);
    server.end();
    server.rest()
}

#[track_caller]
fn hides(text: &str) {
    for form in [VALUE, ENCODED] {
        assert!(!text.contains(form), "{form} is in {text}");
    }
}

#[test]
fn reasons_of_a_stream_are_told_and_logged_nowhere() {
    let (site, mut server) = site("raw");
    let run = talk(async {
        let mut raw = Raw::connect(&site.url, "raw", 1).await;
        raw.credits(1);
        let run = site.start("p.yaml");
        let task = raw.task().await;
        let reason = format!("no {VALUE} {ENCODED}");
        let refused = v1::Refused {
            reason: reason.clone(),
        };
        raw.tell(Tell::Answer(v1::TaskAnswer {
            token: task.token.clone(),
            answer: Some(v1::task_answer::Answer::Refused(refused)),
        }));
        // It comes again: the refusal was taken.
        raw.credits(1);
        let task = raw.task().await;
        raw.accept(&task);
        // One that breaks the contract, and is answered with why.
        raw.succeed(&task, &format!("{{\"{VALUE}\": 1, \"{VALUE}\": 2}}"));
        raw.tell(Tell::Drain(v1::Drain {
            reason: reason.clone(),
            deadline_ms: None,
        }));
        raw.outcome().await;
        raw.tell(Tell::Leaving(v1::Leaving { reason }));
        raw.broken().await;
        run
    });
    let ended = site.ended(&run).to_string();
    assert!(
        ended.contains("invalid_report") && ended.contains("***"),
        "{ended}"
    );
    hides(&ended);
    hides(&site.conveyor(&["events", &run, "-o", "json"]).out);
    hides(&site.conveyor(&["drivers", "list", "-o", "json"]).out);
    let said = said(&mut server);
    assert!(said.contains("a task was refused"), "{said}");
    hides(&said);
}

#[test]
fn a_driver_that_speaks_json_is_masked_as_one_with_a_stream() {
    let (site, mut server) = site("exec");
    let driver = Polling::register(&site);
    let run = site.start("p.yaml");
    let task = driver.take("1");
    let token = &task["token"];
    let heartbeat = json!({"tasks": [{"token": token, "message": format!("at {VALUE}")}]});
    assert_eq!(driver.call("heartbeat", &heartbeat).status, 200);
    hides(&get(&site, &format!("/v1/runs/{run}")).body.to_string());
    let log = |first: u64, text: String| {
        let lines = json!([{"time_ms": 1, "stream": "stdout", "text": text}]);
        let logs = json!({"logs": {"token": token, "first_offset": first, "lines": lines}});
        let kept = post(&site, "/v1/driver/logs", &logs);
        assert_eq!(kept.status, 200, "{}", kept.body);
    };
    log(0, format!("plain {VALUE}"));
    log(1, format!("base64 {ENCODED}"));
    let data = json!({"checkpoint": {"token": token, "data": ENCODED}});
    let refused = post(&site, "/v1/driver/checkpoint", &data);
    assert_eq!(refused.status, 200, "{}", refused.body);
    assert_eq!(refused.body["status"], "invalid", "{}", refused.body);
    hides(&refused.body.to_string());
    let failure =
        json!({"code": "no", "message": format!("no {VALUE}"), "details": {VALUE: [ENCODED]}});
    let result = json!({"state": "failed", "failure": failure, "last_log_offset": 2});
    assert_eq!(report(&site, token, &result), "accepted");
    log(2, format!("late {VALUE}"));
    let left = driver.call("leave", &json!({"reason": format!("by {VALUE}")}));
    assert_eq!(left.status, 200, "{}", left.body);
    let ended = site.ended(&run).to_string();
    assert!(ended.contains("no ***"), "{ended}");
    hides(&ended);
    hides(&site.conveyor(&["events", &run, "-o", "json"]).out);
    let lines = site.log(&run);
    for line in ["plain ***", "base64 ***", "late ***"] {
        assert!(lines.contains(line), "{lines}");
    }
    hides(&said(&mut server));
}
