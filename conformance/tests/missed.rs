//! What a case wants to go wrong, and did not: it is no pass.

mod beside;

use conveyor_conformance::{Breadth, Options, Program, Verdict, read_cases};
use std::collections::BTreeMap;

/// Runs all of the cases against the driver over the stubs. Their verdicts by the names of the runs.
async fn verdicts(cases: &str) -> BTreeMap<String, Verdict> {
    let options = Options {
        program: Program {
            command: vec![beside::program("conveyor-conformance-raw")],
            ..Program::default()
        },
        cases: read_cases("a.yaml", cases).unwrap_or_else(|errors| panic!("{errors:#?}")),
        breadth: Breadth::All,
        parallel: 4,
        ..Options::default()
    };
    let results = conveyor_conformance::run(&options, |_, _| ()).await;
    let results = results.expect("the suite begins");
    let outcomes = results.outcomes.into_iter();
    outcomes
        .map(|outcome| (outcome.run.to_string(), outcome.verdict))
        .filter(|(name, _)| name.starts_with("a/"))
        .collect()
}

fn why(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::CouldNotRun { why } => why,
        verdict => panic!("it could not run: {verdict:#?}"),
    }
}

const HEAD: &str = "purpose: it is., requires: [R1]";

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_never_happened_is_told() {
    // On a stream what the driver says when it comes is acknowledged behind the fault's beginning.
    let text = format!(
        "cases:\n\
         - {{name: a/fault/in-the-background, {HEAD}, axes: {{transports: [tcp, unary], \
             faults: [cut, half-open, restart, clock-jump]}}, \
             script: [{{see: {{message: {{kind: hello}}, anywhere: true}}}}]}}\n\
         - {{name: a/fault/of-messages, {HEAD}, axes: {{transports: [unary], \
             faults: [double-acknowledgements, late-acknowledgements, slow]}}, \
             script: [{{see: {{message: {{kind: hello}}, anywhere: true}}}}]}}\n"
    );
    let verdicts = verdicts(&text).await;
    assert_eq!(verdicts.len(), 2 * 5 + 4, "{verdicts:#?}");
    for (name, verdict) in &verdicts {
        match name.contains("fault:none") {
            true => assert!(matches!(verdict, Verdict::Passed), "{name}: {verdict:#?}"),
            false => {
                let fault = name.split("fault:").nth(1).unwrap_or_default();
                let fault = fault.split([',', ']']).next().unwrap_or_default();
                let why = why(verdict);
                assert!(why.contains("never happened"), "{name}: {why}");
                assert!(why.contains(&format!("`{fault}`")), "{name}: {why}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interference_that_never_happened_is_told_and_what_failed_stays_so() {
    let text = format!(
        "cases:\n\
         - {{name: a/interference/of-nothing, {HEAD}, axes: {{transports: [tcp]}}, script: [\
             {{interfere: {{message: {{kind: checkpoint}}, times: 1, drop: true}}}},\
             {{run: {{tasks: [{{program: []}}]}}}}, {{ended: {{}}}}]}}\n\
         - {{name: a/interference/once-of-twice, {HEAD}, axes: {{transports: [unary]}}, script: [\
             {{interfere: {{message: {{kind: report}}, times: 2, status: unavailable}}}},\
             {{run: {{tasks: [{{program: []}}]}}}}, {{see: {{message: {{kind: report}}}}}}]}}\n\
         - {{name: a/interference/failed, {HEAD}, axes: {{transports: [tcp]}}, script: [\
             {{interfere: {{message: {{kind: checkpoint}}, times: 1, drop: true}}}},\
             {{see: {{message: {{kind: report}}, within_ms: 50}}}}]}}\n"
    );
    let verdicts = verdicts(&text).await;
    let of = |name: &str| {
        let mut all = verdicts.iter();
        all.find(|(run, _)| run.contains(name)).expect("it ran").1
    };
    let nothing = why(of("of-nothing"));
    assert!(nothing.contains("never happened"), "{nothing}");
    assert!(nothing.contains("driver's `checkpoint`"), "{nothing}");
    let once = why(of("once-of-twice"));
    assert!(once.contains("happened 1 times of 2"), "{once}");
    let failed = of("a/interference/failed");
    assert!(matches!(failed, Verdict::Failed { .. }), "{failed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_and_never_taken_is_told() {
    let stale = "{say: {message: {acknowledgement: {stale_tokens: [AAAA]}}}}";
    let text = format!(
        "cases:\n\
         - {{name: a/say/behind-the-last-call, {HEAD}, axes: {{transports: [unary]}}, script: [{stale}]}}\n\
         - {{name: a/say/without-a-stream, {HEAD}, axes: {{transports: [tcp]}}, script: [\
             {{signal: {{name: KILL}}}}, {{exited: {{badly: true}}}},\
             {{see: {{message: {{kind: broken}}}}}}, {stale}]}}\n\
         - {{name: a/say/before-it-comes, {HEAD}, axes: {{transports: [tcp, unary]}}, setting: {{unstarted: true}}, script: [{stale}]}}\n"
    );
    let verdicts = verdicts(&text).await;
    assert_eq!(verdicts.len(), 4, "{verdicts:#?}");
    for (name, verdict) in &verdicts {
        let told: &[&str] = match name.split('[').next() {
            Some("a/say/behind-the-last-call") => &["never came to the driver"],
            // It may come while the stream ends.
            Some("a/say/without-a-stream") => &["had no stream", "never came to the driver"],
            _ => &["before it had come"],
        };
        let why = why(verdict);
        assert!(why.contains("`acknowledgement`"), "{name}: {why}");
        assert!(told.iter().any(|told| why.contains(told)), "{name}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_calls_what_can_be_done_is_done() {
    let axes = "axes: {transports: [unary]}";
    let task = "{run: {tasks: [{program: []}]}}";
    let ended = "{ended: {steps: {a: {attempts: {$count: 1}}}}}";
    let text = format!(
        "cases:\n\
         - {{name: a/calls/a-report-is-changed, {HEAD}, {axes}, script: [\
             {{interfere: {{message: {{kind: report}}, times: 1, change: {{result: {{outputs: {{n: 7}}}}}}}}}},\
             {task}, {{ended: {{steps: {{a: {{outputs: {{n: 7}}}}}}}}}}]}}\n\
         - {{name: a/calls/an-outcome-is-held, {HEAD}, {axes}, script: [\
             {{interfere: {{message: {{from: engine, kind: outcome}}, times: 1, hold: true}}}},\
             {task}, {{see: {{message: {{kind: report}}}}}}, {ended},\
             {{unseen: {{message: {{from: engine, kind: outcome}}, for_ms: 0}}}}, {{lift: {{name: hold}}}},\
             {{see: {{message: {{from: engine, kind: outcome, like: {{status: accepted}}}}}}}}]}}\n\
         - {{name: a/calls/cut-behind-an-outcome, {HEAD}, {axes}, script: [\
             {{interfere: {{message: {{from: engine, kind: outcome}}, times: 1, cut_behind: true}}}},\
             {task}, {ended}, {{run: {{name: next, tasks: [{{id: b, program: []}}]}}}}, {{ended: {{run: next}}}}]}}\n\
         - {{name: a/calls/a-task-is-cut, {HEAD}, {axes}, script: [\
             {{interfere: {{message: {{from: engine, kind: task}}, times: 1, cut: true}}}},\
             {task}, {{see: {{message: {{from: engine, kind: task}}, times: 2}}}}, {ended}]}}\n"
    );
    let verdicts = verdicts(&text).await;
    assert_eq!(verdicts.len(), 4, "{verdicts:#?}");
    for (name, verdict) in &verdicts {
        assert!(matches!(verdict, Verdict::Passed), "{name}: {verdict:#?}");
    }
}
