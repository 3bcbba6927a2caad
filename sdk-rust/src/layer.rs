use crate::log::{Line, Log, Stream};
use std::fmt::Write as _;
use std::future::Future;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Instrument as _, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

tokio::task_local! {
    static CURRENT: Log;
}

/// Runs a task's work with its log at hand, in a span that carries the log to other tasks.
pub(crate) fn with_log<F: Future>(log: Log, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(log, async {
        // Made within the scope: that is how the span gets the log.
        let span = tracing::info_span!(parent: None, "task");
        work.instrument(span).await
    })
}

/// Sends `tracing` events of a task to the run's log: those that happen in its action, and in what it
/// spawns in a span of its own ([`tracing::Instrument::in_current_span`]) or in [`Log::scope`].
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// let registry = tracing_subscriber::registry().with(conveyor_sdk::TaskLayer::new());
/// # let _ = registry;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TaskLayer {
    most: Level,
}

impl TaskLayer {
    /// Events of the level `info` and above.
    #[must_use]
    pub fn new() -> TaskLayer {
        TaskLayer { most: Level::INFO }
    }

    /// Events of the level and above.
    #[must_use]
    pub fn level(most: Level) -> TaskLayer {
        TaskLayer { most }
    }
}

impl Default for TaskLayer {
    fn default() -> TaskLayer {
        TaskLayer::new()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TaskLayer {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Ok(log) = CURRENT.try_with(Log::clone)
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().insert(log);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() > self.most {
            return;
        }
        // Outside of a task there is no log to write to.
        if let Some(log) = CURRENT.try_with(Log::clone).ok().or_else(|| {
            let mut spans = context.event_scope(event)?;
            spans.find_map(|span| span.extensions().get::<Log>().cloned())
        }) {
            write(&log, event);
        }
    }
}

fn write(log: &Log, event: &Event<'_>) {
    let mut line = Text(String::new());
    match *event.metadata().level() {
        Level::ERROR => line.0.push_str("error: "),
        Level::WARN => line.0.push_str("warning: "),
        _ => {}
    }
    event.record(&mut line);
    for text in line.0.lines() {
        log.now(Line::new(Stream::Driver, text));
    }
}

/// The message, and other fields after it.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestTask;
    use crate::{Driver, Failure, Task};
    use serde_json::{Value, json};
    use tracing_subscriber::prelude::*;

    async fn work(task: Task) -> Result<Value, Failure> {
        tracing::info!(n = 1, "in the action");
        let spawned = async { tracing::warn!("in a span of it") };
        tokio::spawn(spawned.in_current_span()).await?;
        let scoped = async { tracing::info!("in its scope") };
        tokio::spawn(task.log.scope(scoped)).await?;
        tokio::spawn(async { tracing::info!("on its own") }).await?;
        tracing::debug!("too much");
        Ok(json!({}))
    }

    #[tokio::test]
    async fn events_of_a_task_and_of_what_it_spawns_are_lines_of_its_log() {
        let subscriber = tracing_subscriber::registry().with(TaskLayer::new());
        let _guard = tracing::subscriber::set_default(subscriber);
        let driver = Driver::new("d").action("work", work);
        let run = TestTask::new("work").run(&driver).await;
        run.result.expect("a success");
        let expected = [
            "in the action n=1",
            "warning: in a span of it",
            "in its scope",
        ];
        assert_eq!(run.lines, expected);
    }
}
