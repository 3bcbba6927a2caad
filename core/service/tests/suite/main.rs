//! The control service's handlers, called as a client in the same process calls them.

mod attempts;
mod changes;
mod closing;
mod contract;
mod detached;
mod doubt;
mod etags;
mod feed;
mod followers;
mod hostile;
mod kept;
mod keys;
mod listings;
mod logs;
mod namespaces;
mod objects;
mod outage;
mod pages;
mod places;
mod plan;
mod polled;
mod published;
mod refusals;
mod refused;
mod repeats;
mod resources;
mod revisions;
mod scopes;
mod secrets;
mod sessions;
mod stream;
mod support;
mod wire;
mod words;

use conveyor_node::{Adopt, Clock, Config, Node, SystemClock};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::{About, ControlHandlers};
use conveyor_store::{Memory, Store};
use std::sync::Arc;
use tonic::{Request, Status};

/// Handlers over a store in memory, without drivers.
async fn handlers() -> ControlHandlers {
    handlers_at(Arc::new(SystemClock::new())).await
}

/// The same, by a clock that a test moves.
async fn handlers_at(clock: Arc<dyn Clock>) -> ControlHandlers {
    handlers_over(Arc::new(Memory::new()), clock).await
}

/// The same, over a store of the test's own.
async fn handlers_over(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> ControlHandlers {
    let config = Config::new(store, Vec::new(), tokio::runtime::Handle::current());
    let node = Node::open(Config {
        adopt: Adopt::All,
        clock,
        ..config
    });
    let about = About {
        drivers_may_come: false,
        ..stream::about()
    };
    ControlHandlers::new(node.await.expect("a node"), about)
}

/// A request that starts a run of the pipeline whose `spec` is given.
fn request(spec: &str) -> v1::StartRunRequest {
    let text =
        format!("apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: p}}\nspec: {spec}\n");
    let document = v1::Document {
        source: text.into_bytes().into(),
        file_name: "p.yaml".to_owned(),
    };
    v1::StartRunRequest {
        pipeline: Some(v1::start_run_request::Pipeline::Document(document)),
        actor: "tester".to_owned(),
        ..Default::default()
    }
}

/// Starts it and gives its id.
async fn start(handlers: &ControlHandlers, spec: &str) -> String {
    let answer = handlers.start_run(Request::new(request(spec))).await;
    answer.expect("a run").into_inner().run.expect("told").id
}

async fn get(
    handlers: &ControlHandlers,
    request: v1::GetRunRequest,
) -> Result<v1::GetRunResponse, Status> {
    Ok(handlers.get_run(Request::new(request)).await?.into_inner())
}
