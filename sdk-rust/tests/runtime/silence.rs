//! An engine that is not heard: what a driver stops for it is given back, and is no end of an attempt (R22).

use super::*;

/// A driver whose task was stopped since nobody answered it.
async fn unheard() -> (Work, Peer) {
    let work = Work::new();
    let mut peer = work.connected().await;
    peer.tell(Tell::Task(task())).await;
    peer.accepted().await;
    let began = Instant::now();
    let mut ended = work.ended.subscribe();
    let stopped = tokio::time::timeout(PATIENCE, ended.wait_for(|ended| *ended == 1)).await;
    stopped.expect("it stops").expect("it is counted");
    // Two thirds of its heartbeat timeout.
    let took = began.elapsed();
    let right = Duration::from_secs(20)..Duration::from_secs(25);
    assert!(right.contains(&took), "{took:?}");
    (work, peer)
}

/// A task that is refused, and no result of one before that.
async fn refused(peer: &mut Peer) -> TaskAnswer {
    let answer = peer.until(|said| match said {
        Said::Answer(answer) => {
            assert!(
                matches!(answer.answer, Some(Answer::Refused(_))),
                "{answer:?}"
            );
            Some(answer)
        }
        Said::Report(report) => panic!("{report:?}"),
        _ => None,
    });
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    answer.expect("it is refused in time")
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_stopped_for_silence_is_refused_and_not_reported() {
    let (work, mut peer) = unheard().await;
    assert_eq!(refused(&mut peer).await.token, TOKEN);
    // It is named no more, and its place is free.
    peer.acknowledge(0, Vec::new()).await;
    for said in peer.meanwhile().await {
        assert!(!matches!(said, Said::Report(_)), "{said:?}");
        if let Said::Heartbeat(beat) = said {
            assert!(beat.tasks.is_empty(), "{beat:?}");
        }
    }
    assert_eq!(work.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_stopped_for_silence_is_refused_however_it_failed() {
    let action = |task: Task| async move {
        let _ = task.cancelled().await;
        Err::<(), _>(Failure::new("half_done", "it was interrupted"))
    };
    let driver = |url: &str| {
        Driver::new("d").action("run", action).options(|options| {
            options.url = Some(url.to_owned());
            options.token = Some(String::new());
        })
    };
    let mut peer = connected(driver, None).await;
    peer.tell(Tell::Task(task())).await;
    peer.accepted().await;
    // Nobody reads what it says, or answers, for longer than two thirds of its heartbeat timeout.
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(refused(&mut peer).await.token, TOKEN);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_stopped_before_the_welcome_of_a_resume_that_names_it_is_refused_after_it()
{
    let (url, mut streams) = serve().await;
    let work = Work::new();
    tokio::spawn(work.driver(&url).run_until(Stop::new()));
    let mut peer = welcomed(&mut streams).await;
    peer.tell(Tell::Task(task())).await;
    peer.accepted().await;
    drop(peer);
    let mut ended = work.ended.subscribe();
    let mut resumed = None;
    // The last of those who hear a resume, and say nothing, until the task is stopped.
    while *ended.borrow_and_update() == 0 {
        tokio::select! {
            peer = streams.recv() => {
                let mut peer = peer.expect("it connects");
                let Said::Resume(resume) = peer.next().await else {
                    panic!("it comes back");
                };
                resumed = Some((peer, resume.tokens));
            }
            stopped = ended.changed() => stopped.expect("it is counted"),
        }
    }
    let (mut peer, tokens) = resumed.expect("it came back");
    assert_eq!(tokens, [TOKEN]);
    peer.tell(Tell::Welcome(welcome())).await;
    assert_eq!(refused(&mut peer).await.token, TOKEN);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_stopped_while_the_engine_was_away_is_not_named_over_the_next_connection() {
    let (url, mut streams) = serve().await;
    let work = Work::new();
    tokio::spawn(work.driver(&url).run_until(Stop::new()));
    let mut peer = welcomed(&mut streams).await;
    peer.tell(Tell::Task(task())).await;
    peer.accepted().await;
    drop(peer);
    // Nobody says welcome until it has stopped.
    let mut ended = work.ended.subscribe();
    let stopped = tokio::time::timeout(PATIENCE, ended.wait_for(|ended| *ended == 1)).await;
    stopped.expect("it stops").expect("it is counted");
    // What it dialled meanwhile is no connection any more.
    while streams.try_recv().is_ok() {}
    let peer = tokio::time::timeout(PATIENCE, streams.recv()).await;
    let mut peer = peer.expect("it connects").expect("it connects");
    let Said::Resume(resume) = peer.next().await else {
        panic!("it comes back");
    };
    assert!(resume.tokens.is_empty(), "{resume:?}");
    peer.tell(Tell::Welcome(welcome())).await;
    for said in peer.meanwhile().await {
        assert!(
            !matches!(said, Said::Report(_) | Said::Answer(_)),
            "{said:?}"
        );
    }
}
