//! A node with a driver made of a closure.

use conveyor_engine::run::Failure;
use conveyor_engine::value::Json;
use conveyor_node::driver::{ActionInfo, Context, Driver, DriverInfo, Outcome, Task};
use conveyor_node::{Adopt, Config, Node, RunId, StartRun};
use conveyor_store::Store;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

type Work = dyn Fn(Task, Context) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync;

/// The driver `exec` of these tests.
pub struct Closure {
    work: Box<Work>,
    inputs: Option<Json>,
    outputs: Option<Json>,
}

impl Closure {
    /// A driver that does what the closure does.
    pub fn driver<F, Fut>(work: F) -> Arc<dyn Driver>
    where
        F: Fn(Task, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Closure::with_schemas(None, None, work)
    }

    /// The same, with JSON Schemas of `with` and of the outputs.
    pub fn with_schemas<F, Fut>(
        inputs: Option<Json>,
        outputs: Option<Json>,
        work: F,
    ) -> Arc<dyn Driver>
    where
        F: Fn(Task, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Arc::new(Closure {
            work: Box::new(move |task, context| Box::pin(work(task, context))),
            inputs,
            outputs,
        })
    }
}

impl Driver for Closure {
    fn info(&self) -> DriverInfo {
        let action = ActionInfo {
            name: "run".into(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
        };
        DriverInfo {
            name: "exec".into(),
            version: "1.0.0".into(),
            actions: vec![action],
        }
    }

    fn run(&self, task: Task, context: Context) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        (self.work)(task, context)
    }
}

/// A driver that succeeds at once.
pub fn quick() -> Arc<dyn Driver> {
    Closure::driver(|_, _| async { done() })
}

pub fn done() -> Outcome {
    Outcome::Succeeded(serde_json::json!({}))
}

pub fn failure(code: &str) -> Failure {
    Failure {
        code: code.into(),
        message: "".into(),
        details: None,
        retryable: None,
        retry_after_millis: None,
    }
}

pub async fn open(store: Arc<dyn Store>, driver: Arc<dyn Driver>, adopt: Adopt) -> Node {
    let config = Config::new(store, vec![driver], tokio::runtime::Handle::current());
    Node::open(Config { adopt, ..config }).await.unwrap()
}

pub async fn start(node: &Node, yaml: &str) -> RunId {
    let (plan, canonical) = crate::harness::compile(yaml);
    let start = StartRun::new(plan, canonical, serde_json::json!({}), "test");
    node.start_run(start).await.unwrap().run
}

/// Follows a run to its end.
pub async fn finish(node: &Node, run: RunId) -> conveyor_engine::run::Run {
    let mut follower = node.reader().follow(run);
    while follower.next().await.unwrap().is_some() {}
    follower.into_run().unwrap()
}
