use super::*;
use crate::names::Axis;
use crate::site::Transport;
use std::collections::{BTreeMap, BTreeSet};

fn options(breadth: Breadth, seed: u64) -> Options {
    Options {
        cases: crate::embedded("contract").unwrap_or_else(|errors| panic!("{errors:#?}")),
        breadth,
        seed,
        parallel: 1,
        ..Options::default()
    }
}

fn runs(options: &Options, declared: &[&str]) -> Vec<Planned> {
    let declared: Vec<String> = declared.iter().map(|&word| word.to_owned()).collect();
    let plan = plan(options, &declared).unwrap_or_else(|error| panic!("{error}"));
    assert!(plan.runs.len() as u64 <= plan.possible);
    plan.runs
}

/// The values of each axis that runs have.
fn values(runs: &[Planned]) -> BTreeMap<Axis, BTreeSet<String>> {
    let mut all: BTreeMap<Axis, BTreeSet<String>> = BTreeMap::new();
    for (axis, value) in runs.iter().flat_map(|run| run.name.values()) {
        all.entry(axis).or_default().insert(value.to_owned());
    }
    all
}

#[test]
fn each_transport_and_each_fault_is_named_by_a_case() {
    let all = values(&runs(&options(Breadth::All, 1), crate::config::FEATURES));
    for transport in Transport::ALL {
        assert!(all[&Axis::Transport].contains(transport.name()));
    }
    for fault in faults::FAULTS {
        assert!(all[&Axis::Fault].contains(*fault), "{fault}");
    }
    assert_eq!(
        all[&Axis::Concurrency],
        BTreeSet::from(["1", "64"].map(str::to_owned))
    );
}

#[test]
fn pairs_cut_a_connection_before_each_message_of_a_task_in_turn() {
    for seed in [1, 2, 20_785] {
        let runs = runs(&options(Breadth::Pairs, seed), crate::config::FEATURES);
        for (case, messages) in [
            ("resume/cut-before/each-message", 16),
            ("resume/cut-before/each-heartbeat", 8),
            ("resume/cut-before/each-of-two-tasks", 6),
        ] {
            for transport in ["tcp", "unary", "rest"] {
                for number in 1..=messages {
                    let name = format!("{case}[transport:{transport},fault:cut-{number}]");
                    let found = runs.iter().any(|run| run.name.to_string() == name);
                    assert!(found, "{name} by {seed}");
                }
            }
        }
    }
}

#[test]
fn a_few_runs_have_all_that_a_driver_declares_and_each_case_by_the_seed() {
    let of_bash: &[&str] = &["rest", "tls", "unix", "cancel", "logs", "checkpoints"];
    for declared in [crate::config::FEATURES, of_bash] {
        let all = values(&runs(&options(Breadth::All, 1), declared));
        for seed in [1, 2, 3] {
            let few = runs(&options(Breadth::Few(usize::MAX), seed), declared);
            assert_eq!(values(&few), all, "{declared:?} by {seed}");
            let one = runs(&options(Breadth::One, seed), declared);
            let cases = |runs: &[Planned]| -> BTreeSet<String> {
                runs.iter().map(|run| run.case.name.clone()).collect()
            };
            assert_eq!(cases(&few), cases(&one));
            assert!(few.len() < one.len() + 30, "{} runs", few.len());
            let least = runs(&options(Breadth::Few(60), seed), declared);
            assert_eq!(least.len(), 60);
            assert_eq!(values(&least), all, "{declared:?} by {seed}");
        }
    }
}

#[test]
fn the_same_seed_has_the_same_runs_and_another_has_others() {
    for breadth in [Breadth::Few(100), Breadth::Pairs] {
        let names = |seed| -> Vec<RunName> {
            let runs = runs(&options(breadth, seed), crate::config::FEATURES);
            runs.into_iter().map(|run| run.name).collect()
        };
        assert_eq!(names(7), names(7));
        assert_ne!(names(7), names(8));
    }
}

#[test]
fn what_a_driver_lacks_that_somebody_else_started_is_that_the_suite_starts_it() {
    let mut options = options(Breadth::One, 1);
    let mut endpoint = Endpoint::new(([127, 0, 0, 1], 7421).into());
    endpoint.came_by(Some("stream"));
    options.listen = Some(endpoint);
    let declared = ["stream", "unary", "logs"].map(str::to_owned);
    let plan = plan(&options, &declared).unwrap_or_else(|error| panic!("{error}"));
    let missing = |name: &str| {
        let mut outcomes = plan.undeclared.iter();
        let outcome = outcomes.find(|outcome| outcome.run.to_string() == name);
        match outcome.map(|outcome| &outcome.verdict) {
            Some(Verdict::NotDeclared { missing }) => missing.to_string(),
            _ => String::new(),
        }
    };
    // It came by its stream, and declares calls, but no REST.
    for (name, lacks) in [
        ("results/success/outputs", ""),
        ("handshake/numbering/under-load", "to start the driver"),
        ("polling/poll/answer-lost", "to start the driver"),
        ("detached/complete/by-its-token", "detached"),
    ] {
        assert_eq!(missing(name), lacks, "{name}");
    }
    let named = plan.runs.iter().all(|run| run.transport == Transport::Tcp);
    assert!(named);
}
