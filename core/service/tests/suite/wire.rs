//! What tests of the contract on the wire do with a server and its streams, verb by verb.

use crate::get;
use crate::resources::metadata;
use crate::stream::{Server, Stream};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use conveyor_proto::v1::task_answer::Answer;
use conveyor_service::Caller;
use prost::bytes::Bytes;
use tonic::Request;

/// A result that succeeds with these outputs.
pub(crate) fn succeeded(outputs: impl Into<Bytes>) -> v1::Result {
    v1::Result {
        state: v1::AttemptState::Succeeded.into(),
        outputs: outputs.into(),
        ..v1::Result::default()
    }
}

/// A result that fails.
pub(crate) fn failed(retryable: Option<bool>, retry_after_ms: Option<u64>) -> v1::Result {
    v1::Result {
        state: v1::AttemptState::Failed.into(),
        failure: Some(v1::Failure {
            code: "no".to_owned(),
            retryable,
            retry_after_ms,
            ..v1::Failure::default()
        }),
        ..v1::Result::default()
    }
}

/// A request of a caller.
pub(crate) fn by<T>(caller: &Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller.clone());
    request
}

/// A request that starts a run in a namespace, of the pipeline whose `spec` is given.
pub(crate) fn within(namespace: &str, spec: &str) -> v1::StartRunRequest {
    let text = format!(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: p, namespace: {namespace}}}\nspec: {spec}\n"
    );
    let document = v1::Document {
        source: text.into_bytes().into(),
        file_name: "p.yaml".to_owned(),
    };
    v1::StartRunRequest {
        pipeline: Some(v1::start_run_request::Pipeline::Document(document)),
        ..v1::StartRunRequest::default()
    }
}

impl Server {
    /// Makes a namespace.
    pub(crate) async fn namespace(&self, name: &str) {
        let namespace = v1::Namespace {
            metadata: metadata(name),
        };
        let request = v1::CreateNamespaceRequest {
            namespace: Some(namespace),
            ..v1::CreateNamespaceRequest::default()
        };
        let made = self.control.create_namespace(Request::new(request)).await;
        made.expect("a namespace");
    }

    /// A run in a namespace, of the pipeline whose `spec` is given.
    pub(crate) async fn run(&self, namespace: &str, spec: &str) -> String {
        let request = within(namespace, spec);
        let started = self.control.start_run(Request::new(request)).await;
        started.expect("a run").into_inner().run.expect("told").id
    }

    /// A stream of a caller's that has said hello, and the answer.
    pub(crate) async fn greet(&self, caller: Caller, hello: v1::Hello) -> (Stream, Told) {
        let mut stream = self.stream_of(caller).await;
        stream.tell(Tell::Hello(hello));
        let answer = stream.next().await.expect("an answer");
        (stream, answer)
    }

    /// All of a run.
    pub(crate) async fn told(&self, run: &str) -> v1::GetRunResponse {
        let request = v1::GetRunRequest {
            run: run.to_owned(),
            ..v1::GetRunRequest::default()
        };
        get(&self.control, request).await.expect("a run")
    }

    /// The only instance of a step.
    pub(crate) async fn instance(&self, run: &str, step: &str) -> v1::StepInstance {
        let steps = self.told(run).await.steps;
        let step = steps.into_iter().find(|told| told.id == step);
        step.expect("the step").instances.remove(0)
    }
}

impl Stream {
    /// Asks for so many tasks.
    pub(crate) fn credits(&mut self, count: u32) {
        let queue = String::new();
        self.tell(Tell::Credits(v1::Credits { count, queue }));
    }

    /// The next task, which is accepted.
    pub(crate) async fn task(&mut self) -> v1::Task {
        loop {
            match self.next().await.expect("a task comes") {
                Told::Task(task) => {
                    self.answer(&task.token, Answer::Accepted(v1::Accepted {}));
                    return task;
                }
                Told::Goodbye(goodbye) => panic!("{goodbye:?}"),
                _ => {}
            }
        }
    }

    /// Gives the message's number.
    pub(crate) fn answer(&mut self, token: &Bytes, answer: Answer) -> u64 {
        self.tell_as(Tell::Answer(v1::TaskAnswer {
            token: token.clone(),
            answer: Some(answer),
        }))
    }

    /// Reports, and gives the engine's answer. Tasks that come meanwhile are not looked at.
    pub(crate) async fn report(&mut self, token: &Bytes, result: v1::Result) -> v1::ReportStatus {
        self.tell(Tell::Report(v1::TaskReport {
            token: token.clone(),
            result: Some(result),
        }));
        loop {
            match self.next().await.expect("the report is answered") {
                Told::Outcome(outcome) if outcome.token == *token => return outcome.status(),
                Told::Goodbye(goodbye) => panic!("{goodbye:?}"),
                _ => {}
            }
        }
    }
}
