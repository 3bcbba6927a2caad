//! Calls with one answer.

use super::Problem;
use super::request::{Wants, read};
use crate::json;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_proto::v1::driver_service_server::DriverService as _;
use conveyor_service::{ControlHandlers, DriverHandlers};
use std::sync::Arc;

/// A route: reads the message, calls, and writes the answer. What the path implies is set last.
macro_rules! call {
    ($handlers:ty, $call:ident, $request:ident => $response:ident, $wants:ident $(, $field:literal = $value:literal)*) => {
        |State(handlers): State<Arc<$handlers>>, request: Request| async move {
            let answer = async {
                #[allow(unused_mut, reason = "not every path implies a field")]
                let mut read = read(request, stringify!($request), Wants::$wants).await?;
                $(read.set($field, $value)?;)*
                let (parts, message) = read.message::<v1::$request>(stringify!($request))?;
                let mut request = tonic::Request::new(message);
                *request.extensions_mut() = parts.extensions;
                let answer = handlers.$call(request).await?.into_inner();
                Ok::<_, Problem>(json::to_json(stringify!($response), &answer))
            };
            respond(answer.await)
        }
    };
}

fn respond(answer: Result<serde_json::Value, Problem>) -> Response {
    match answer {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(problem) => problem.into_response(),
    }
}

macro_rules! control {
    ($call:ident, $request:ident => $response:ident, $wants:ident $(, $field:literal = $value:literal)*) => {
        call!(ControlHandlers, $call, $request => $response, $wants $(, $field = $value)*)
    };
}

macro_rules! driver {
    ($call:ident, $request:ident => $response:ident) => {
        post(call!(DriverHandlers, $call, $request => $response, Fields))
    };
}

/// What clients call.
pub(super) fn control(handlers: &Arc<ControlHandlers>) -> Router {
    Router::new()
        .route("/v1/server", get(control!(get_server_info, GetServerInfoRequest => GetServerInfoResponse, Nothing)))
        .route("/v1/check", post(control!(check_pipeline, CheckPipelineRequest => CheckPipelineResponse, Fields)))
        .route(
            "/v1/runs",
            get(control!(list_runs, ListRunsRequest => ListRunsResponse, Nothing))
                .post(control!(start_run, StartRunRequest => StartRunResponse, Document)),
        )
        .route(
            "/v1/runs/{run}",
            get(control!(get_run, GetRunRequest => GetRunResponse, Nothing))
                .delete(control!(delete_run, DeleteRunRequest => DeleteRunResponse, Nothing)),
        )
        .route("/v1/runs/{run}/drain", post(control!(stop_run, StopRunRequest => StopRunResponse, Fields, "kind" = "drain")))
        .route("/v1/runs/{run}/cancel", post(control!(stop_run, StopRunRequest => StopRunResponse, Fields, "kind" = "cancel")))
        .route("/v1/runs/{run}/terminate", post(control!(stop_run, StopRunRequest => StopRunResponse, Fields, "kind" = "terminate")))
        .route("/v1/runs/{run}/pause", post(control!(pause_run, PauseRunRequest => PauseRunResponse, Fields)))
        .route("/v1/runs/{run}/resume", post(control!(resume_run, ResumeRunRequest => ResumeRunResponse, Fields)))
        .route("/v1/runs/{run}/release", post(control!(release_run, ReleaseRunRequest => ReleaseRunResponse, Fields)))
        .route("/v1/runs/{run}/continue", post(control!(continue_run, ContinueRunRequest => ContinueRunResponse, Fields)))
        .route("/v1/runs/{run}/fork", post(control!(fork_run, ForkRunRequest => ForkRunResponse, Fields)))
        .route(
            "/v1/pipelines",
            get(control!(list_pipelines, ListPipelinesRequest => ListPipelinesResponse, Nothing))
                .post(control!(apply_pipeline, ApplyPipelineRequest => ApplyPipelineResponse, Document)),
        )
        .route(
            "/v1/pipelines/{name}",
            get(control!(get_pipeline, GetPipelineRequest => GetPipelineResponse, Nothing))
                .delete(control!(delete_pipeline, DeletePipelineRequest => DeletePipelineResponse, Nothing)),
        )
        .route(
            "/v1/namespaces",
            get(control!(list_namespaces, ListNamespacesRequest => ListNamespacesResponse, Nothing))
                .post(control!(create_namespace, CreateNamespaceRequest => CreateNamespaceResponse, Fields)),
        )
        .route(
            "/v1/namespaces/{name}",
            delete(control!(delete_namespace, DeleteNamespaceRequest => DeleteNamespaceResponse, Nothing)),
        )
        .route("/v1/drivers", get(control!(list_drivers, ListDriversRequest => ListDriversResponse, Nothing)))
        .with_state(Arc::clone(handlers))
}

/// What drivers call that hold no stream.
pub(super) fn driver(handlers: &Arc<DriverHandlers>) -> Router {
    Router::new()
        .route(
            "/v1/driver/register",
            driver!(register, RegisterRequest => RegisterResponse),
        )
        .route(
            "/v1/driver/poll",
            driver!(poll, PollRequest => PollResponse),
        )
        .route(
            "/v1/driver/answer",
            driver!(answer, AnswerRequest => AnswerResponse),
        )
        .route(
            "/v1/driver/heartbeat",
            driver!(heartbeat, HeartbeatRequest => HeartbeatResponse),
        )
        .route(
            "/v1/driver/checkpoint",
            driver!(save_checkpoint, SaveCheckpointRequest => SaveCheckpointResponse),
        )
        .route(
            "/v1/driver/report",
            driver!(report, ReportRequest => ReportResponse),
        )
        .route(
            "/v1/driver/logs",
            driver!(append_logs, AppendLogsRequest => AppendLogsResponse),
        )
        .route(
            "/v1/driver/complete",
            driver!(complete_task, CompleteTaskRequest => CompleteTaskResponse),
        )
        .route(
            "/v1/driver/extend",
            driver!(extend_task, ExtendTaskRequest => ExtendTaskResponse),
        )
        .route(
            "/v1/driver/leave",
            driver!(leave, LeaveRequest => LeaveResponse),
        )
        .with_state(Arc::clone(handlers))
}
