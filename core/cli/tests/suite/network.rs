//! Drivers whose network breaks.

use crate::proxy::Proxy;
use crate::site::{Background, Site, driver_program};
use crate::tally;
use serde_json::Value;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Forty short steps, ten at once: each writes down that it was started, and says what it is.
const MANY: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: many}
spec:
  steps:
    - id: work
      driver: exec
      timeouts: {heartbeat: 20s}
      foreach: {items: '${{ lists.range(40) }}', max_parallel: 10}
      with: {run: 'echo \"$CONVEYOR_INSTANCE $CONVEYOR_ATTEMPT\" >>ran; echo said; sleep 0.1; echo n=$CONVEYOR_INSTANCE >$CONVEYOR_OUTPUT'}
  outputs: {all: '${{ steps.work.outputs.map(each, each.n) }}'}
";

const CUT: &str = "the network is cut again and again";
const SILENT: &str = "the network goes silent";

fn behind(site: &Site, proxy: &Proxy) -> Background {
    let mut command = Command::new(driver_program());
    command
        .args(["--server", &proxy.url(), "--capacity", "10"])
        .env("NO_COLOR", "1")
        .current_dir(site.dir.path());
    let mut driver = Background::start(&mut command);
    driver.line(&["connected"]);
    driver
}

/// All forty were started once, and ended well.
fn once_each(site: &Site, run: &str) {
    let view = site.ended(run);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    let ran = std::fs::read_to_string(site.dir.path().join("ran")).expect("they ran");
    // A task that was under way when the connection broke was not delivered: it goes out under the next
    // number, and the first was started by nobody.
    let started = ran
        .lines()
        .map(|line| line.split(' ').next().expect("it has an instance"));
    let mut started: Vec<u32> = started.map(|one| one.parse().expect("a number")).collect();
    started.sort_unstable();
    assert_eq!(started, (0..40).collect::<Vec<_>>(), "{ran}");
    // Lines may come after the result.
    site.until(run, "logged", |_| site.log(run).lines().count() == 40);
    let instances = view["steps"][0]["instances"].as_array().map(Vec::len);
    assert_eq!(instances, Some(40));
}

#[test]
fn a_connection_that_is_cut_again_and_again_starts_nothing_twice() {
    let mut site = Site::new(&[("many.yaml", MANY)]);
    let _server = site.serve();
    let proxy = Proxy::new(&site.url);
    let _driver = behind(&site, &proxy);
    let run = site.start("many.yaml");
    let mut cuts = 0;
    while !is_over(&site.show(&run)) {
        // The instant itself is what is tested.
        thread::sleep(Duration::from_millis(37 * (1 + cuts as u64 % 5)));
        proxy.cut();
        cuts += 1;
    }
    assert!(cuts > 3 && proxy.connections() > 3, "only {cuts} cuts");
    once_each(&site, &run);
    tally::done(CUT, "times the connection of the driver was cut", cuts);
    tally::done(CUT, "tasks", 40);
    tally::held(
        CUT,
        "each task was started once, and its result and its log line are there",
    );
}

#[test]
fn a_slow_network_costs_time_and_no_attempt() {
    let mut site = Site::new(&[("many.yaml", MANY)]);
    let _server = site.serve();
    let proxy = Proxy::new(&site.url);
    let _driver = behind(&site, &proxy);
    proxy.slow(Duration::from_millis(60));
    let run = site.start("many.yaml");
    once_each(&site, &run);
    assert_eq!(proxy.connections(), 1);
    tally::done("the network is slow", "delay each way, ms", 60);
    tally::held("the network is slow", "no attempt was lost");
}

#[test]
fn a_network_that_goes_silent_stops_the_task_before_another_begins_it() {
    let document = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: silent}
spec:
  steps:
    - id: only
      driver: exec
      timeouts: {heartbeat: 3s}
      grace: 1s
      with: {run: 'while ! test -e go; do echo $CONVEYOR_ATTEMPT >>ran; sleep 0.05; done'}
";
    let mut site = Site::new(&[("silent.yaml", document)]);
    let _server = site.serve();
    let proxy = Proxy::new(&site.url);
    let _driver = behind(&site, &proxy);
    let run = site.start("silent.yaml");
    site.until(&run, "running", |_| site.dir.path().join("ran").exists());
    proxy.silent(true);
    // Nobody tells it: the first driver finds out by itself, before the engine gives the task away.
    let other = site.driver();
    let second = site.until(&run, "begun again", |view| {
        view["steps"][0]["instances"][0]["attempts"]
            .as_array()
            .is_some_and(|attempts| attempts.len() == 2)
    });
    assert_eq!(
        second["steps"][0]["instances"][0]["attempts"][0]["state"],
        "lost"
    );
    site.until(&run, "running again", |_| {
        lines(&site).iter().any(|line| line == "2")
    });
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    proxy.silent(false);
    let view = site.ended(&run);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    let lines = lines(&site);
    let second = lines.iter().position(|line| line == "2").expect("it ran");
    assert!(
        lines[second..].iter().all(|line| line == "2"),
        "the first attempt went on beside the second: {lines:?}"
    );
    // It is heard again, and gets tasks again.
    drop(other);
    let run = site.start("silent.yaml");
    assert_eq!(site.ended(&run)["state"], "succeeded");
    tally::done(SILENT, "connections that went silent", 1);
    tally::held(SILENT, "no attempt ran on beside a later one");
}

fn lines(site: &Site) -> Vec<String> {
    let ran = std::fs::read_to_string(site.dir.path().join("ran")).unwrap_or_default();
    ran.lines().map(str::to_owned).collect()
}

fn is_over(view: &Value) -> bool {
    ["succeeded", "failed", "cancelled"].contains(&view["state"].as_str().unwrap_or_default())
}
