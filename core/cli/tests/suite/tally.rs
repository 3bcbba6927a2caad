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
