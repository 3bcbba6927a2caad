//! Cases run against a driver; what fails among others is run once more by itself.

use conveyor_conformance::{Options, Results, Standing, run};

/// So many may fail on a machine that is busy.
const FEW: usize = 3;

/// What did not pass, with why.
pub(crate) fn failed(results: &Results) -> Vec<(String, String)> {
    let sorted = results.sorted();
    let failed = sorted
        .iter()
        .filter(|outcome| !matches!(outcome.standing(), Standing::Passed | Standing::NotDeclared));
    failed
        .map(|outcome| {
            let why = outcome.complaints().join("; ");
            let stderr = outcome.stderr.join("\n");
            (outcome.run.to_string(), format!("{why}\n{stderr}"))
        })
        .collect()
}

/// Runs the cases: what came of them, and what did not pass. Many are of time, and a machine that builds something else
/// meanwhile breaks that, too: few that fail among others are run once more by themselves.
pub(crate) async fn results(options: &Options) -> (Results, Vec<(String, String)>) {
    let all = run(options, |_, _| {}).await;
    let all = all.expect("the suite can work");
    let mut wrong = failed(&all);
    if !wrong.is_empty() && wrong.len() <= FEW {
        let patterns = wrong.iter().map(|(run, _)| run.parse());
        let alone = Options {
            include: patterns.collect::<Result<_, _>>().expect("a run's name"),
            parallel: 1,
            ..options.clone()
        };
        let again = run(&alone, |_, _| {}).await;
        wrong = failed(&again.expect("the suite can work"));
    }
    (all, wrong)
}
