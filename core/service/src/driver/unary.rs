//! Calls without a stream.

use super::tokens::Named;
use super::{DriverHandlers, convert, driving, hello, logs};
use crate::caller::Caller;
use crate::refusal;
use conveyor_engine::time::Time;
use conveyor_node::NodeError;
use conveyor_node::owner::SessionEvent;
use conveyor_node::session::HelloError;
use conveyor_proto::v1::driver_service_server::DriverService;
use conveyor_proto::v1::*;
use tonic::{Code, Request, Response, Status, Streaming};

/// The most answers of one call.
const ANSWERS: usize = 1000;

#[expect(
    clippy::needless_pass_by_value,
    reason = "`map_err` hands the error over"
)]
fn refuse(error: NodeError) -> Status {
    refusal::status(&error)
}

#[tonic::async_trait]
impl DriverService for DriverHandlers {
    type SessionStream = super::stream::Answers;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> std::result::Result<Response<Self::SessionStream>, Status> {
        self.open_stream(request)
    }

    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> std::result::Result<Response<RegisterResponse>, Status> {
        let caller = driving("register", request.extensions())?;
        let said = request.into_inner().hello;
        let said = said.ok_or_else(|| refusal::missing("/hello", "`hello` is missing"))?;
        let (mut read, version, notes) =
            hello::read(&said, &caller).map_err(|refused| match refused.reason {
                GoodbyeReason::Version => Status::failed_precondition(refused.message),
                _ => {
                    let pointer = format!("/hello{}", refused.pointer);
                    refusal::value(pointer, refused.message).status()
                }
            })?;
        let there = hello::is_somewhere(&self.node, &read).await;
        there.map_err(refuse)?;
        let open = |token: &prost::bytes::Bytes| self.node.claim(&caller.principal, token);
        let named = Named::open(said.adopts, open);
        read.adopts.clone_from(&named.claims);
        let (link, over) = self
            .node
            .open_session(read)
            .await
            .map_err(|error| match error {
                HelloError::Refused(reason) => Status::failed_precondition(reason),
                HelloError::Node(error) => refuse(error),
            })?;
        let welcome = self.welcome(&link.session(), version, named.stale(&over), notes);
        self.polled.insert(link);
        Ok(Response::new(RegisterResponse {
            welcome: Some(welcome),
        }))
    }

