//! What the engine tells a driver.

use super::super::logs::Kept;
use super::super::{Ending, convert};
use super::{Answer, Conversation, Done, End, Outgoing, Told, What, goodbye, unavailable};
use conveyor_node::NodeError;
use conveyor_node::owner::SessionEvent;
use conveyor_node::session::{Ready, ToDriver};
use conveyor_proto::v1;
use conveyor_proto::v1::session_response::Message as Tell;

impl Conversation {
    /// What the engine tells the driver.
    pub(super) async fn tell(
        &mut self,
        told: Option<ToDriver>,
        stream: &mut Outgoing,
    ) -> Result<(), End> {
        let message = match told {
            Some(ToDriver::Task(start)) => {
                let task = match self.session.task(*start).await {
                    Ready::Task(task) => *task,
                    // It ended before it was sent: the place that it took is free again.
                    Ready::Ended => return self.told(SessionEvent::Credits(1)),
                    Ready::Later => return Ok(()),
                };
                let now = self.handlers.node.now();
                Tell::Task(convert::task(&self.session, task, now))
            }
            Some(ToDriver::Cancel {
                claimed,
                namespace,
                reason,
                grace,
            }) => Tell::Cancel(v1::Cancel {
                token: self.session.seal(&namespace, &claimed).into(),
                reason: reason.to_string(),
                grace_ms: grace.0,
            }),
            Some(ToDriver::Replaced) => {
                let why = "a newer connection has this session";
                return Err(goodbye(v1::GoodbyeReason::Replaced, why));
            }
            Some(ToDriver::Over) => {
                let why = "the session was silent for too long";
                return Err(goodbye(v1::GoodbyeReason::UnknownSession, why));
            }
            None => {
                return Err(unavailable(&NodeError::Unavailable(
                    "the engine stops".into(),
                )));
            }
        };
        stream.send(message).await
    }

    pub(super) fn told(&mut self, event: SessionEvent) -> Result<(), End> {
        let told = self.session.tell(event);
        told.map_err(|error| unavailable(&error))?;
        if self.pending.tell() {
            let session = self.session.clone();
            self.later.push(Box::pin(async move {
                // It has come so far, or has ended.
                let _ = session.standing(Vec::new()).await;
                Done {
                    what: What::Told,
                    answer: Answer::Nothing,
                }
            }));
        }
        Ok(())
    }

    pub(super) async fn done(&mut self, done: Done, stream: &mut Outgoing) -> Result<(), End> {
        match done.what {
            What::Read => {}
            What::Told => self.pending.passed(),
            What::Beat => {
                if let Some(next) = self.pending.beaten() {
                    self.heartbeat(next);
                }
            }
            What::Durable(kind, claimed, sequence) => {
                if let Some(next) = self.pending.end(kind, claimed, sequence) {
                    self.pending.save_next(claimed, &next);
                    self.save(claimed, next);
                }
            }
        }
        match done.answer {
            Answer::Nothing => Ok(()),
            Answer::Tell(told) => stream.send(*told).await,
            Answer::Acknowledge(told) => stream.send(self.acknowledgement(told)).await,
            Answer::Report(refused, outcome) => {
                if !refused.is_empty() {
                    let stale = Vec::new();
                    let told = self.acknowledgement(Told { stale, refused });
                    stream.send(told).await?;
                }
                match outcome {
                    Some(outcome) => stream.send(Tell::Outcome(outcome)).await,
                    None => Ok(()),
                }
            }
        }
    }

    fn acknowledgement(&self, told: Told) -> Tell {
        Tell::Acknowledgement(v1::Acknowledgement {
            sequence: self.acknowledged(),
            stale_tokens: told.stale,
            logs: Vec::new(),
            refused: told.refused,
        })
    }

    /// All messages up to this one are done with (R7).
    pub(super) fn acknowledged(&self) -> u64 {
        self.pending.acknowledged(self.received)
    }

    /// Lines are durable: their driver may send as many more.
    pub(super) async fn kept(&mut self, first: Kept, stream: &mut Outgoing) -> Result<(), End> {
        let mut bytes = first.bytes;
        let mut logs: Vec<v1::LogAcknowledgement> = first.acknowledgement.into_iter().collect();
        while let Ok(next) = self.kept.try_recv() {
            bytes += next.bytes;
            if let Some(next) = next.acknowledgement {
                // The last one says all.
                logs.retain(|earlier| earlier.token != next.token);
                logs.push(next);
            }
        }
        self.window += bytes;
        stream
            .send(Tell::Acknowledgement(v1::Acknowledgement {
                sequence: self.acknowledged(),
                stale_tokens: Vec::new(),
                logs,
                refused: Vec::new(),
            }))
            .await?;
        if bytes > 0 {
            stream
                .send(Tell::LogWindow(v1::LogWindow { bytes }))
                .await?;
        }
        Ok(())
    }

    /// The process is about to end.
    pub(super) async fn ending(
        &mut self,
        ending: Ending,
        stream: &mut Outgoing,
    ) -> Result<(), End> {
        let deadline = match &ending {
            Ending::No => return Ok(()),
            Ending::Draining(deadline) => *deadline,
            Ending::Goodbye => self.handlers.node.now().0,
        };
        // Before every goodbye, also where there was no time in between (R75).
        if !std::mem::replace(&mut self.drained, true) {
            let drain = v1::Drain {
                reason: "the engine is about to stop".to_owned(),
                deadline_ms: Some(deadline),
            };
            stream.send(Tell::Drain(drain)).await?;
        }
        match ending {
            Ending::Goodbye => Err(End::Goodbye(v1::Goodbye {
                reason: v1::GoodbyeReason::Moved.into(),
                message: "the engine stops; come back with `resume`".to_owned(),
                retry_after_ms: None,
            })),
            Ending::No | Ending::Draining(_) => Ok(()),
        }
    }
}
