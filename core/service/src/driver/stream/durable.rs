//! What is to be durable before its message is acknowledged: detached tasks, reports, checkpoints. Each
//! claim's go to the owner one after the other. What is never taken is acknowledged as refused (R63).

use super::super::convert;
use super::super::pending::{Kind, Save, Turn};
use super::{Answer, Conversation, Done, Told, What};
use conveyor_engine::time::Time;
use conveyor_node::Node;
use conveyor_node::token::Claimed;
use conveyor_proto::v1;
use conveyor_proto::v1::session_response::Message as Tell;
use prost::bytes::Bytes;
use std::time::Duration;

/// The pauses before something is handed over again that the store did not take.
const PAUSE: Duration = Duration::from_millis(20);
const MOST_PAUSE: Duration = Duration::from_secs(1);

impl Conversation {
    pub(super) fn detach(&mut self, claimed: Claimed, token: Bytes, detached: v1::Detached) {
        let sequence = self.received;
        if self.pending.begin(Kind::Detach, claimed, sequence) == Turn::Later {
            return;
        }
        let (node, session) = (self.handlers.node.clone(), self.session.clone());
        self.later.push(Box::pin(async move {
            let until = Time(detached.until_ms);
            let mut pause = PAUSE;
            let told = loop {
                let told = node.detach(claimed, until, session.principal(), &detached.principals);
                match told.await {
                    Ok(Some(_)) => break Told::default(),
                    Ok(None) => break Told::stale(token),
                    Err(error) if error.is_temporary() => {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(MOST_PAUSE);
                    }
                    Err(error) => {
                        tracing::info!(run = %claimed.run, %error, "a task was not handed over");
                        break Told::refused(convert::refused(
                            token,
                            v1::RefusedKind::Detached,
                            (sequence, sequence),
                            &error,
                        ));
                    }
                }
            };
            Done {
                what: What::Durable(Kind::Detach, claimed, sequence),
                answer: Answer::Acknowledge(told),
            }
        }));
    }

    pub(super) fn report(&mut self, report: v1::TaskReport) {
        let most = self.handlers.node.limits().output_bytes;
        let Some(claimed) = self.session.open(&report.token) else {
            let told = v1::ReportOutcome {
                token: report.token,
                status: v1::ReportStatus::Stale.into(),
                reason: String::new(),
            };
            return self.at_once(Answer::Tell(Box::new(Tell::Outcome(told))));
        };
        let Some((sequence, before)) = self.pending.report(claimed, self.received) else {
            return;
        };
        let (outcome, last) = convert::outcome(report.result, most);
        let (node, token) = (self.handlers.node.clone(), report.token);
        self.later.push(Box::pin(async move {
            // Where its claim is over, so is the report's.
            let refused = match before {
                Some(save) => keep(&node, claimed, &save).await.refused,
                None => Vec::new(),
            };
            let outcome = match node.report(claimed, outcome, last).await {
                Ok(reported) => Some(convert::report_outcome(token, reported)),
                // Not answered: the driver sends it again (R25).
                Err(error) => {
                    tracing::debug!(run = %claimed.run, %error, "a report was not taken");
                    None
                }
            };
            let answer = Answer::Report(refused, outcome);
            Done {
                what: What::Durable(Kind::Report, claimed, sequence),
                answer,
            }
        }));
    }

    pub(super) fn checkpoint(&mut self, checkpoint: v1::Checkpoint) {
        let Some(claimed) = self.session.open(&checkpoint.token) else {
            return self.stale(checkpoint.token);
        };
        let sequence = self.received;
        if let Some(save) = self.pending.save(claimed, sequence, checkpoint) {
            self.save(claimed, save);
        }
    }

    pub(super) fn save(&mut self, claimed: Claimed, save: Save) {
        let node = self.handlers.node.clone();
        self.later.push(Box::pin(async move {
            let told = keep(&node, claimed, &save).await;
            Done {
                what: What::Durable(Kind::Checkpoint, claimed, save.first),
                answer: Answer::Acknowledge(told),
            }
        }));
    }
}

/// Saves a checkpoint, however long the store takes. Gives what its driver is told of it.
async fn keep(node: &Node, claimed: Claimed, save: &Save) -> Told {
    let token = save.checkpoint.token.clone();
    let data: std::sync::Arc<[u8]> = save.checkpoint.data.to_vec().into();
    let mut pause = PAUSE;
    loop {
        match node.checkpoint(claimed, data.clone()).await {
            Ok(true) => return Told::default(),
            Ok(false) => return Told::stale(token),
            Err(error) if error.is_temporary() => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MOST_PAUSE);
            }
            Err(error) => {
                tracing::info!(run = %claimed.run, %error, "a checkpoint was not kept");
                return Told::refused(convert::refused(
                    token,
                    v1::RefusedKind::Checkpoint,
                    (save.first, save.sequence),
                    &error,
                ));
            }
        }
    }
}
