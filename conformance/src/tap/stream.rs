//! Sessions over a stream: two pumps, and what goes down to the driver in one place.

use super::numbers::Numbers;
use super::{Taken, Tap, broken, onward};
use crate::interfere::{Fate, Way, merge};
use crate::wire::{By, From, Said, answered, request_of, told};
use conveyor_api::Shown;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use futures_util::StreamExt as _;
use serde_json::Value as Json;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};

pub(super) type Answers =
    Pin<Box<dyn futures_util::Stream<Item = Result<v1::SessionResponse, Status>> + Send>>;

/// How long what was sent before a cut has to leave this process.
pub(super) const OUT: Duration = Duration::from_millis(30);

/// Something for the driver.
pub(super) enum Down {
    Message {
        /// `None`: of a kind that this contract does not know.
        message: Option<Box<Told>>,
        forged: bool,
        /// The network is cut behind it.
        cut: bool,
        /// Told once it is on its way to the driver.
        taken: Option<Taken>,
    },
    /// The stream is over.
    End(Result<(), Status>),
}

impl Down {
    pub(super) fn forged(message: Option<Told>, cut: bool, taken: Taken) -> Down {
        Down::Message {
            message: message.map(Box::new),
            forged: true,
            cut,
            taken: Some(taken),
        }
    }
}

/// What is done in its order, each at its time: what is late holds up what comes behind it, and makes nothing later that
/// is late itself. It ends once nobody can put anything more.
#[derive(Clone)]
struct Lane(mpsc::UnboundedSender<(Instant, Act)>);

type Act = Box<dyn FnOnce() + Send>;

impl Lane {
    fn new() -> Lane {
        let (lane, mut acts) = mpsc::unbounded_channel::<(Instant, Act)>();
        tokio::spawn(async move {
            while let Some((due, act)) = acts.recv().await {
                tokio::time::sleep_until(due).await;
                act();
            }
        });
        Lane(lane)
    }

    fn put(&self, late: Duration, act: impl FnOnce() + Send + 'static) {
        // It is there as long as this.
        let _ = self.0.send((Instant::now() + late, Box::new(act)));
    }
}

/// One connection of the driver.
struct Line {
    tap: Arc<Tap>,
    connection: u32,
    numbers: Mutex<Numbers>,
    /// To the engine; `None` once the driver's connection is over: then the engine sees that its stream ends.
    up: Mutex<Option<mpsc::UnboundedSender<v1::SessionRequest>>>,
    down: mpsc::UnboundedSender<Down>,
}

/// Opens a session with the engine for one of the driver.
pub(super) async fn session(
    tap: Arc<Tap>,
    request: Request<Streaming<v1::SessionRequest>>,
) -> Result<Response<Answers>, Status> {
    let connection = tap.next_connection();
    let (up, upward) = mpsc::unbounded_channel();
    let (down, downward) = mpsc::unbounded_channel();
    // From here on a case sees that there is a stream, and says something on it.
    tap.state().stream = Some(down.clone());
    tap.event(connection, "connected", "");
    let onward = onward(
        UnboundedReceiverStream::new(upward),
        request.metadata(),
        request.extensions().get::<Shown>(),
    );
    let engine = tap.upstream().session(onward).await;
    let engine = match engine {
        Ok(engine) => engine.into_inner(),
        Err(status) => {
            tap.event(connection, "broken", status.message());
            return Err(status);
        }
    };
    let line = Arc::new(Line {
        tap,
        connection,
        numbers: Mutex::default(),
        up: Mutex::new(Some(up)),
        down,
    });
    let driver = request.into_inner();
    tokio::spawn(Arc::clone(&line).rise(driver));
    tokio::spawn(Arc::clone(&line).fall(engine));
    let (answers, stream) = mpsc::unbounded_channel();
    tokio::spawn(line.deliver(downward, answers));
    Ok(Response::new(Box::pin(UnboundedReceiverStream::new(
        stream,
    ))))
}

