//! Events and logs as server-sent events: each with its id, so that a reader that comes back goes on
//! where it was.

use super::Problem;
use super::request::{Wants, read};
use crate::json;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::ControlHandlers;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

/// How often a comment is sent where nothing happens, so that whoever is in between keeps the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(super) fn router(handlers: &Arc<ControlHandlers>) -> Router {
    Router::new()
        .route("/v1/runs/{run}/events", get(events))
        .route("/v1/runs/{run}/logs", get(logs))
        .with_state(Arc::clone(handlers))
}

fn sse(stream: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    // The first comment goes out at once, so that a reader knows that it is connected.
    let first = tokio_stream::once(Ok(Event::default().comment("connected")));
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("still there");
    Sse::new(first.chain(stream))
        .keep_alive(keep_alive)
        .into_response()
}

fn event(kind: &str, id: Option<String>, data: &serde_json::Value) -> Event {
    let event = Event::default().event(kind).data(data.to_string());
    match id {
        Some(id) => event.id(id),
        None => event,
    }
}

/// A stream that breaks says why, as an event of its own.
fn broken(status: &Status) -> Event {
    let data = serde_json::json!({ "detail": status.message() });
    event("error", None, &data)
}

fn last_event_id(request: &Request) -> Option<String> {
    let id = request.headers().get("last-event-id")?;
    Some(id.to_str().ok()?.to_owned()).filter(|id| !id.is_empty())
}

async fn events(State(handlers): State<Arc<ControlHandlers>>, request: Request) -> Response {
    let last = last_event_id(&request);
    let opened = async {
        let read = read(request, "WatchRunEventsRequest", Wants::Nothing).await?;
        let (_, mut message) =
            read.message::<v1::WatchRunEventsRequest>("WatchRunEventsRequest")?;
        // Whoever asks for server-sent events wants what is to come.
        message.follow = true;
        if let Some(last) = last {
            message.after = last;
        }
        let answer = handlers
            .watch_run_events(tonic::Request::new(message))
            .await?;
        Ok::<_, Problem>(answer.into_inner())
    };
    match opened.await {
        Ok(stream) => sse(stream.filter_map(|item| {
            Some(Ok(match item {
                Ok(item) => run_event(item)?,
                Err(status) => broken(&status),
            }))
        })),
        Err(problem) => problem.into_response(),
    }
}

fn run_event(item: v1::WatchRunEventsResponse) -> Option<Event> {
    use conveyor_proto::v1::watch_run_events_response::Item;
    Some(match item.item? {
        Item::Event(told) => event(
            "event",
            Some(told.id.clone()),
            &json::to_json("Event", &told),
        ),
        Item::End(end) => event(
            "end",
            Some(end.last.clone()),
            &json::to_json("EventsEnd", &end),
        ),
    })
}

async fn logs(State(handlers): State<Arc<ControlHandlers>>, request: Request) -> Response {
    let last = last_event_id(&request);
    let opened = async {
        let read = read(request, "ReadLogsRequest", Wants::Nothing).await?;
        let (_, mut message) = read.message::<v1::ReadLogsRequest>("ReadLogsRequest")?;
        message.follow = true;
        let one = message.attempt.is_some();
        if let Some(last) = last {
            let offset = last.parse::<u64>().ok().filter(|_| one);
            let offset = offset.ok_or_else(|| {
                Problem::request(format!(
                    "`Last-Event-ID` is {last:?}; the lines of one attempt (`step`, `instance`, `attempt`) \
                     have ids, which are their offsets"
                ))
            })?;
            message.from_offset = offset + 1;
        }
        let answer = handlers.read_logs(tonic::Request::new(message)).await?;
        Ok::<_, Problem>((answer.into_inner(), one))
    };
    match opened.await {
        Ok((stream, one)) => {
            let stream = stream.map(move |item| match item {
                Ok(item) => log_events(item, one),
                Err(status) => vec![broken(&status)],
            });
            let each = futures_util::StreamExt::flat_map(stream, |events| {
                tokio_stream::iter(events.into_iter().map(Ok))
            });
            sse(each)
        }
        Err(problem) => problem.into_response(),
    }
}

fn log_events(item: v1::ReadLogsResponse, one: bool) -> Vec<Event> {
    use conveyor_proto::v1::read_logs_response::Item;
    match item.item {
        Some(Item::Records(records)) => {
            let line = |record: &v1::LogRecord| {
                let id = one.then(|| record.offset.to_string());
                event("line", id, &json::to_json("LogRecord", record))
            };
            records.records.iter().map(line).collect()
        }
        Some(Item::LogEnd(end)) => vec![event("log_end", None, &json::to_json("LogEnd", &end))],
        Some(Item::End(end)) => vec![event("end", None, &json::to_json("LogsEnd", &end))],
        None => Vec::new(),
    }
}
