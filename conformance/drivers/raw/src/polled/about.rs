//! Calls about a task: what its messages become.

use super::Calls;
use super::again::ANSWER;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use prost::bytes::Bytes;
use std::collections::HashMap;
use tokio::sync::mpsc;

/// A message and its number.
type Numbered = (u64, Tell);

/// The tasks' own queues of messages, as long as the session: lines may come behind the report, and one that had a
/// queue of their own would overtake those that wait before it.
#[derive(Default)]
pub(super) struct Lanes(HashMap<Bytes, mpsc::UnboundedSender<Numbered>>);

impl Lanes {
    pub(super) fn put(&mut self, calls: &Calls, token: &Bytes, message: Numbered) {
        let lane = self.0.entry(token.clone()).or_insert_with(|| {
            let (lane, messages) = mpsc::unbounded_channel();
            tokio::spawn(calls.clone().lane(token.clone(), messages));
            lane
        });
        // The lane is there as long as this.
        let _ = lane.send(message);
    }
}

impl Calls {
    async fn lane(self, token: Bytes, mut messages: mpsc::UnboundedReceiver<Numbered>) {
        while let Some(message) = messages.recv().await {
            self.one(&token, message).await;
        }
    }

    /// One message about a task.
    async fn one(&self, token: &Bytes, (sequence, message): Numbered) {
        match message {
            Tell::Answer(answer) => self.answer(sequence, answer).await,
            Tell::Logs(logs) => self.logs(logs).await,
            Tell::Checkpoint(checkpoint) => self.checkpoint(token, sequence, checkpoint).await,
            Tell::Report(report) => self.report(token, report).await,
            // No others are about a task.
            _ => {}
        }
        self.done(sequence);
    }

    async fn answer(&self, sequence: u64, answer: v1::TaskAnswer) {
        let request = v1::AnswerRequest {
            session: self.session.clone(),
            resume_secret: self.secret.clone(),
            answers: vec![answer],
        };
        let answered = self
            .repeated(ANSWER, |mut client| {
                let request = request.clone();
                async move { client.answer(request).await }
            })
            .await;
        match answered {
            Ok(mut answer) => {
                let stale_tokens = answer.stale_tokens;
                // Calls have no numbers: what is refused is what was said.
                for refused in &mut answer.refused {
                    (refused.sequence, refused.first_sequence) = (sequence, sequence);
                }
                let refused = answer.refused;
                self.say(Told::Acknowledgement(v1::Acknowledgement {
                    stale_tokens,
                    refused,
                    ..v1::Acknowledgement::default()
                }));
            }
            Err(status) => self.refused("an answer", &status),
        }
    }

    async fn logs(&self, logs: v1::LogBatch) {
        let bytes = logs
            .lines
            .iter()
            .map(|line| line.text.len() as u64 + 64)
            .sum();
        let token = logs.token.clone();
        let request = v1::AppendLogsRequest { logs: Some(logs) };
        let appended = self
            .repeated(ANSWER, |mut client| {
                let request = request.clone();
                async move { client.append_logs(request).await }
            })
            .await;
        // Without a stream there is no window: what was answered is not on its way any more.
        self.say(Told::LogWindow(v1::LogWindow { bytes }));
        match appended {
            // Nobody takes its lines any more.
            Ok(answer) if answer.status() == v1::ReportStatus::Stale => {
                self.stale(vec![token.clone()]);
                let (next_offset, sealed) = (0, true);
                let sealed = v1::LogAcknowledgement {
                    token,
                    next_offset,
                    sealed,
                };
                self.say(Told::Acknowledgement(v1::Acknowledgement {
                    logs: vec![sealed],
                    ..v1::Acknowledgement::default()
                }));
            }
            Ok(answer) => {
                let logs = answer.acknowledgement.into_iter().collect();
                self.say(Told::Acknowledgement(v1::Acknowledgement {
                    logs,
                    ..v1::Acknowledgement::default()
                }));
            }
            Err(status) => self.refused("log lines", &status),
        }
    }

    async fn checkpoint(&self, token: &Bytes, sequence: u64, checkpoint: v1::Checkpoint) {
        let request = v1::SaveCheckpointRequest {
            checkpoint: Some(checkpoint),
        };
        let saved = self
            .repeated(ANSWER, |mut client| {
                let request = request.clone();
                async move { client.save_checkpoint(request).await }
            })
            .await;
        let reason = match saved {
            Ok(answer) => match answer.status() {
                v1::ReportStatus::Stale => return self.stale(vec![token.clone()]),
                v1::ReportStatus::Invalid => answer.reason,
                _ => return,
            },
            Err(status) => {
                self.refused("a checkpoint", &status);
                status.message().to_owned()
            }
        };
        let refused = vec![v1::RefusedMessage {
            token: token.clone(),
            kind: v1::RefusedKind::Checkpoint.into(),
            reason,
            sequence,
            first_sequence: sequence,
        }];
        self.say(Told::Acknowledgement(v1::Acknowledgement {
            refused,
            ..v1::Acknowledgement::default()
        }));
    }

    async fn report(&self, token: &Bytes, report: v1::TaskReport) {
        let request = v1::ReportRequest {
            report: Some(report),
        };
        let reported = self
            .repeated(ANSWER, |mut client| {
                let request = request.clone();
                async move { client.report(request).await }
            })
            .await;
        let outcome = match reported {
            Ok(answer) => answer.outcome.unwrap_or_default(),
            Err(status) => {
                self.refused("a report", &status);
                v1::ReportOutcome {
                    token: token.clone(),
                    status: v1::ReportStatus::Invalid.into(),
                    reason: status.message().to_owned(),
                }
            }
        };
        self.say(Told::Outcome(outcome));
    }
}

pub(super) fn token_of(message: &Tell) -> Option<Bytes> {
    match message {
        Tell::Answer(answer) => Some(answer.token.clone()),
        Tell::Logs(logs) => Some(logs.token.clone()),
        Tell::Checkpoint(checkpoint) => Some(checkpoint.token.clone()),
        Tell::Report(report) => Some(report.token.clone()),
        _ => None,
    }
}