impl Line {
    /// What the driver says, to the engine. Ends with the driver's connection.
    async fn rise(self: Arc<Line>, mut driver: Streaming<v1::SessionRequest>) {
        let lane = Lane::new();
        let why = loop {
            match driver.next().await {
                Some(Ok(request)) => self.rose(&lane, request),
                Some(Err(status)) => break status.message().to_owned(),
                None => break "it ended".to_owned(),
            }
        };
        self.tap.event(self.connection, "broken", &why);
        let _ = self.down.send(Down::End(Ok(())));
        lane.put(Duration::ZERO, move || drop(self.up().take()));
    }

    fn rose(self: &Arc<Line>, lane: &Lane, request: v1::SessionRequest) {
        let said = told(request.message.as_ref());
        let sequence = request.sequence;
        let by = By::Stream { sequence };
        let tap = &self.tap;
        let task = tap.task(&said);
        let fate =
            tap.interferences
                .fate(&tap.record, Way::Stream, From::Driver, &said, task.as_ref());
        let body = said.body.clone();
        let lost = matches!(fate, Fate::Drop | Fate::Cut);
        tap.note(From::Driver, self.connection, by, said, (false, lost));
        let line = Arc::clone(self);
        let late = match fate {
            Fate::Delay(pause) => pause,
            _ => Duration::ZERO,
        };
        lane.put(late, move || line.passes(fate, request, body));
    }

    /// What becomes of a message of the driver.
    fn passes(self: Arc<Line>, fate: Fate, request: v1::SessionRequest, body: Json) {
        let (tap, sequence) = (&self.tap, request.sequence);
        match fate {
            Fate::Pass | Fate::Later | Fate::Delay(_) | Fate::Status(_) | Fate::LoseAnswer => {
                self.send(&request);
            }
            Fate::Hold(name) => {
                self.numbers().waits(sequence);
                let line = Arc::clone(&self);
                let deliver = Box::new(move || line.send(&request));
                tap.interferences.hold(&name, deliver);
            }
            Fate::Drop => self.numbers().lost(sequence),
            Fate::Double => {
                self.send(&request);
                self.send(&request);
            }
            Fate::Change(change) => {
                let message = changed_tell(tap, request.message.as_ref(), body, &change);
                self.send(&v1::SessionRequest { sequence, message });
            }
            Fate::Cut => {
                self.numbers().lost(sequence);
                tap.cut();
            }
            Fate::CutBehind => {
                self.send(&request);
                tokio::spawn(async move {
                    tokio::time::sleep(OUT).await;
                    self.tap.cut();
                });
            }
        }
    }

    fn numbers(&self) -> std::sync::MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn up(&self) -> std::sync::MutexGuard<'_, Option<mpsc::UnboundedSender<v1::SessionRequest>>> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To the engine.
    fn send(&self, request: &v1::SessionRequest) {
        let sequence = self.numbers().on(request.sequence);
        if let Some(up) = &*self.up() {
            // The engine's stream may have ended: the driver is told by the other pump.
            let _ = up.send(v1::SessionRequest {
                sequence,
                message: request.message.clone(),
            });
        }
    }

    /// What the engine says, to the driver.
    async fn fall(self: Arc<Line>, mut engine: Streaming<v1::SessionResponse>) {
        let lane = Lane::new();
        let end = loop {
            match engine.next().await {
                Some(Ok(response)) => self.fell(&lane, response),
                Some(Err(status)) => break Err(broken_or_refused(status)),
                None => break Ok(()),
            }
        };
        lane.put(Duration::ZERO, move || {
            let _ = self.down.send(Down::End(end));
        });
    }

    fn fell(self: &Arc<Line>, lane: &Lane, mut response: v1::SessionResponse) {
        if let Some(Told::Acknowledgement(acknowledgement)) = &mut response.message {
            let mut numbers = self.numbers();
            for refused in &mut acknowledgement.refused {
                refused.sequence = numbers.one(refused.sequence);
                refused.first_sequence = numbers.one(refused.first_sequence);
            }
            acknowledgement.sequence = numbers.back(acknowledgement.sequence);
        }
        let Some(message) = response.message else {
            return;
        };
        let said = answered(Some(&message));
        let tap = &self.tap;
        // A task is known by its first telling.
        let task = tap.task(&said).or_else(|| super::judged::named(&said));
        let fate =
            tap.interferences
                .fate(&tap.record, Way::Stream, From::Engine, &said, task.as_ref());
        let line = Arc::clone(self);
        let late = match fate {
            Fate::Delay(pause) => pause,
            _ => Duration::ZERO,
        };
        lane.put(late, move || line.comes(fate, message, said));
    }

