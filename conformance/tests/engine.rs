//! The suite for engines, against this release's own.

use conveyor_conformance::engine::{Backend, Options, Outcome, Verdict, run};
use std::collections::BTreeSet;

/// What did not pass, a line each.
fn left(outcomes: &[Outcome]) -> Vec<String> {
    let lines = outcomes
        .iter()
        .filter_map(|outcome| match &outcome.verdict {
            Verdict::Passed => None,
            Verdict::Failed(why) => Some(format!("{} failed: {why}", outcome.case)),
            Verdict::CouldNotRun(why) => Some(format!("{} could not run: {why}", outcome.case)),
        });
    lines.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_engine_passes_every_case() {
    // One case, or those of an area, while it is written.
    let only = std::env::var("ONLY").ok();
    let options = Options {
        only: only.map(|names| names.split(' ').map(str::to_owned).collect::<BTreeSet<_>>()),
        ..Options::default()
    };
    let outcomes = run(options)
        .await
        .unwrap_or_else(|errors| panic!("{}", errors.join("\n")));
    let left = left(&outcomes);
    assert!(
        left.is_empty(),
        "{} of {} did not pass:\n{}",
        left.len(),
        outcomes.len(),
        left.join("\n")
    );
}
