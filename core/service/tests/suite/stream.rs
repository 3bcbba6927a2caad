//! A server without a socket, and streams to it: each message is framed, sent and read as gRPC does.
//! `fuzz/fuzz_targets/session.rs` uses it too.

use conveyor_node::{Config, Node, RunId};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use conveyor_proto::v1::driver_service_server::DriverServiceServer;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use conveyor_service::{About, Caller, ControlHandlers, DriverHandlers, Scope};
use conveyor_store::Memory;
use http_body_util::BodyExt as _;
use prost::Message as _;
use prost::bytes::{Buf as _, Bytes};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Streaming};
use tower::ServiceExt as _;

/// How long anything may take on a machine that is busy: longer is a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const DOCUMENT: &str = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: p}\n\
     spec: {steps: [{id: use, driver: raw}]}\n";

/// What a server says of itself.
pub(crate) fn about() -> About {
    About {
        role: "test".to_owned(),
        data_directory: String::new(),
        started_ms: 0,
        drivers: BTreeMap::new(),
        capacity: 0,
        step_environment: BTreeMap::new(),
        drivers_may_come: true,
    }
}

/// A node over a store in memory, with its handlers.
pub(crate) struct Server {
    pub(crate) node: Node,
    pub(crate) control: ControlHandlers,
    pub(crate) drivers: DriverHandlers,
}

impl Server {
    pub(crate) async fn open() -> Server {
        let runtime = tokio::runtime::Handle::current();
        Server::open_by(Config::new(Arc::new(Memory::new()), Vec::new(), runtime)).await
    }

    /// The same over a node of the test's own.
    pub(crate) async fn open_by(config: Config) -> Server {
        let node = Node::open(config).await.expect("a node");
        Server {
            control: ControlHandlers::new(node.clone(), about()),
            drivers: DriverHandlers::new(node.clone()),
            node,
        }
    }

    pub(crate) async fn end(self) {
        self.node.shutdown().await.expect("it ends");
    }

    /// A run of one step.
    pub(crate) async fn start(&self) -> RunId {
        let document = v1::Document {
            source: DOCUMENT.as_bytes().to_vec().into(),
            file_name: "p.yaml".to_owned(),
        };
        let request = v1::StartRunRequest {
            pipeline: Some(v1::start_run_request::Pipeline::Document(document)),
            ..v1::StartRunRequest::default()
        };
        let started = self.control.start_run(Request::new(request)).await;
        let run = started.expect("a run").into_inner().run.expect("told");
        RunId::parse(&run.id).expect("an id")
    }

    /// How many records a run has: whatever changes it adds one.
    pub(crate) async fn records(&self, run: RunId) -> u64 {
        let run = self.node.reader().load(run).await;
        run.expect("it folds").sequence()
    }

    /// A driver that is bound to no namespace.
    pub(crate) fn caller(principal: &str) -> Caller {
        Caller {
            principal: principal.into(),
            scope: Scope::Driver,
            namespace: None,
            standing: None,
        }
    }

    /// A stream of somebody's, before its first message.
    pub(crate) async fn stream(&self, principal: &str) -> Stream {
        self.stream_of(Server::caller(principal)).await
    }

    /// The same of a caller.
    pub(crate) async fn stream_of(&self, caller: Caller) -> Stream {
        let (outgoing, messages) = mpsc::unbounded_channel();
        let mut request = Request::new(UnboundedReceiverStream::new(messages));
        request.extensions_mut().insert(caller);
        let mut client = DriverServiceClient::new(DriverServiceServer::new(self.drivers.clone()));
        let answers = client.session(request).await.expect("it may be a driver");
        Stream {
            outgoing: Some(outgoing),
            answers: answers.into_inner(),
            sequence: 0,
            heard: 0,
        }
    }

    /// A session of somebody's with this many tasks.
    pub(crate) async fn session(
        &self,
        principal: &str,
        tasks: u32,
    ) -> (Stream, v1::Welcome, Vec<v1::Task>) {
        let mut stream = self.stream(principal).await;
        stream.tell(Tell::Hello(hello(tasks)));
        let Some(Told::Welcome(welcome)) = stream.next().await else {
            panic!("no welcome came");
        };
        let queue = String::new();
        stream.tell(Tell::Credits(v1::Credits {
            count: tasks,
            queue,
        }));
        let mut all = Vec::new();
        while (all.len() as u32) < tasks {
            match stream.next().await {
                Some(Told::Task(task)) => all.push(task),
                Some(_) => {}
                None => panic!("no task came"),
            }
        }
        (stream, welcome, all)
    }

    /// A stream of bytes that may be no frames. Gives what was answered.
    pub(crate) async fn bytes(&self, bytes: Bytes) -> Vec<v1::SessionResponse> {
        let body = http_body_util::Full::new(bytes);
        let mut request = http::Request::post("/conveyor.v1.DriverService/Session")
            .header("content-type", "application/grpc")
            .body(body)
            .expect("a request");
        request.extensions_mut().insert(Server::caller("raw"));
        let service = DriverServiceServer::new(self.drivers.clone());
        let answered = async {
            let response = service.oneshot(request).await.expect("it is answered");
            response.into_body().collect().await.expect("it ends")
        };
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        let mut answered = answered.expect("it ends in time").to_bytes();
        let mut all = Vec::new();
        while answered.has_remaining() {
            assert_eq!(answered.get_u8(), 0, "nothing is compressed");
            let len = answered.get_u32() as usize;
            all.push(v1::SessionResponse::decode(answered.split_to(len)).expect("an answer"));
        }
        all
    }
}

/// A driver with one action.
pub(crate) fn hello(capacity: u32) -> v1::Hello {
    v1::Hello {
        driver: "raw".to_owned(),
        version: "1.0.0".to_owned(),
        contract_versions: vec![1],
        capacity,
        actions: vec![v1::Action {
            name: "run".to_owned(),
            ..v1::Action::default()
        }],
        ..v1::Hello::default()
    }
}

/// One stream of a session.
pub(crate) struct Stream {
    outgoing: Option<mpsc::UnboundedSender<v1::SessionRequest>>,
    answers: Streaming<v1::SessionResponse>,
    sequence: u64,
    heard: u64,
}

impl Stream {
    pub(crate) fn tell(&mut self, message: Tell) {
        self.tell_as(message);
    }

    /// The same. Gives the message's number.
    pub(crate) fn tell_as(&mut self, message: Tell) -> u64 {
        self.sequence += 1;
        self.send(v1::SessionRequest {
            sequence: self.sequence,
            message: Some(message),
        });
        self.sequence
    }

    /// A message under whatever number. What became of the stream is seen where it is read.
    pub(crate) fn send(&mut self, request: v1::SessionRequest) {
        if let Some(outgoing) = &self.outgoing {
            let _ = outgoing.send(request);
        }
    }

    /// The next answer; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        let next = tokio::time::timeout(PATIENCE, self.answers.message()).await;
        let next = next
            .expect("an answer comes in time")
            .expect("the stream is whole")?;
        // R7: numbers without a gap, and a message that this contract knows.
        self.heard += 1;
        assert_eq!(next.sequence, self.heard);
        Some(next.message.expect("an answer says something"))
    }

    /// Says no more, and gives what was not read.
    pub(crate) async fn end(mut self) -> Vec<Told> {
        self.outgoing = None;
        let mut rest = Vec::new();
        while let Some(told) = self.next().await {
            rest.push(told);
        }
        rest
    }
}
