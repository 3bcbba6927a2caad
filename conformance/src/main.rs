//! `conveyor-conformance`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]
use conveyor_conformance::{Backend, Breadth, Options, Program, Trace, Verdict};
use std::collections::BTreeMap;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let split = arguments.iter().position(|one| one == "--").unwrap();
    let command = arguments.split_off(split + 1);
    let cases = conveyor_conformance::embedded("contract");
    let mut cases = cases.unwrap_or_else(|errors| panic!("{}", errors.join("\n")));
    if arguments.len() > 1 {
        cases.retain(|case| case.name.contains(&arguments[0]));
    }
    let trace = std::env::var("TRACE").is_ok();
    let options = Options {
        program: Program {
            command,
            environment: Vec::new(),
        },
        config: Default::default(),
        cases,
        backend: Backend::Embedded,
        breadth: if std::env::var("PAIRS").is_ok() {
            Breadth::Pairs
        } else {
            Breadth::One
        },
        seed: 1,
        parallel: 8,
        trace: if trace { Trace::On } else { Trace::Off },
        chosen: None,
        expected: BTreeMap::new(),
    };
    let results = conveyor_conformance::run(&options, |outcome, _| {
        println!("{} {:?} {:?}", outcome.run, outcome.took, outcome.verdict);
        if trace || matches!(outcome.verdict, Verdict::Failed { .. }) {
            for line in outcome.stderr.iter().chain(&outcome.messages) {
                println!("    {line}");
            }
        }
    })
    .await
    .unwrap();
    let passed = results
        .outcomes
        .iter()
        .filter(|outcome| outcome.verdict == Verdict::Passed)
        .count();
    println!("{passed} of {} passed", results.outcomes.len());
}
