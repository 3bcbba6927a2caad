//! The calls of drivers without a stream. Each is taken down as the messages that it would be on one.

use super::Tap;
use super::judged::in_a_poll;
use super::stream::{Answers, session};
use conveyor_proto::v1;
use conveyor_proto::v1::driver_service_server::DriverService;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use conveyor_service::Asked;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// The tap as a service: it has to be shared by what goes on in the background.
pub(crate) struct Tapped(pub(crate) Arc<Tap>);

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
        let with = |request: &mut v1::RegisterRequest, said: Vec<Tell>| {
            if let Some(Tell::Hello(hello)) = said.into_iter().next() {
                request.hello = Some(hello);
            }
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.register(request).await }
        };
        let answer = self.0.call(request, said, with, call).await?;
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
        let upstream = tap.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.poll(request).await }
        };
        let answer = tap.polled(request, call).await?;
        let mut said = tap.waiting(in_a_poll);
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
        let with = |request: &mut v1::AnswerRequest, said: Vec<Tell>| {
            let answers = said.into_iter().filter_map(|message| match message {
                Tell::Answer(answer) => Some(answer),
                _ => None,
            });
            request.answers = answers.collect();
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.answer(request).await }
        };
        let answer = self.0.call(request, said, with, call).await?;
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
        let with = |request: &mut v1::HeartbeatRequest, said: Vec<Tell>| {
            if let Some(Tell::Heartbeat(heartbeat)) = said.into_iter().next() {
                request.tasks = heartbeat.tasks;
            }
        };
        let upstream = tap.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.heartbeat(request).await }
        };
        let answer = tap.call(request, said, with, call).await?;
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
        let with = |request: &mut v1::SaveCheckpointRequest, said: Vec<Tell>| {
            if let Some(Tell::Checkpoint(checkpoint)) = said.into_iter().next() {
                request.checkpoint = Some(checkpoint);
            }
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.save_checkpoint(request).await }
        };
        let answer = self.0.call(request, said, with, call).await?;
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
        let with = |request: &mut v1::ReportRequest, said: Vec<Tell>| {
            if let Some(Tell::Report(report)) = said.into_iter().next() {
                request.report = Some(report);
            }
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.report(request).await }
        };
        let answer = self.0.call(request, said, with, call).await?;
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
        let with = |request: &mut v1::AppendLogsRequest, said: Vec<Tell>| {
            if let Some(Tell::Logs(logs)) = said.into_iter().next() {
                request.logs = Some(logs);
            }
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.append_logs(request).await }
        };
        let mut answer = self.0.call(request, said, with, call).await?;
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
        let with = |request: &mut v1::CompleteTaskRequest, said: Vec<Tell>| {
            if let Some(Tell::Report(report)) = said.into_iter().next() {
                request.report = Some(report);
            }
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.complete_task(request).await }
        };
        let answer = self.0.call(request, said, with, call).await?;
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
        let answer = self
            .0
            .call(request, |_| Vec::new(), |_, _| (), call)
            .await?;
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
        let with = |request: &mut v1::LeaveRequest, said: Vec<Tell>| {
            if let Some(Tell::Leaving(leaving)) = said.into_iter().next() {
                request.reason = leaving.reason;
            }
        };
        let upstream = self.0.upstream();
        let call = |request| {
            let mut upstream = upstream.clone();
            async move { upstream.leave(request).await }
        };
        let answer = self.0.call(request, said, with, call).await?;
        Ok(Response::new(answer))
    }
}
