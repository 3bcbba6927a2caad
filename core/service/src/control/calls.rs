//! The table of calls.

use super::ControlHandlers;
use super::watch::Stream;
use crate::caller::Scope;
use conveyor_proto::v1::control_service_server::ControlService;
use conveyor_proto::v1::*;
use tonic::{Request, Response, Status};

macro_rules! calls {
    (
        $($call:ident($request:ident) -> $response:ty = $method:ident;)*
    ) => {
        #[tonic::async_trait]
        impl ControlService for ControlHandlers {
            type WatchRunEventsStream = Stream<WatchRunEventsResponse>;
            type ReadLogsStream = Stream<ReadLogsResponse>;
            type WatchEventsStream = Stream<WatchEventsResponse>;
            type BackupStream = Stream<BackupResponse>;

            $(async fn $call(&self, request: Request<$request>) -> std::result::Result<Response<$response>, Status> {
                let asked = self.on_behalf(stringify!($call), request.extensions())?;
                asked.$method(request.into_inner()).await.map(Response::new)
            })*

            async fn get_server_info(
                &self,
                request: Request<GetServerInfoRequest>,
            ) -> std::result::Result<Response<GetServerInfoResponse>, Status> {
                let asked = self.on_behalf("get_server_info", request.extensions())?;
                asked.info().await.map(Response::new)
            }

            async fn backup(
                &self,
                request: Request<BackupRequest>,
            ) -> std::result::Result<Response<Self::BackupStream>, Status> {
                let asked = self.on_behalf("backup", request.extensions())?;
                asked.back_up().await.map(Response::new)
            }

        }
    };
}

/// What a call takes.
pub(super) fn scope(call: &str) -> Scope {
    match call {
        "create_namespace" | "update_namespace" | "delete_namespace" | "create_token"
        | "list_tokens" | "revoke_token" | "backup" => Scope::Admin,
        _ => Scope::Client,
    }
}

/// Whether a call is about what is of all namespaces.
pub(super) fn is_of_all(call: &str) -> bool {
    matches!(
        call,
        "create_namespace" | "update_namespace" | "delete_namespace" | "backup"
    )
}

calls! {
        check_pipeline(CheckPipelineRequest) -> CheckPipelineResponse = check_documents;
        plan_pipeline(PlanPipelineRequest) -> PlanPipelineResponse = plan;
        start_run(StartRunRequest) -> StartRunResponse = start;
        continue_run(ContinueRunRequest) -> ContinueRunResponse = go_on;
        get_run(GetRunRequest) -> GetRunResponse = get;
        list_runs(ListRunsRequest) -> ListRunsResponse = list;
        watch_run_events(WatchRunEventsRequest) -> Stream<WatchRunEventsResponse> = watch;
        watch_events(WatchEventsRequest) -> Stream<WatchEventsResponse> = watch_all;
        read_logs(ReadLogsRequest) -> Stream<ReadLogsResponse> = logs;
        stop_run(StopRunRequest) -> StopRunResponse = stop;
        pause_run(PauseRunRequest) -> PauseRunResponse = pause;
        resume_run(ResumeRunRequest) -> ResumeRunResponse = unpause;
        fork_run(ForkRunRequest) -> ForkRunResponse = fork;
        release_run(ReleaseRunRequest) -> ReleaseRunResponse = release;
        delete_run(DeleteRunRequest) -> DeleteRunResponse = delete;
        create_namespace(CreateNamespaceRequest) -> CreateNamespaceResponse = create_one_namespace;
        list_namespaces(ListNamespacesRequest) -> ListNamespacesResponse = all_namespaces;
        get_namespace(GetNamespaceRequest) -> GetNamespaceResponse = one_namespace;
        update_namespace(UpdateNamespaceRequest) -> UpdateNamespaceResponse = update_one_namespace;
        delete_namespace(DeleteNamespaceRequest) -> DeleteNamespaceResponse = delete_one_namespace;
        apply_pipeline(ApplyPipelineRequest) -> ApplyPipelineResponse = apply_one_pipeline;
        get_pipeline(GetPipelineRequest) -> GetPipelineResponse = one_pipeline;
        list_pipeline_revisions(ListPipelineRevisionsRequest) -> ListPipelineRevisionsResponse = all_revisions;
        list_pipelines(ListPipelinesRequest) -> ListPipelinesResponse = all_pipelines;
        delete_pipeline(DeletePipelineRequest) -> DeletePipelineResponse = delete_one_pipeline;
        apply_definition(ApplyDefinitionRequest) -> ApplyDefinitionResponse = apply_one_definition;
        get_definition(GetDefinitionRequest) -> GetDefinitionResponse = one_definition;
        list_definitions(ListDefinitionsRequest) -> ListDefinitionsResponse = all_definitions;
        delete_definition(DeleteDefinitionRequest) -> DeleteDefinitionResponse = delete_one_definition;
        apply_resource(ApplyResourceRequest) -> ApplyResourceResponse = apply_one_resource;
        get_resource(GetResourceRequest) -> GetResourceResponse = one_resource;
        list_resources(ListResourcesRequest) -> ListResourcesResponse = all_resources;
        delete_resource(DeleteResourceRequest) -> DeleteResourceResponse = delete_one_resource;
        list_drivers(ListDriversRequest) -> ListDriversResponse = all_drivers;
        get_driver(GetDriverRequest) -> GetDriverResponse = one_driver;
        delete_driver(DeleteDriverRequest) -> DeleteDriverResponse = delete_one_driver;
        create_token(CreateTokenRequest) -> CreateTokenResponse = create_one_token;
        list_tokens(ListTokensRequest) -> ListTokensResponse = all_tokens;
        revoke_token(RevokeTokenRequest) -> RevokeTokenResponse = revoke_one_token;
}
