//! Pipelines and runs of a server in another process.

use crate::load::Failed;
use conveyor_sdk::{Client, Start, v1};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long one run may take at most: the longest that a start waits.
const RUN: Duration = Duration::from_secs(60);

/// Stores the pipeline `name` with these steps.
pub(crate) async fn apply(
    client: &Client,
    name: &str,
    steps: &[serde_json::Value],
) -> Result<(), Failed> {
    let document = json!({"apiVersion": "conveyor/v1", "kind": "Pipeline",
        "metadata": {"name": name}, "spec": {"steps": steps}});
    let document = v1::Document {
        source: document.to_string().into_bytes().into(),
        file_name: String::new(),
    };
    let request = v1::ApplyPipelineRequest {
        document: Some(document),
        ..v1::ApplyPipelineRequest::default()
    };
    client.apply_pipeline(request).await?;
    Ok(())
}

/// Stores `chain`: ten steps, one after the other.
pub(crate) async fn apply_chain(client: &Client) -> Result<(), Failed> {
    let steps: Vec<_> = (0..10)
        .map(|n| json!({"id": format!("s{n}"), "driver": "d"}))
        .collect();
    apply(client, "chain", &steps).await
}

/// Starts a run of a stored pipeline and waits in the same call for its end; gives its id.
pub(crate) async fn complete(client: &Client, pipeline: &str) -> Result<String, Failed> {
    let start = Start::pipeline(pipeline).wait(RUN);
    let answer = client.start_run(start.into()).await?;
    let run = answer.run.unwrap_or_default();
    if run.state() == v1::RunState::Succeeded {
        return Ok(run.id);
    }
    let (id, state, reason) = (&run.id, run.state().as_str_name(), &run.reason);
    Err(format!("the run {id} of {pipeline} is {state} after {RUN:?}: {reason}").into())
}

/// So many callers, each completing so many runs one after the other; how long it all took.
pub(crate) async fn callers(
    client: &Client,
    pipeline: &'static str,
    callers: u32,
    runs: u32,
) -> Result<Duration, Failed> {
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let client = client.clone();
        tasks.spawn(async move {
            for _ in 0..runs {
                complete(&client, pipeline)
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
