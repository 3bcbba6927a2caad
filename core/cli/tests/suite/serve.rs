//! A server, drivers in other processes, and what becomes of runs when either dies.

use crate::pages::{blocks, page, path};
use crate::program::{conveyor_with, root};
use crate::site::{Background, Site, driver_program};
use serde_json::Value;
use std::process::Command;

/// Two steps; the first one waits until somebody makes the file `go`.
pub(crate) const GATED: &str = "\
name: gated
steps:
  - {id: first, name: first, driver: exec, with: {run: \"echo begun; while ! test -e go; do sleep 0.05; done; echo done\"}}
  - {id: second, name: second, driver: exec, with: {run: echo second}}
";

#[test]
fn a_server_that_is_killed_loses_nothing_of_what_its_driver_runs() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let mut server = site.serve();
    let mut driver = site.driver();
    let run = site.start("gated.yaml");
    site.running(&run);
    server.kill();
    driver.line(&["the connection is gone"]);
    // It ends while nobody is there to be told.
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    let _server = site.serve();
    let view = site.ended(&run);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    let attempts = &view["steps"][0]["instances"][0]["attempts"];
    assert_eq!(attempts.as_array().map(Vec::len), Some(1), "{view:#}");
    assert_eq!(
        site.log(&run),
        "first | begun\nfirst | done\nsecond | second\n"
    );
}

#[test]
fn a_driver_that_is_killed_is_missed_and_its_task_begins_again() {
    let document = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: lost}
spec:
  steps:
    - id: only
      driver: exec
      timeouts: {heartbeat: 3s}
      grace: 1s
      with: {run: \"echo attempt $CONVEYOR_ATTEMPT; while ! test -e go; do sleep 0.05; done\"}
";
    let mut site = Site::new(&[("lost.yaml", document)]);
    let _server = site.serve();
    let mut driver = site.driver();
    let run = site.start("lost.yaml");
    site.until(&run, "running", |_| site.log(&run).contains("attempt 1"));
    driver.kill();
    let _second = site.driver();
    site.until(&run, "tried again", |_| site.log(&run).lines().count() > 1);
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    let view = site.ended(&run);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    let attempts = view["steps"][0]["instances"][0]["attempts"].clone();
    assert_eq!(attempts[0]["state"], "lost", "{view:#}");
    let last = attempts.as_array().and_then(|all| all.last());
    assert_eq!(
        last.map(|it| &it["state"]),
        Some(&"succeeded".into()),
        "{view:#}"
    );
}

#[test]
fn a_server_that_is_told_to_end_says_so_and_its_driver_comes_back_to_the_next() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let mut server = site.serve();
    let mut driver = site.driver();
    let run = site.start("gated.yaml");
    site.running(&run);
    server.signal(rustix::process::Signal::TERM);
    server.line(&["told to end"]);
    server.line(&["ended"]);
    assert_eq!(server.end(), 0);
    driver.line(&["come back with `resume`"]);
    let _server = site.serve();
    driver.line(&["connected"]);
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    assert_eq!(site.ended(&run)["state"], "succeeded");
}

#[test]
fn a_driver_that_is_told_to_end_finishes_what_it_holds() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let _server = site.serve();
    let mut driver = site.driver();
    let run = site.start("gated.yaml");
    site.running(&run);
    driver.signal(rustix::process::Signal::TERM);
    driver.line(&["told to stop"]);
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    driver.line(&["stopped"]);
    assert_eq!(driver.end(), 0);
    let view = site.until(&run, "waiting for a driver", |view| {
        view["steps"][1]["state"] == "queued"
    });
    assert_eq!(view["steps"][0]["state"], "succeeded", "{view:#}");
    let waits = view["steps"][1]["waiting_for"].as_str().unwrap_or_default();
    assert!(waits.contains("`exec`, which nobody offers"), "{view:#}");
    let _next = site.driver();
    assert_eq!(site.ended(&run)["state"], "succeeded");
}

