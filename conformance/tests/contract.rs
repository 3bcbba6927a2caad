//! The drivers that lie beside the suite keep the contract. Those that misbehave: `strangers.rs`.
//!
//! The programs are built by `make test`, the environment of the Python driver by `make conformance-drivers`.

mod again;
mod beside;

use again::failed;
use beside::program;
use conveyor_conformance::{
    Axis, Backend, Breadth, Options, Program, Results, embedded, read_config, uncited,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::sync::Mutex;

/// One driver after the other: what is looked at is time, too, and there are few processors.
static ONE: Mutex<()> = Mutex::const_new(());

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn script(path: &str) -> String {
    root().join(path).display().to_string()
}

fn options(command: &[&str]) -> Options {
    Options {
        program: Program {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            ..Program::default()
        },
        cases: embedded("contract").unwrap_or_else(|errors| panic!("{}", errors.join("\n"))),
        breadth: Breadth::One,
        ..Options::default()
    }
}

/// Runs the cases, and looks that all that the driver declares has passed, and how much that is.
async fn passes(options: &Options, at_least: usize) -> Results {
    let _one = ONE.lock().await;
    let (results, wrong) = again::results(options).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
    let passed = results.counts().passed;
    assert!(passed as usize >= at_least, "only {passed} cases were run");
    results
}

/// What a driver is tested with here: not with each value of each axis in each case, which `make conformance` does, but
/// so that each value that it declares is among them.
fn a_few(mut options: Options, runs: usize, seed: u64) -> Options {
    options.breadth = Breadth::Few(runs);
    options.seed = seed;
    options
}

/// A driver that is a program of its own, and mostly waits.
fn compiled(name: &str) -> Options {
    let mut options = options(&[&program(name)]);
    options.parallel = 16;
    options
}

/// Looks that the runs had these ways to talk, one task and sixty-four, and each fault.
fn had(results: &Results, transports: &[&'static str], concurrency: &[&'static str]) {
    let values = |axis| -> BTreeSet<&str> {
        let runs = results.outcomes.iter().map(|outcome| &outcome.run);
        runs.filter_map(|run| run.value(axis)).collect()
    };
    let set = |words: &[&'static str]| -> BTreeSet<&str> { words.iter().copied().collect() };
    assert_eq!(values(Axis::Transport), set(transports));
    assert_eq!(values(Axis::Concurrency), set(concurrency));
    let faults = values(Axis::Fault);
    for fault in [
        "none",
        "restart",
        "cut",
        "cut-1",
        "cut-6",
        "half-open",
        "double-acknowledgements",
        "late-acknowledgements",
        "slow",
        "clock-jump",
        "lease-lost",
    ] {
        assert!(faults.contains(fault), "{fault} is none of {faults:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_driver_passes_all_that_it_declares() {
    let options = compiled("conveyor-conformance-rust");
    let results = passes(&a_few(options, usize::MAX, 1), 290).await;
    had(&results, &["tcp", "tls", "unix"], &["1", "64"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_driver_over_stubs_alone_passes_all_that_it_declares() {
    let options = compiled("conveyor-conformance-raw");
    let results = passes(&a_few(options, usize::MAX, 2), 350).await;
    let streams = ["tcp", "tls", "unix"];
    let calls = ["unary", "unary-tls", "unary-unix"];
    let rest = ["rest", "rest-tls", "rest-unix"];
    had(&results, &[streams, calls, rest].concat(), &["1", "64"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plain_python_driver_passes_a_part_of_what_it_declares() {
    let options = options(&[&script("conformance/drivers/python/run.sh")]);
    let results = passes(&a_few(options, 100, 3), 96).await;
    let streams = ["tcp", "tls", "unix"];
    let calls = ["unary", "unary-tls", "unary-unix"];
    let rest = ["rest", "rest-tls", "rest-unix"];
    had(&results, &[streams, calls, rest].concat(), &["1", "64"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bash_driver_passes_a_part_of_what_it_declares() {
    let mut options = options(&[&script("conformance/drivers/bash/driver.sh")]);
    let config = "conformance/drivers/bash/config.yaml";
    let text = std::fs::read_to_string(root().join(config)).expect("it is there");
    options.config = read_config(config, &text, "contract").unwrap_or_else(|all| panic!("{all:?}"));
    let results = passes(&a_few(options, 60, 4), 57).await;
    had(&results, &["rest", "rest-tls", "rest-unix"], &[]);
}

/// The first block of a language on the page for authors of drivers.
fn of_the_page(language: &str) -> String {
    let page = std::fs::read_to_string(root().join("docs/testing-a-driver.md"));
    let page = page.expect("the page is there");
    let begin = format!("```{language}\n");
    let (_, block) = page.split_once(&begin).expect("it has such a block");
    let (block, _) = block.split_once("\n```").expect("the block ends");
    format!("{block}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_smallest_driver_of_the_page_has_the_green_first_run_that_the_page_shows() {
    let directory = tempfile::tempdir().expect("a directory");
    let driver = directory.path().join("driver.py");
    std::fs::write(&driver, of_the_page("python")).expect("written");
    let config = of_the_page("yaml");
    let mut options = options(&["python3", &driver.display().to_string()]);
    options.config =
        read_config("config.yaml", &config, "contract").unwrap_or_else(|all| panic!("{all:?}"));
    options.include = vec!["results/**".parse().expect("a pattern")];
    // As the command on the page has it.
    options.breadth = Breadth::default();
    let results = passes(&options, 10).await;
    // One that failed among others has passed by itself.
    let undeclared = results.counts().not_declared;
    let ran = results.outcomes.len() - undeclared as usize;
    let lines = format!(
        "\n{} cases: {ran} passed, 0 failed, {undeclared} not declared\nran {ran} of {}, axes pairs, ",
        results.cases(),
        results.possible
    );
    let page = std::fs::read_to_string(root().join("docs/testing-a-driver.md"));
    let page = page.expect("the page is there");
    assert!(page.contains(&lines), "the page does not show: {lines}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_talks_otherwise_than_it_was_asked_to_is_told_so() {
    let _one = ONE.lock().await;
    let driver = script("conformance/drivers/python/run.sh");
    let text = format!("export CONVEYOR_CONFORMANCE_TRANSPORT=rest; exec {driver}");
    let mut options = options(&["bash", "-c", &text]);
    options.include = vec![
        "results/success/outputs[transport:tcp]"
            .parse()
            .expect("a pattern"),
    ];
    let results = conveyor_conformance::run(&options, |_, _| {}).await;
    let wrong = failed(&results.expect("the suite can work"));
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    let told = "the driver was to talk by `stream`, and came by `rest`";
    assert!(wrong[0].1.contains(told), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_driver_passes_before_a_server_in_a_process_of_its_own() {
    let mut options = options(&[&program("conveyor-conformance-rust")]);
    options.backend = Backend::Server {
        program: Some(program("conveyor").into()),
    };
    options.parallel = 4;
    options
        .cases
        .retain(|case| case.name.starts_with("results/") || case.name.starts_with("resume/"));
    passes(&options, 30).await;
}

#[test]
fn each_must_of_the_contract_has_a_case_that_cites_it() {
    let uncited = uncited().unwrap_or_else(|errors| panic!("{}", errors.join("\n")));
    assert!(uncited.is_empty(), "no case cites {}", uncited.join("\n"));
}

/// Each rule is broken by a driver that keeps all others, and a case that cites it notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_driver_breaks_is_noticed_by_a_case_that_cites_it() {
    let _one = ONE.lock().await;
    let ended = tokio::task::spawn_blocking(|| {
        Command::new(env!("CARGO_BIN_EXE_conveyor-conformance"))
            .args(["selftest", "--"])
            .arg(program("conveyor-conformance-raw"))
            .output()
    });
    let ended = ended.await.expect("it is waited for").expect("it runs");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}");
}
