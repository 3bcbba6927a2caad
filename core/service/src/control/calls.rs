//! The table of calls: those that this release serves, and those that come later.

use super::ControlHandlers;
use super::watch::Stream;
use crate::caller::Caller;
use conveyor_proto::v1::control_service_server::ControlService;
use conveyor_proto::v1::*;
use tonic::{Request, Response, Status};

macro_rules! calls {
    (
        served { $($call:ident($request:ident) -> $response:ty = $method:ident;)* }
        later { $($later:ident($later_request:ident) -> $later_response:ident = $name:literal;)* }
    ) => {
        #[tonic::async_trait]
        impl ControlService for ControlHandlers {
            type WatchRunEventsStream = Stream<WatchRunEventsResponse>;
            type ReadLogsStream = Stream<ReadLogsResponse>;
            type WatchEventsStream = Stream<WatchEventsResponse>;
            type BackupStream = Stream<BackupResponse>;

            $(async fn $call(&self, request: Request<$request>) -> std::result::Result<Response<$response>, Status> {
                self.$method(request.into_inner()).await.map(Response::new)
            })*

            async fn get_server_info(
                &self,
                _request: Request<GetServerInfoRequest>,
            ) -> std::result::Result<Response<GetServerInfoResponse>, Status> {
                self.info().await.map(Response::new)
            }

            async fn backup(
                &self,
                request: Request<BackupRequest>,
            ) -> std::result::Result<Response<Self::BackupStream>, Status> {
                let caller = Caller::of(request.extensions());
                self.back_up(&caller).await.map(Response::new)
            }

            async fn watch_events(
                &self,
                _request: Request<WatchEventsRequest>,
            ) -> std::result::Result<Response<Self::WatchEventsStream>, Status> {
                Err(not_yet("WatchEvents"))
            }

            $(async fn $later(
                &self,
                _request: Request<$later_request>,
            ) -> std::result::Result<Response<$later_response>, Status> {
                Err(not_yet($name))
            })*
        }
    };
}

fn not_yet(call: &str) -> Status {
    Status::unimplemented(format!("{call} comes with a later release"))
}

calls! {
    served {
        check_pipeline(CheckPipelineRequest) -> CheckPipelineResponse = check_documents;
        start_run(StartRunRequest) -> StartRunResponse = start;
        continue_run(ContinueRunRequest) -> ContinueRunResponse = go_on;
        get_run(GetRunRequest) -> GetRunResponse = get;
        list_runs(ListRunsRequest) -> ListRunsResponse = list;
        watch_run_events(WatchRunEventsRequest) -> Stream<WatchRunEventsResponse> = watch;
        read_logs(ReadLogsRequest) -> Stream<ReadLogsResponse> = logs;
        stop_run(StopRunRequest) -> StopRunResponse = stop;
        pause_run(PauseRunRequest) -> PauseRunResponse = pause;
        resume_run(ResumeRunRequest) -> ResumeRunResponse = unpause;
        fork_run(ForkRunRequest) -> ForkRunResponse = fork;
        release_run(ReleaseRunRequest) -> ReleaseRunResponse = release;
        delete_run(DeleteRunRequest) -> DeleteRunResponse = delete;
        create_namespace(CreateNamespaceRequest) -> CreateNamespaceResponse = create_one_namespace;
        list_namespaces(ListNamespacesRequest) -> ListNamespacesResponse = all_namespaces;
        delete_namespace(DeleteNamespaceRequest) -> DeleteNamespaceResponse = delete_one_namespace;
        apply_pipeline(ApplyPipelineRequest) -> ApplyPipelineResponse = apply_one_pipeline;
        get_pipeline(GetPipelineRequest) -> GetPipelineResponse = one_pipeline;
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
    }
    later {
        plan_pipeline(PlanPipelineRequest) -> PlanPipelineResponse = "PlanPipeline";
        create_token(CreateTokenRequest) -> CreateTokenResponse = "CreateToken";
        list_tokens(ListTokensRequest) -> ListTokensResponse = "ListTokens";
        revoke_token(RevokeTokenRequest) -> RevokeTokenResponse = "RevokeToken";
    }
}
