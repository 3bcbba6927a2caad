//! Every call of the control service, message in and message out.

use super::again::{Patience, Twice};
use super::{Client, Transport};
use crate::Error;
use crate::unreachable::tls_advice;
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_client::ControlServiceClient;
use futures_util::future::BoxFuture;
use std::future::Future;
use tonic::{Request, Response, Status, Streaming};

macro_rules! calls {
    ($($(#[$doc:meta])* $call:ident($request:ident) -> $response:ident, $twice:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// As the contract says, by [`crate::ErrorKind`].
                pub async fn $call(&self, request: v1::$request) -> Result<v1::$response, Error> {
                    let send = |mut client: ControlServiceClient<Transport>, request| async move {
                        client.$call(request).await
                    };
                    let answer = self.unary(&self.control, Twice::$twice, request, send).await;
                    answer.map_err(|status| self.unanswered(status))
                }
            )*
        }
    };
}

impl Client {
    /// Why a call was not done; where that is TLS, what to set.
    fn unanswered(&self, status: Status) -> Error {
        match tls_advice(&self.url, &status) {
            Some(advice) => Error::Unavailable(advice),
            None => status.into(),
        }
    }
}

calls! {
    /// Checks documents and tells all that is wrong with them; stores nothing.
    check_pipeline(CheckPipelineRequest) -> CheckPipelineResponse, Safe;
    /// Checks a document and tells how it would run; stores nothing.
    plan_pipeline(PlanPipelineRequest) -> PlanPipelineResponse, Safe;
    /// Goes on with an interrupted run.
    continue_run(ContinueRunRequest) -> ContinueRunResponse, Safe;
    /// Tells all about a run, live or finished.
    get_run(GetRunRequest) -> GetRunResponse, Safe;
    /// Lists runs, newest first.
    list_runs(ListRunsRequest) -> ListRunsResponse, Safe;
    /// Stops a run: [`super::Run::cancel`], [`super::Run::drain`] and [`super::Run::terminate`] are shorter.
    stop_run(StopRunRequest) -> StopRunResponse, Safe;
    /// Starts nothing new of a run until it is resumed.
    pause_run(PauseRunRequest) -> PauseRunResponse, Safe;
    /// Ends a pause.
    resume_run(ResumeRunRequest) -> ResumeRunResponse, Safe;
    /// Folds a quarantined run again.
    release_run(ReleaseRunRequest) -> ReleaseRunResponse, Unsafe;
    /// Removes a run that has ended.
    delete_run(DeleteRunRequest) -> DeleteRunResponse, Unsafe;
    /// Tells who answers, and what it holds.
    get_server_info(GetServerInfoRequest) -> GetServerInfoResponse, Safe;
    /// Lists namespaces by name.
    list_namespaces(ListNamespacesRequest) -> ListNamespacesResponse, Safe;
    /// Tells a namespace.
    get_namespace(GetNamespaceRequest) -> GetNamespaceResponse, Safe;
    /// Changes the labels and annotations of a namespace.
    update_namespace(UpdateNamespaceRequest) -> UpdateNamespaceResponse, Unsafe;
    /// Removes an empty namespace.
    delete_namespace(DeleteNamespaceRequest) -> DeleteNamespaceResponse, Unsafe;
    /// Tells a ResourceDefinition.
    get_definition(GetDefinitionRequest) -> GetDefinitionResponse, Safe;
    /// Lists ResourceDefinitions by name.
    list_definitions(ListDefinitionsRequest) -> ListDefinitionsResponse, Safe;
    /// Removes a ResourceDefinition without Resources.
    delete_definition(DeleteDefinitionRequest) -> DeleteDefinitionResponse, Unsafe;
    /// Tells a Resource, in its newest version or in a given one.
    get_resource(GetResourceRequest) -> GetResourceResponse, Safe;
    /// Lists Resources by name.
    list_resources(ListResourcesRequest) -> ListResourcesResponse, Safe;
    /// Removes a Resource.
    delete_resource(DeleteResourceRequest) -> DeleteResourceResponse, Unsafe;
    /// Tells a pipeline, in its newest revision or in a given one.
    get_pipeline(GetPipelineRequest) -> GetPipelineResponse, Safe;
    /// Lists the revisions of a pipeline, newest first.
    list_pipeline_revisions(ListPipelineRevisionsRequest) -> ListPipelineRevisionsResponse, Safe;
    /// Lists pipelines by name.
    list_pipelines(ListPipelinesRequest) -> ListPipelinesResponse, Safe;
    /// Removes a pipeline; its revisions stay for the runs that pin them.
    delete_pipeline(DeletePipelineRequest) -> DeletePipelineResponse, Unsafe;
    /// Lists drivers by name, with versions, actions, schemas and sessions.
    list_drivers(ListDriversRequest) -> ListDriversResponse, Safe;
    /// Tells a driver, with versions, actions, schemas and sessions.
    get_driver(GetDriverRequest) -> GetDriverResponse, Safe;
    /// Forgets the registered versions of a driver that nobody is connected with.
    delete_driver(DeleteDriverRequest) -> DeleteDriverResponse, Unsafe;
    /// Lists tokens, without their secrets.
    list_tokens(ListTokensRequest) -> ListTokensResponse, Safe;
    /// Ends a token at once.
    revoke_token(RevokeTokenRequest) -> RevokeTokenResponse, Safe;
}

