//! What each switch does, as an engine sees it: a scenario is played with the honest driver, and with each switch
//! that it shows, whose words have to be others.

mod engine;

use conveyor_proto::v1::session_request::Message as Said;
use conveyor_proto::v1::session_response::Message as Tell;
use conveyor_proto::v1::*;
use engine::{Peer, Stage, word};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// A task with a token, and a program whose files are in the stage's directory.
#[allow(
    clippy::needless_pass_by_value,
    reason = "programs are written where they are given"
)]
fn task(stage: &Stage, token: &str, program: Value) -> Task {
    let file = stage.dir.path().join("file").display().to_string();
    let program = program.to_string().replace("FILE", &file);
    Task {
        token: token.as_bytes().to_vec().into(),
        inputs: format!(r#"{{"program": {program}}}"#).into(),
        time_left_ms: 60_000,
        grace_ms: 300,
        heartbeat_timeout_ms: 30_000,
        ..Task::default()
    }
}

async fn give(stage: &Stage, peer: &mut Peer, token: &str, program: Value) {
    peer.tell(Tell::Task(task(stage, token, program))).await;
}

/// A driver with one place that was given this program as the task `a`.
async fn given(switch: &str, program: Value) -> (Stage, Peer) {
    let mut stage = Stage::start(switch, 1).await;
    let mut peer = stage.peer().await;
    give(&stage, &mut peer, "a", program).await;
    (stage, peer)
}

fn token(token: &str) -> prost::bytes::Bytes {
    token.as_bytes().to_vec().into()
}

async fn cancel(peer: &mut Peer, of: &str, grace_ms: u64) {
    let (token, reason) = (token(of), String::new());
    peer.tell(Tell::Cancel(Cancel {
        token,
        reason,
        grace_ms,
    }))
    .await;
}

async fn stale(peer: &mut Peer, of: &str) {
    let stale_tokens = vec![token(of)];
    peer.acknowledge(Acknowledgement {
        stale_tokens,
        ..Acknowledgement::default()
    })
    .await;
}

async fn answered(peer: &mut Peer, of: &str) {
    let (token, status) = (token(of), ReportStatus::Accepted.into());
    peer.tell(Tell::Outcome(ReportOutcome {
        token,
        status,
        reason: String::new(),
    }))
    .await;
}

/// Plays the scenario honestly, and with each switch: only the honest words are those.
macro_rules! scenario {
    ($name:ident, $honest:expr, [$($switch:literal),* $(,)?], $play:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let play = $play;
            assert_eq!(play("").await, $honest, "the honest driver");
            for switch in [$($switch),*] {
                let seen: String = play(switch).await;
                assert_ne!(seen, $honest, "{switch} is not seen");
            }
        }
    };
}

mod cancels;
mod connections;
mod goodbyes;

scenario!(
    a_task,
    "accepted logs:0+2/0 report:succeeded:1",
    ["r12-answers-late", "r28-one-too-few", "r62-floods"],
    async |switch| {
        // What comes together is one batch.
        let (_stage, mut peer) = given(
            switch,
            json!([{"log": {"text": "a\nb"}}, {"sleep": {"ms": 100}}]),
        )
        .await;
        let said = peer.words(600).await;
        said.replace(
            "logs:0+1/0 logs:1+1/0",
            if switch == "r62-floods" {
                "flood"
            } else {
                "logs:0+2/0"
            },
        )
    }
);

scenario!(
    a_task_without_lines,
    "accepted report:succeeded:-",
    ["r28-offset-without-lines"],
    async |switch| {
        let (_stage, mut peer) = given(switch, json!([])).await;
        peer.words(300).await
    }
);

scenario!(
    a_task_that_runs_comes_again,
    "accepted accepted report:succeeded:- 1",
    ["r13-starts-running-again", "r13-accepts-once"],
    async |switch| {
        let mut stage = Stage::start(switch, 2).await;
        let mut peer = stage.peer().await;
        for _ in 0..2 {
            let program =
                json!([{"record": {"file": "FILE", "text": "x"}}, {"sleep": {"ms": 200}}]);
            give(&stage, &mut peer, "a", program).await;
        }
        format!("{} {}", peer.words(600).await, stage.written())
    }
);

scenario!(
    a_task_that_has_ended_comes_again,
    "report:succeeded:- 1",
    ["r13-starts-ended-again"],
    async |switch| {
        let mut stage = Stage::start(switch, 2).await;
        let mut peer = stage.peer().await;
        let program = json!([{"record": {"file": "FILE", "text": "x"}}]);
        give(&stage, &mut peer, "a", program.clone()).await;
        peer.until("report").await;
        answered(&mut peer, "a").await;
        give(&stage, &mut peer, "a", program).await;
        format!("{} {}", peer.words(300).await, stage.written())
    }
);