    /// What becomes of a message of the engine.
    fn comes(self: Arc<Line>, fate: Fate, message: Told, said: Said) {
        let tap = &self.tap;
        let send = |message, forged, cut| {
            let _ = self.down.send(Down::Message {
                message: Some(Box::new(message)),
                forged,
                cut,
                taken: None,
            });
        };
        let lost = |said| {
            let by = By::Stream { sequence: 0 };
            tap.note(From::Engine, self.connection, by, said, (false, true));
        };
        match fate {
            Fate::Pass | Fate::Delay(_) | Fate::Status(_) | Fate::LoseAnswer => {
                send(message, false, false);
            }
            Fate::Later => {
                tap.later.on();
                send(crate::wire::later(message), true, false);
            }
            Fate::Hold(name) => {
                let line = Arc::clone(&self);
                let deliver = Box::new(move || line.comes(Fate::Pass, message, said));
                tap.interferences.hold(&name, deliver);
            }
            Fate::Drop => lost(said),
            Fate::Double => {
                send(message.clone(), false, false);
                send(message, true, false);
            }
            Fate::Change(change) => {
                send(changed(tap, message, said.body, &change), true, false);
            }
            Fate::Cut => {
                lost(said);
                tap.cut();
            }
            Fate::CutBehind => send(message, false, true),
        }
    }

    /// Numbers what goes to the driver, takes it down, and sends it.
    async fn deliver(
        self: Arc<Line>,
        mut downward: mpsc::UnboundedReceiver<Down>,
        answers: mpsc::UnboundedSender<Result<v1::SessionResponse, Status>>,
    ) {
        let mut sequence = 0;
        while let Some(down) = downward.recv().await {
            let (message, forged, cut, taken) = match down {
                Down::Message {
                    message,
                    forged,
                    cut,
                    taken,
                } => (message.map(|message| *message), forged, cut, taken),
                Down::End(end) => {
                    if let Err(status) = end {
                        let _ = answers.send(Err(status));
                    }
                    return;
                }
            };
            sequence += 1;
            let last = forged && matches!(message, Some(Told::Goodbye(_)));
            let said = answered(message.as_ref());
            let by = By::Stream { sequence };
            self.tap
                .note(From::Engine, self.connection, by, said, (forged, false));
            let gone = answers
                .send(Ok(v1::SessionResponse { sequence, message }))
                .is_err();
            if let Some(taken) = taken.filter(|_| !gone) {
                taken.tell();
            }
            if cut {
                tokio::time::sleep(OUT).await;
                self.tap.cut();
            }
            if last || gone {
                return;
            }
        }
    }
}

/// How the engine's stream ended, for the driver: what it refuses is told as it is.
fn broken_or_refused(status: Status) -> Status {
    match status.code() {
        tonic::Code::Unknown | tonic::Code::Cancelled | tonic::Code::Internal => broken(&status),
        _ => status,
    }
}

/// A message of the engine with other fields. Where those make none of it, it is as it was, and that is told.
pub(super) fn changed(tap: &Tap, message: Told, mut body: Json, change: &Json) -> Told {
    merge(&mut body, change);
    let kind = answered(Some(&message)).kind;
    let changed = crate::wire::engine_message(&serde_json::json!({ kind: body }));
    match changed {
        Ok(Some(changed)) => changed,
        Ok(None) => message,
        Err(why) => {
            void_change(tap, kind, &why);
            message
        }
    }
}

/// A message of the driver with other fields; the same holds.
pub(super) fn changed_tell(
    tap: &Tap,
    message: Option<&Tell>,
    mut body: Json,
    change: &Json,
) -> Option<Tell> {
    merge(&mut body, change);
    let kind = told(message).kind;
    match request_of(kind, body) {
        Ok(changed) => changed,
        Err(why) => {
            void_change(tap, kind, &why);
            message.cloned()
        }
    }
}

fn void_change(tap: &Tap, kind: &str, why: &str) {
    let why = format!("interference `change` had no meaning: it made no `{kind}`: {why}");
    tap.interferences.void(why);
}
