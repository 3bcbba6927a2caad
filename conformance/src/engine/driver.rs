//! A driver that plays: it takes tasks, does of each attempt what a case says, and keeps the contract otherwise: it
//! heartbeats, comes back over a new connection, and reports until it is answered.

mod attempt;
mod wire;

use self::attempt::{Acts, Said, perform};
use self::wire::{Came, Wire};
use super::talk::Talk;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

pub(super) use self::attempt::Act;

/// How often it says what it holds: often enough that a test waits for no cancel (R52).
const HEARTBEAT: Duration = Duration::from_millis(250);
/// How long it waits before it connects again.
const PAUSE: Duration = Duration::from_millis(50);

/// What a driver is.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) url: String,
    pub(super) access: Option<String>,
    /// A Hello.
    pub(super) hello: Value,
    /// Whether it calls without a stream, as JSON.
    pub(super) rest: bool,
    /// What it does of attempts, by `step` or `step[instance]`.
    pub(super) acts: BTreeMap<String, Vec<Act>>,
    /// Its name in the case.
    pub(super) name: String,
    pub(super) said: Talk,
}

/// A driver that is connected. It is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Player {
    released: watch::Sender<BTreeSet<(String, u32)>>,
    actor: JoinHandle<()>,
}

impl Player {
    /// Connects.
    ///
    /// # Errors
    /// A sentence: how it was refused.
    pub(super) async fn connect(part: Part) -> Result<Player, String> {
        let (released, release) = watch::channel(BTreeSet::new());
        let (state, mut connected) = watch::channel(None);
        let actor = Actor {
            acts: Acts {
                acts: part.acts.clone(),
                release,
            },
            part,
            session: None,
            held: BTreeMap::new(),
            reports: BTreeMap::new(),
            state,
        };
        let player = Player {
            released,
            actor: tokio::spawn(actor.run()),
        };
        let connected = connected.wait_for(Option::is_some).await;
        match connected.map(|state| state.clone()) {
            Ok(Some(Ok(()))) => Ok(player),
            Ok(Some(Err(why))) => Err(why),
            Ok(None) | Err(_) => Err("the driver ended before it was connected".to_owned()),
        }
    }

    /// Lets an attempt go on.
    pub(super) fn release(&self, task: &str, attempt: u32) {
        self.released.send_modify(|released| {
            released.insert((task.to_owned(), attempt));
        });
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.actor.abort();
    }
}

/// A session, as a resume names it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    id: Value,
    secret: Value,
    generation: u64,
}

/// An attempt that was taken.
#[derive(Debug)]
struct Held {
    cancel: watch::Sender<bool>,
    /// Whether it is named in heartbeats.
    named: bool,
}

struct Actor {
    part: Part,
    acts: Acts,
    session: Option<Session>,
    /// By token.
    held: BTreeMap<String, Held>,
    /// Results that are not answered, by token.
    reports: BTreeMap<String, Value>,
    /// How the first connection came about.
    state: watch::Sender<Option<Result<(), String>>>,
}