/// A task that outlasts what its driver is granted goes to another driver, and its process ends: `drain` seconds
/// after the first SIGTERM, or at once after the second.
///
/// Without a heartbeat for ten minutes it would be lost: only who is told gives it away sooner.
#[track_caller]
fn handed_back(drain: &str, told_twice: bool) {
    let document = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: long}
spec:
  steps:
    - id: only
      driver: exec
      timeouts: {heartbeat: 10m}
      with: {run: 'while ! test -e go; do echo $CONVEYOR_ATTEMPT >>ran; sleep 0.05; done'}
";
    let mut site = Site::new(&[("long.yaml", document)]);
    let _server = site.serve();
    let mut command = Command::new(driver_program());
    command
        .args(["--server", &site.url, "--drain", drain])
        .env("NO_COLOR", "1")
        .current_dir(site.dir.path());
    let mut first = Background::start(&mut command);
    first.line(&["connected"]);
    let run = site.start("long.yaml");
    let ran = || {
        let ran = std::fs::read_to_string(site.dir.path().join("ran")).unwrap_or_default();
        ran.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    site.until(&run, "begun", |_| !ran().is_empty());
    let _other = site.driver();
    first.signal(rustix::process::Signal::TERM);
    first.line(&["told to stop"]);
    if told_twice {
        first.signal(rustix::process::Signal::TERM);
    }
    first.line(&["stopped", "handed_back=1"]);
    assert_eq!(first.end(), 0);
    site.until(&run, "begun again", |_| {
        ran().iter().any(|line| line == "2")
    });
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    let view = site.ended(&run);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    let attempts = view["steps"][0]["instances"][0]["attempts"].as_array();
    let states: Vec<_> = attempts
        .into_iter()
        .flatten()
        .map(|it| &it["state"])
        .collect();
    assert_eq!(states, ["lost", "succeeded"], "{view:#}");
    let ran = ran();
    let second = ran.iter().position(|line| line == "2").expect("it ran");
    assert!(
        ran[second..].iter().all(|line| line == "2"),
        "the first went on beside the second: {ran:?}"
    );
}

#[test]
fn a_driver_that_is_told_to_end_hands_back_what_goes_on_for_too_long() {
    handed_back("1", false);
}

#[test]
fn a_driver_that_is_told_twice_to_end_does_so_at_once() {
    handed_back("3600", true);
}

#[test]
fn a_run_that_is_cancelled_stops_its_process_in_the_driver() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let _server = site.serve();
    let _driver = site.driver();
    let run = site.start("gated.yaml");
    site.until(&run, "running", |_| site.log(&run).contains("begun"));
    let cancelled = site.conveyor(&["cancel", &run, "--reason", "enough"]);
    assert_eq!(cancelled.status, 0, "{}", cancelled.err);
    let view = site.ended(&run);
    assert_eq!(view["state"], "cancelled", "{view:#}");
    assert_eq!(view["steps"][0]["state"], "cancelled", "{view:#}");
    assert_eq!(view["steps"][1]["state"], "cancelled", "{view:#}");
}

#[test]
fn a_follower_sees_the_run_live_and_ends_with_its_status() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let _server = site.serve();
    let _driver = site.driver();
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    let applied = site.conveyor(&["apply", "-f", "gated.yaml"]);
    assert!(
        applied.out.contains("default/gated  applied"),
        "{}{}",
        applied.out,
        applied.err
    );
    let again = site.conveyor(&["apply", "-f", "gated.yaml"]);
    assert!(
        again.out.contains("default/gated  unchanged"),
        "{}",
        again.out
    );
    let followed = site.conveyor(&["start", "gated", "--follow"]);
    assert_eq!(followed.status, 0, "{}", followed.err);
    assert!(followed.err.contains("second | second"), "{}", followed.err);
    let listed = site.conveyor(&["drivers", "list", "-o", "json"]);
    let drivers: Value = serde_json::from_str(&listed.out).expect("it is JSON");
    assert_eq!(drivers[0]["name"], "exec");
    assert_eq!(
        drivers[0]["sessions"].as_array().map(Vec::len),
        Some(1),
        "{drivers:#}"
    );
}

