//! The calls of drivers without a stream. Each is taken down as the messages that it would be on one.

use super::stream::{Answers, changed, session};
use super::{Tap, onward, pseudo};
use crate::interfere::Fate;
use crate::wire::{By, From, Said, TaskName, answered};
use conveyor_api::Shown;
use conveyor_proto::v1;
use conveyor_proto::v1::driver_service_server::DriverService;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use conveyor_service::Asked;
use std::future::{Future, pending};
use std::sync::Arc;
use tokio::sync::oneshot;
use tonic::{Code, Request, Response, Status, Streaming};

/// The connection of calls.
const CALLS: u32 = 0;

/// What becomes of a call before the engine has it.
struct Judged {
    /// It is called twice, and the second answer counts.
    twice: bool,
    /// It is called, and its answer is lost.
    lose_answer: bool,
    cut_behind: bool,
}

/// The tap as a service: it has to be shared by what goes on in the background.
pub(crate) struct Tapped(pub(crate) Arc<Tap>);

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
    /// Takes down what a call says, and does to it what a case wants.
    async fn heard(&self, messages: Vec<Tell>) -> Result<Judged, Status> {
        let mut judged = Judged {
            twice: false,
            lose_answer: false,
            cut_behind: false,
        };
        for message in messages {
            self.heard_one(pseudo(&message), &mut judged).await?;
        }
        Ok(judged)
    }

    async fn heard_one(&self, said: Said, judged: &mut Judged) -> Result<(), Status> {
        let task = self.task(&said);
        let fate = self
            .interferences
            .fate(&self.record, From::Driver, &said, task.as_ref());
        let lost = matches!(fate, Fate::Drop | Fate::Cut | Fate::Status(_));
        self.note(From::Driver, CALLS, By::Call, said, (false, lost));
        match fate {
            Fate::Pass | Fate::Later | Fate::Change(_) => {}
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
            Fate::CutBehind => judged.cut_behind = true,
            Fate::Status(status) => return Err(status_of(&status)),
            Fate::LoseAnswer => judged.lose_answer = true,
        }
        Ok(())
    }

    /// Calls the engine as it was judged.
    async fn call<T: Clone, R, F: Future<Output = Result<Response<R>, Status>>>(
        &self,
        request: Request<T>,
        messages: impl FnOnce(&T) -> Vec<Tell>,
        call: impl Fn(Request<T>) -> F,
    ) -> Result<R, Status> {
        let judged = self.heard(messages(request.get_ref())).await?;
        let shown = request.extensions().get::<Shown>().cloned();
        let metadata = request.metadata().clone();
        let message = request.into_inner();
        let again = || onward(message.clone(), &metadata, shown.as_ref());
        if judged.twice {
            // What the first was answered is lost.
            let _ = call(again()).await;
        }
        let answer = call(again()).await;
        if judged.lose_answer || judged.cut_behind {
            self.cut();
            pending::<()>().await;
        }
        answer.map(Response::into_inner)
    }

    /// Does to one thing that an answer says what a case wants. What is left of it; it is taken down.
    async fn say_in_answer(&self, message: Told) -> Vec<Told> {
        let said = answered(Some(&message));
        let task = self.task(&said).or_else(|| named(&said));
        let fate = self
            .interferences
            .fate(&self.record, From::Engine, &said, task.as_ref());
        let note = |message: &Told, forged, lost| {
            let said = answered(Some(message));
            self.note(From::Engine, CALLS, By::Call, said, (forged, lost));
        };
        match fate {
            Fate::Hold(_) | Fate::Drop | Fate::Cut => {
                note(&message, false, true);
                if let Fate::Hold(name) = fate {
                    let waiting = Arc::clone(&self.state);
                    let deliver = Box::new(move || {
                        let mut state = waiting
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner);
                        state.waiting.push(message);
                    });
                    self.interferences.hold(&name, deliver);
                }
                Vec::new()
            }
            Fate::Double => {
                note(&message, false, false);
                self.state().waiting.push(message.clone());
                vec![message]
            }
            Fate::Delay(pause) => {
                tokio::time::sleep(pause).await;
                note(&message, false, false);
                vec![message]
            }
            Fate::Change(change) => {
                let message = changed(message, said.body, &change);
                note(&message, true, false);
                vec![message]
            }
            Fate::Later => {
                self.later.on();
                let message = crate::wire::later(message);
                note(&message, true, false);
                vec![message]
            }
            Fate::Pass | Fate::Status(_) | Fate::LoseAnswer | Fate::CutBehind => {
                note(&message, false, false);
                vec![message]
            }
        }
    }

    /// What was said in the engine's name since, of what an answer can have; it is taken down.
    fn waiting(&self, fits: impl Fn(&Told) -> bool) -> Vec<Told> {
        let fitting: Vec<Told> = self
            .state()
            .waiting
            .extract_if(.., |told| fits(told))
            .collect();
        for message in &fitting {
            let said = answered(Some(message));
            self.note(From::Engine, CALLS, By::Call, said, (true, false));
        }
        fitting
    }

    /// The one thing that an answer says, as it is to be; `None` where it is never to come.
    async fn only(&self, message: Told) -> Told {
        match self.say_in_answer(message).await.pop() {
            Some(message) => message,
            None => {
                self.cut();
                pending().await
            }
        }
    }

    async fn outcome(&self, outcome: Option<v1::ReportOutcome>) -> Option<v1::ReportOutcome> {
        match self.only(Told::Outcome(outcome.unwrap_or_default())).await {
            Told::Outcome(outcome) => Some(outcome),
            _ => None,
        }
    }
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
        _ => Status::new(Code::Unavailable, message),
    }
}

