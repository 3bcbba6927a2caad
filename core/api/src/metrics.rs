//! `/metrics`: what the node counts, in the text format of Prometheus. docs/metrics.md has the table.

mod text;

use crate::rest::Problem;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use conveyor_engine::run::{AttemptState, RunState, StepState};
use conveyor_node::metrics::Figures;
use conveyor_service::ControlHandlers;
use conveyor_store::Stats;
use std::sync::Arc;
use std::time::Duration;
use text::Text;

/// How long the owner may take to say how it is: it is asked between two of its turns.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn router(handlers: &Arc<ControlHandlers>) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .with_state(Arc::clone(handlers))
}

async fn scrape(State(handlers): State<Arc<ControlHandlers>>) -> Response {
    let node = handlers.node();
    let figures = match tokio::time::timeout(PATIENCE, node.figures()).await {
        Ok(Ok(figures)) => figures,
        Ok(Err(error)) => return unavailable(error.to_string()),
        Err(_) => return unavailable("the owner of the runs did not answer in 5 s".to_owned()),
    };
    let store = Arc::clone(node.reader().store());
    let stats = tokio::task::spawn_blocking(move || store.stats()).await;
    // A store that cannot be read has no size; the other figures are told all the same.
    let stats = stats.ok().and_then(Result::ok);
    let text = render(&handlers, &figures, stats);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

fn unavailable(why: String) -> Response {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why).into_response()
}

fn render(handlers: &ControlHandlers, figures: &Figures, stats: Option<Stats>) -> String {
    let (metrics, mut text) = (handlers.node().metrics(), Text::default());
    text.gauge("conveyor_build_info", "The release that runs; always 1.");
    text.labelled("version", env!("CARGO_PKG_VERSION"), 1);
    text.gauge(
        "conveyor_start_time_seconds",
        "When the process began, in seconds since 1970.",
    );
    text.decimal(handlers.about().started_ms, 3);
    text.gauge("conveyor_ready", "Whether the store takes commits.");
    text.value(u64::from(handlers.not_ready().is_none()));

    text.gauge("conveyor_runs", "Runs that have not ended, by state.");
    for (state, count) in &figures.runs {
        text.labelled("state", state.as_str(), *count);
    }
    text.gauge("conveyor_runs_in_memory", "Runs that are in memory.");
    text.value(figures.runs_in_memory);
    text.counter("conveyor_runs_started_total", "Runs that were accepted.");
    text.value(metrics.runs_started.get());
    text.counter("conveyor_runs_ended_total", "Runs that ended, by state.");
    for state in all(RunState::from_code).filter(|state| state.is_terminal()) {
        text.labelled("state", state.as_str(), metrics.runs_ended(state).get());
    }
    text.counter(
        "conveyor_steps_ended_total",
        "Instances of steps that ended, by state.",
    );
    for state in all(StepState::from_code).filter(|state| state.is_terminal()) {
        text.labelled("state", state.as_str(), metrics.steps_ended(state).get());
    }
    text.counter(
        "conveyor_attempts_ended_total",
        "Attempts that ended, by state.",
    );
    for state in all(AttemptState::from_code) {
        text.labelled("state", state.as_str(), metrics.attempts_ended(state).get());
    }

    text.gauge(
        "conveyor_queue_depth",
        "Attempts that wait for a free place, by driver.",
    );
    for (driver, depth) in &figures.queues {
        text.labelled("driver", driver, *depth);
    }
    text.gauge(
        "conveyor_runs_without_driver",
        "Runs that wait for a driver which nobody offers.",
    );
    text.value(figures.runs_without_driver);
    text.gauge(
        "conveyor_sessions",
        "Sessions of drivers in other processes, by whether their connection is there.",
    );
    text.labelled("state", "connected", figures.sessions.0);
    text.labelled("state", "disconnected", figures.sessions.1);
    text.gauge("conveyor_tasks_claimed", "Tasks that drivers hold.");
    text.value(figures.claimed);

    text.seconds(
        "conveyor_step_schedule_to_start_seconds",
        "From an attempt's queueing to its durable claim.",
        &metrics.schedule_to_start,
    );
    text.seconds(
        "conveyor_step_to_step_seconds",
        "From a report to the durable claim of the run's next attempt.",
        &metrics.step_to_step,
    );
    text.bytes(
        "conveyor_commit_bytes",
        "Bytes of each commit of runs.",
        &metrics.commit_bytes,
    );
    text.seconds(
        "conveyor_commit_seconds",
        "How long each commit of runs took.",
        &metrics.commit_time,
    );
    text.counter(
        "conveyor_commits_failed_total",
        "Commits of runs that failed, or whose outcome was not known at first.",
    );
    text.value(metrics.commits_failed.get());
    text.counter("conveyor_log_lines_total", "Log lines that are durable.");
    text.value(metrics.log_lines.get());
    text.counter("conveyor_log_bytes_total", "Bytes of their texts.");
    text.value(metrics.log_bytes.get());
    text.seconds(
        "conveyor_log_commit_seconds",
        "How long each commit of log lines took.",
        &metrics.log_commit_time,
    );
    if let Some(stats) = stats {
        text.gauge("conveyor_store_bytes", "Bytes of the store on disk.");
        text.value(stats.bytes_on_disk);
        text.counter(
            "conveyor_store_recoveries_total",
            "How often the store opened itself anew after an I/O error.",
        );
        text.value(stats.recoveries);
    }
    text.finish()
}

/// All states of a kind.
fn all<S>(of: impl Fn(u8) -> Option<S>) -> impl Iterator<Item = S> {
    (0..=u8::MAX)
        .map_while(move |code| match of(code) {
            // 0 is none.
            None if code == 0 => Some(None),
            found => found.map(Some),
        })
        .flatten()
}
