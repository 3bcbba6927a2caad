//! Where a driver may be published, and whose tasks it gets (PROTOCOL P27).

use crate::stream::{Server, Stream, hello};
use crate::wire::{by, succeeded};
use conveyor_proto::v1;
use conveyor_proto::v1::driver_service_server::DriverService as _;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use conveyor_proto::v1::waiting_for::What;
use conveyor_service::{Caller, Scope};
use std::collections::BTreeSet;

const ONE: &str = "{steps: [{id: a, driver: raw}]}";

/// A caller of a scope, perhaps bound to a namespace.
fn of(scope: Scope, namespace: Option<&str>) -> Caller {
    Caller {
        scope,
        namespace: namespace.map(Into::into),
        ..Server::caller("raw")
    }
}

fn in_namespace(namespace: &str) -> v1::Hello {
    v1::Hello {
        namespace: namespace.to_owned(),
        ..hello(1)
    }
}

/// Why a hello is refused, over a stream and by a call.
async fn refused(server: &Server, caller: &Caller, namespace: &str) -> String {
    let (stream, answer) = server.greet(caller.clone(), in_namespace(namespace)).await;
    let Told::Goodbye(goodbye) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(goodbye.reason(), v1::GoodbyeReason::Refused);
    stream.end().await;
    let request = v1::RegisterRequest {
        hello: Some(in_namespace(namespace)),
    };
    let called = server.drivers.register(by(caller, request)).await;
    assert_eq!(called.expect_err("refused").message(), goodbye.message);
    goodbye.message
}

/// A driver's stream that is welcome in a namespace.
async fn welcome(server: &Server, caller: Caller, namespace: &str) -> Stream {
    let (stream, answer) = server.greet(caller, in_namespace(namespace)).await;
    assert!(matches!(answer, Told::Welcome(_)), "{answer:?}");
    stream
}

#[tokio::test]
async fn a_driver_is_published_in_all_namespaces_by_an_administrator_alone() {
    let server = Server::open().await;
    server.namespace("team-a").await;
    for caller in [
        of(Scope::Driver, None),
        of(Scope::Driver, Some("team-a")),
        of(Scope::Admin, Some("team-a")),
    ] {
        let why = refused(&server, &caller, "*").await;
        assert!(why.contains("`*`") && why.contains("`admin`"), "{why}");
    }
    assert!(server.node.sessions().is_empty());
    welcome(&server, of(Scope::Admin, None), "*").await;
    server.end().await;
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_namespace_publishes_in_no_other() {
    let server = Server::open().await;
    for name in ["team-a", "team-b"] {
        server.namespace(name).await;
    }
    for scope in [Scope::Driver, Scope::Admin] {
        for other in ["team-b", "default"] {
            let why = refused(&server, &of(scope, Some("team-a")), other).await;
            assert!(why.contains("`team-a`") && why.contains(other), "{why}");
        }
    }
    assert!(server.node.sessions().is_empty());
    for own in ["", "team-a"] {
        welcome(&server, of(Scope::Driver, Some("team-a")), own).await;
    }
    let sessions = server.node.sessions();
    assert!(!sessions.is_empty());
    for session in sessions {
        assert_eq!(session.stored.scope, "team-a");
    }
    server.end().await;
}

#[tokio::test]
async fn a_driver_of_one_namespace_gets_no_task_of_another() {
    for (own, other) in [("team-a", "default"), ("default", "team-a")] {
        let server = Server::open().await;
        server.namespace("team-a").await;
        // That of the other namespace is first in the queue.
        let foreign = server.run(other, ONE).await;
        let mut stream = welcome(&server, of(Scope::Driver, None), own).await;
        for _ in 0..2 {
            stream.credits(1);
            let run = server.run(own, ONE).await;
            let task = stream.task().await;
            assert_eq!(task.namespace, own);
            assert_eq!(task.id.expect("told").run, run);
            let status = stream.report(&task.token, succeeded("{}")).await;
            assert_eq!(status, v1::ReportStatus::Accepted);
        }
        // The run waits for somebody who offers the driver there, though a place of this one is free.
        stream.credits(1);
        let instance = server.instance(&foreign, "a").await;
        let waiting = &instance.waiting_for[0].what;
        assert!(matches!(waiting, Some(What::Driver(_))), "{waiting:?}");
        stream.tell(Tell::Leaving(v1::Leaving::default()));
        let rest = stream.end().await;
        let task = rest.iter().find(|told| matches!(told, Told::Task(_)));
        assert!(task.is_none(), "{task:?}");
        server.end().await;
    }
}

#[tokio::test]
async fn a_driver_of_all_namespaces_gets_the_tasks_of_each() {
    let server = Server::open().await;
    server.namespace("team-a").await;
    let runs = [
        server.run("team-a", ONE).await,
        server.run("default", ONE).await,
    ];
    let mut stream = welcome(&server, of(Scope::Admin, None), "*").await;
    let mut got = BTreeSet::new();
    for _ in &runs {
        stream.credits(1);
        let task = stream.task().await;
        let status = stream.report(&task.token, succeeded("{}")).await;
        assert_eq!(status, v1::ReportStatus::Accepted);
        got.insert(task.id.expect("told").run);
    }
    assert_eq!(got, runs.into());
    server.end().await;
}
