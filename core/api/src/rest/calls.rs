//! Calls with one answer: the table of their paths.

use super::request::{Read, Wants, read};
use super::route::{Answers, Route};
use super::{Problem, respond};
use crate::json;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_proto::v1::driver_service_server::DriverService;
use conveyor_service::{Asked, ControlHandlers};
use futures_util::future::BoxFuture;
use serde_json::Value as Json;
use std::sync::Arc;

/// A row's own part of the work: from the request that was read to the answer.
type Call<H> = fn(Arc<H>, Read) -> BoxFuture<'static, Result<Json, Problem>>;

/// Makes a table of routes and the router that answers them, both of the same rows. A row reads the
/// message, calls, and writes the answer; what the path implies stands at its end, and is set last.
macro_rules! table {
    (
        $(#[$about:meta])* $table:ident, $router:ident $(<$any:ident: $bound:ident>)? ($handlers:ty);
        $($method:ident $path:literal $call:ident($request:ident => $response:ident) $wants:ident
            $(, $field:literal = $value:literal)*;)*
    ) => {
        $(#[$about])*
        pub(crate) const $table: &[Route] = &[$(Route {
            method: stringify!($method),
            path: $path,
            request: stringify!($request),
            response: stringify!($response),
            wants: Wants::$wants,
            implied: &[$(($field, $value)),*],
            answers: Answers::Once,
        }),*];

        $(#[$about])*
        pub(super) fn $router $(<$any: $bound>)? (handlers: &Arc<$handlers>) -> Router {
            let calls: &[(MethodFilter, Call<$handlers>)] = &[$((
                filter!($method),
                |handlers, read| Box::pin(async move {
                    let (told, extensions, message) =
                        read.message::<v1::$request>(stringify!($request))?;
                    let mut request = tonic::Request::new(message);
                    *request.extensions_mut() = extensions;
                    match handlers.$call(request).await {
                        Ok(answer) => {
                            let answer = answer.into_inner();
                            Ok(json::to_json(stringify!($response), &answer))
                        }
                        Err(status) => Err(told.refused(status)),
                    }
                }),
            )),*];
            router($table, calls, handlers)
        }
    };
}

/// A row's method, as a router takes it.
macro_rules! filter {
    (get) => {
        MethodFilter::GET
    };
    (post) => {
        MethodFilter::POST
    };
    (delete) => {
        MethodFilter::DELETE
    };
}

/// The router of a table. What all rows do is compiled once (decision 0064).
fn router<H: Send + Sync + 'static>(
    table: &'static [Route],
    calls: &[(MethodFilter, Call<H>)],
    handlers: &Arc<H>,
) -> Router {
    let mut router = Router::new();
    for (route, &(method, call)) in table.iter().zip(calls) {
        let answer = move |State(handlers), request| answer(handlers, request, route, call);
        router = router.route(route.path, on(method, answer));
    }
    router.with_state(Arc::clone(handlers))
}

async fn answer<H>(
    handlers: Arc<H>,
    request: Request,
    route: &'static Route,
    call: Call<H>,
) -> Response {
    let answer = async {
        let asked = Asked {
            method: route.method,
            path: route.path,
        };
        let mut read = read(request, asked, route.request, route.wants, route.answers).await?;
        for (field, value) in route.implied {
            read.set(field, *value)?;
        }
        call(handlers, read).await
    };
    respond(answer.await)
}

table! {
    /// What clients call.
    CONTROL, control(ControlHandlers);
    get "/v1/server" get_server_info(GetServerInfoRequest => GetServerInfoResponse) Nothing;
    post "/v1/check" check_pipeline(CheckPipelineRequest => CheckPipelineResponse) Fields;
    post "/v1/plan" plan_pipeline(PlanPipelineRequest => PlanPipelineResponse) Document;
    get "/v1/runs" list_runs(ListRunsRequest => ListRunsResponse) Nothing;
    post "/v1/runs" start_run(StartRunRequest => StartRunResponse) Document;
    get "/v1/runs/{run}" get_run(GetRunRequest => GetRunResponse) Nothing;
    delete "/v1/runs/{run}" delete_run(DeleteRunRequest => DeleteRunResponse) Nothing;
    post "/v1/runs/{run}/drain" stop_run(StopRunRequest => StopRunResponse) Fields, "kind" = "drain";
    post "/v1/runs/{run}/cancel" stop_run(StopRunRequest => StopRunResponse) Fields, "kind" = "cancel";
    post "/v1/runs/{run}/terminate" stop_run(StopRunRequest => StopRunResponse) Fields, "kind" = "terminate";
    post "/v1/runs/{run}/pause" pause_run(PauseRunRequest => PauseRunResponse) Fields;
    post "/v1/runs/{run}/resume" resume_run(ResumeRunRequest => ResumeRunResponse) Fields;
    post "/v1/runs/{run}/release" release_run(ReleaseRunRequest => ReleaseRunResponse) Fields;
    post "/v1/runs/{run}/continue" continue_run(ContinueRunRequest => ContinueRunResponse) Fields;
    post "/v1/runs/{run}/fork" fork_run(ForkRunRequest => ForkRunResponse) Fields;
    get "/v1/pipelines" list_pipelines(ListPipelinesRequest => ListPipelinesResponse) Nothing;
    post "/v1/pipelines" apply_pipeline(ApplyPipelineRequest => ApplyPipelineResponse) Document;
    get "/v1/pipelines/{name}" get_pipeline(GetPipelineRequest => GetPipelineResponse) Nothing;
    get "/v1/pipelines/{name}/revisions" list_pipeline_revisions(ListPipelineRevisionsRequest => ListPipelineRevisionsResponse) Nothing;
    get "/v1/revisions/{digest}" get_pipeline(GetPipelineRequest => GetPipelineResponse) Nothing;
    delete "/v1/pipelines/{name}" delete_pipeline(DeletePipelineRequest => DeletePipelineResponse) Nothing;
    get "/v1/definitions" list_definitions(ListDefinitionsRequest => ListDefinitionsResponse) Nothing;
    post "/v1/definitions" apply_definition(ApplyDefinitionRequest => ApplyDefinitionResponse) Fields;
    get "/v1/definitions/{name}" get_definition(GetDefinitionRequest => GetDefinitionResponse) Nothing;
    delete "/v1/definitions/{name}" delete_definition(DeleteDefinitionRequest => DeleteDefinitionResponse) Nothing;
    get "/v1/resources" list_resources(ListResourcesRequest => ListResourcesResponse) Nothing;
    post "/v1/resources" apply_resource(ApplyResourceRequest => ApplyResourceResponse) Fields;
    get "/v1/resources/{definition}/{name}" get_resource(GetResourceRequest => GetResourceResponse) Nothing;
    delete "/v1/resources/{definition}/{name}" delete_resource(DeleteResourceRequest => DeleteResourceResponse) Nothing;
    get "/v1/namespaces" list_namespaces(ListNamespacesRequest => ListNamespacesResponse) Nothing;
    post "/v1/namespaces" create_namespace(CreateNamespaceRequest => CreateNamespaceResponse) Fields;
    get "/v1/namespaces/{name}" get_namespace(GetNamespaceRequest => GetNamespaceResponse) Nothing;
    post "/v1/namespaces/{name}" update_namespace(UpdateNamespaceRequest => UpdateNamespaceResponse) Fields;
    delete "/v1/namespaces/{name}" delete_namespace(DeleteNamespaceRequest => DeleteNamespaceResponse) Nothing;
    get "/v1/tokens" list_tokens(ListTokensRequest => ListTokensResponse) Nothing;
    post "/v1/tokens" create_token(CreateTokenRequest => CreateTokenResponse) Fields;
    delete "/v1/tokens/{id}" revoke_token(RevokeTokenRequest => RevokeTokenResponse) Nothing;
    get "/v1/drivers" list_drivers(ListDriversRequest => ListDriversResponse) Nothing;
    get "/v1/drivers/{name}" get_driver(GetDriverRequest => GetDriverResponse) Nothing;
    delete "/v1/drivers/{name}" delete_driver(DeleteDriverRequest => DeleteDriverResponse) Nothing;
}

table! {
    /// What drivers call that hold no stream.
    DRIVER, driver<D: DriverService>(D);
    post "/v1/driver/register" register(RegisterRequest => RegisterResponse) Fields;
    post "/v1/driver/poll" poll(PollRequest => PollResponse) Fields;
    post "/v1/driver/answer" answer(AnswerRequest => AnswerResponse) Fields;
    post "/v1/driver/heartbeat" heartbeat(HeartbeatRequest => HeartbeatResponse) Fields;
    post "/v1/driver/checkpoint" save_checkpoint(SaveCheckpointRequest => SaveCheckpointResponse) Fields;
    post "/v1/driver/report" report(ReportRequest => ReportResponse) Fields;
    post "/v1/driver/logs" append_logs(AppendLogsRequest => AppendLogsResponse) Fields;
    post "/v1/driver/complete" complete_task(CompleteTaskRequest => CompleteTaskResponse) Fields;
    post "/v1/driver/extend" extend_task(ExtendTaskRequest => ExtendTaskResponse) Fields;
    post "/v1/driver/leave" leave(LeaveRequest => LeaveResponse) Fields;
}
