//! Who may end, extend and log a detached task (PROTOCOL P27a, R57).

use crate::stream::Server;
use crate::support::Calls;
use crate::wire::{by, succeeded};
use conveyor_node::RunId;
use conveyor_proto::v1;
use conveyor_proto::v1::driver_service_server::DriverService as _;
use conveyor_proto::v1::task_answer::Answer;
use conveyor_service::Caller;
use prost::bytes::Bytes;

const ONE: &str = "{steps: [{id: a, driver: raw, timeouts: {attempt: 2h}}]}";

/// A detached task, whose driver named `ci`.
struct World {
    server: Server,
    run: String,
    token: Bytes,
    until: u64,
}

impl World {
    async fn new() -> World {
        let server = Server::open().await;
        let run = server.run("default", ONE).await;
        // The calls of this driver come from the process itself: its principal is `local`.
        let driver = Calls::register(&server.node, 1).await;
        let token = driver.take().await.token;
        let until = server.node.now().0 + 600_000;
        let detached = v1::Detached {
            until_ms: until,
            principals: vec!["ci".to_owned()],
        };
        let answered = driver.answer(&token, Answer::Detached(detached)).await;
        let stale = answered.expect("it is the driver's").stale_tokens;
        assert!(stale.is_empty(), "{stale:?}");
        World {
            server,
            run,
            token,
            until,
        }
    }

    async fn extend(&self, caller: &Caller, until_ms: u64) -> v1::ExtendTaskResponse {
        let request = v1::ExtendTaskRequest {
            token: self.token.clone(),
            until_ms,
        };
        let answer = self.server.drivers.extend_task(by(caller, request)).await;
        answer.expect("an answer").into_inner()
    }

    /// Gives the next offset; `None` where the token is stale.
    async fn log(&self, caller: &Caller, text: &'static str) -> Option<u64> {
        let line = v1::LogLine {
            text: text.into(),
            ..v1::LogLine::default()
        };
        let logs = v1::LogBatch {
            token: self.token.clone(),
            first_offset: 0,
            lines: vec![line],
        };
        let request = v1::AppendLogsRequest { logs: Some(logs) };
        let answer = self.server.drivers.append_logs(by(caller, request)).await;
        let answer = answer.expect("an answer").into_inner();
        let stale = answer.status() == v1::ReportStatus::Stale;
        assert_eq!(answer.acknowledgement.is_none(), stale, "{answer:?}");
        answer.acknowledgement.map(|kept| kept.next_offset)
    }

    async fn complete(&self, caller: &Caller) -> v1::ReportStatus {
        let report = v1::TaskReport {
            token: self.token.clone(),
            result: Some(succeeded(r#"{"by":"them"}"#)),
        };
        let request = v1::CompleteTaskRequest {
            report: Some(report),
        };
        let answer = self.server.drivers.complete_task(by(caller, request)).await;
        let outcome = answer.expect("an answer").into_inner().outcome;
        outcome.expect("told").status()
    }

    async fn attempt(&self) -> v1::Attempt {
        let mut instance = self.server.instance(&self.run, "a").await;
        assert_eq!(instance.attempts.len(), 1);
        instance.attempts.remove(0)
    }

    /// How many records the run has: whatever changes it adds one.
    async fn records(&self) -> u64 {
        let run = RunId::parse(&self.run).expect("an id");
        self.server.records(run).await
    }
}

#[tokio::test]
async fn whom_a_detached_task_names_may_log_extend_and_complete_it() {
    let world = World::new().await;
    let ci = Server::caller("ci");
    assert_eq!(world.log(&ci, "from outside").await, Some(1));
    let longer = world.until + 60_000;
    let extended = world.extend(&ci, longer).await;
    assert_eq!(extended.status(), v1::ReportStatus::Accepted);
    assert_eq!(extended.until_ms, longer);
    assert_eq!(world.attempt().await.detached_until_ms, Some(longer));
    assert_eq!(world.complete(&ci).await, v1::ReportStatus::Accepted);
    let attempt = world.attempt().await;
    assert_eq!(attempt.state(), v1::AttemptState::Succeeded);
    assert_eq!(attempt.outputs, r#"{"by":"them"}"#);
    // Where the answer was lost it says so again, and its last lines still come.
    assert_eq!(world.complete(&ci).await, v1::ReportStatus::Already);
    assert_eq!(world.log(&ci, "from outside").await, Some(1));
    let other = Server::caller("other");
    assert_eq!(world.complete(&other).await, v1::ReportStatus::Stale);
    world.server.end().await;
}

#[tokio::test]
async fn whom_a_detached_task_does_not_name_changes_nothing_of_it() {
    let world = World::new().await;
    let records = world.records().await;
    let bound = Caller {
        namespace: Some("default".into()),
        ..Server::caller("other")
    };
    for stranger in [Server::caller("other"), Server::caller(""), bound] {
        assert_eq!(world.log(&stranger, "not theirs").await, None);
        let extended = world.extend(&stranger, world.until + 60_000).await;
        assert_eq!(extended.status(), v1::ReportStatus::Stale);
        assert_eq!(extended.until_ms, 0);
        assert_eq!(world.complete(&stranger).await, v1::ReportStatus::Stale);
    }
    assert_eq!(world.records().await, records);
    let attempt = world.attempt().await;
    assert_eq!(attempt.state(), v1::AttemptState::Running);
    assert_eq!(attempt.detached_until_ms, Some(world.until));
    // The log has nothing yet: its first line is the driver's own.
    let own = Caller::local();
    assert_eq!(world.log(&own, "the driver's").await, Some(1));
    assert_eq!(world.complete(&own).await, v1::ReportStatus::Accepted);
    // Nor once it has ended.
    let after = world.records().await;
    let stranger = Server::caller("other");
    assert_eq!(world.complete(&stranger).await, v1::ReportStatus::Stale);
    assert_eq!(world.log(&stranger, "late").await, None);
    assert_eq!(world.records().await, after);
    world.server.end().await;
}
