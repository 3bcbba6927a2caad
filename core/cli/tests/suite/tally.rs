//! What the tests of faults did, for `make faults`: docs/faults.md is made of it.

use serde_json::json;
use std::io::Write as _;

/// Names the file that each count is added to, as a line of JSON; without it nothing is written.
const FILE: &str = "CONVEYOR_FAULTS";

/// How often something was done.
pub(crate) fn done(test: &str, what: &str, count: usize) {
    add(&json!({"name": test, "figure": what, "value": count}));
}

/// What the test asserted: without it the test would have failed before this.
pub(crate) fn held(test: &str, what: &str) {
    add(&json!({"name": test, "figure": what, "held": true}));
}

fn add(line: &serde_json::Value) {
    let Some(file) = std::env::var_os(FILE) else {
        return;
    };
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .expect("the file of counts is writable");
    // In one write, since tests run beside each other.
    file.write_all(format!("{line}\n").as_bytes())
        .expect("the file of counts is writable");
}

#[test]
fn make_faults_runs_each_module_that_counts() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let makefile = std::fs::read_to_string(format!("{root}/Makefile")).expect("it is there");
    let line = makefile.lines().find(|line| line.contains(FILE));
    let (_, filter) = line
        .and_then(|line| line.split_once(" -- "))
        .expect("`make faults` names what it runs");
    let filter: Vec<&str> = filter.split_whitespace().collect();
    let suite = format!("{root}/core/cli/tests/suite");
    let mut counting = Vec::new();
    for entry in std::fs::read_dir(suite).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        let is_code = path.extension().is_some_and(|ending| ending == "rs");
        let name = path.file_stem().and_then(|name| name.to_str());
        let Some(name) = name.filter(|name| is_code && *name != "tally") else {
            continue;
        };
        let text = std::fs::read_to_string(&path).expect("it is readable");
        if text.contains("tally::") {
            counting.push(format!("{name}::"));
        }
    }
    assert!(!counting.is_empty(), "nobody counts");
    for module in counting {
        assert!(
            filter.contains(&&*module),
            "`make faults` runs {filter:?}, and not {module}: what it counts is in no table"
        );
    }
}
