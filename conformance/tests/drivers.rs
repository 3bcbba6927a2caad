//! The profile `driver` against the drivers of this repository, which pass it whole.

use conveyor_conformance::{
    Backend, Breadth, Lists, Options, Program, Trace, Verdict, embedded, read_config,
};
use std::path::{Path, PathBuf};

/// A program that is built into the directory of the test's own.
fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the test has a file");
    let directory = own.parent().and_then(Path::parent);
    let program = directory.expect("it lies in `deps`").join(name);
    assert!(
        program.exists(),
        "{} is not built: `make test` builds it, or `cargo build --release -p {name}`",
        program.display()
    );
    program
}

/// Runs all cases once against a driver, with its config of `drivers/`.
async fn passes(program: &str, config: &str, undeclared: &[&str]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("drivers")
        .join(config);
    let text = std::fs::read_to_string(file).expect("a config");
    let config =
        read_config(config, &text, "driver").unwrap_or_else(|errors| panic!("{errors:#?}"));
    let options = Options {
        program: Program {
            command: vec![built(program).display().to_string()],
            environment: Vec::new(),
        },
        config,
        cases: embedded("driver").unwrap_or_else(|errors| panic!("{errors:#?}")),
        backend: Backend::Embedded,
        breadth: Breadth::One,
        seed: 1,
        parallel: 8,
        trace: Trace::Off,
        include: Vec::new(),
        exclude: Vec::new(),
        lists: Lists::default(),
        profile: "driver".to_owned(),
        listen: None,
    };
    let results = conveyor_conformance::run(&options, |_, _| ()).await;
    let results = results.expect("the suite begins");
    let mut passed = 0;
    let mut not_declared = Vec::new();
    for outcome in &results.outcomes {
        match &outcome.verdict {
            Verdict::Passed => passed += 1,
            Verdict::NotDeclared { .. } => not_declared.push(outcome.run.to_string()),
            verdict => panic!("{}: {verdict:#?}\n{:#?}", outcome.run, outcome.stderr),
        }
    }
    assert!(passed >= 35, "{passed} passed");
    assert_eq!(not_declared, undeclared);
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_passes() {
    let undeclared = ["process/killed/goes-on-from-checkpoint"];
    passes("conveyor-driver-exec", "exec.yaml", &undeclared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_passes() {
    let undeclared = ["process/killed/goes-on-from-checkpoint"];
    passes("conveyor-driver-http", "http.yaml", &undeclared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_s_own_passes_with_checkpoints() {
    passes("conveyor-conformance-rust", "rust.yaml", &[]).await;
}
