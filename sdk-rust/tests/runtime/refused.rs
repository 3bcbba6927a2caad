//! What the engine does not take of a task that goes on (R63) is told to the action, which goes on.

use super::*;
use conveyor_sdk::Detach;

/// An engine that refuses the next message of the kind.
async fn refuse(peer: &mut Peer, kind: RefusedKind, reason: &str) {
    let it_comes_by = Instant::now() + PATIENCE;
    let sequence = loop {
        let said = tokio::time::timeout_at(it_comes_by, peer.said.message()).await;
        let said = said.expect("it comes in time").expect("it is whole");
        let said = said.expect("it goes on");
        match (&said.message, kind) {
            (Some(Said::Checkpoint(_)), RefusedKind::Checkpoint) => break said.sequence,
            (Some(Said::Answer(answer)), RefusedKind::Detached)
                if matches!(answer.answer, Some(Answer::Detached(_))) =>
            {
                break said.sequence;
            }
            _ => {}
        }
    };
    let refused = RefusedMessage {
        token: TOKEN.into(),
        kind: kind.into(),
        reason: reason.to_owned(),
        sequence,
        first_sequence: sequence,
    };
    peer.tell(Tell::Acknowledgement(Acknowledgement {
        sequence,
        refused: vec![refused],
        ..Acknowledgement::default()
    }))
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_action_is_told_what_was_refused_and_its_task_stays() {
    let (url, mut streams) = serve().await;
    let action = |task: Task| async move {
        let no = task
            .save_checkpoint("data")
            .await
            .expect_err("it is refused");
        assert!(no.to_string().contains("not this data"), "{no}");
        let elsewhere = Detach::within(Duration::from_secs(60));
        let no = task.detach(elsewhere).await.expect_err("it is refused");
        assert!(no.to_string().contains("not these principals"), "{no}");
        Ok(())
    };
    let driver = Driver::new("d").action("run", action).options(|options| {
        options.url = Some(url);
        options.token = Some(String::new());
    });
    tokio::spawn(driver.run_until(Stop::new()));
    let peer = tokio::time::timeout(PATIENCE, streams.recv()).await;
    let mut peer = peer.expect("it connects").expect("it connects");
    assert!(matches!(peer.next().await, Said::Hello(_)));
    peer.tell(Tell::Welcome(Welcome {
        session: "s".to_owned(),
        contract_version: 1,
        heartbeat_interval_ms: 5_000,
        log_window: 1 << 20,
        limits: Some(Limits {
            checkpoint_bytes: 1 << 20,
            ..Limits::default()
        }),
        ..Welcome::default()
    }))
    .await;
    peer.tell(Tell::Task(task())).await;
    peer.accepted().await;
    refuse(&mut peer, RefusedKind::Checkpoint, "not this data").await;
    refuse(&mut peer, RefusedKind::Detached, "not these principals").await;
    // It is the session's as before: its end is reported.
    let result = peer.reported().await;
    assert_eq!(result.state(), AttemptState::Succeeded, "{result:?}");
}
