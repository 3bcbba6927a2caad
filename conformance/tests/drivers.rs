//! The profile `driver` against the drivers of this repository, which pass it whole.

mod again;
mod beside;

use conveyor_conformance::{Axis, Breadth, Options, Program, Verdict, embedded, read_config};
use std::collections::BTreeSet;
use std::path::Path;

/// Runs each case about once against a driver, with its config of `drivers/`: so that all ways to talk and all faults are
/// among them, by the seed.
async fn passes(program: &str, config: &str, seed: u64, undeclared: &[&str]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("drivers")
        .join(config);
    let text = std::fs::read_to_string(file).expect("a config");
    let config =
        read_config(config, &text, "driver").unwrap_or_else(|errors| panic!("{errors:#?}"));
    let options = Options {
        program: Program {
            command: vec![beside::program(program)],
            ..Program::default()
        },
        config,
        cases: embedded("driver").unwrap_or_else(|errors| panic!("{errors:#?}")),
        breadth: Breadth::Few(usize::MAX),
        seed,
        profile: "driver".to_owned(),
        ..Options::default()
    };
    let (results, wrong) = again::results(&options).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
    let passed = results.counts().passed;
    assert!(passed >= 38, "{passed} passed");
    let not_declared: Vec<String> = results
        .outcomes
        .iter()
        .filter(|outcome| matches!(outcome.verdict, Verdict::NotDeclared { .. }))
        .map(|outcome| outcome.run.to_string())
        .collect();
    assert_eq!(not_declared, undeclared);
    let values = |axis| -> BTreeSet<&str> {
        let runs = results.outcomes.iter().map(|outcome| &outcome.run);
        runs.filter_map(|run| run.value(axis)).collect()
    };
    assert_eq!(
        values(Axis::Transport),
        BTreeSet::from(["tcp", "tls", "unix"])
    );
    assert_eq!(
        values(Axis::Fault),
        BTreeSet::from([
            "clock-jump",
            "cut",
            "double-acknowledgements",
            "half-open",
            "late-acknowledgements",
            "none",
            "restart",
            "slow"
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_passes() {
    let undeclared = ["process/killed/goes-on-from-checkpoint"];
    passes("conveyor-driver-exec", "exec.yaml", 1, &undeclared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_passes() {
    let undeclared = ["process/killed/goes-on-from-checkpoint"];
    passes("conveyor-driver-http", "http.yaml", 2, &undeclared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_s_own_passes_with_checkpoints() {
    passes("conveyor-conformance-rust", "rust.yaml", 3, &[]).await;
}
