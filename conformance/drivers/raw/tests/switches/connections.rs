//! Connections that break, and a driver that leaves (R41, R43, R47).

use super::*;

scenario!(
    a_new_connection,
    "resume:1:3 credits:2 checkpoint:1 logs:0+1/0 report:succeeded:-",
    [
        "r37-checkpoint-once",
        "r41-leaves-a-token-out",
        "r43-no-credits",
        "r43-no-report",
        "r43-no-lines",
        "r30-gap-after-reconnect",
        "r30-repeats-under-new-numbers",
        "r74-stream-end-hello",
    ],
    async |switch| {
        let mut stage = Stage::start(switch, 4).await;
        let mut peer = stage.peer().await;
        // An answered heartbeat would say that all before it is kept.
        peer.hears = false;
        give(
            &stage,
            &mut peer,
            "a",
            json!([{"checkpoint": {"text": "x"}}, {"sleep": {"ms": 60_000}}]),
        )
        .await;
        peer.until("checkpoint").await;
        give(
            &stage,
            &mut peer,
            "b",
            json!([{"log": {"text": "x"}}, {"sleep": {"ms": 60_000}}]),
        )
        .await;
        peer.until("logs").await;
        give(&stage, &mut peer, "c", json!([])).await;
        peer.until("report").await;
        drop(peer);
        let (mut peer, first) = stage.welcomed(|_| {}).await;
        let mut words = vec![word(&first)];
        while let Some(said) = peer.next(Duration::from_millis(150)).await {
            match said {
                Said::Heartbeat(_) if words.len() > 1 => break,
                Said::Heartbeat(_) => {}
                said => words.push(word(&said)),
            }
        }
        words.join(" ")
    }
);

scenario!(
    a_second_new_connection,
    "resume:2:0 1",
    [
        "r41-generation-stays",
        "r6-numbers-go-on",
        "r6-numbers-from-two"
    ],
    async |switch| {
        let mut stage = Stage::start(switch, 1).await;
        for _ in 0..2 {
            let mut peer = stage.peer().await;
            peer.until("credits").await;
        }
        let peer = tokio::time::timeout(PATIENCE, stage.streams.recv()).await;
        let mut peer = peer.expect("it comes back").expect("it comes back");
        let (sequence, first) = peer.numbered(PATIENCE).await.expect("it says who it is");
        format!("{} {sequence}", word(&first))
    }
);

scenario!(
    a_driver_that_is_told_to_stop,
    "drain leaving",
    ["r47-goes-in-silence", "r1-says-hello-again"],
    async |switch| {
        let mut stage = Stage::start(switch, 1).await;
        let mut peer = stage.peer().await;
        peer.until("credits").await;
        stage.stop.send_replace(true);
        peer.words(300).await
    }
);

scenario!(
    a_driver_that_is_told_to_stop_while_it_holds_a_task,
    "drain refused",
    ["r47-leaves-too-early", "r15-starts-when-stopping"],
    async |switch| {
        let mut stage = Stage::start(switch, 2).await;
        let mut peer = stage.peer().await;
        give(&stage, &mut peer, "a", json!([{"sleep": {"ms": 60_000}}])).await;
        peer.until("accepted").await;
        stage.stop.send_replace(true);
        let drain = word(&peer.until("drain").await.1);
        give(&stage, &mut peer, "b", json!([{"sleep": {"ms": 60_000}}])).await;
        format!("{drain} {}", peer.words(300).await)
    }
);