scenario!(
    a_task_without_room,
    "accepted refused",
    ["r15-starts-without-room", "r12-silent-without-room"],
    async |switch| {
        let mut stage = Stage::start(switch, 1).await;
        let mut peer = stage.peer().await;
        for of in ["a", "b"] {
            give(&stage, &mut peer, of, json!([{"sleep": {"ms": 60_000}}])).await;
        }
        peer.words(300).await
    }
);

scenario!(
    heartbeats_of_a_driver_that_holds_nothing,
    "as asked",
    [
        "r20-half-as-often",
        "r20-silent-without-tasks",
        "r20-too-often"
    ],
    async |switch| {
        let mut stage = Stage::start(switch, 1).await;
        let mut peer = stage.peer().await;
        match peer.beats(1_100).await {
            4..=7 => "as asked".to_owned(),
            others => others.to_string(),
        }
    }
);

scenario!(
    heartbeats_for_a_short_timeout,
    "three and more",
    ["r20-slow-for-short-timeouts"],
    async |switch| {
        let mut stage = Stage::start(switch, 1).await;
        let mut peer = stage
            .welcomed(|welcome| welcome.heartbeat_interval_ms = 5_000)
            .await
            .0;
        let mut short = task(&stage, "a", json!([{"sleep": {"ms": 60_000}}]));
        short.heartbeat_timeout_ms = 1_000;
        peer.tell(Tell::Task(short)).await;
        peer.until("accepted").await;
        match peer.beats(1_050).await {
            3..=5 => "three and more".to_owned(),
            others => others.to_string(),
        }
    }
);

scenario!(
    heartbeats_name_what_runs_and_what_has_ended,
    "heartbeat:2",
    ["r21-names-no-second-task", "r21-names-no-ended-task"],
    async |switch| {
        let mut stage = Stage::start(switch, 2).await;
        let mut peer = stage.peer().await;
        give(&stage, &mut peer, "a", json!([{"sleep": {"ms": 60_000}}])).await;
        give(&stage, &mut peer, "b", json!([])).await;
        peer.until("report").await;
        word(&peer.until("heartbeat").await.1)
    }
);

scenario!(
    an_engine_that_is_not_heard,
    "refused refused",
    [
        "r22-runs-on-unheard",
        "r22-stops-late",
        "r22-reports-the-stop",
        "r22-starts-unheard"
    ],
    async |switch| {
        let mut stage = Stage::start(switch, 2).await;
        let mut peer = stage.peer().await;
        let mut first = task(&stage, "a", json!([{"sleep": {"ms": 60_000}}]));
        first.heartbeat_timeout_ms = 1_500;
        peer.tell(Tell::Task(first)).await;
        peer.until("accepted").await;
        peer.hears = false;
        let mut said = peer.words(1_250).await;
        let mut second = task(&stage, "b", json!([{"sleep": {"ms": 60_000}}]));
        second.heartbeat_timeout_ms = 1_500;
        peer.tell(Tell::Task(second)).await;
        said.push(' ');
        said + &peer.words(100).await
    }
);

scenario!(
    a_token_that_is_stale,
    " 0",
    ["r24-runs-on", "r24-goes-on-logging", "r24-reports"],
    async |switch| {
        let program = json!([{"sleep": {"ms": 300}}, {"log": {"text": "x"}}, {"record": {"file": "FILE", "text": "x"}}]);
        let (stage, mut peer) = given(switch, program).await;
        peer.until("accepted").await;
        stale(&mut peer, "a").await;
        format!("{} {}", peer.words(600).await, stage.written())
    }
);

scenario!(
    a_token_that_is_stale_of_a_task_that_has_ended,
    "logs:0+1/0",
    ["r24-drops-lines-of-an-ended-task"],
    async |switch| {
        let mut stage = Stage::start(switch, 1).await;
        let mut peer = stage.welcomed(|welcome| welcome.log_window = 0).await.0;
        give(&stage, &mut peer, "a", json!([{"log": {"text": "x"}}])).await;
        peer.until("report").await;
        stale(&mut peer, "a").await;
        peer.tell(Tell::LogWindow(LogWindow { bytes: 100 })).await;
        peer.words(300).await
    }
);

scenario!(
    a_report_that_is_not_answered,
    "report:succeeded:-",
    ["r25-reports-once"],
    async |switch| {
        let (_stage, mut peer) = given(switch, json!([])).await;
        peer.until("report").await;
        peer.words(5_500).await
    }
);

