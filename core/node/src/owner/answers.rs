//! What callers are told, and when.

use super::Owner;
use super::messages::{Answer, Input, Output, Ticket};
use crate::error::NodeError;
use crate::id::RunId;
use conveyor_engine::planted;
use conveyor_engine::run::RunState;

impl Owner {
    /// Answers a request with an error, at once: nothing of it was done.
    pub(super) fn refuse(&mut self, input: &Input, error: &NodeError) {
        let ticket = match *input {
            Input::Start { ticket, .. }
            | Input::Control { ticket, .. }
            | Input::Report { ticket, .. }
            | Input::Checkpoint { ticket, .. }
            | Input::Detach { ticket, .. }
            | Input::Heartbeat { ticket, .. }
            | Input::Resume { ticket, .. }
            | Input::Standing { ticket, .. } => ticket,
            _ => return,
        };
        self.answer_now(ticket, Err(error.clone()));
    }

    pub(super) fn answer_now(&mut self, ticket: Ticket, answer: Result<Answer, NodeError>) {
        if ticket != 0 {
            self.outputs.push(Output::Answer { ticket, answer });
        }
    }

    /// Answers once everything that the run has decided so far is durable.
    pub(super) fn answer_of(
        &mut self,
        run: RunId,
        ticket: Ticket,
        answer: Result<Answer, NodeError>,
    ) {
        if planted!(AnswerBeforeDurable) {
            return self.answer_now(ticket, answer);
        }
        if ticket != 0 {
            self.stage(run, Output::Answer { ticket, answer });
        }
    }

    /// Refuses a request of a run that exists. Starting it again finds it.
    pub(super) fn refuse_known(&mut self, run: RunId, input: Input, error: &NodeError) {
        match input {
            Input::Start { ticket, .. } => {
                self.answer_of(run, ticket, Ok(Answer::Started { existed: true }));
            }
            other => self.refuse(&other, error),
        }
    }

    pub(super) fn refuse_ended(&mut self, run: RunId, state: RunState, waiting: Vec<Input>) {
        let error = NodeError::Ended(state);
        waiting
            .into_iter()
            .for_each(|input| self.refuse_known(run, input, &error));
    }
}
