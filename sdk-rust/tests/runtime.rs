//! The driver's runtime against a server that says what a test wants: over a socket, in time that goes by
//! where all wait.

#[path = "runtime/heartbeats.rs"]
mod heartbeats;
#[path = "runtime/logs.rs"]
mod logs;
#[path = "runtime/refused.rs"]
mod refused;
#[path = "runtime/silence.rs"]
mod silence;
#[path = "runtime/sizes.rs"]
mod sizes;

use conveyor_proto::v1::driver_service_server::{DriverService, DriverServiceServer};
use conveyor_proto::v1::session_request::Message as Said;
use conveyor_proto::v1::session_response::Message as Tell;
use conveyor_proto::v1::task_answer::Answer;
use conveyor_proto::v1::*;
use conveyor_sdk::{Driver, ErrorKind, Failure, Stop, Task};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// How long anything may take: longer is a hang.
const PATIENCE: Duration = Duration::from_secs(120);
/// How much later than it should something may be seen: the runtime looks ten times a second.
const SLACK: Duration = Duration::from_millis(500);

type Answers = ReceiverStream<std::result::Result<SessionResponse, Status>>;

/// A server that hands its streams to the test.
struct Fake(mpsc::UnboundedSender<Peer>);

/// One stream, as the server has it.
struct Peer {
    said: Streaming<SessionRequest>,
    answers: mpsc::Sender<std::result::Result<SessionResponse, Status>>,
    sequence: u64,
}

