//! Drivers that somebody else starts, and that come to an address: `run --endpoint`.
//!
//! The programs are built by `make test`.

mod beside;

use beside::program;
use conveyor_conformance::{
    Breadth, Endpoint, Options, Results, Standing, Status, Verdict, embedded, read_config,
};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// One after the other: drivers come back in time, and there are few processors.
static ONE: Mutex<()> = Mutex::const_new(());

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An address that nobody listens at.
fn free() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("it has one")
}

fn options(endpoint: Endpoint, include: &[&str]) -> Options {
    let patterns = include.iter().map(|pattern| pattern.parse());
    Options {
        cases: embedded("contract").unwrap_or_else(|errors| panic!("{}", errors.join("\n"))),
        breadth: Breadth::One,
        include: patterns.collect::<Result<_, _>>().expect("patterns"),
        listen: Some(endpoint),
        ..Options::default()
    }
}

/// Starts a driver as a person does, with what the suite says.
fn start(command: &str, transport: &str, endpoint: &Endpoint) -> Child {
    let mut driver = Command::new(command);
    driver
        .envs(endpoint.environment())
        .env("CONVEYOR_CONFORMANCE_TRANSPORT", transport)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    driver.spawn().expect("the driver starts")
}

/// Ends a driver with all that it started.
async fn end(mut driver: Child) {
    let id = driver.id().map(u32::cast_signed);
    if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is told");
    }
    let ended = tokio::time::timeout(Duration::from_secs(20), driver.wait()).await;
    ended.expect("it ends").expect("it is waited for");
}

async fn run(options: &Options) -> Results {
    let results = conveyor_conformance::run(options, |_, _| {}).await;
    results.expect("the suite can work")
}

/// How many passed over a transport; nothing else came of any, but that the suite would have to start the driver.
fn passed(results: &Results, transport: &str) -> usize {
    let mut passed = 0;
    for outcome in &results.outcomes {
        match &outcome.verdict {
            Verdict::Passed => {
                let run = outcome.run.to_string();
                let over = run.contains(&format!("transport:{transport}"));
                assert!(over || run == "handshake/features/as-declared", "{run}");
                passed += usize::from(over);
            }
            Verdict::NotDeclared { missing } => {
                let started = missing.besides == ["to start the driver"];
                assert!(started, "{}: {missing:?}", outcome.run);
            }
            other => panic!("{}: {other:#?}", outcome.run),
        }
    }
    assert_eq!(results.status(), Status::AsExpected, "{results:#?}");
    passed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_driver_comes_back_to_each_case_over_its_stream() {
    let _one = ONE.lock().await;
    let endpoint = Endpoint::new(free());
    let driver = start(&program("conveyor-conformance-rust"), "stream", &endpoint);
    let options = options(
        endpoint,
        &[
            "results/success/*",
            "results/other/*",
            "resume/**",
            "drain/**",
        ],
    );
    let results = run(&options).await;
    end(driver).await;
    assert!(passed(&results, "tcp") >= 8, "{results:#?}");
    assert_eq!(results.subject.name, "under-test");
    // Drains begin with a signal.
    assert!(results.counts().not_declared >= 3, "{results:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_driver_over_stubs_alone_comes_back_by_the_way_by_which_it_was_started() {
    let _one = ONE.lock().await;
    for (way, transport) in [("stream", "tcp"), ("unary", "unary")] {
        let endpoint = Endpoint::new(free());
        let driver = start(&program("conveyor-conformance-raw"), way, &endpoint);
        // It comes back with growing pauses (R42): each case more is some seconds.
        let cases = ["results/success/outputs", "results/success/empty"];
        let results = run(&options(endpoint, &cases)).await;
        end(driver).await;
        assert_eq!(passed(&results, transport), 2, "{results:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bash_driver_comes_back_over_http() {
    let _one = ONE.lock().await;
    let driver = root().join("conformance/drivers/bash/driver.sh");
    let endpoint = Endpoint::new(free());
    let driver = start(&driver.display().to_string(), "rest", &endpoint);
    let results = run(&options(endpoint, &["results/success/*"])).await;
    end(driver).await;
    assert!(passed(&results, "rest") >= 4, "{results:#?}");
}

/// The smallest driver of the page for authors: it ends where its session is not known any more.
fn smallest(directory: &Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let page = std::fs::read_to_string(root().join("docs/testing-a-driver.md"));
    let page = page.expect("the page is there");
    let (_, block) = page.split_once("```python\n").expect("it has a driver");
    let (block, _) = block.split_once("\n```").expect("it ends");
    let driver = directory.join("driver.py");
    std::fs::write(&driver, format!("{block}\n")).expect("written");
    let all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&driver, all).expect("it can be run");
    driver.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_cannot_come_back_has_its_first_case_and_the_suite_ends_with_that() {
    let _one = ONE.lock().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (endpoint, mut waits) = Endpoint::telling(free());
    let _driver = start(&smallest(directory.path()), "rest", &endpoint);
    let mut options = options(endpoint, &["results/success/*"]);
    let config = read_config("c.yaml", "features: [rest]\nstart_ms: 3000\n", "contract");
    options.config = config.unwrap_or_else(|errors| panic!("{errors:#?}"));
    let began = Instant::now();
    let results = run(&options).await;
    let counts = results.counts();
    // The meeting and one case; nobody came to the next; the others were not tried.
    assert_eq!(
        (counts.passed, counts.could_not_run),
        (2, 1),
        "{results:#?}"
    );
    assert_eq!(results.status(), Status::CouldNot);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let stopped = results.stopped.as_deref().unwrap_or_default();
    assert!(stopped.contains("more runs were not begun"), "{stopped}");
    let missed = results.outcomes.iter();
    let mut missed = missed.filter(|outcome| outcome.standing() == Standing::CouldNotRun);
    let missed = missed.next().expect("there is one");
    let why = missed.complaints().join("\n");
    assert!(why.contains("nobody came to 127.0.0.1:"), "{why}");
    assert_eq!(waits.recv().await.as_ref(), Some(&missed.run));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_comes_at_all_that_is_said_of_no_driver() {
    let endpoint = Endpoint::new(free());
    let mut options = options(endpoint, &[]);
    options.config.start_ms = 300;
    let results = run(&options).await;
    assert_eq!(results.status(), Status::CouldNot);
    assert_eq!(results.outcomes.len(), 1, "{results:#?}");
    let why = results.outcomes[0].complaints().join("\n");
    assert!(why.contains("nobody came to 127.0.0.1:"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_says_what_to_start_and_whom_it_waits_for() {
    let _one = ONE.lock().await;
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("config.yaml");
    std::fs::write(&config, "features: [rest]\nstart_ms: 3000\n").expect("written");
    let endpoint = Endpoint::new(free());
    let suite = Command::new(env!("CARGO_BIN_EXE_conveyor-conformance"))
        .args(["run", "--endpoint", &endpoint.address().to_string()])
        .args(["--include", "results/success/*", "--config"])
        .arg(&config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let _driver = start(&smallest(directory.path()), "rest", &endpoint);
    let ended = suite.wait_with_output().await.expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    for (name, value) in endpoint.environment() {
        assert!(said.contains(&format!("  {name}={value}\n")), "{said}");
    }
    let waits = "the suite is waiting for the driver again: results/success/";
    assert!(said.contains(waits), "{said}");
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(
        told.contains("ended before its end: nobody came to"),
        "{told}"
    );
}