/// Calls that make something: under a key of their own, so that a repeat makes nothing twice.
macro_rules! creating {
    ($($(#[$doc:meta])* $call:ident($request:ident) -> $response:ident, $key:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                #[doc = concat!("`", stringify!($key), "` is made here where the request has none.")]
                ///
                /// # Errors
                /// As the contract says, by [`crate::ErrorKind`].
                pub async fn $call(&self, mut request: v1::$request) -> Result<v1::$response, Error> {
                    if request.$key.is_empty() {
                        request.$key = fresh();
                    }
                    let send = |mut client: ControlServiceClient<Transport>, request| async move {
                        client.$call(request).await
                    };
                    Ok(self.unary(&self.control, Twice::Safe, request, send).await?)
                }
            )*
        }
    };
}

creating! {
    /// Starts a run: [`Client::start`] is shorter.
    start_run(StartRunRequest) -> StartRunResponse, run_id;
    /// Starts a new run from one that has ended: [`super::Run::fork`] is shorter.
    fork_run(ForkRunRequest) -> ForkRunResponse, run_id;
    /// Makes a namespace.
    create_namespace(CreateNamespaceRequest) -> CreateNamespaceResponse, idempotency_key;
    /// Makes a ResourceDefinition, or a new version of one.
    apply_definition(ApplyDefinitionRequest) -> ApplyDefinitionResponse, idempotency_key;
    /// Makes a Resource, or a new version of one.
    apply_resource(ApplyResourceRequest) -> ApplyResourceResponse, idempotency_key;
    /// Stores a pipeline's revision; the same document twice is one revision.
    apply_pipeline(ApplyPipelineRequest) -> ApplyPipelineResponse, idempotency_key;
}

/// A UUIDv7: a run's id, or the key of a request.
fn fresh() -> String {
    uuid::Uuid::now_v7().to_string()
}

impl Client {
    /// Makes an access token; the answer is the only place where it is ever seen. Never made twice: where
    /// the answer is lost, list the tokens and revoke the one that nobody has.
    ///
    /// # Errors
    /// As the contract says, by [`crate::ErrorKind`].
    pub async fn create_token(
        &self,
        request: v1::CreateTokenRequest,
    ) -> Result<v1::CreateTokenResponse, Error> {
        let send = |mut client: ControlServiceClient<Transport>, request| async move {
            client.create_token(request).await
        };
        Ok(self
            .unary(&self.control, Twice::Unsafe, request, send)
            .await?)
    }

    /// Copies everything that the server's store holds, as the bytes of a file that `conveyor restore`
    /// reads; only for administrators. A connection that breaks ends it: the file is whole with its
    /// trailer alone.
    ///
    /// # Errors
    /// As the contract says, by [`crate::ErrorKind`].
    pub async fn backup(
        &self,
        request: v1::BackupRequest,
    ) -> Result<Streaming<v1::BackupResponse>, Error> {
        let send = |mut client: ControlServiceClient<Transport>, request| async move {
            client.backup(request).await
        };
        Ok(self
            .unary(&self.control, Twice::Safe, request, send)
            .await?)
    }

    /// Follows what happens to all runs and Resources of a namespace, as it comes: a connection that
    /// breaks ends it. [`Client::feed`] goes on by itself.
    ///
    /// # Errors
    /// As the contract says, by [`crate::ErrorKind`].
    pub async fn watch_events(
        &self,
        request: v1::WatchEventsRequest,
    ) -> Result<Streaming<v1::WatchEventsResponse>, Error> {
        let send = |mut client: ControlServiceClient<Transport>, request| async move {
            client.watch_events(request).await
        };
        Ok(self
            .unary(&self.control, Twice::Safe, request, send)
            .await?)
    }

    /// Opens a stream of a run's events once; it is not opened again.
    pub(super) fn open_events(
        &self,
        request: v1::WatchRunEventsRequest,
    ) -> BoxFuture<'static, Result<Streaming<v1::WatchRunEventsResponse>, Status>> {
        let (mut client, request) = (self.control.clone(), self.request(request));
        Box::pin(async move { Ok(client.watch_run_events(request).await?.into_inner()) })
    }

    /// As [`Client::open_events`], for a namespace.
    pub(super) fn open_feed(
        &self,
        request: v1::WatchEventsRequest,
    ) -> BoxFuture<'static, Result<Streaming<v1::WatchEventsResponse>, Status>> {
        let (mut client, request) = (self.control.clone(), self.request(request));
        Box::pin(async move { Ok(client.watch_events(request).await?.into_inner()) })
    }

    /// As [`Client::open_events`], for log lines.
    pub(super) fn open_logs(
        &self,
        request: v1::ReadLogsRequest,
    ) -> BoxFuture<'static, Result<Streaming<v1::ReadLogsResponse>, Status>> {
        let (mut client, request) = (self.control.clone(), self.request(request));
        Box::pin(async move { Ok(client.read_logs(request).await?.into_inner()) })
    }

    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", token.clone());
        }
        request
    }

    /// Makes a call of a service, and again where that may be and helps.
    pub(super) async fn unary<C: Clone, T: Clone, R, F>(
        &self,
        service: &C,
        twice: Twice,
        message: T,
        send: impl Fn(C, Request<T>) -> F,
    ) -> Result<R, Status>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let mut patience = Patience::new(self.patience);
        loop {
            let request = self.request(message.clone());
            match send(service.clone(), request).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if twice == Twice::Unsafe => return Err(status),
                Err(status) => patience.after(status).await?,
            }
        }
    }
}
