//! One task of a driver in the engine's own process.

use crate::bounds;
use crate::detach::{Detach, Handover};
use crate::failure::Kind;
use crate::log::{Line, Log, Stream};
use crate::sink::{Later, NotKept, Sink};
use crate::{Driver, Failure, Resource, Task};
use conveyor_node::driver as node;
use conveyor_proto::v1;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A driver as the engine's own process has it: without a session, a network or copies.
#[must_use]
pub fn in_process(driver: Driver) -> Arc<dyn node::Driver> {
    Arc::new(InProcess(Arc::new(driver)))
}

struct InProcess(Arc<Driver>);

impl node::Driver for InProcess {
    fn info(&self) -> node::DriverInfo {
        let actions = self.0.actions.iter().map(|(action, _)| node::ActionInfo {
            name: action.name.as_str().into(),
            inputs: action.inputs.clone(),
            outputs: action.outputs.clone(),
        });
        node::DriverInfo {
            name: self.0.name.as_str().into(),
            version: self.0.version.as_str().into(),
            actions: actions.collect(),
        }
    }

    fn run(
        &self,
        task: node::Task,
        context: node::Context,
    ) -> Pin<Box<dyn Future<Output = node::Outcome> + Send>> {
        let driver = Arc::clone(&self.0);
        Box::pin(async move {
            let cancelled = context.cancelled.clone();
            let sink: Arc<dyn Sink> = Arc::new(ContextSink(context));
            let left = task
                .deadline
                .0
                .saturating_sub(Line::new(Stream::Driver, "").time_ms);
            let secrets = task.secrets.iter();
            let secrets = secrets
                .map(|(name, value)| (name.to_string(), value.to_vec()))
                .collect();
            let task = Task {
                run: task.run.to_string(),
                namespace: task.namespace.to_string(),
                pipeline: task.pipeline.to_string(),
                step: task.step.to_string(),
                instance: task.instance,
                attempt: task.attempt,
                action: task.action.as_deref().unwrap_or_default().to_owned(),
                inputs: task.inputs,
                parameters: task.parameters,
                resource: task.resource.as_ref().map(resource),
                deadline: Instant::now() + Duration::from_millis(left),
                grace: Duration::from_millis(task.grace.0),
                checkpoint: task.checkpoint.map(|data| data.to_vec()),
                labels: task.labels,
                traceparent: task.traceparent,
                log: Log::new(Arc::clone(&sink), &secrets),
                secrets,
                sink,
                cancelled,
            };
            match driver.perform(task).await {
                Ok(outputs) => node::Outcome::Succeeded(outputs),
                Err(failure) => {
                    let limits = bounds::known(v1::Limits::default());
                    outcome(&bounds::failed(failure, &limits))
                }
            }
        })
    }
}

fn resource(json: &serde_json::Value) -> Resource {
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    Resource {
        definition: text("definition"),
        name: text("name"),
        version: json["version"].as_u64().unwrap_or_default(),
        spec: json["spec"].clone(),
    }
}

fn outcome(failure: &Failure) -> node::Outcome {
    use conveyor_node::driver::failure as node_failure;
    let (kind, outputs) = (failure.kind, failure.outputs.as_deref().cloned());
    let told = || {
        node_failure(
            &failure.code,
            &failure.message,
            failure.details.as_ref(),
            failure.retryable,
            failure.retry_after.map(|delay| delay.as_millis() as u64),
        )
    };
    match kind {
        Kind::Cancelled => node::Outcome::Cancelled,
        Kind::Errored => node::Outcome::Errored(told()),
        Kind::Failed => node::Outcome::Failed(told(), outputs),
    }
}

#[derive(Debug)]
struct ContextSink(node::Context);

fn node_line(line: Line) -> node::LogLine {
    node::LogLine {
        time: node::time(line.time_ms),
        stream: match line.stream {
            Stream::Driver => node::LogStream::Log,
            Stream::Stdout => node::LogStream::Stdout,
            Stream::Stderr => node::LogStream::Stderr,
        },
        text: line.text.into(),
        goes_on: line.goes_on,
    }
}

impl Sink for ContextSink {
    fn line(&self, line: Line) -> bool {
        self.0.logs.try_send(node_line(line)).is_ok()
    }

    fn line_when_room(&self, line: Line) -> Later<()> {
        let logs = self.0.logs.clone();
        Box::pin(async move { logs.send(node_line(line)).await })
    }

    fn progress(&self, permille: Option<u32>, message: String) {
        self.0.progress.tell(permille, &message);
    }

    fn checkpoint(&self, data: Vec<u8>) -> Later<Result<(), NotKept>> {
        let checkpoints = self.0.checkpoints.clone();
        Box::pin(async move {
            let saved = checkpoints.save(data).await;
            saved.map_err(|error| NotKept(error.to_string()))
        })
    }

    fn detach(&self, _: Detach) -> Later<Result<Handover, NotKept>> {
        let why = "a driver in the engine's own process cannot hand its tasks over: run it as a program of \
                   its own";
        Box::pin(std::future::ready(Err(NotKept(why.to_owned()))))
    }
}
