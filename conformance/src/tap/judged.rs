//! What becomes of a call without a stream: before the engine has it, and of what its answer says.

use super::stream::{OUT, changed, changed_tell};
use super::{Tap, Waiting, Why, onward, pseudo};
use crate::interfere::{Fate, Way};
use crate::wire::{By, From, Said, TaskName, answered};
use conveyor_api::Shown;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use std::future::{Future, pending};
use std::sync::{Arc, PoisonError};
use tokio::sync::oneshot;
use tonic::{Code, Request, Response, Status};

/// The connection of calls.
const CALLS: u32 = 0;

/// What becomes of a call before the engine has it.
#[derive(Default)]
struct Judged {
    /// It is called twice, and the second answer counts.
    twice: bool,
    /// It is called, and its answer is lost.
    lose_answer: bool,
}

/// The task that a message names by itself.
pub(super) fn named(said: &Said) -> Option<TaskName> {
    (said.kind == "task").then(|| TaskName {
        step: said.body["id"]["step"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        attempt: said.body["id"]["attempt"].as_u64().unwrap_or(0) as u32,
    })
}

impl Tap {
    /// By which way calls come.
    fn way_of_calls(&self) -> Way {
        match self.state().came_by.contains("rest") {
            true => Way::Rest,
            false => Way::Unary,
        }
    }

    /// Takes down one thing that a call says, and does to it what a case wants. What it says then, where that is
    /// something else.
    async fn heard(
        &self,
        said: Said,
        message: Option<&Tell>,
        judged: &mut Judged,
    ) -> Result<Option<Tell>, Status> {
        let task = self.task(&said);
        let way = self.way_of_calls();
        let fate = self
            .interferences
            .fate(&self.record, way, From::Driver, &said, task.as_ref());
        let lost = matches!(fate, Fate::Drop | Fate::Cut | Fate::Status(_));
        let body = said.body.clone();
        self.note(From::Driver, CALLS, By::Call, said, (false, lost));
        match fate {
            Fate::Pass | Fate::Later => {}
            Fate::Change(change) => return Ok(changed_tell(self, message, body, &change)),
            Fate::Hold(name) => {
                let (deliver, delivered) = oneshot::channel();
                let deliver = Box::new(move || {
                    let _ = deliver.send(());
                });
                self.interferences.hold(&name, deliver);
                // The case is over where nobody delivers any more.
                let _ = delivered.await;
            }
            Fate::Drop => pending::<()>().await,
            Fate::Double => judged.twice = true,
            Fate::Delay(pause) => tokio::time::sleep(pause).await,
            Fate::Cut => {
                self.cut();
                pending::<()>().await;
            }
            Fate::Status(status) => return Err(status_of(&status)),
            // The connection is cut behind the call: its answer does not come through.
            Fate::CutBehind | Fate::LoseAnswer => judged.lose_answer = true,
        }
        Ok(None)
    }

    /// Hears what a call says, and calls the engine as it was judged. `messages` are what it says, each as it would be
    /// on a stream, `with` puts them into it.
    pub(super) async fn call<T: Clone, R, F: Future<Output = Result<Response<R>, Status>>>(
        &self,
        mut request: Request<T>,
        messages: impl FnOnce(&T) -> Vec<Tell>,
        with: impl FnOnce(&mut T, Vec<Tell>),
        call: impl Fn(Request<T>) -> F,
    ) -> Result<R, Status> {
        let mut judged = Judged::default();
        let mut messages = messages(request.get_ref());
        for message in &mut messages {
            let said = pseudo(message);
            if let Some(changed) = self.heard(said, Some(message), &mut judged).await? {
                *message = changed;
            }
        }
        with(request.get_mut(), messages);
        self.asked(request, &judged, call).await
    }

    /// The same for a poll, which is no message of a stream: what it says is how many it takes.
    pub(super) async fn polled<F: Future<Output = Result<Response<v1::PollResponse>, Status>>>(
        &self,
        request: Request<v1::PollRequest>,
        call: impl Fn(Request<v1::PollRequest>) -> F,
    ) -> Result<v1::PollResponse, Status> {
        let body = conveyor_api::to_json("PollRequest", request.get_ref());
        let said = Said {
            kind: "poll",
            token: prost::bytes::Bytes::new(),
            body,
        };
        let mut judged = Judged::default();
        self.heard(said, None, &mut judged).await?;
        // What waits comes at once: the engine would have the poll wait for what it has itself, and the case may
        // be over before.
        let waits = self
            .state()
            .waiting
            .iter()
            .any(|waiting| in_a_poll(&waiting.message));
        if waits && !judged.lose_answer {
            return Ok(v1::PollResponse::default());
        }
        self.asked(request, &judged, call).await
    }

    async fn asked<T: Clone, R, F: Future<Output = Result<Response<R>, Status>>>(
        &self,
        request: Request<T>,
        judged: &Judged,
        call: impl Fn(Request<T>) -> F,
    ) -> Result<R, Status> {
        let shown = request.extensions().get::<Shown>().cloned();
        let metadata = request.metadata().clone();
        let message = request.into_inner();
        let again = || onward(message.clone(), &metadata, shown.as_ref());
        if judged.twice {
            // What the first was answered is lost.
            let _ = call(again()).await;
        }
        let answer = call(again()).await;
        if judged.lose_answer {
            self.cut();
            pending::<()>().await;
        }
        answer.map(Response::into_inner)
    }

    /// Does to one of the things that an answer says what a case wants. What is left of it; it is taken down.
    pub(super) async fn say_in_answer(&self, message: Told) -> Option<Told> {
        let (fate, said) = self.fate_in_answer(&message);
        match fate {
            Fate::Hold(name) => {
                let state = Arc::clone(&self.state);
                let deliver = Box::new(move || {
                    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    state.waiting.push(Waiting::held(message));
                });
                self.interferences.hold(&name, deliver);
                None
            }
            Fate::Drop => {
                self.note(From::Engine, CALLS, By::Call, said, (false, true));
                None
            }
            Fate::Double => {
                self.state().waiting.push(Waiting::copy(message.clone()));
                self.told(message, false)
            }
            fate => self.fated(message, said, fate).await,
        }
    }

    /// The one thing that an answer says, as it is to be. What is lost of it is lost with the connection.
    pub(super) async fn only(&self, message: Told) -> Told {
        let (fate, said) = self.fate_in_answer(&message);
        let left = match fate {
            Fate::Hold(name) => {
                let (deliver, delivered) = oneshot::channel();
                let deliver = Box::new(move || {
                    let _ = deliver.send(());
                });
                self.interferences.hold(&name, deliver);
                let _ = delivered.await;
                self.told(message, false)
            }
            Fate::Drop => self.fated(message, said, Fate::Cut).await,
            fate => self.fated(message, said, fate).await,
        };
        match left {
            Some(message) => message,
            None => pending().await,
        }
    }

    fn fate_in_answer(&self, message: &Told) -> (Fate, Said) {
        let said = answered(Some(message));
        let task = self.task(&said).or_else(|| named(&said));
        let way = self.way_of_calls();
        let fate = self
            .interferences
            .fate(&self.record, way, From::Engine, &said, task.as_ref());
        (fate, said)
    }

    /// What is the same of all that answers say.
    async fn fated(&self, message: Told, said: Said, fate: Fate) -> Option<Told> {
        match fate {
            Fate::Delay(pause) => {
                tokio::time::sleep(pause).await;
                self.told(message, false)
            }
            Fate::Change(change) => {
                let message = changed(self, message, said.body, &change);
                self.told(message, true)
            }
            Fate::Later => {
                self.later.on();
                self.told(crate::wire::later(message), true)
            }
            Fate::Cut => {
                self.note(From::Engine, CALLS, By::Call, said, (false, true));
                self.cut();
                pending().await
            }
            Fate::CutBehind => {
                if let Some(proxy) = self.proxy() {
                    tokio::spawn(async move {
                        tokio::time::sleep(OUT).await;
                        proxy.cut();
                    });
                }
                self.told(message, false)
            }
            // What has no meaning here is no fate: `Interferences::fate` refuses it by name.
            Fate::Pass
            | Fate::Status(_)
            | Fate::LoseAnswer
            | Fate::Double
            | Fate::Hold(_)
            | Fate::Drop => self.told(message, false),
        }
    }

    /// Takes down what an answer says.
    fn told(&self, message: Told, forged: bool) -> Option<Told> {
        let said = answered(Some(&message));
        self.note(From::Engine, CALLS, By::Call, said, (forged, false));
        Some(message)
    }

    /// What waits for an answer that can have it; it is taken down.
    pub(super) fn waiting(&self, fits: impl Fn(&Told) -> bool) -> Vec<Told> {
        let mut state = self.state();
        let fitting: Vec<Waiting> = state
            .waiting
            .extract_if(.., |waiting| fits(&waiting.message))
            .collect();
        state.copied |= fitting.iter().any(Waiting::is_copy);
        for waiting in &fitting {
            if let Why::Said(taken) = &waiting.why {
                taken.tell();
            }
        }
        drop(state);
        let told = |waiting: Waiting| {
            let forged = waiting.forged();
            self.told(waiting.message, forged)
        };
        fitting.into_iter().filter_map(told).collect()
    }

    pub(super) async fn outcome(
        &self,
        outcome: Option<v1::ReportOutcome>,
    ) -> Option<v1::ReportOutcome> {
        match self.only(Told::Outcome(outcome.unwrap_or_default())).await {
            Told::Outcome(outcome) => Some(outcome),
            _ => None,
        }
    }
}

/// Whether the answer to a poll can have it.
pub(super) fn in_a_poll(told: &Told) -> bool {
    matches!(told, Told::Task(_) | Told::Cancel(_) | Told::Drain(_))
}

fn status_of(word: &str) -> Status {
    let message = "the suite says so";
    match word {
        "invalid_argument" => Status::invalid_argument(message),
        "unauthenticated" => Status::unauthenticated(message),
        "permission_denied" => Status::permission_denied(message),
        "not_found" => Status::not_found(message),
        "failed_precondition" => Status::failed_precondition(message),
        "out_of_range" => Status::out_of_range(message),
        "unimplemented" => Status::unimplemented(message),
        "resource_exhausted" => Status::resource_exhausted(message),
        "internal" => Status::internal(message),
        // The reader of cases lets no other through than those of `STATUSES`.
        _ => Status::new(Code::Unavailable, message),
    }
}

#[cfg(test)]
mod tests {
    use super::status_of;
    use crate::interfere::STATUSES;
    use tonic::Code;

    #[test]
    fn each_status_that_a_case_may_name_is_one_of_its_own() {
        let codes: Vec<Code> = STATUSES.iter().map(|word| status_of(word).code()).collect();
        for (at, code) in codes.iter().enumerate() {
            assert!(!codes[..at].contains(code), "{}: {code:?}", STATUSES[at]);
        }
    }
}
