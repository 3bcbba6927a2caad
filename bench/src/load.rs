//! What the benchmarks run: nodes on a real directory, a driver that notes when it runs, pipelines.

use conveyor_engine::document;
use conveyor_engine::plan::Plan;
use conveyor_node::driver::{ActionInfo, Context, Driver, DriverInfo, Outcome, Task};
use conveyor_node::{Adopt, Config, Node, RunId, StartRun};
use conveyor_store::{Access, DataDir, Embedded, Store};
use serde_json::json;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(crate) type Failed = Box<dyn std::error::Error>;

/// When an attempt ran.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
}

/// Does nothing, and notes when; or hangs for ever.
pub(crate) struct Clockwork {
    pub(crate) ran: Mutex<Vec<Ran>>,
    pub(crate) notes: bool,
    pub(crate) hangs: bool,
}

impl Clockwork {
    pub(crate) fn new(notes: bool) -> Arc<Clockwork> {
        Arc::new(Clockwork {
            ran: Mutex::new(Vec::new()),
            notes,
            hangs: false,
        })
    }

    /// What was noted since the last call.
    pub(crate) fn take(&self) -> Vec<Ran> {
        std::mem::take(&mut *self.ran.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The driver `d`, which notes in a clockwork.
pub(crate) struct D(pub(crate) Arc<Clockwork>);

impl Driver for D {
    fn info(&self) -> DriverInfo {
        let action = ActionInfo {
            name: Arc::from("run"),
            inputs: None,
            outputs: None,
        };
        DriverInfo {
            name: Arc::from("d"),
            version: Arc::from("1.0.0"),
            actions: vec![action],
        }
    }

    fn run(&self, _: Task, _: Context) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        let work = Arc::clone(&self.0);
        Box::pin(async move {
            if work.hangs {
                std::future::pending::<()>().await;
            }
            if work.notes {
                let started = Instant::now();
                let mut ran = work.ran.lock().unwrap_or_else(PoisonError::into_inner);
                ran.push(Ran {
                    started,
                    ended: Instant::now(),
                });
            }
            Outcome::Succeeded(json!({}))
        })
    }
}

/// The runtime of every benchmark: as many threads as the budgets' cores.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// A node on a directory.
pub(crate) async fn open(
    folder: &Path,
    work: &Arc<Clockwork>,
    capacity: u32,
) -> Result<Node, Failed> {
    let store: Arc<dyn Store> = Arc::new(Embedded::open(DataDir::open(folder, Access::Create)?)?);
    let drivers: Vec<Arc<dyn Driver>> = vec![Arc::new(D(Arc::clone(work)))];
    let config = Config::new(store, drivers, tokio::runtime::Handle::current());
    Ok(Node::open(Config {
        adopt: Adopt::All,
        capacity,
        ..config
    })
    .await?)
}

/// A pipeline, ready to start.
#[derive(Clone)]
pub(crate) struct Pipeline {
    pub(crate) plan: Arc<Plan>,
    canonical: Arc<[u8]>,
}

/// The pipeline with that spec. Compiled on a stack of its own, as the engine asks.
pub(crate) fn pipeline(spec: &serde_json::Value) -> Result<Pipeline, Failed> {
    let document = json!({"apiVersion": "conveyor/v1", "kind": "Pipeline",
        "metadata": {"name": "bench"}, "spec": spec});
    let text = document.to_string();
    let loading = std::thread::Builder::new()
        .stack_size(conveyor_engine::STACK_BYTES)
        .spawn(move || document::load("bench.json", text.as_bytes()))?;
    let loaded = loading.join().map_err(|_| "loading panicked")?;
    let document = loaded.map_err(|errors| format!("{errors:?}"))?;
    Ok(Pipeline {
        plan: document.plan(),
        canonical: document.canonical.to_vec().into(),
    })
}

/// A chain of ten steps.
pub(crate) fn chain() -> Result<Pipeline, Failed> {
    let steps: Vec<_> = (0..10)
        .map(|n| json!({"id": format!("s{n}"), "driver": "d"}))
        .collect();
    pipeline(&json!({"steps": steps}))
}

/// Starts a run.
pub(crate) async fn start(node: &Node, pipeline: &Pipeline) -> Result<RunId, Failed> {
    let start = StartRun::new(
        Arc::clone(&pipeline.plan),
        Arc::clone(&pipeline.canonical),
        json!({}),
        "bench",
    );
    Ok(node.start_run(start).await?.run)
}

/// Starts a run and follows it to its end.
pub(crate) async fn complete(node: &Node, pipeline: &Pipeline) -> Result<(), Failed> {
    let run = start(node, pipeline).await?;
    let mut follower = node.reader().follow(run);
    while follower.next().await?.is_some() {}
    Ok(())
}

/// So many callers, each completing so many runs one after the other; how long it all took.
pub(crate) async fn callers(
    node: &Node,
    pipeline: &Pipeline,
    callers: u32,
    runs: u32,
) -> Result<Duration, Failed> {
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let (node, pipeline) = (node.clone(), pipeline.clone());
        tasks.spawn(async move {
            for _ in 0..runs {
                complete(&node, &pipeline)
                    .await
                    .map_err(|error| error.to_string())?;
            }
            Ok::<(), String>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(begun.elapsed())
}

/// The CPU time of this process so far.
pub(crate) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// A field of `/proc/self/status`, in KiB.
pub(crate) fn status_kib(field: &str) -> f64 {
    kib(
        &std::fs::read_to_string("/proc/self/status").unwrap_or_default(),
        field,
    )
}

/// A field of a process's status, in KiB.
pub(crate) fn kib(status: &str, field: &str) -> f64 {
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(f64::NAN)
}
