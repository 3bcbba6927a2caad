//! How often a driver is heard, and the places of what it holds (R10, R20).

use super::*;

#[tokio::test(start_paused = true)]
async fn three_heartbeats_fit_into_the_shortest_lease() {
    let work = Work::new();
    let mut peer = work.connected().await;
    let lease = Duration::from_secs(3);
    peer.tell(Tell::Task(conveyor_proto::v1::Task {
        heartbeat_timeout_ms: lease.as_millis() as u64,
        ..task()
    }))
    .await;
    peer.accepted().await;
    let mut last = Instant::now();
    for _ in 0..10 {
        let tasks = peer
            .until(|said| match said {
                Said::Heartbeat(beat) => Some(beat.tasks),
                _ => None,
            })
            .await;
        let silent = last.elapsed();
        assert!(
            silent <= lease / 3 + Duration::from_millis(50),
            "{silent:?}"
        );
        last = Instant::now();
        // The first may have left before the task came.
        assert!(tasks.iter().all(|task| task.token == TOKEN));
    }
    // It still runs: its engine was heard.
    assert_eq!((work.begun(), *work.ended.borrow()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_place_of_a_task_that_is_over_by_the_welcome_is_given_once() {
    let (url, mut streams) = serve().await;
    let work = Work::new();
    tokio::spawn(work.driver(&url).run_until(Stop::new()));
    let mut peer = welcomed(&mut streams).await;
    peer.tell(Tell::Task(task())).await;
    peer.accepted().await;
    drop(peer);
    let peer = tokio::time::timeout(PATIENCE, streams.recv()).await;
    let mut peer = peer.expect("it comes back").expect("it comes back");
    assert!(matches!(peer.next().await, Said::Resume(_)));
    peer.tell(Tell::Welcome(Welcome {
        stale_tokens: vec![TOKEN.into()],
        ..welcome()
    }))
    .await;
    let credits = peer.meanwhile().await.into_iter().map(|said| match said {
        Said::Credits(credits) => credits.count,
        said => panic!("{said:?}"),
    });
    // As many as it has places (R10).
    assert_eq!(credits.sum::<u32>(), 16);
}

#[tokio::test(start_paused = true)]
async fn three_heartbeats_fit_into_the_shortest_lease_of_what_is_held_over_a_new_connection() {
    let (url, mut streams) = serve().await;
    let work = Work::new();
    tokio::spawn(work.driver(&url).run_until(Stop::new()));
    let mut peer = welcomed(&mut streams).await;
    let lease = Duration::from_secs(3);
    peer.tell(Tell::Task(conveyor_proto::v1::Task {
        heartbeat_timeout_ms: lease.as_millis() as u64,
        ..task()
    }))
    .await;
    peer.accepted().await;
    drop(peer);
    let peer = tokio::time::timeout(PATIENCE, streams.recv()).await;
    let mut peer = peer.expect("it comes back").expect("it comes back");
    let Said::Resume(resume) = peer.next().await else {
        panic!("it resumes");
    };
    assert_eq!(resume.tokens, [TOKEN]);
    // Whose interval is longer than the task may be unheard.
    peer.tell(Tell::Welcome(welcome())).await;
    let mut last = Instant::now();
    for _ in 0..5 {
        peer.until(|said| matches!(said, Said::Heartbeat(_)).then_some(()))
            .await;
        let silent = last.elapsed();
        let most = lease / 3 + Duration::from_millis(50);
        assert!(silent <= most, "{silent:?}");
        last = Instant::now();
    }
    assert_eq!((work.begun(), *work.ended.borrow()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn tasks_that_come_together_after_a_pause_are_all_taken() {
    let work = Work::new();
    let mut peer = work.connected().await;
    peer.acknowledge(10, Vec::new()).await;
    // Longer than the engine may be unheard for a short timeout, and no heartbeat is due yet.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for token in ["one", "two"] {
        let task = conveyor_proto::v1::Task {
            token: token.into(),
            heartbeat_timeout_ms: 1_000,
            ..task()
        };
        peer.tell(Tell::Task(task)).await;
    }
    for _ in 0..2 {
        let answer = peer
            .until(|said| match said {
                Said::Answer(answer) => answer.answer,
                _ => None,
            })
            .await;
        assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
    }
}
