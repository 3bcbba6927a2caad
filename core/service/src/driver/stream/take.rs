//! What a driver tells the engine. What it tells is handed over in its order.

use super::super::hello;
use super::super::logs::{self, Batch};
use super::super::tokens::Named;
use super::{Answer, Conversation, Done, End, Told, What, goodbye};
use conveyor_node::owner::SessionEvent;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Say;
use conveyor_proto::v1::session_response::Message as Tell;
use prost::bytes::Bytes;

impl Conversation {
    /// What the driver tells the engine. What it tells is handed over in its order.
    pub(super) fn take(&mut self, request: v1::SessionRequest) -> Result<(), End> {
        self.received = self.received.max(request.sequence);
        if self.pending.is_over() {
            let most = self.pending.most();
            let why = format!("more than `unanswered_messages`, {most}, are under way");
            return Err(goodbye(v1::GoodbyeReason::Limit, why));
        }
        match request.message {
            Some(Say::Credits(credits)) => self.credits(&credits),
            Some(Say::Answer(answer)) => self.answer(answer),
            Some(Say::Heartbeat(heartbeat)) => {
                self.heartbeat(heartbeat);
                Ok(())
            }
            Some(Say::Report(report)) => {
                self.report(report);
                Ok(())
            }
            Some(Say::Logs(logs)) => self.logs(logs),
            Some(Say::Checkpoint(checkpoint)) => {
                self.checkpoint(checkpoint);
                Ok(())
            }
            Some(Say::Drain(_)) => self.told(SessionEvent::Draining),
            Some(Say::Leaving(_)) => Err(End::Left),
            Some(Say::Hello(_) | Say::Resume(_)) => Err(goodbye(
                v1::GoodbyeReason::Refused,
                "`hello` and `resume` are the first message of a stream, and no other",
            )),
            // Of a later contract (R5).
            None => Ok(()),
        }
    }

    fn credits(&mut self, credits: &v1::Credits) -> Result<(), End> {
        if !matches!(credits.queue.as_str(), "" | hello::QUEUE) {
            let end = credits.queue.floor_char_boundary(63);
            let why = format!(
                "the credits are for the queue {:?}; queues other than `{}` come with a later release",
                &credits.queue[..end],
                hello::QUEUE
            );
            return Err(goodbye(v1::GoodbyeReason::Refused, why));
        }
        self.told(SessionEvent::Credits(credits.count))
    }

    pub(super) fn answer(&mut self, answer: v1::TaskAnswer) -> Result<(), End> {
        let Some(claimed) = self.session.open(&answer.token) else {
            self.stale(answer.token);
            return Ok(());
        };
        match answer.answer {
            Some(v1::task_answer::Answer::Accepted(_)) => {
                self.told(SessionEvent::Accepted(claimed))
            }
            // Its reason is a driver's words, which may hold a secret: they go nowhere.
            Some(v1::task_answer::Answer::Refused(_)) => {
                tracing::info!(run = %claimed.run, session = %self.session.id(), "a task was refused");
                self.told(SessionEvent::Refused(claimed))
            }
            Some(v1::task_answer::Answer::Detached(detached)) => {
                self.detach(claimed, answer.token, detached);
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn heartbeat(&mut self, heartbeat: v1::SessionHeartbeat) {
        let Some(heartbeat) = self.pending.beat(heartbeat) else {
            return;
        };
        let named = Named::of(&self.session, heartbeat.tasks, self.handlers.node.now());
        let (session, free) = (self.session.clone(), heartbeat.free);
        self.later.push(Box::pin(async move {
            let answer = match session.heartbeat(named.claims.clone(), free).await {
                Ok(over) => Answer::Acknowledge(Told {
                    stale: named.stale(&over),
                    ..Told::default()
                }),
                // A heartbeat that nobody answers is what the driver is to see.
                Err(_) => Answer::Nothing,
            };
            Done {
                what: What::Beat,
                answer,
            }
        }));
    }

    pub(super) fn logs(&mut self, logs: v1::LogBatch) -> Result<(), End> {
        let bytes = logs::check(&logs).map_err(|why| goodbye(v1::GoodbyeReason::Limit, why))?;
        if bytes > self.window {
            let window = self.window;
            let why = format!(
                "a log batch takes {bytes} bytes, {} for each line and its text; `log_window` has \
                 {window} left",
                logs::LINE_COST
            );
            return Err(goodbye(v1::GoodbyeReason::Limit, why));
        }
        self.window -= bytes;
        let Some(claimed) = self.session.open(&logs.token) else {
            // They are not kept, and not on their way any more.
            self.window += bytes;
            self.stale(logs.token);
            let window = v1::LogWindow { bytes };
            self.at_once(Answer::Tell(Box::new(Tell::LogWindow(window))));
            return Ok(());
        };
        let batch = Batch {
            claimed,
            logs,
            bytes,
        };
        // Its task lives as long as this sender.
        let _ = self.batches.send(batch);
        Ok(())
    }

    pub(super) fn at_once(&mut self, answer: Answer) {
        let what = What::Read;
        let done = Done { what, answer };
        self.later.push(Box::pin(std::future::ready(done)));
    }

    pub(super) fn stale(&mut self, token: Bytes) {
        self.at_once(Answer::Acknowledge(Told::stale(token)));
    }
}
