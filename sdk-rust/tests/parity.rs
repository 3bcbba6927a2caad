//! What the API can, the client can: each call of the control service has its method.

use conveyor_sdk::{Client, Run};
use prost_reflect::DescriptorPool;
use std::collections::BTreeSet;

/// Names the calls; a method that is not there does not compile.
macro_rules! methods {
    ($($call:ident => $method:path,)*) => {{
        $(let _ = $method;)*
        BTreeSet::from([$(stringify!($call)),*])
    }};
}

#[test]
fn every_call_of_the_control_service_has_a_method() {
    let methods = methods! {
        ApplyDefinition => Client::apply_definition,
        ApplyPipeline => Client::apply_pipeline,
        ApplyResource => Client::apply_resource,
        Backup => Client::backup,
        CheckPipeline => Client::check_pipeline,
        ContinueRun => Client::continue_run,
        CreateNamespace => Client::create_namespace,
        CreateToken => Client::create_token,
        DeleteDefinition => Client::delete_definition,
        DeleteDriver => Client::delete_driver,
        DeleteNamespace => Client::delete_namespace,
        DeletePipeline => Client::delete_pipeline,
        DeleteResource => Client::delete_resource,
        DeleteRun => Client::delete_run,
        ForkRun => Client::fork_run,
        GetDefinition => Client::get_definition,
        GetDriver => Client::get_driver,
        GetNamespace => Client::get_namespace,
        GetPipeline => Client::get_pipeline,
        GetResource => Client::get_resource,
        GetRun => Client::get_run,
        GetServerInfo => Client::get_server_info,
        ListDefinitions => Client::list_definitions,
        ListDrivers => Client::list_drivers,
        ListNamespaces => Client::list_namespaces,
        ListPipelineRevisions => Client::list_pipeline_revisions,
        ListPipelines => Client::list_pipelines,
        ListResources => Client::list_resources,
        ListRuns => Client::list_runs,
        ListTokens => Client::list_tokens,
        PauseRun => Client::pause_run,
        PlanPipeline => Client::plan_pipeline,
        ReadLogs => Run::logs,
        ReleaseRun => Client::release_run,
        ResumeRun => Client::resume_run,
        RevokeToken => Client::revoke_token,
        StartRun => Client::start_run,
        StopRun => Client::stop_run,
        UpdateNamespace => Client::update_namespace,
        WatchEvents => Client::watch_events,
        WatchRunEvents => Run::events,
    };
    let pool = DescriptorPool::decode(conveyor_proto::DESCRIPTORS).expect("they can be read");
    let service = pool.get_service_by_name("conveyor.v1.ControlService");
    let service = service.expect("the control service");
    let calls: Vec<_> = service.methods().collect();
    let calls: BTreeSet<&str> = calls.iter().map(|call| call.name()).collect();
    assert_eq!(methods, calls);
}