impl Actor {
    async fn run(mut self) {
        let (say, mut said) = mpsc::unbounded_channel();
        let mut attempts = JoinSet::new();
        loop {
            let tokens: Vec<_> = self.held.keys().cloned().collect();
            let opened = Wire::open(&self.part, self.session.as_ref(), &tokens).await;
            let (mut wire, welcome) = match opened {
                Ok(opened) => opened,
                Err(wire::Refused::ForGood(why)) => {
                    self.state.send_replace(Some(Err(why)));
                    return;
                }
                Err(wire::Refused::Unknown) => {
                    self.session = None;
                    continue;
                }
                Err(wire::Refused::ForNow) => {
                    if let Some(session) = &mut self.session {
                        session.generation += 1;
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            self.session = Some(Session {
                id: welcome["session"].clone(),
                secret: welcome["resume_secret"].clone(),
                generation: self
                    .session
                    .as_ref()
                    .map_or(1, |session| session.generation + 1),
            });
            for stale in welcome["stale_tokens"].as_array().into_iter().flatten() {
                self.over(stale.as_str().unwrap_or_default());
            }
            self.state.send_replace(Some(Ok(())));
            self.converse(&mut wire, &say, &mut said, &mut attempts)
                .await;
        }
    }

    /// Talks until the connection is gone.
    async fn converse(
        &mut self,
        wire: &mut Wire,
        say: &mpsc::UnboundedSender<Said>,
        said: &mut mpsc::UnboundedReceiver<Said>,
        attempts: &mut JoinSet<()>,
    ) {
        let capacity = self.part.hello["capacity"].as_u64().unwrap_or(1);
        let free = capacity.saturating_sub(self.held.len() as u64);
        if free > 0 {
            wire.say(json!({"credits": {"count": free}})).await;
        }
        for (token, result) in &self.reports {
            wire.say(json!({"report": {"token": token, "result": result}}))
                .await;
        }
        let mut beat = tokio::time::interval(HEARTBEAT);
        loop {
            tokio::select! {
                came = wire.next() => match came {
                    Came::Message(message) => {
                        if !self.heard(message, wire, say, attempts).await {
                            return;
                        }
                    }
                    Came::Gone => return,
                },
                Some(what) = said.recv() => self.tell(what, wire).await,
                _ = beat.tick() => {
                    let named = self.held.iter().filter(|(_, held)| held.named);
                    let tasks: Vec<_> = named.map(|(token, _)| json!({"token": token})).collect();
                    wire.say(json!({"heartbeat": {"tasks": tasks}})).await;
                }
                Some(_) = attempts.join_next() => {}
            }
        }
    }

    /// Whether it goes on after a message of the engine.
    async fn heard(
        &mut self,
        message: Value,
        wire: &mut Wire,
        say: &mpsc::UnboundedSender<Said>,
        attempts: &mut JoinSet<()>,
    ) -> bool {
        if let Some(task) = message.get("task") {
            let token = task["token"].as_str().unwrap_or_default().to_owned();
            if self.held.contains_key(&token) {
                // It runs already, or waits for its report's answer (R13).
                wire.say(json!({"answer": {"token": token, "accepted": {}}}))
                    .await;
                return true;
            }
            let (cancel, cancelled) = watch::channel(false);
            self.held.insert(
                token,
                Held {
                    cancel,
                    named: true,
                },
            );
            attempts.spawn(perform(
                self.acts.clone(),
                task.clone(),
                say.clone(),
                cancelled,
            ));
        } else if let Some(cancel) = message.get("cancel") {
            let token = cancel["token"].as_str().unwrap_or_default();
            match (self.held.get(token), cancel["grace_ms"].as_u64()) {
                (Some(_), Some(0)) => self.over(token),
                (Some(held), _) => {
                    held.cancel.send_replace(true);
                }
                (None, _) => {}
            }
        } else if let Some(outcome) = message.get("outcome") {
            let token = outcome["token"].as_str().unwrap_or_default();
            self.reports.remove(token);
            if self.held.remove(token).is_some() {
                wire.say(json!({"credits": {"count": 1}})).await;
            }
        } else if let Some(heard) = message.get("acknowledgement") {
            for stale in heard["stale_tokens"].as_array().into_iter().flatten() {
                self.over(stale.as_str().unwrap_or_default());
            }
        } else if let Some(goodbye) = message.get("goodbye") {
            if goodbye["reason"] == "unknown_session" {
                self.session = None;
            }
            return false;
        }
        true
    }

    /// Tells what an attempt has to say.
    async fn tell(&mut self, said: Said, wire: &mut Wire) {
        match said {
            Said::Message(message) => wire.say(message).await,
            Said::Refused(token) => {
                self.held.remove(&token);
                wire.say(
                    json!({"answer": {"token": token, "refused": {"reason": "as the case says"}}}),
                )
                .await;
                wire.say(json!({"credits": {"count": 1}})).await;
            }
            Said::Forgotten(token) => {
                if let Some(held) = self.held.get_mut(&token) {
                    held.named = false;
                }
            }
            Said::Ended(token, result) => {
                // Of one that is stale nothing more is told (R24).
                if self.held.contains_key(&token) {
                    self.reports.insert(token.clone(), result.clone());
                    wire.say(json!({"report": {"token": token, "result": result}}))
                        .await;
                }
            }
        }
    }

    /// A claim is over: its attempt ends with the place that it is held in.
    fn over(&mut self, token: &str) {
        self.held.remove(token);
        self.reports.remove(token);
    }
}
