use crate::log::{Line, Log, Stream};
use std::fmt::Write as _;
use std::future::Future;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

tokio::task_local! {
    static CURRENT: Log;
}

/// Runs a task's work with its log at hand.
pub(crate) fn with_log<F: Future>(log: Log, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(log, work)
}

/// Sends `tracing` events of a task to the run's log: those that happen in its action, on its task.
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

impl<S: Subscriber> Layer<S> for TaskLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() > self.most {
            return;
        }
        // Outside of a task there is no log to write to.
        let _ = CURRENT.try_with(|log| {
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
        });
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