#[test]
fn what_a_connected_driver_does_not_take_is_refused_at_apply() {
    let wrong = GATED.replace("with: {run: echo second}", "with: {rum: echo second}");
    let mut site = Site::new(&[("gated.yaml", GATED), ("wrong.yaml", &wrong)]);
    let _server = site.serve();
    let warned = site.conveyor(&["apply", "-f", "gated.yaml"]);
    assert_eq!(warned.status, 0, "{}", warned.err);
    assert!(
        warned.err.contains("which nobody has registered yet"),
        "{}",
        warned.err
    );
    let _driver = site.driver();
    let refused = site.conveyor(&["apply", "-f", "gated.yaml", "-f", "wrong.yaml"]);
    assert_eq!(refused.status, 2, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("rum"), "{}", refused.err);
}

#[test]
fn a_second_server_says_what_is_taken() {
    let mut site = Site::new(&[]);
    let mut server = site.serve();
    let address = site.url.trim_start_matches("http://").to_owned();
    let dir = site.dir.path();
    let taken = conveyor_with(
        dir,
        &["serve", "--data-dir", "other", "--listen", &address],
        "",
    );
    assert_eq!(taken.status, 2);
    assert!(
        taken.err.contains(&address) && taken.err.contains("--listen"),
        "{}",
        taken.err
    );
    assert!(!dir.join("other").exists(), "it touched nothing");
    let held = conveyor_with(
        dir,
        &["serve", "--data-dir", "data", "--listen", "127.0.0.1:0"],
        "",
    );
    assert_eq!(held.status, 2);
    assert!(
        held.err.contains(&server.child.id().to_string()) && held.err.contains("--data-dir"),
        "{}",
        held.err
    );
    let open = conveyor_with(
        dir,
        &["serve", "--data-dir", "other", "--listen", "0.0.0.0:0"],
        "",
    );
    assert_eq!(open.status, 2);
    assert!(open.err.contains("--insecure"), "{}", open.err);
    server.signal(rustix::process::Signal::INT);
    assert_eq!(server.end(), 0);
    let gone = site.conveyor(&["runs", "list"]);
    assert_eq!(gone.status, 3);
    assert!(
        gone.err.contains(&site.url) && gone.err.contains("conveyor serve"),
        "{}",
        gone.err
    );
}

#[test]
fn the_readmes_page_on_serving_runs_as_it_is_written() {
    let text = page("README.md");
    let (_, rest) = text
        .split_once("## Serve it\n")
        .expect("it has the section");
    let section = rest.split("\n## ").next().expect("it ends");
    let blocks = blocks(section, "sh");
    let [serve, driver, client] = &blocks[..] else {
        panic!("three terminals: {blocks:?}");
    };
    let home = tempfile::tempdir().expect("a directory");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("it has one").to_string();
    drop(free);
    // A terminal of its own, where nothing else listens.
    let terminal = |block: &str, exec: &str| -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-ec", &format!("{exec}{block}")])
            .current_dir(root())
            .env("PATH", path())
            .env("HOME", home.path())
            .env_remove("XDG_STATE_HOME")
            .env("NO_COLOR", "1")
            .env("CONVEYOR_LISTEN", &address)
            .env("CONVEYOR_URL", format!("http://{address}"));
        command
    };
    // What goes on is the shell itself, so that it ends with the test.
    let mut server = Background::start(&mut terminal(serve, "exec "));
    server.line(&["listening", &address]);
    let mut worker = Background::start(&mut terminal(driver, "exec "));
    worker.line(&["connected"]);
    let output = terminal(client, "").output().expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("succeeded"), "{said}");
}
