//! Lines of a task that has ended go on to its log, whatever is said of its claim meanwhile (R24, R32).

use super::*;
use conveyor_sdk::Stream;

/// How many lines the task says: more than the window has room for.
const LINES: u64 = 100;
/// What one takes of the window.
const LINE: u64 = 64 + 3;
/// So many lines may be on their way.
const AT_ONCE: u64 = 10;

fn driver(url: &str) -> Driver {
    let action = |task: Task| async move {
        for at in 0..LINES {
            task.log.line(Stream::Stdout, format!("{at:03}")).await;
        }
        Ok::<_, Failure>(())
    };
    Driver::new("d").action("run", action).options(|options| {
        options.url = Some(url.to_owned());
        options.token = Some(String::new());
    })
}

/// The welcome of a driver that may have few lines on their way.
async fn welcome_to_few(peer: &mut Peer) {
    peer.tell(Tell::Welcome(Welcome {
        log_window: AT_ONCE * LINE,
        ..welcome()
    }))
    .await;
}

/// Reads on until lines come up to this one.
async fn logged(peer: &mut Peer, next: u64) {
    peer.until(|said| match said {
        Said::Logs(batch) => {
            let end = batch.first_offset + batch.lines.len() as u64;
            assert!(end <= next, "{end} lines; {next} may be on their way");
            (end == next).then_some(())
        }
        _ => None,
    })
    .await;
}

/// A driver whose task has ended, while most of its lines wait for the window.
async fn ended(streams: &mut mpsc::UnboundedReceiver<Peer>) -> Peer {
    let peer = tokio::time::timeout(PATIENCE, streams.recv()).await;
    let mut peer = peer.expect("it connects").expect("it connects");
    assert!(matches!(peer.next().await, Said::Hello(_)));
    welcome_to_few(&mut peer).await;
    peer.tell(Tell::Task(task())).await;
    let result = peer.reported().await;
    assert_eq!(result.last_log_offset, Some(LINES - 1));
    peer
}

async fn report_is_kept(peer: &mut Peer) {
    peer.tell(Tell::Outcome(ReportOutcome {
        token: TOKEN.into(),
        status: ReportStatus::Accepted.into(),
        reason: String::new(),
    }))
    .await;
}

/// Has all lines, and room for no more than few of them at once.
async fn keep_all(peer: &mut Peer, mut kept: u64) {
    while kept < LINES {
        peer.tell(Tell::Acknowledgement(Acknowledgement {
            sequence: 0,
            stale_tokens: Vec::new(),
            logs: vec![LogAcknowledgement {
                token: TOKEN.into(),
                next_offset: kept,
                sealed: false,
            }],
            refused: Vec::new(),
        }))
        .await;
        let bytes = AT_ONCE * LINE;
        peer.tell(Tell::LogWindow(LogWindow { bytes })).await;
        kept += AT_ONCE;
        logged(peer, kept).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_crossed_the_reports_answer_costs_no_lines() {
    let (url, mut streams) = serve().await;
    tokio::spawn(driver(&url).run_until(Stop::new()));
    let mut peer = ended(&mut streams).await;
    report_is_kept(&mut peer).await;
    // The heartbeat named it, for its report was not answered; the claim is over by that report.
    peer.acknowledge(0, vec![TOKEN.into()]).await;
    keep_all(&mut peer, AT_ONCE).await;
}

#[tokio::test(start_paused = true)]
async fn lines_of_what_is_stale_twice_go_on_over_the_next_connection() {
    let (url, mut streams) = serve().await;
    tokio::spawn(driver(&url).run_until(Stop::new()));
    let peer = ended(&mut streams).await;
    // The report is kept, and its answer lost.
    drop(peer);
    let peer = tokio::time::timeout(PATIENCE, streams.recv()).await;
    let mut peer = peer.expect("it comes back").expect("it comes back");
    assert!(matches!(peer.next().await, Said::Resume(_)));
    welcome_to_few(&mut peer).await;
    // The answers to the heartbeats which it said before it heard of that.
    peer.acknowledge(0, vec![TOKEN.into()]).await;
    peer.acknowledge(0, vec![TOKEN.into()]).await;
    logged(&mut peer, AT_ONCE).await;
    keep_all(&mut peer, AT_ONCE).await;
}

#[tokio::test(start_paused = true)]
async fn lines_that_nobody_takes_are_given_up_once_the_log_is_sealed() {
    let (url, mut streams) = serve().await;
    let stop = Stop::new();
    let running = tokio::spawn(driver(&url).run_until(stop.clone()));
    let mut peer = ended(&mut streams).await;
    peer.acknowledge(0, vec![TOKEN.into()]).await;
    let sealed = Instant::now() + Duration::from_secs(300);
    while Instant::now() < sealed + SLACK {
        peer.meanwhile().await;
    }
    // Nothing is held any more: it does not wait for the time that it has to finish.
    stop.drain();
    let began = Instant::now();
    let ends = async {
        peer.until(|said| matches!(said, Said::Leaving(_)).then_some(()))
            .await;
        drop(peer);
        running.await.expect("it ends").expect("it ends well");
    };
    ends.await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}
