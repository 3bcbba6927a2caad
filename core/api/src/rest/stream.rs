//! Events and logs as server-sent events: each with its id, so that a reader that comes back goes on
//! where it was.

use super::Problem;
use super::request::{Read, Wants, read};
use super::route::{Answers, Route};
use super::texts::Texts;
use crate::json;
use crate::serve::Silence;
use axum::extract::{Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::{Asked, ControlHandlers};
use std::convert::Infallible;
use std::sync::Arc;
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

/// What is answered with a stream.
pub(crate) const STREAMS: &[Route] = &[
    Route {
        method: "get",
        path: "/v1/runs/{run}/events",
        request: "WatchRunEventsRequest",
        response: "WatchRunEventsResponse",
        wants: Wants::Nothing,
        implied: &[],
        answers: Answers::Events,
    },
    Route {
        method: "get",
        path: "/v1/runs/{run}/logs",
        request: "ReadLogsRequest",
        response: "ReadLogsResponse",
        wants: Wants::Nothing,
        implied: &[],
        answers: Answers::Events,
    },
    Route {
        method: "get",
        path: "/v1/events",
        request: "WatchEventsRequest",
        response: "WatchEventsResponse",
        wants: Wants::Nothing,
        implied: &[],
        answers: Answers::Events,
    },
];

pub(super) fn router(handlers: &Arc<ControlHandlers>) -> Router {
    Router::new()
        .route(STREAMS[0].path, get(events))
        .route(STREAMS[1].path, get(logs))
        .route(STREAMS[2].path, get(namespace_events))
        .layer(Extension(Texts::default()))
        .with_state(Arc::clone(handlers))
}

/// Events, and a comment where nothing happens for long, so that whoever is in between keeps the connection.
fn sse(
    Silence(longest): Silence,
    stream: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
) -> Response {
    // The first comment goes out at once, so that a reader knows that it is connected.
    let first = tokio_stream::once(Ok(Event::default().comment("connected")));
    let keep_alive = KeepAlive::new().interval(longest).text("still there");
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
fn broken(status: Status) -> Event {
    event("error", None, &Problem::from(status).to_json())
}

/// Where a reader that comes back goes on. Twice the same is said once.
///
/// `field` is that of the message which it stands for.
fn last_event_id(request: &Request, field: &str) -> Result<Option<String>, Problem> {
    let Some(id) = request.headers().get("last-event-id") else {
        return Ok(None);
    };
    let id = id.to_str().map_err(|_| {
        Problem::field(
            field,
            "`Last-Event-ID` is no id of an event: it has other characters than visible ASCII",
        )
    })?;
    Ok(Some(id.to_owned()).filter(|id| !id.is_empty()))
}

async fn read_one(request: Request, route: &Route) -> Result<Read, Problem> {
    let asked = Asked {
        method: route.method,
        path: route.path,
    };
    read(request, asked, route.request, route.wants, route.answers).await
}

async fn events(
    State(handlers): State<Arc<ControlHandlers>>,
    Extension(texts): Extension<Texts>,
    Extension(silence): Extension<Silence>,
    request: Request,
) -> Response {
    let opened = async {
        let last = last_event_id(&request, "/after")?;
        let mut read = read_one(request, &STREAMS[0]).await?;
        // Whoever asks for server-sent events wants what is to come.
        read.set("follow", true)?;
        let (_, extensions, mut message) =
            read.message::<v1::WatchRunEventsRequest>(STREAMS[0].request)?;
        if let Some(last) = last {
            message.after = last;
        }
        let mut request = tonic::Request::new(message);
        *request.extensions_mut() = extensions;
        Ok::<_, Problem>(handlers.watch_run_events(request).await?.into_inner())
    };
    match opened.await {
        Ok(stream) => sse(
            silence,
            stream.filter_map(move |item| {
                Some(Ok(match item {
                    Ok(item) => run_event(&texts, item)?,
                    Err(status) => broken(status),
                }))
            }),
        ),
        Err(problem) => problem.into_response(),
    }
}

fn run_event(texts: &Texts, item: v1::WatchRunEventsResponse) -> Option<Event> {
    use conveyor_proto::v1::watch_run_events_response::Item;
    Some(match item.item? {
        Item::Event(told) => Event::default()
            .event("event")
            .data(texts.of(&told))
            .id(told.id),
        Item::End(end) => event(
            "end",
            Some(end.last.clone()),
            &json::to_json("EventsEnd", &end),
        ),
    })
}

async fn namespace_events(
    State(handlers): State<Arc<ControlHandlers>>,
    Extension(silence): Extension<Silence>,
    request: Request,
) -> Response {
    let opened = async {
        let last = last_event_id(&request, "/cursor")?;
        let read = read_one(request, &STREAMS[2]).await?;
        let (_, extensions, mut message) =
            read.message::<v1::WatchEventsRequest>(STREAMS[2].request)?;
        if let Some(last) = last {
            message.cursor = last;
        }
        let mut request = tonic::Request::new(message);
        *request.extensions_mut() = extensions;
        Ok::<_, Problem>(handlers.watch_events(request).await?.into_inner())
    };
    match opened.await {
        Ok(stream) => sse(
            silence,
            stream.map(|item| {
                Ok(match item {
                    Ok(item) if item.item.is_some() => {
                        let data = json::to_json("WatchEventsResponse", &item);
                        event("event", Some(item.cursor), &data)
                    }
                    // Without data a reader sees nothing of it, and comes back there.
                    Ok(item) => Event::default().id(item.cursor),
                    Err(status) => broken(status),
                })
            }),
        ),
        Err(problem) => problem.into_response(),
    }
}

async fn logs(
    State(handlers): State<Arc<ControlHandlers>>,
    Extension(silence): Extension<Silence>,
    request: Request,
) -> Response {
    let opened = async {
        let last = last_event_id(&request, "/after")?;
        let mut read = read_one(request, &STREAMS[1]).await?;
        read.set("follow", true)?;
        let (_, extensions, mut message) =
            read.message::<v1::ReadLogsRequest>(STREAMS[1].request)?;
        if let Some(last) = last {
            message.after = last;
        }
        let mut request = tonic::Request::new(message);
        *request.extensions_mut() = extensions;
        Ok::<_, Problem>(handlers.read_logs(request).await?.into_inner())
    };
    match opened.await {
        Ok(stream) => {
            let stream = stream.map(|item| match item {
                Ok(item) => log_events(item),
                Err(status) => vec![broken(status)],
            });
            let each = futures_util::StreamExt::flat_map(stream, |events| {
                tokio_stream::iter(events.into_iter().map(Ok))
            });
            sse(silence, each)
        }
        Err(problem) => problem.into_response(),
    }
}

fn log_events(item: v1::ReadLogsResponse) -> Vec<Event> {
    use conveyor_proto::v1::read_logs_response::Item;
    match item.item {
        Some(Item::Records(records)) => {
            let line = |record: &v1::LogRecord| {
                // The cursor is that after the last line, and ends in the next offset.
                let before = records.cursor.rsplit_once(':');
                let id = before.map(|(before, _)| format!("{before}:{}", record.offset + 1));
                event("line", id, &json::to_json("LogRecord", record))
            };
            records.records.iter().map(line).collect()
        }
        Some(Item::LogEnd(end)) => vec![event(
            "log_end",
            Some(end.cursor.clone()),
            &json::to_json("LogEnd", &end),
        )],
        Some(Item::End(end)) => vec![event("end", None, &json::to_json("LogsEnd", &end))],
        None => Vec::new(),
    }
}