macro_rules! fake {
    ($($call:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl DriverService for Fake {
            type SessionStream = Answers;

            async fn session(
                &self,
                request: Request<Streaming<SessionRequest>>,
            ) -> std::result::Result<Response<Answers>, Status> {
                let (answers, receiver) = mpsc::channel(64);
                let said = request.into_inner();
                let peer = Peer { said, answers, sequence: 0 };
                let sent = self.0.send(peer);
                sent.map_err(|_| Status::unavailable("nobody is here"))?;
                Ok(Response::new(ReceiverStream::new(receiver)))
            }

            $(async fn $call(
                &self,
                _: Request<$request>,
            ) -> std::result::Result<Response<$response>, Status> {
                Err(Status::unimplemented("the runtime has a stream"))
            })*
        }
    };
}

fake! {
    register(RegisterRequest) -> RegisterResponse;
    poll(PollRequest) -> PollResponse;
    answer(AnswerRequest) -> AnswerResponse;
    heartbeat(HeartbeatRequest) -> HeartbeatResponse;
    save_checkpoint(SaveCheckpointRequest) -> SaveCheckpointResponse;
    report(ReportRequest) -> ReportResponse;
    append_logs(AppendLogsRequest) -> AppendLogsResponse;
    complete_task(CompleteTaskRequest) -> CompleteTaskResponse;
    extend_task(ExtendTaskRequest) -> ExtendTaskResponse;
    leave(LeaveRequest) -> LeaveResponse;
}

/// A server on a free port: its address, and the streams that come.
async fn serve() -> (String, mpsc::UnboundedReceiver<Peer>) {
    let (peers, streams) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let server = tonic::transport::Server::builder()
        .add_service(DriverServiceServer::new(Fake(peers)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    (url, streams)
}

impl Peer {
    async fn tell(&mut self, message: Tell) {
        self.sequence += 1;
        let response = SessionResponse {
            sequence: self.sequence,
            message: Some(message),
        };
        self.answers.send(Ok(response)).await.expect("it is read");
    }

    /// What the driver says next. Its heartbeats are answered.
    async fn next(&mut self) -> Said {
        let next = tokio::time::timeout(PATIENCE, self.said.message()).await;
        let next = next.expect("it comes in time").expect("it is whole");
        let next = next.expect("it goes on");
        if let Some(Said::Heartbeat(_)) = &next.message {
            self.acknowledge(next.sequence, Vec::new()).await;
        }
        next.message.expect("it says something")
    }

    async fn acknowledge(&mut self, sequence: u64, stale_tokens: Vec<prost::bytes::Bytes>) {
        self.tell(Tell::Acknowledgement(Acknowledgement {
            sequence,
            stale_tokens,
            logs: Vec::new(),
            refused: Vec::new(),
        }))
        .await;
    }

    /// Reads on until it is what is looked for.
    async fn until<T>(&mut self, mut is: impl FnMut(Said) -> Option<T>) -> T {
        loop {
            if let Some(found) = is(self.next().await) {
                return found;
            }
        }
    }

    async fn accepted(&mut self) {
        self.until(|said| match said {
            Said::Answer(answer) if answer.token == TOKEN => {
                assert!(matches!(answer.answer, Some(Answer::Accepted(_))));
                Some(())
            }
            _ => None,
        })
        .await;
    }

    async fn reported(&mut self) -> conveyor_proto::v1::Result {
        self.until(|said| match said {
            Said::Report(report) if report.token == TOKEN => report.result,
            _ => None,
        })
        .await
    }

    /// What the driver says until two heartbeats have come, which are left out.
    async fn meanwhile(&mut self) -> Vec<Said> {
        let (mut all, mut beats) = (Vec::new(), 0);
        while beats < 2 {
            match self.next().await {
                Said::Heartbeat(_) => beats += 1,
                said => all.push(said),
            }
        }
        all
    }
}

const TOKEN: &[u8] = b"token";
/// Bytes of lines that may be on their way.
const WINDOW: u64 = 1 << 20;

fn task() -> conveyor_proto::v1::Task {
    conveyor_proto::v1::Task {
        id: Some(AttemptId {
            run: "r".to_owned(),
            step: "s".to_owned(),
            instance: 0,
            attempt: 1,
        }),
        token: TOKEN.into(),
        time_left_ms: 3_600_000,
        grace_ms: 10_000,
        heartbeat_timeout_ms: 30_000,
        ..Default::default()
    }
}

/// Counts its tasks, and those that have ended by whatever; each waits until it is let go, or is told to
/// stop.
#[derive(Clone)]
struct Work {
    begun: Arc<AtomicU32>,
    ended: watch::Sender<u32>,
    gate: Arc<Semaphore>,
    /// Whether it goes on where it is told to stop.
    deaf: bool,
}

/// Counts when it is dropped: at the end of an action, or where it is aborted.
struct Ended(watch::Sender<u32>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.send_modify(|ended| *ended += 1);
    }
}

impl Work {
    fn new() -> Work {
        Work {
            begun: Arc::default(),
            ended: watch::channel(0).0,
            gate: Arc::new(Semaphore::new(0)),
            deaf: false,
        }
    }

    fn deaf() -> Work {
        Work {
            deaf: true,
            ..Work::new()
        }
    }

    fn driver(&self, url: &str) -> Driver {
        let work = self.clone();
        let action = move |task: Task| {
            let work = work.clone();
            async move {
                work.begun.fetch_add(1, Ordering::SeqCst);
                let _ended = Ended(work.ended.clone());
                tokio::select! {
                    passed = work.gate.acquire() => passed?.forget(),
                    _ = task.cancelled(), if !work.deaf => return Err(Failure::cancelled()),
                }
                Ok(())
            }
        };
        Driver::new("d").action("run", action).options(|options| {
            options.url = Some(url.to_owned());
            options.token = Some(String::new());
        })
    }

    /// A driver of a server, which said welcome.
    async fn connected(&self) -> Peer {
        connected(|url| self.driver(url), None).await
    }

    fn begun(&self) -> u32 {
        self.begun.load(Ordering::SeqCst)
    }
}

/// A driver of a server, which said welcome, and what it takes.
async fn connected(driver: impl FnOnce(&str) -> Driver, limits: Option<Limits>) -> Peer {
    let (url, mut streams) = serve().await;
    tokio::spawn(driver(&url).run_until(Stop::new()));
    welcomed_by(&mut streams, limits).await
}

/// The driver's next connection, which says hello and is told welcome.
async fn welcomed(streams: &mut mpsc::UnboundedReceiver<Peer>) -> Peer {
    welcomed_by(streams, None).await
}

async fn welcomed_by(streams: &mut mpsc::UnboundedReceiver<Peer>, limits: Option<Limits>) -> Peer {
    let peer = tokio::time::timeout(PATIENCE, streams.recv()).await;
    let mut peer = peer.expect("it connects").expect("it connects");
    let first = peer.next().await;
    assert!(matches!(first, Said::Hello(_)), "{first:?}");
    peer.tell(Tell::Welcome(Welcome {
        limits,
        ..welcome()
    }))
    .await;
    peer
}

fn welcome() -> Welcome {
    Welcome {
        session: "s".to_owned(),
        resume_secret: "secret".into(),
        contract_version: 1,
        heartbeat_interval_ms: 5_000,
        log_window: WINDOW,
        ..Welcome::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_comes_again_starts_once_and_is_reported_until_it_is_answered() {
    let work = Work::new();
    let mut peer = work.connected().await;
    peer.tell(Tell::Task(task())).await;
    peer.accepted().await;
    // While it runs: accepted again.
    peer.tell(Tell::Task(task())).await;
    peer.accepted().await;
    work.gate.add_permits(1);
    let result = peer.reported().await;
    assert_eq!(result.state(), AttemptState::Succeeded);
    // Once it has ended: reported again, each time that the task comes.
    peer.tell(Tell::Task(task())).await;
    assert_eq!(peer.reported().await, result);
    // And by itself, while nobody answers.
    let began = Instant::now();
    assert_eq!(peer.reported().await, result);
    let again = Duration::from_millis(conveyor_proto::contract::REPORT_AGAIN_MS);
    assert!(began.elapsed() <= again + SLACK, "{:?}", began.elapsed());
    peer.tell(Tell::Outcome(ReportOutcome {
        token: TOKEN.into(),
        status: ReportStatus::Accepted.into(),
        reason: String::new(),
    }))
    .await;
    peer.tell(Tell::Task(task())).await;
    let rest = peer.meanwhile().await;
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!((work.begun(), *work.ended.borrow()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_gets_no_connection_tries_again_ever_later_up_to_ten_seconds() {
    let work = Work::new();
    let (url, mut streams) = serve().await;
    tokio::spawn(work.driver(&url).run_until(Stop::new()));
    let mut last: Option<Instant> = None;
    let mut longest = BTreeSet::new();
    for failures in 0..12_u32 {
        let peer = tokio::time::timeout(PATIENCE, streams.recv()).await;
        // The stream is broken before its welcome.
        drop(peer.expect("it comes back").expect("it comes back"));
        let now = Instant::now();
        if let Some(last) = last.replace(now) {
            let pause = now - last;
            let most = Duration::from_millis(100 << failures).min(Duration::from_secs(10));
            // Of the pause, a random half.
            let right = most / 2..most + SLACK;
            assert!(right.contains(&pause), "{failures}: {pause:?} of {most:?}");
            if most == Duration::from_secs(10) {
                longest.insert(pause.as_millis());
            }
        }
    }
    // Five of the longest pauses: no two drivers come back in step.
    assert!(longest.len() > 1, "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_cannot_be_is_not_tried_again() {
    let work = Work::new();
    for url in ["junk", "ftp://127.0.0.1:7420"] {
        let run = work.driver(url).run_until(Stop::new());
        let ended = tokio::time::timeout(PATIENCE, run).await;
        let error = ended.expect("it ends").expect_err("it cannot be");
        assert_eq!(error.kind(), ErrorKind::Address);
        let told = error.to_string();
        assert!(told.contains(url) && told.contains("unix:PATH"), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_action_is_told_to_stop_once_its_time_is_over() {
    let work = Work::new();
    let mut peer = work.connected().await;
    let time_left = Duration::from_secs(7);
    peer.tell(Tell::Task(conveyor_proto::v1::Task {
        time_left_ms: time_left.as_millis() as u64,
        ..task()
    }))
    .await;
    peer.accepted().await;
    let began = Instant::now();
    // The server does not say so.
    let result = peer.reported().await;
    assert_eq!(result.state(), AttemptState::Cancelled);
    let took = began.elapsed();
    let right = time_left - SLACK..time_left + SLACK;
    assert!(right.contains(&took), "{took:?}");
    assert_eq!((work.begun(), *work.ended.borrow()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_action_that_goes_on_when_it_is_told_to_stop_is_cut_off_within_its_grace() {
    let work = Work::deaf();
    let mut peer = work.connected().await;
    peer.tell(Tell::Task(task())).await;
    peer.accepted().await;
    let grace = Duration::from_secs(20);
    let began = Instant::now();
    peer.tell(Tell::Cancel(Cancel {
        token: TOKEN.into(),
        reason: "asked to".to_owned(),
        grace_ms: grace.as_millis() as u64,
    }))
    .await;
    let result = peer.reported().await;
    let took = began.elapsed();
    assert_eq!(result.state(), AttemptState::Cancelled);
    // It had most of its grace, and the rest is for this report.
    assert!((grace.mul_f64(0.8)..grace).contains(&took), "{took:?}");
    assert_eq!((work.begun(), *work.ended.borrow()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_token_is_stale_stops_and_nothing_more_is_told_of_it() {
    let work = Work::new();
    let mut peer = work.connected().await;
    peer.tell(Tell::Task(task())).await;
    peer.accepted().await;
    let mut ended = work.ended.subscribe();
    peer.acknowledge(0, vec![TOKEN.into()]).await;
    // It is not asked to stop: it is cut off.
    let began = Instant::now();
    let stopped = tokio::time::timeout(PATIENCE, ended.wait_for(|ended| *ended == 1)).await;
    stopped.expect("it stops").expect("it is counted");
    assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
    for said in peer.meanwhile().await {
        // Its place is free again.
        assert!(matches!(said, Said::Credits(_)), "{said:?}");
    }
    assert_eq!(work.begun(), 1);
}
