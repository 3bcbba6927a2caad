//! What stops runs and goes on with them, wherever their engine is reached.

use crate::program::{Ended, conveyor};
use crate::site::Site;
use serde_json::Value;

/// Waits for a driver that nobody offers.
const WAITS: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: waits}
spec:
  steps:
    - {id: first, transform: {n: 1}}
    - {id: second, needs: [first], driver: nobody}
";

/// The same, with a second step that needs none.
const FIXED: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: waits}
spec:
  steps:
    - {id: first, transform: {n: 1}}
    - {id: second, needs: [first], transform: {n: '${{ steps.first.outputs.n + 1 }}'}}
";

/// The verbs in their order, each of the run of a letter: what it says, and the state that `runs show` tells then.
const TOLD: &[(&str, char, &str, &str)] = &[
    ("pause", 'a', "paused", "paused"),
    ("pause", 'a', "no effect", "paused"),
    ("resume", 'a', "running", "running"),
    ("resume", 'a', "no effect: it is not paused", "running"),
    ("drain", 'a', "cancelled", "cancelled"),
    ("drain", 'a', "no effect", "cancelled"),
    ("terminate", 'b', "cancelled", "cancelled"),
    ("resume", 'b', "no effect", "cancelled"),
];

#[test]
fn verbs_on_runs_do_the_same_by_a_server_and_by_a_data_directory() {
    for by_server in [true, false] {
        let mut site = Site::new(&[("waits.yaml", WAITS), ("fixed.yaml", FIXED)]);
        let server = site.serve();
        let runs = [site.start("waits.yaml"), site.start("waits.yaml")];
        let tell = |args: &[&str]| -> Ended {
            match by_server {
                true => site.conveyor(args),
                false => site.conveyor_alone(&[args, &["--data-dir", "data"]].concat()),
            }
        };
        for (verb, run, words, state) in TOLD {
            let run = &runs[usize::from(*run == 'b')];
            let ended = tell(&[verb, run, "--reason", "looking at it"]);
            assert_eq!(ended.status, 0, "{verb}: {}", ended.err);
            assert!(ended.out.contains(words), "{verb}: {}", ended.out);
            let shown = tell(&["runs", "show", run, "-o", "json"]);
            let shown: Value = serde_json::from_str(&shown.out).expect("it is JSON");
            assert_eq!(shown["state"], *state, "{verb}: {shown:#}");
        }
        let shown = tell(&["runs", "show", &runs[1]]);
        assert!(shown.out.contains(": looking at it"), "{}", shown.out);
        let fork = [
            "fork",
            &runs[1],
            "--from",
            "second",
            "--pipeline",
            "fixed.yaml",
        ];
        let forked = tell(&fork);
        assert_eq!(forked.status, 0, "{}", forked.err);
        assert!(
            forked.err.contains("first succeeded: inherited"),
            "{}",
            forked.err
        );
        let fork = tell(&["runs", "show", "latest", "-o", "json"]);
        let fork: Value = serde_json::from_str(&fork.out).expect("it is JSON");
        assert_eq!(fork["forked_from"], runs[1].as_str(), "{fork:#}");
        assert_eq!(fork["state"], "succeeded", "{fork:#}");
        drop(server);
    }
}

#[test]
fn verbs_on_runs_do_the_same_by_a_directory_that_nobody_holds() {
    let mut site = Site::new(&[("waits.yaml", WAITS), ("fixed.yaml", FIXED)]);
    let mut server = site.serve();
    let runs = [site.start("waits.yaml"), site.start("waits.yaml")];
    server.kill();
    let tell = |args: &[&str]| conveyor(site.dir.path(), &[args, &["--data-dir", "data"]].concat());
    // Nothing would go on with it: that is said, and nothing changes.
    let paused = tell(&["pause", &runs[0]]);
    assert_eq!(paused.status, 2, "{}", paused.out);
    assert!(
        paused.err.contains("`conveyor run --continue"),
        "{}",
        paused.err
    );
    for (verb, run) in [("drain", &runs[0]), ("terminate", &runs[1])] {
        let ended = tell(&[verb, run]);
        assert_eq!(ended.status, 0, "{verb}: {}", ended.err);
        assert!(ended.out.contains("cancelled"), "{verb}: {}", ended.out);
    }
    let resumed = tell(&["resume", &runs[0]]);
    assert!(
        resumed.out.contains("no effect"),
        "{}{}",
        resumed.out,
        resumed.err
    );
    let fork = [
        "fork",
        &runs[1],
        "--from",
        "second",
        "--pipeline",
        "fixed.yaml",
    ];
    let forked = tell(&fork);
    assert_eq!(forked.status, 0, "{}", forked.err);
}
