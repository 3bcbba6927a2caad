//! A driver that says whatever a test wants, message by message.

use crate::site::PATIENCE;
use conveyor_proto::v1;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

/// One session over one stream.
pub(crate) struct Raw {
    incoming: Streaming<v1::SessionResponse>,
    outgoing: mpsc::UnboundedSender<v1::SessionRequest>,
    sequence: u64,
}

impl Raw {
    /// Connects as the driver `name` with the action `run`, and waits for its welcome.
    pub(crate) async fn connect(url: &str, name: &str, capacity: u32) -> Raw {
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("it is an address");
        let channel = endpoint.connect().await.expect("the server answers");
        let mut client = DriverServiceClient::new(channel).max_encoding_message_size(usize::MAX);
        let (outgoing, messages) = mpsc::unbounded_channel();
        let stream = UnboundedReceiverStream::new(messages);
        let hello = v1::Hello {
            driver: name.to_owned(),
            version: "1.0.0".to_owned(),
            contract_versions: vec![1],
            actions: vec![v1::Action {
                name: "run".to_owned(),
                ..v1::Action::default()
            }],
            capacity,
            ..v1::Hello::default()
        };
        let first = v1::SessionRequest {
            sequence: 1,
            message: Some(Tell::Hello(hello)),
        };
        outgoing.send(first).expect("the stream is there");
        let incoming = client.session(stream).await.expect("it may be a driver");
        let mut raw = Raw {
            incoming: incoming.into_inner(),
            outgoing,
            sequence: 1,
        };
        raw.until("a welcome", |told| match told {
            Told::Welcome(welcome) => Some(welcome),
            _ => None,
        })
        .await;
        raw
    }

    /// Sends a message; what became of the stream is seen where it is read.
    pub(crate) fn tell(&mut self, message: Tell) {
        self.sequence += 1;
        let request = v1::SessionRequest {
            sequence: self.sequence,
            message: Some(message),
        };
        let _ = self.outgoing.send(request);
    }

    pub(crate) fn credits(&mut self, count: u32) {
        let queue = String::new();
        self.tell(Tell::Credits(v1::Credits { count, queue }));
    }

    pub(crate) fn accept(&mut self, task: &v1::Task) {
        let answer = Some(v1::task_answer::Answer::Accepted(v1::Accepted {}));
        let token = task.token.clone();
        self.tell(Tell::Answer(v1::TaskAnswer { token, answer }));
    }

    pub(crate) fn succeed(&mut self, task: &v1::Task, outputs: &str) {
        let result = v1::Result {
            state: v1::AttemptState::Succeeded.into(),
            outputs: outputs.to_owned().into(),
            ..v1::Result::default()
        };
        let token = task.token.clone();
        let result = Some(result);
        self.tell(Tell::Report(v1::TaskReport { token, result }));
    }

    /// Reads until something comes that is wanted.
    pub(crate) async fn until<T>(&mut self, what: &str, wanted: impl Fn(Told) -> Option<T>) -> T {
        let read = async {
            loop {
                let told = self.incoming.message().await.expect("the stream is whole");
                let told = told.unwrap_or_else(|| panic!("it ended without {what}"));
                if let Some(found) = told.message.and_then(&wanted) {
                    return found;
                }
            }
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.unwrap_or_else(|_| panic!("no {what} came"))
    }

    pub(crate) async fn task(&mut self) -> v1::Task {
        self.until("a task", |told| match told {
            Told::Task(task) => Some(task),
            _ => None,
        })
        .await
    }

    pub(crate) async fn outcome(&mut self) -> v1::ReportStatus {
        self.until("an outcome", |told| match told {
            Told::Outcome(outcome) => Some(outcome.status()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn goodbye(&mut self) -> v1::Goodbye {
        self.until("a goodbye", |told| match told {
            Told::Goodbye(goodbye) => Some(goodbye),
            _ => None,
        })
        .await
    }

    /// The end of the stream, however it comes.
    pub(crate) async fn broken(&mut self) -> String {
        loop {
            match self.incoming.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return "closed".to_owned(),
                Err(status) => return status.message().to_owned(),
            }
        }
    }
}

/// Runs a test's conversation.
pub(crate) fn talk<T>(conversation: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(conversation)
}
