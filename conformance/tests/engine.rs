//! The suite for engines, against this release's own.

use conveyor_conformance::engine::{Backend, Options, Outcome, Verdict, cases, run, uncited};
use std::collections::BTreeSet;
use std::path::PathBuf;

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

/// Names of the cases of some areas.
fn of(areas: &[&str]) -> BTreeSet<String> {
    let names = cases()
        .expect("they are read")
        .into_iter()
        .map(|case| case.name);
    let within = |name: &String| {
        areas
            .iter()
            .any(|area| name.starts_with(&format!("{area}/")))
    };
    names.filter(within).collect()
}

async fn performed(options: Options) -> Vec<Outcome> {
    let outcomes = run(options).await;
    outcomes.unwrap_or_else(|errors| panic!("{}", errors.join("\n")))
}

/// `conveyor`, which lies beside the tests' directory.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("it has a path");
    let built = test.ancestors().nth(2).expect("it lies in `deps`");
    let program = built.join("conveyor");
    assert!(
        program.exists(),
        "{} is not built: `make test` builds it, or `cargo build --release -p conveyor-cli`",
        program.display()
    );
    program
}

#[test]
fn whatever_an_engine_must_has_a_case() {
    let uncited = uncited().expect("the cases are read");
    assert!(uncited.is_empty(), "no case cites\n{}", uncited.join("\n"));
}

#[test]
fn every_case_says_what_it_does() {
    let cases = cases().expect("they are read");
    assert!(cases.len() >= 100, "{} cases", cases.len());
    for case in cases {
        assert!(!case.procedure.is_empty(), "{}", case.name);
        let says = |line: &String| line != "nothing" && !line.is_empty();
        assert!(case.procedure.iter().all(says), "{case:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_engine_passes_every_case() {
    let outcomes = performed(Options::default()).await;
    let left = left(&outcomes);
    let (count, all) = (left.len(), outcomes.len());
    assert!(
        left.is_empty(),
        "{count} of {all} did not pass:\n{}",
        left.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_passes_what_its_process_and_its_disk_matter_to() {
    let options = Options {
        backend: Backend::Server {
            program: Some(program()),
        },
        only: Some(of(&[
            "restarts", "access", "secrets", "sessions", "events", "objects",
        ])),
        ..Options::default()
    };
    let outcomes = performed(options).await;
    let left = left(&outcomes);
    let (count, all) = (left.len(), outcomes.len());
    assert!(
        left.is_empty(),
        "{count} of {all} did not pass:\n{}",
        left.join("\n")
    );
}

#[tokio::test]
async fn an_engine_that_is_not_there_says_nothing_of_the_cases() {
    let one = || {
        Some(BTreeSet::from([
            "data/transform/without-a-driver".to_owned()
        ]))
    };
    let nowhere = Backend::Server {
        program: Some(PathBuf::from("/nowhere/conveyor")),
    };
    // Nobody listens on the port of discard.
    let closed = Backend::Endpoint {
        url: "http://127.0.0.1:9".to_owned(),
        ca: None,
        token: None,
    };
    let silent = Backend::Endpoint {
        url: "https://127.0.0.1:9".to_owned(),
        ca: None,
        token: None,
    };
    let strange = Backend::Endpoint {
        url: "ftp://127.0.0.1:9".to_owned(),
        ca: None,
        token: None,
    };
    for (backend, says) in [
        (nowhere, "cannot be started"),
        (closed, "no answer"),
        (silent, "no TLS with 127.0.0.1:9"),
        (strange, "has the scheme `ftp`"),
    ] {
        let options = Options {
            backend,
            only: one(),
            ..Options::default()
        };
        let outcomes = performed(options).await;
        let [outcome] = &outcomes[..] else {
            panic!("{outcomes:?}");
        };
        let Verdict::CouldNotRun(why) = &outcome.verdict else {
            panic!("{outcome:?}");
        };
        assert!(why.contains(says), "{why}");
    }
}

#[tokio::test]
async fn a_name_that_is_no_case_is_refused() {
    let only = Some(BTreeSet::from(
        ["data/transform/without-drivers".to_owned()],
    ));
    let options = Options {
        only,
        ..Options::default()
    };
    let errors = run(options).await.expect_err("it is refused");
    assert_eq!(
        errors,
        ["there is no case `data/transform/without-drivers`"]
    );
}
