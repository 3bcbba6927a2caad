//! Time: heartbeats, silence, and the end.

use super::connect::Connection;
use super::options::Stopping;
use super::session::{End, Link, Runtime};
use crate::Failure;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::{contract, v1};
use std::time::Duration;
use tokio::time::Instant;

/// A report that is not answered for so long is sent again (R25).
const RESEND: Duration = Duration::from_millis(contract::REPORT_AGAIN_MS);
/// Why a task is stopped, or not started, where the engine was not heard.
pub(super) const UNHEARD: &str = "the engine was not heard for too long";
/// How long a new connection has for its welcome.
const WELCOME: Duration = Duration::from_secs(15);

impl Runtime {
    pub(super) fn heartbeat(&mut self) {
        if !self.is_welcome() {
            return;
        }
        let now = Instant::now();
        self.asked.get_or_insert(self.due.min(now));
        self.due = now + self.interval;
        let held = self.held.iter().filter(|(_, held)| !held.answered);
        let tasks = held.map(|(token, held)| v1::TaskProgress {
            token: token.clone(),
            permille: held.progress.0,
            message: held.progress.1.clone(),
        });
        let tasks = tasks.collect();
        let free = Some(self.free());
        self.tell(Tell::Heartbeat(v1::SessionHeartbeat { tasks, free }));
    }

    /// Whether the engine is not heard for as long as a task's timeout allows (R22). A task that comes is heard
    /// from it, unless a heartbeat is overdue: then it may be old.
    pub(super) fn is_unheard(&self, timeout: Duration) -> bool {
        let most = unheard_after(timeout);
        let waits = self.asked.unwrap_or(self.due).elapsed();
        self.answered.elapsed() > most && waits > most / 2
    }

    pub(super) fn look(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if let Some(link) = &self.link
            && !link.welcome
            && link.since + WELCOME < now
        {
            self.disconnect("the server did not say welcome", Duration::ZERO);
        }
        let mut unheard = Vec::new();
        let mut over = Vec::new();
        let mut cut_off = Vec::new();
        let mut again = Vec::new();
        for (token, held) in &self.held {
            let heard = self.answered.max(held.since);
            let silent = now.saturating_duration_since(heard);
            if held.runs() {
                if held.cut_off.is_some_and(|at| at <= now) {
                    cut_off.push(token.clone());
                } else if held.cut_off.is_none() && held.deadline <= now {
                    // The engine says so too, where it is heard.
                    over.push((token.clone(), held.grace));
                } else if held.cut_off.is_none() && silent > unheard_after(held.heartbeat_timeout) {
                    unheard.push((token.clone(), held.grace));
                }
            } else if held.reported.is_some_and(|at| at + RESEND <= now) {
                again.push(token.clone());
            }
        }
        for (token, grace) in unheard {
            // The engine gives the task to another soon: it must not run twice (R22).
            self.cancel_held(&token, UNHEARD, grace);
            if let Some(held) = self.held.get_mut(&token) {
                held.unheard = true;
            }
        }
        for (token, grace) in over {
            self.cancel_held(&token, "its time is over", grace);
        }
        for token in cut_off {
            if let Some(abort) = self.held.get_mut(&token).and_then(|held| held.abort.take()) {
                abort.abort();
            }
            self.done(&token, Err(Failure::cancelled()));
        }
        again.iter().for_each(|token| self.send_report(token));
        self.clear();
        Ok(())
    }

    pub(super) fn stop_now(&mut self, stopping: Stopping) -> Result<(), End> {
        match stopping {
            Stopping::No => Ok(()),
            Stopping::Drain => {
                if self.stopping.is_none() {
                    let tasks = self.held.len();
                    tracing::info!(tasks, "told to stop: finishing what is held");
                    self.stopping = Some(Instant::now());
                    self.tell(Tell::Drain(draining()));
                }
                Ok(())
            }
            Stopping::Now => Err(End::Stopped),
        }
    }

    pub(super) fn is_done(&mut self) -> Result<(), End> {
        let Some(since) = self.stopping else {
            return Ok(());
        };
        let over = since.elapsed() >= self.options.drain;
        match self.held.is_empty() || over {
            true => Err(End::Stopped),
            false => Ok(()),
        }
    }

    /// Ends what is left, hands it back, and waits until the engine has read that.
    pub(super) async fn leave(mut self) {
        let left = self.held.len();
        for held in self.held.values() {
            if let Some(abort) = &held.abort {
                abort.abort();
            }
        }
        if !self.is_welcome() {
            return;
        }
        let reason = "the driver stops".to_owned();
        self.tell(Tell::Leaving(v1::Leaving { reason }));
        tracing::info!(handed_back = left, "stopped");
        let Some(Link { connection, .. }) = self.link.take() else {
            return;
        };
        let Connection {
            mut incoming,
            outgoing,
        } = connection;
        drop(outgoing);
        // The engine ends the stream once it has read all of it.
        let end = async { while let Ok(Some(_)) = incoming.message().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(2), end).await;
    }
}

/// How long the engine may be unheard before a task is stopped, or not started (R22).
pub(super) fn unheard_after(timeout: Duration) -> Duration {
    let (part, of) = contract::UNHEARD;
    timeout * part / of
}

pub(super) fn draining() -> v1::Drain {
    v1::Drain {
        reason: "the driver stops".to_owned(),
        deadline_ms: None,
    }
}
