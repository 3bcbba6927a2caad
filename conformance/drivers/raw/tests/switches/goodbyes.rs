//! Goodbyes and drains: what a driver does on each (R74, R76).

use super::*;

/// What the driver does on a goodbye, while it holds a task: its next first message, or its end.
async fn goodbye(switch: &str, reason: i32, drains: bool) -> String {
    let mut stage = Stage::start(switch, 1).await;
    let mut peer = stage.peer().await;
    give(&stage, &mut peer, "a", json!([{"sleep": {"ms": 60_000}}])).await;
    peer.until("accepted").await;
    if drains {
        peer.tell(Tell::Drain(Drain::default())).await;
    }
    peer.tell(Tell::Goodbye(Goodbye {
        reason,
        retry_after_ms: Some(300),
        ..Goodbye::default()
    }))
    .await;
    let said = std::time::Instant::now();
    let driver = &mut stage.driver;
    let came = tokio::select! {
        came = stage.streams.recv() => came,
        ended = driver => return format!("ends: {}", ended.expect("no panic").is_err()),
    };
    let at_once = if said.elapsed() < Duration::from_millis(290) {
        " at once"
    } else {
        ""
    };
    let first = came
        .expect("it comes back")
        .next(PATIENCE)
        .await
        .expect("it says who it is");
    format!("{}{at_once}", word(&first))
}

scenario!(
    moved,
    "resume:1:1",
    [
        "r74-moved-hello",
        "r74-moved-ends",
        "r74-comes-back-at-once"
    ],
    async |switch| goodbye(switch, GoodbyeReason::Moved.into(), false).await
);

scenario!(
    moved_behind_a_drain,
    "resume:1:1",
    ["r76-comes-back-as-another"],
    async |switch| goodbye(switch, GoodbyeReason::Moved.into(), true).await
);

scenario!(
    replaced,
    "hello:0",
    ["r74-replaced-runs-on"],
    async |switch| goodbye(switch, GoodbyeReason::Replaced.into(), false).await
);

scenario!(
    unknown_session,
    "hello:1",
    ["r74-unknown-session-drops"],
    async |switch| goodbye(switch, GoodbyeReason::UnknownSession.into(), false).await
);

scenario!(
    refused,
    "ends: true",
    ["r74-refused-comes-back"],
    async |switch| goodbye(switch, GoodbyeReason::Refused.into(), false).await
);

scenario!(
    version,
    "ends: true",
    ["r74-version-comes-back"],
    async |switch| goodbye(switch, GoodbyeReason::Version.into(), false).await
);

scenario!(limit, "resume:1:1", ["r74-limit-hello"], async |switch| {
    goodbye(switch, GoodbyeReason::Limit.into(), false).await
});

scenario!(
    a_reason_of_a_later_contract,
    "resume:1:1",
    ["r74-other-reason-ends"],
    async |switch| goodbye(switch, 99, false).await
);

scenario!(
    an_engine_that_drains,
    "",
    ["r76-stops-what-it-holds"],
    async |switch| {
        let (_stage, mut peer) = given(switch, json!([{"sleep": {"ms": 60_000}}])).await;
        peer.until("accepted").await;
        peer.tell(Tell::Drain(Drain::default())).await;
        peer.words(300).await
    }
);

scenario!(
    a_limit_that_is_named,
    "resume:1:1 nothing",
    ["r74-limit-says-it-again"],
    async |switch| {
        let (mut stage, mut peer) = given(
            switch,
            json!([{"checkpoint": {"text": "x"}}, {"sleep": {"ms": 60_000}}]),
        )
        .await;
        peer.until("checkpoint").await;
        let (reason, message) = (
            GoodbyeReason::Limit.into(),
            "over `checkpoint_bytes`".to_owned(),
        );
        peer.tell(Tell::Goodbye(Goodbye {
            reason,
            message,
            ..Goodbye::default()
        }))
        .await;
        let (mut peer, first) = stage.welcomed(|_| {}).await;
        let again = peer.words(300).await;
        format!(
            "{} {}",
            word(&first),
            if again.is_empty() { "nothing" } else { &again }
        )
    }
);
