//! An engine that does what a test says: the other end of the driver's streams.

use conveyor_conformance_raw::breaks::Breaks;
use conveyor_conformance_raw::session::Session;
use conveyor_conformance_raw::v1::Launch;
use conveyor_proto::v1::driver_service_server::{DriverService, DriverServiceServer};
use conveyor_proto::v1::session_request::Message as Said;
use conveyor_proto::v1::session_response::Message as Tell;
use conveyor_proto::v1::task_answer::Answer;
use conveyor_proto::v1::*;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// How long anything may take that has to come.
const PATIENCE: Duration = Duration::from_secs(10);

type Answers = ReceiverStream<std::result::Result<SessionResponse, Status>>;

/// Hands each stream to the test.
struct Fake(mpsc::UnboundedSender<Peer>);

/// The engine's end of a stream.
pub(crate) struct Peer {
    said: Streaming<SessionRequest>,
    answers: mpsc::Sender<std::result::Result<SessionResponse, Status>>,
    sequence: u64,
    /// Whether heartbeats are answered.
    pub(crate) hears: bool,
}

macro_rules! fake {
    ($($call:ident($request:ty) -> $response:ty;)*) => {
        #[tonic::async_trait]
        impl DriverService for Fake {
            type SessionStream = Answers;

            async fn session(
                &self,
                request: Request<Streaming<SessionRequest>>,
            ) -> std::result::Result<Response<Answers>, Status> {
                let (answers, receiver) = mpsc::channel(64);
                let peer = Peer { said: request.into_inner(), answers, sequence: 0, hears: true };
                let sent = self.0.send(peer);
                sent.map_err(|_| Status::unavailable("nobody is here"))?;
                Ok(Response::new(ReceiverStream::new(receiver)))
            }

            $(async fn $call(&self, _: Request<$request>) -> std::result::Result<Response<$response>, Status> {
                Err(Status::unimplemented("the driver has a stream"))
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

/// A driver and its engine.
pub(crate) struct Stage {
    pub(crate) streams: mpsc::UnboundedReceiver<Peer>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) driver: tokio::task::JoinHandle<std::result::Result<(), String>>,
    /// What user code may write to.
    pub(crate) dir: tempfile::TempDir,
}

impl Stage {
    /// Starts a driver with a switch, or none.
    pub(crate) async fn start(switch: &str, capacity: u32) -> Stage {
        let (peers, streams) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let server = tonic::transport::Server::builder()
            .add_service(DriverServiceServer::new(Fake(peers)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        let launch = Launch {
            url,
            transport: "stream".to_owned(),
            driver: "raw".to_owned(),
            version: "1.0.0".to_owned(),
            capacity,
            drain_ms: 1_000,
            ..Launch::default()
        };
        let (stop, stopped) = watch::channel(false);
        let breaks = Breaks::named(switch).expect("a switch");
        let programs = tokio::runtime::Handle::current();
        let driver = tokio::spawn(Session::new(launch, breaks, programs).run(stopped));
        let dir = tempfile::tempdir().expect("a directory");
        Stage {
            streams,
            stop,
            driver,
            dir,
        }
    }

    /// The next stream, and its first message.
    pub(crate) async fn stream(&mut self) -> (Peer, Said) {
        let peer = tokio::time::timeout(PATIENCE, self.streams.recv()).await;
        let mut peer = peer.expect("it connects").expect("it connects");
        let first = peer.next(PATIENCE).await.expect("it says who it is");
        (peer, first)
    }

    /// The next stream, welcomed.
    pub(crate) async fn welcomed(&mut self, change: impl FnOnce(&mut Welcome)) -> (Peer, Said) {
        let (mut peer, first) = self.stream().await;
        let mut welcome = Welcome {
            session: "s".to_owned(),
            resume_secret: b"secret".to_vec().into(),
            contract_version: 1,
            heartbeat_interval_ms: 200,
            log_window: 1 << 20,
            ..Welcome::default()
        };
        change(&mut welcome);
        peer.tell(Tell::Welcome(welcome)).await;
        (peer, first)
    }

    pub(crate) async fn peer(&mut self) -> Peer {
        self.welcomed(|_| {}).await.0
    }

    /// The lines of the file that user code wrote.
    pub(crate) fn written(&self) -> usize {
        let text = std::fs::read_to_string(self.dir.path().join("file")).unwrap_or_default();
        text.lines().count()
    }
}

impl Peer {
    pub(crate) async fn tell(&mut self, message: Tell) {
        self.sequence += 1;
        let response = SessionResponse {
            sequence: self.sequence,
            message: Some(message),
        };
        self.answers.send(Ok(response)).await.expect("it is read");
    }

    pub(crate) async fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        self.tell(Tell::Acknowledgement(acknowledgement)).await;
    }

    /// What comes next within the time. Heartbeats are answered, and no more than that.
    pub(crate) async fn numbered(&mut self, within: Duration) -> Option<(u64, Said)> {
        let next = tokio::time::timeout(within, self.said.message())
            .await
            .ok()?;
        let next = next.ok().flatten()?;
        let message = next.message.expect("it says something");
        if self.hears && matches!(message, Said::Heartbeat(_)) {
            let sequence = next.sequence;
            // The driver may have gone meanwhile.
            let acknowledgement = Acknowledgement {
                sequence,
                ..Acknowledgement::default()
            };
            let message = Some(Tell::Acknowledgement(acknowledgement));
            self.sequence += 1;
            let response = SessionResponse {
                sequence: self.sequence,
                message,
            };
            drop(self.answers.send(Ok(response)).await);
        }
        Some((next.sequence, message))
    }

    pub(crate) async fn next(&mut self, within: Duration) -> Option<Said> {
        self.numbered(within).await.map(|(_, said)| said)
    }

    /// Reads on until a message of the kind comes, and gives its number.
    pub(crate) async fn until(&mut self, kind: &str) -> (u64, Said) {
        let by = Instant::now() + PATIENCE;
        loop {
            let left = by.saturating_duration_since(Instant::now());
            let (sequence, said) = self.numbered(left).await.expect(kind);
            if word(&said).split(':').next() == Some(kind) {
                return (sequence, said);
            }
        }
    }

    /// All that is said for so long, in words, but for heartbeats and credits.
    pub(crate) async fn words(&mut self, ms: u64) -> String {
        let by = Instant::now() + Duration::from_millis(ms);
        let mut words = Vec::new();
        loop {
            let left = by.saturating_duration_since(Instant::now());
            match self.next(left).await {
                None => return words.join(" "),
                Some(Said::Heartbeat(_) | Said::Credits(_)) => {}
                Some(said) => words.push(word(&said)),
            }
        }
    }

    /// How many heartbeats come within so long.
    pub(crate) async fn beats(&mut self, ms: u64) -> usize {
        let by = Instant::now() + Duration::from_millis(ms);
        let mut beats = 0;
        loop {
            let left = by.saturating_duration_since(Instant::now());
            match self.next(left).await {
                None => return beats,
                Some(Said::Heartbeat(_)) => beats += 1,
                Some(_) => {}
            }
        }
    }
}

/// A message as a word: its kind, and what tests look at.
pub(crate) fn word(said: &Said) -> String {
    match said {
        Said::Hello(hello) => format!("hello:{}", hello.adopts.len()),
        Said::Resume(resume) => format!("resume:{}:{}", resume.generation, resume.tokens.len()),
        Said::Credits(credits) => format!("credits:{}", credits.count),
        Said::Answer(answer) => match &answer.answer {
            Some(Answer::Accepted(_)) => "accepted".to_owned(),
            Some(Answer::Refused(_)) => "refused".to_owned(),
            Some(Answer::Detached(detached)) => format!("detached:{}", detached.principals.len()),
            None => "nothing".to_owned(),
        },
        Said::Heartbeat(beat) => format!("heartbeat:{}", beat.tasks.len()),
        Said::Logs(logs) => {
            let cut = logs.lines.iter().filter(|line| line.truncated).count();
            format!("logs:{}+{}/{cut}", logs.first_offset, logs.lines.len())
        }
        Said::Checkpoint(checkpoint) => format!("checkpoint:{}", checkpoint.data.len()),
        Said::Report(report) => {
            let result = report.result.clone().unwrap_or_default();
            let state = result
                .state()
                .as_str_name()
                .trim_start_matches("ATTEMPT_STATE_");
            let last = result
                .last_log_offset
                .map_or("-".to_owned(), |last| last.to_string());
            format!("report:{}:{last}", state.to_lowercase())
        }
        Said::Drain(_) => "drain".to_owned(),
        Said::Leaving(_) => "leaving".to_owned(),
    }
}
