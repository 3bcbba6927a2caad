//! What ends a task before its user code does: cancels, and its time (R17, R33, R34, R36).

use super::*;

scenario!(
    a_cancel_of_a_claim_that_is_over,
    " 0",
    ["r33-reports-the-end", "r33-runs-on"],
    async |switch| {
        let program = json!([{"sleep": {"ms": 200}}, {"record": {"file": "FILE", "text": "x"}}]);
        let (stage, mut peer) = given(switch, program).await;
        peer.until("accepted").await;
        cancel(&mut peer, "a", 0).await;
        format!("{} {}", peer.words(500).await, stage.written())
    }
);

scenario!(
    a_cancel_that_is_not_heeded,
    "report:cancelled:-",
    ["r34-never-cuts-off"],
    async |switch| {
        let program = json!([{"ignore_cancel": {}}, {"sleep": {"ms": 60_000}}]);
        let (_stage, mut peer) = given(switch, program).await;
        peer.until("accepted").await;
        cancel(&mut peer, "a", 500).await;
        peer.words(500).await
    }
);

scenario!(
    a_cancel_that_is_heeded,
    "report:succeeded:-",
    ["r34-tells-late"],
    async |switch| {
        let (_stage, mut peer) = given(switch, json!([{"await_cancel": {}}, {"return": {}}])).await;
        peer.until("accepted").await;
        cancel(&mut peer, "a", 2_000).await;
        peer.words(400).await
    }
);

scenario!(
    cancels_that_mean_nothing,
    "",
    ["r36-unknown-token-cancels", "r36-repeat-cuts-off"],
    async |switch| {
        let program = match switch {
            "r36-unknown-token-cancels" => json!([{"sleep": {"ms": 60_000}}]),
            _ => json!([{"ignore_cancel": {}}, {"sleep": {"ms": 60_000}}]),
        };
        let (_stage, mut peer) = given(switch, program).await;
        peer.until("accepted").await;
        match switch {
            "r36-unknown-token-cancels" => cancel(&mut peer, "other", 60_000).await,
            _ => {
                cancel(&mut peer, "a", 60_000).await;
                cancel(&mut peer, "a", 60_000).await;
            }
        }
        peer.words(300).await
    }
);

scenario!(
    a_time_that_is_over,
    "report:cancelled:-",
    ["r17-has-no-deadline", "r17-counts-by-the-wall-clock"],
    async |switch| {
        let mut stage = Stage::start(switch, 1).await;
        let mut peer = stage.peer().await;
        let mut short = task(&stage, "a", json!([{"sleep": {"ms": 60_000}}]));
        // The engine's clock is far ahead.
        (short.time_left_ms, short.deadline_ms) = (200, 9_000_000_000_000);
        peer.tell(Tell::Task(short)).await;
        peer.until("accepted").await;
        peer.words(500).await
    }
);