fn stale(tokens: Vec<prost::bytes::Bytes>, refused: Vec<v1::RefusedMessage>) -> Told {
    Told::Acknowledgement(v1::Acknowledgement {
        stale_tokens: tokens,
        refused,
        ..v1::Acknowledgement::default()
    })
}

#[tonic::async_trait]
impl DriverService for Tapped {
    type SessionStream = Answers;

    async fn session(
        &self,
        request: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<Answers>, Status> {
        self.0.comes_by("stream");
        session(Arc::clone(&self.0), request).await
    }

    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Result<Response<v1::RegisterResponse>, Status> {
        // Only REST has a method and a path.
        self.0.comes_by(match request.extensions().get::<Asked>() {
            Some(_) => "rest",
            None => "unary",
        });
        let said = |request: &v1::RegisterRequest| {
            vec![Tell::Hello(request.hello.clone().unwrap_or_default())]
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.register(request).await }
        };
        let answer = self.0.call(request, said, call).await?;
        let welcome = answer.welcome.unwrap_or_default();
        let welcome = match self.0.only(Told::Welcome(welcome)).await {
            Told::Welcome(welcome) => Some(welcome),
            _ => None,
        };
        Ok(Response::new(v1::RegisterResponse { welcome }))
    }

    async fn poll(
        &self,
        request: Request<v1::PollRequest>,
    ) -> Result<Response<v1::PollResponse>, Status> {
        let tap = &self.0;
        // It is no message of a stream: what it says is how many it takes.
        let body = conveyor_api::to_json("PollRequest", request.get_ref());
        let said = Said {
            kind: "poll",
            token: prost::bytes::Bytes::new(),
            body,
        };
        let mut judged = Judged {
            twice: false,
            lose_answer: false,
            cut_behind: false,
        };
        tap.heard_one(said, &mut judged).await?;
        let upstream = tap.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.poll(request).await }
        };
        let answer = tap.call(request, |_| Vec::new(), call).await?;
        if judged.lose_answer || judged.cut_behind {
            tap.cut();
            pending::<()>().await;
        }
        let mut said =
            tap.waiting(|told| matches!(told, Told::Task(_) | Told::Cancel(_) | Told::Drain(_)));
        let tasks = answer.tasks.into_iter().map(Told::Task);
        let cancels = answer.cancels.into_iter().map(Told::Cancel);
        let drain = answer.drain.into_iter().map(Told::Drain);
        for message in tasks.chain(cancels).chain(drain) {
            said.extend(tap.say_in_answer(message).await);
        }
        let mut response = v1::PollResponse::default();
        for message in said {
            match message {
                Told::Task(task) => response.tasks.push(task),
                Told::Cancel(cancel) => response.cancels.push(cancel),
                Told::Drain(drain) => response.drain = Some(drain),
                _ => {}
            }
        }
        Ok(Response::new(response))
    }

    async fn answer(
        &self,
        request: Request<v1::AnswerRequest>,
    ) -> Result<Response<v1::AnswerResponse>, Status> {
        let said = |request: &v1::AnswerRequest| {
            let answers = request.answers.iter().cloned();
            answers.map(Tell::Answer).collect()
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.answer(request).await }
        };
        let answer = self.0.call(request, said, call).await?;
        let told = stale(answer.stale_tokens, answer.refused);
        Ok(Response::new(match self.0.only(told).await {
            Told::Acknowledgement(told) => v1::AnswerResponse {
                stale_tokens: told.stale_tokens,
                refused: told.refused,
            },
            _ => v1::AnswerResponse::default(),
        }))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        let tap = &self.0;
        let said = |request: &v1::HeartbeatRequest| {
            vec![Tell::Heartbeat(v1::SessionHeartbeat {
                tasks: request.tasks.clone(),
                free: None,
            })]
        };
        let upstream = tap.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.heartbeat(request).await }
        };
        let answer = tap.call(request, said, call).await?;
        let mut said = vec![tap.only(stale(answer.stale_tokens, Vec::new())).await];
        for cancel in answer.cancels {
            said.extend(tap.say_in_answer(Told::Cancel(cancel)).await);
        }
        said.extend(tap.waiting(|told| matches!(told, Told::Cancel(_) | Told::Acknowledgement(_))));
        let mut response = v1::HeartbeatResponse::default();
        for message in said {
            match message {
                Told::Cancel(cancel) => response.cancels.push(cancel),
                Told::Acknowledgement(told) => response.stale_tokens.extend(told.stale_tokens),
                _ => {}
            }
        }
        Ok(Response::new(response))
    }

    async fn save_checkpoint(
        &self,
        request: Request<v1::SaveCheckpointRequest>,
    ) -> Result<Response<v1::SaveCheckpointResponse>, Status> {
        let said = |request: &v1::SaveCheckpointRequest| {
            vec![Tell::Checkpoint(
                request.checkpoint.clone().unwrap_or_default(),
            )]
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.save_checkpoint(request).await }
        };
        let answer = self.0.call(request, said, call).await?;
        // Its fate has the form of an outcome.
        let told = Told::Outcome(v1::ReportOutcome {
            token: prost::bytes::Bytes::new(),
            status: answer.status,
            reason: answer.reason,
        });
        Ok(Response::new(match self.0.only(told).await {
            Told::Outcome(told) => v1::SaveCheckpointResponse {
                status: told.status,
                reason: told.reason,
            },
            _ => v1::SaveCheckpointResponse::default(),
        }))
    }

    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        let said = |request: &v1::ReportRequest| {
            vec![Tell::Report(request.report.clone().unwrap_or_default())]
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.report(request).await }
        };
        let answer = self.0.call(request, said, call).await?;
        let outcome = self.0.outcome(answer.outcome).await;
        Ok(Response::new(v1::ReportResponse { outcome }))
    }

    async fn append_logs(
        &self,
        request: Request<v1::AppendLogsRequest>,
    ) -> Result<Response<v1::AppendLogsResponse>, Status> {
        let said = |request: &v1::AppendLogsRequest| {
            vec![Tell::Logs(request.logs.clone().unwrap_or_default())]
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.append_logs(request).await }
        };
        let mut answer = self.0.call(request, said, call).await?;
        let logs = answer.acknowledgement.clone().into_iter().collect();
        let told = Told::Acknowledgement(v1::Acknowledgement {
            logs,
            ..v1::Acknowledgement::default()
        });
        if let Told::Acknowledgement(mut told) = self.0.only(told).await {
            answer.acknowledgement = told.logs.pop();
        }
        Ok(Response::new(answer))
    }

    async fn complete_task(
        &self,
        request: Request<v1::CompleteTaskRequest>,
    ) -> Result<Response<v1::CompleteTaskResponse>, Status> {
        let said = |request: &v1::CompleteTaskRequest| {
            vec![Tell::Report(request.report.clone().unwrap_or_default())]
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.complete_task(request).await }
        };
        let answer = self.0.call(request, said, call).await?;
        let outcome = self.0.outcome(answer.outcome).await;
        Ok(Response::new(v1::CompleteTaskResponse { outcome }))
    }

    async fn extend_task(
        &self,
        request: Request<v1::ExtendTaskRequest>,
    ) -> Result<Response<v1::ExtendTaskResponse>, Status> {
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.extend_task(request).await }
        };
        let answer = self.0.call(request, |_| Vec::new(), call).await?;
        Ok(Response::new(answer))
    }

    async fn leave(
        &self,
        request: Request<v1::LeaveRequest>,
    ) -> Result<Response<v1::LeaveResponse>, Status> {
        let said = |request: &v1::LeaveRequest| {
            let reason = request.reason.clone();
            vec![Tell::Leaving(v1::Leaving { reason })]
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.leave(request).await }
        };
        let answer = self.0.call(request, said, call).await?;
        Ok(Response::new(answer))
    }
}