    async fn poll(
        &self,
        request: Request<PollRequest>,
    ) -> std::result::Result<Response<PollResponse>, Status> {
        let caller = driving("poll", request.extensions())?;
        self.take_tasks(&caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn answer(
        &self,
        request: Request<AnswerRequest>,
    ) -> std::result::Result<Response<AnswerResponse>, Status> {
        let caller = driving("answer", request.extensions())?;
        let request = request.into_inner();
        let session = self.session_of(&caller, &request.session, &request.resume_secret)?;
        if request.answers.len() > ANSWERS {
            return Err(refusal::limit(
                "/answers",
                "answers",
                request.answers.len(),
                ANSWERS,
            ));
        }
        // Nothing is done of a request that is refused.
        if let Some(at) = request.answers.iter().position(|one| one.answer.is_none()) {
            let pointer = format!("/answers/{at}/accepted");
            return Err(refusal::missing(pointer, "`answers[].answer` is missing"));
        }
        let (mut named, mut refused) = (Named::default(), Vec::new());
        for answer in request.answers {
            let Some(claimed) = session.open(&answer.token) else {
                named.push_stale(answer.token);
                continue;
            };
            match answer.answer {
                Some(task_answer::Answer::Accepted(_)) => {
                    session
                        .tell(SessionEvent::Accepted(claimed))
                        .map_err(refuse)?;
                    named.push(claimed, answer.token);
                }
                // Its reason is a driver's words, which may hold a secret: they go nowhere.
                Some(task_answer::Answer::Refused(_)) => {
                    tracing::info!(run = %claimed.run, session = %session.id(), "a task was refused");
                    session
                        .tell(SessionEvent::Refused(claimed))
                        .map_err(refuse)?;
                }
                Some(task_answer::Answer::Detached(detached)) => {
                    let others = &detached.principals;
                    let until = Time(detached.until_ms);
                    let told = self
                        .node
                        .detach(claimed, until, session.principal(), others);
                    match told.await {
                        Ok(Some(_)) => {}
                        Ok(None) => named.push_stale(answer.token),
                        Err(error) if error.is_temporary() => return Err(refuse(error)),
                        Err(error) => {
                            let kind = RefusedKind::Detached;
                            refused.push(convert::refused(answer.token, kind, (0, 0), &error));
                        }
                    }
                }
                // Refused above.
                None => {}
            }
        }
        // What is accepted was told before: this says which of it is in vain.
        let over = session.standing(named.claims.clone()).await;
        let over = over.map_err(refuse)?;
        Ok(Response::new(AnswerResponse {
            stale_tokens: named.stale(&over),
            refused,
        }))
    }

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> std::result::Result<Response<HeartbeatResponse>, Status> {
        let caller = driving("heartbeat", request.extensions())?;
        let request = request.into_inner();
        let session = self.session_of(&caller, &request.session, &request.resume_secret)?;
        let named = Named::of(&session, request.tasks, self.node.now());
        let over = session.heartbeat(named.claims.clone(), None).await;
        let over = over.map_err(refuse)?;
        // After a restart of the engine it may be the first that is heard: cancels come with its answer, too.
        let polled = self.polled(&caller, &request.session, &request.resume_secret);
        match polled.await {
            Err(status) if status.code() != Code::FailedPrecondition => return Err(status),
            // One that has a stream is told by that.
            Ok(_) | Err(_) => {}
        }
        let cancels = self.cancels(&session, &named.claims, &over).await;
        Ok(Response::new(HeartbeatResponse {
            stale_tokens: named.stale(&over),
            cancels,
        }))
    }

    async fn save_checkpoint(
        &self,
        request: Request<SaveCheckpointRequest>,
    ) -> std::result::Result<Response<SaveCheckpointResponse>, Status> {
        let caller = driving("save_checkpoint", request.extensions())?;
        let checkpoint = request.into_inner().checkpoint;
        let checkpoint =
            checkpoint.ok_or_else(|| refusal::missing("/checkpoint", "`checkpoint` is missing"))?;
        let mut reason = String::new();
        let status = match self.node.claim(&caller.principal, &checkpoint.token) {
            None => ReportStatus::Stale,
            Some(claimed) => {
                let kept = self
                    .node
                    .checkpoint(claimed, checkpoint.data.to_vec().into());
                match kept.await {
                    Ok(true) => ReportStatus::Accepted,
                    Ok(false) => ReportStatus::Stale,
                    Err(error) if error.is_temporary() => return Err(refuse(error)),
                    Err(error) => {
                        reason = error.to_string();
                        ReportStatus::Invalid
                    }
                }
            }
        };
        Ok(Response::new(SaveCheckpointResponse {
            status: status.into(),
            reason,
        }))
    }

    async fn report(
        &self,
        request: Request<ReportRequest>,
    ) -> std::result::Result<Response<ReportResponse>, Status> {
        let caller = driving("report", request.extensions())?;
        let outcome = self
            .take_report(&caller, request.into_inner().report)
            .await?;
        Ok(Response::new(ReportResponse {
            outcome: Some(outcome),
        }))
    }

    async fn append_logs(
        &self,
        request: Request<AppendLogsRequest>,
    ) -> std::result::Result<Response<AppendLogsResponse>, Status> {
        let caller = driving("append_logs", request.extensions())?;
        let batch = request.into_inner().logs;
        let batch = batch.ok_or_else(|| refusal::missing("/logs", "`logs` is missing"))?;
        let claimed = self.node.claim_for(&caller.principal, &batch.token).await;
        let claimed = claimed.map_err(refuse)?;
        logs::check(&batch).map_err(|why| refusal::value("/logs/lines", why).status())?;
        let Some(claimed) = claimed else {
            return Ok(Response::new(AppendLogsResponse {
                acknowledgement: None,
                status: ReportStatus::Stale.into(),
            }));
        };
        let kept = logs::append(&self.node, claimed, batch, logs::PATIENCE).await;
        Ok(Response::new(AppendLogsResponse {
            acknowledgement: Some(kept.map_err(refuse)?),
            status: ReportStatus::Accepted.into(),
        }))
    }

    async fn complete_task(
        &self,
        request: Request<CompleteTaskRequest>,
    ) -> std::result::Result<Response<CompleteTaskResponse>, Status> {
        let caller = driving("complete_task", request.extensions())?;
        let outcome = self
            .take_report(&caller, request.into_inner().report)
            .await?;
        Ok(Response::new(CompleteTaskResponse {
            outcome: Some(outcome),
        }))
    }

    async fn extend_task(
        &self,
        request: Request<ExtendTaskRequest>,
    ) -> std::result::Result<Response<ExtendTaskResponse>, Status> {
        let caller = driving("extend_task", request.extensions())?;
        let request = request.into_inner();
        let claimed = self.node.claim_for(&caller.principal, &request.token).await;
        let until = match claimed.map_err(refuse)? {
            None => None,
            Some(claimed) => {
                let extended = self.node.extend(claimed, Time(request.until_ms)).await;
                extended.map_err(refuse)?
            }
        };
        Ok(Response::new(ExtendTaskResponse {
            status: match until {
                Some(_) => ReportStatus::Accepted,
                None => ReportStatus::Stale,
            }
            .into(),
            until_ms: until.map_or(0, |until| until.0),
        }))
    }

    async fn leave(
        &self,
        request: Request<LeaveRequest>,
    ) -> std::result::Result<Response<LeaveResponse>, Status> {
        let caller = driving("leave", request.extensions())?;
        let request = request.into_inner();
        let session = self.session_of(&caller, &request.session, &request.resume_secret)?;
        session.tell(SessionEvent::Left).map_err(refuse)?;
        self.polled.remove(session.id());
        Ok(Response::new(LeaveResponse {}))
    }
}

impl DriverHandlers {
    async fn take_report(
        &self,
        caller: &Caller,
        report: Option<TaskReport>,
    ) -> std::result::Result<ReportOutcome, Status> {
        let report = report.ok_or_else(|| refusal::missing("/report", "`report` is missing"))?;
        let claimed = self.node.claim_for(&caller.principal, &report.token).await;
        let Some(claimed) = claimed.map_err(refuse)? else {
            return Ok(ReportOutcome {
                token: report.token,
                status: ReportStatus::Stale.into(),
                reason: String::new(),
            });
        };
        let most = self.node.limits().output_bytes;
        let (outcome, last) = convert::outcome(report.result, most);
        let reported = self
            .node
            .report(claimed, outcome, last)
            .await
            .map_err(refuse)?;
        Ok(convert::report_outcome(report.token, reported))
    }
}