scenario!(
    lines_and_the_window,
    "logs:0+2/0",
    [
        "r31-ignores-the-window",
        "r31-counts-text-alone",
        "r73-does-not-mark"
    ],
    async |switch| {
        let mut stage = Stage::start(switch, 1).await;
        let limits = Limits {
            log_line_bytes: 4,
            ..Limits::default()
        };
        let narrow = |welcome: &mut Welcome| {
            welcome.limits = Some(limits);
            welcome.log_window = if switch == "r73-does-not-mark" {
                1_000
            } else {
                140
            };
        };
        let mut peer = stage.welcomed(narrow).await.0;
        let text = if switch == "r73-does-not-mark" {
            "abcdefgh"
        } else {
            "a\nb\nc"
        };
        // They wait for the window together, which is as of one batch.
        give(
            &stage,
            &mut peer,
            "a",
            json!([{"log": {"text": text}}, {"sleep": {"ms": 60_000}}]),
        )
        .await;
        peer.until("accepted").await;
        let said = peer
            .words(300)
            .await
            .replace("logs:0+1/0 logs:1+1/0", "logs:0+2/0");
        match switch {
            "r73-does-not-mark" => said.replace("logs:0+2/0", "no mark"),
            _ => said,
        }
    }
);

scenario!(
    a_checkpoint_that_is_too_large,
    "accepted",
    ["r37-sends-what-is-too-large"],
    async |switch| {
        let mut stage = Stage::start(switch, 1).await;
        let limits = Limits {
            checkpoint_bytes: 10,
            ..Limits::default()
        };
        let mut peer = stage
            .welcomed(|welcome| welcome.limits = Some(limits))
            .await
            .0;
        let program =
            json!([{"checkpoint": {"text": "x", "length": 11}}, {"sleep": {"ms": 60_000}}]);
        give(&stage, &mut peer, "a", program).await;
        peer.words(300).await
    }
);

scenario!(
    what_the_engine_does_not_take,
    "",
    ["r64-checkpoint-again", "r64-detached-again"],
    async |switch| {
        let program = json!([
            {"checkpoint": {"text": "x"}},
            {"detach": {"within_ms": 60_000, "principals": ["p"]}},
            {"sleep": {"ms": 60_000}},
        ]);
        let (_stage, mut peer) = given(switch, program).await;
        let mut said = String::new();
        for (word, kind) in [
            ("checkpoint", RefusedKind::Checkpoint),
            ("detached", RefusedKind::Detached),
        ] {
            let (sequence, _) = peer.until(word).await;
            let (token, reason, kind) = (token("a"), "no".to_owned(), kind.into());
            let first_sequence = sequence;
            let refused = vec![RefusedMessage {
                token,
                kind,
                reason,
                sequence,
                first_sequence,
            }];
            peer.acknowledge(Acknowledgement {
                sequence,
                refused,
                ..Acknowledgement::default()
            })
            .await;
            if word == "detached" || switch == "r64-checkpoint-again" {
                said += &peer.words(300).await;
            }
            if switch == "r64-checkpoint-again" {
                break;
            }
        }
        said
    }
);

scenario!(
    a_task_that_goes_on_elsewhere,
    "detached:1 ",
    ["r57-names-nobody", "r57-reports-what-it-detached"],
    async |switch| {
        let (_stage, mut peer) = given(
            switch,
            json!([{"detach": {"within_ms": 60_000, "principals": ["p"]}}]),
        )
        .await;
        let (sequence, said) = peer.until("detached").await;
        peer.acknowledge(Acknowledgement {
            sequence,
            ..Acknowledgement::default()
        })
        .await;
        format!("{} {}", word(&said), peer.words(300).await)
    }
);

scenario!(
    values_of_a_later_contract,
    "stays",
    ["r5-unknown-value-breaks-the-connection"],
    async |switch| {
        let mut stage = Stage::start(switch, 1).await;
        let mut peer = stage.peer().await;
        let outcome = ReportOutcome {
            status: 99,
            ..ReportOutcome::default()
        };
        peer.tell(Tell::Outcome(outcome)).await;
        match tokio::time::timeout(Duration::from_millis(500), stage.streams.recv()).await {
            Ok(_) => "comes back".to_owned(),
            Err(_) => "stays".to_owned(),
        }
    }
);

scenario!(
    the_first_message,
    "[1] true",
    [
        "r3-names-a-version-it-does-not-speak",
        "r8-schema-of-each-start"
    ],
    async |switch| {
        let mut stage = Stage::start(switch, 1).await;
        let (_, first) = stage.stream().await;
        let Said::Hello(hello) = first else {
            panic!("{first:?}")
        };
        let schema: Value = serde_json::from_slice(&hello.actions[0].inputs_schema).expect("JSON");
        format!(
            "{:?} {}",
            hello.contract_versions,
            schema.get("$comment").is_none()
        )
    }
);

scenario!(
    numbers_without_gaps,
    "12",
    ["r6-skips-a-number"],
    async |switch| {
        let mut stage = Stage::start(switch, 1).await;
        let mut peer = stage
            .welcomed(|welcome| welcome.heartbeat_interval_ms = 100)
            .await
            .0;
        let mut last = 0;
        // The first was read before.
        for _ in 0..11 {
            last = peer.numbered(PATIENCE).await.expect("it goes on").0;
        }
        last.to_string()
    }
);
