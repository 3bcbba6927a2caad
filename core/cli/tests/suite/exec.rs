//! The driver `exec` under the whole program.

use crate::engine::{shown, start, text};
use crate::program::{conveyor, files};
use crate::site::{Background, Site, driver_program};
use rustix::process::{Pid, test_kill_process};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Twenty commands that wait for the file `go`.
const TWENTY: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: twenty}
spec:
  steps:
    - id: each
      driver: exec
      foreach: {items: \"${{ lists.range(20) }}\"}
      with: {run: 'echo begun; while [ ! -e go ]; do sleep 0.02; done'}
";

/// How many instances of the first step are in a state.
fn count(dir: &Path, state: &str) -> usize {
    let view = shown(dir, "latest");
    let instances = view["steps"][0]["instances"].as_array().expect("a list");
    instances.iter().filter(|one| one["state"] == state).count()
}

fn at_once(options: &[&str], most: usize) {
    let dir = files(&[("p.yaml", TWENTY)]);
    let args = ["run", "p.yaml", "--data-dir", "data"];
    let mut run = start(dir.path(), &[&args[..], options].concat());
    (0..most).for_each(|_| drop(run.until("| begun")));
    assert_eq!(count(dir.path(), "running"), most);
    assert_eq!(count(dir.path(), "queued"), 20 - most);
    std::fs::write(dir.path().join("go"), "").expect("it is writable");
    let ended = run.ended();
    assert_eq!(ended.status, 0, "{}", ended.err);
    assert_eq!(count(dir.path(), "succeeded"), 20);
}

#[test]
fn sixteen_tasks_run_at_once_by_default() {
    at_once(&[], 16);
}

#[test]
fn capacity_says_how_many_run_at_once() {
    at_once(&["--capacity", "3"], 3);
}

/// Waits until a process is gone.
fn gone(pid: &str) {
    let pid = Pid::from_raw(pid.trim().parse().expect("a number")).expect("not zero");
    let deadline = Instant::now() + Duration::from_secs(20);
    while test_kill_process(pid).is_ok() {
        assert!(Instant::now() < deadline, "process {pid:?} was left behind");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A command that does not listen to SIGTERM, with a child that does not either.
const DEAF: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: deaf}
spec:
  steps:
    - id: deaf
      driver: exec
      timeouts: {attempt: ATTEMPT}
      grace: 200ms
      with:
        run: |
          trap '' TERM
          echo $$ >leader
          sleep 1000 & echo $! >child
          echo ready
          wait
";

#[test]
fn a_timeout_leaves_no_process() {
    let dir = files(&[("p.yaml", &DEAF.replace("ATTEMPT", "500ms"))]);
    let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(run.status, 1, "{}", run.err);
    assert_eq!(
        shown(dir.path(), "latest")["steps"][0]["state"],
        "timed_out"
    );
    gone(&text(&dir.path().join("leader")));
    gone(&text(&dir.path().join("child")));
}

#[test]
fn a_cancel_leaves_no_process() {
    let dir = files(&[("p.yaml", &DEAF.replace("ATTEMPT", "1h"))]);
    let mut run = start(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    run.until("| ready");
    run.signal(rustix::process::Signal::INT);
    assert_eq!(run.ended().status, 130);
    gone(&text(&dir.path().join("leader")));
    gone(&text(&dir.path().join("child")));
}

#[test]
fn a_killed_engine_leaves_no_process() {
    let dir = files(&[("p.yaml", &DEAF.replace("ATTEMPT", "1h"))]);
    let mut run = start(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    run.until("| ready");
    run.kill();
    gone(&text(&dir.path().join("leader")));
    gone(&text(&dir.path().join("child")));
}

/// A server, its driver as another process, and a run whose step does not listen.
fn deaf() -> (Site, [Background; 2], String) {
    let mut site = Site::new(&[("p.yaml", &DEAF.replace("ATTEMPT", "1h"))]);
    let server = site.serve();
    let driver = site.driver();
    let run = site.start("p.yaml");
    site.until(&run, "ready", |_| site.log(&run).contains("ready"));
    (site, [server, driver], run)
}

#[test]
fn a_cancel_over_a_server_leaves_no_process_of_its_driver() {
    let (site, _programs, run) = deaf();
    let cancelled = site.conveyor(&["cancel", &run]);
    assert_eq!(cancelled.status, 0, "{}", cancelled.err);
    gone(&text(&site.dir.path().join("leader")));
    gone(&text(&site.dir.path().join("child")));
    let view = site.ended(&run);
    assert_eq!(view["steps"][0]["state"], "cancelled", "{view:#}");
}

#[test]
fn a_killed_driver_leaves_no_process() {
    let (site, [_server, mut driver], _) = deaf();
    driver.kill();
    gone(&text(&site.dir.path().join("leader")));
    gone(&text(&site.dir.path().join("child")));
}

#[test]
fn a_driver_comes_by_the_unix_socket() {
    let document = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: x}\nspec:\n  steps:\n    \
                    - {id: a, driver: exec, with: {run: echo by the socket}}\n";
    let mut site = Site::new(&[("p.yaml", document)]);
    let _server = site.serve();
    for address in ["unix:data", "unix:data/control.sock"] {
        let mut command = Command::new(driver_program());
        command
            .env("CONVEYOR_URL", address)
            .env("NO_COLOR", "1")
            .current_dir(site.dir.path());
        let mut driver = Background::start(&mut command);
        driver.line(&["connected", address]);
        let run = site.start("p.yaml");
        let view = site.ended(&run);
        assert_eq!(view["state"], "succeeded", "{view:#}");
        assert_eq!(site.log(&run), "a | by the socket\n");
    }
}

#[test]
fn outputs_over_the_limit_end_the_step_errored_with_limit_and_value() {
    let document = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: x}\nspec:\n  steps:\n    \
                    - {id: a, driver: exec, retry: {attempts: 3}, with: {run: 'head -c 1048577 /dev/zero >$CONVEYOR_OUTPUT'}}\n";
    let dir = files(&[("p.yaml", document)]);
    let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(run.status, 1, "{}", run.err);
    let wanted = "output_too_large: the outputs are 1048577 bytes, the limit is 1048576";
    assert!(run.out.contains(wanted), "{}", run.out);
    let step = &shown(dir.path(), "latest")["steps"][0];
    assert_eq!(step["state"], "errored");
    let attempts = step["instances"][0]["attempts"].as_array().map(Vec::len);
    assert_eq!(attempts, Some(1), "another try cannot mend it");
}

#[test]
fn a_file_that_may_not_grow_is_an_error_for_the_program_and_the_end_of_a_command() {
    let document = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: x}\nspec:\n  steps:\n    \
                    - {id: a, driver: exec, with: {run: 'ulimit -f 0; echo more >file'}}\n";
    let dir = files(&[("p.yaml", document)]);
    let run = conveyor(dir.path(), &["run", "p.yaml", "--data-dir", "data"]);
    assert_eq!(run.status, 1, "{}", run.err);
    assert!(run.out.contains("ended by SIGXFSZ"), "{}", run.out);

    let program = env!("CARGO_BIN_EXE_conveyor");
    let limited = format!("ulimit -f 0; exec '{program}' run p.yaml --data-dir other");
    let ended = std::process::Command::new("sh")
        .args(["-c", &limited])
        .current_dir(dir.path())
        .output()
        .expect("there is a shell");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{}: {said}", ended.status);
    assert!(said.contains("File too large"), "{said}");
}
