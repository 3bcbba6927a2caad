//! A few runs of many cases, with all values of all axes among them.

use super::pairwise::Chance;
use crate::names::{Axis, RunName};
use std::collections::BTreeSet;

/// A value of an axis.
type Value<'a> = (Axis, &'a str);

/// At most so many runs of cases, given by all the runs of each: first those that have each value of each axis among
/// them, then one of each case that has none yet, by chance, with pairs of values that were not met before where
/// there are such. Where so few are asked for that not all values fit, some are left out. The same seed gives the
/// same runs.
#[must_use]
pub fn few(cases: &[&[RunName]], seed: u64, limit: usize) -> BTreeSet<RunName> {
    let mut chance = Chance::new(seed);
    let mut order: Vec<usize> = (0..cases.len()).collect();
    chance.shuffle(&mut order);
    let mut chosen: BTreeSet<&RunName> = BTreeSet::new();
    let mut met: BTreeSet<(Value<'_>, Value<'_>)> = BTreeSet::new();
    let mut without: BTreeSet<usize> = order.iter().copied().collect();
    let every = cases.iter().flat_map(|runs| runs.iter());
    let mut open: BTreeSet<Value<'_>> = every.flat_map(RunName::values).collect();
    while !open.is_empty() && chosen.len() < limit {
        // What has most of what is open, and of such a case that has no run yet.
        let runs = order
            .iter()
            .flat_map(|at| cases[*at].iter().map(move |run| (*at, run)));
        let worth = |(at, run): &(usize, &RunName)| {
            let new = run.values().filter(|value| open.contains(value)).count();
            (new, without.contains(at))
        };
        // What is open is a run's.
        let Some((at, run)) = runs.max_by_key(worth) else {
            break;
        };
        open.retain(|value| run.value(value.0) != Some(value.1));
        met.extend(pairs(run));
        without.remove(&at);
        chosen.insert(run);
    }
    for at in order {
        let runs = cases[at];
        if chosen.len() >= limit || !without.contains(&at) || runs.is_empty() {
            continue;
        }
        // From a place by chance on: where several are as good, it is not always the same.
        let from = chance.below(runs.len());
        let turned = runs[from..].iter().chain(&runs[..from]);
        let new = |run: &&RunName| {
            pairs(run)
                .into_iter()
                .filter(|pair| !met.contains(pair))
                .count()
        };
        if let Some(run) = turned.max_by_key(new) {
            met.extend(pairs(run));
            chosen.insert(run);
        }
    }
    chosen.into_iter().cloned().collect()
}

/// Each two values of a run.
fn pairs(run: &RunName) -> Vec<(Value<'_>, Value<'_>)> {
    let values: Vec<Value<'_>> = run.values().collect();
    let mut pairs = Vec::new();
    for (at, one) in values.iter().enumerate() {
        pairs.extend(values[at + 1..].iter().map(|other| (*one, *other)));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axes::{Axes, every};
    use crate::names::CaseName;

    fn runs(case: &str, axes: &[(Axis, &[&str])]) -> Vec<RunName> {
        let owned = |values: &&[&str]| values.iter().map(|&value| value.to_owned()).collect();
        let axes: Axes = axes.iter().map(|(axis, all)| (*axis, owned(all))).collect();
        let case: CaseName = case.parse().unwrap_or_else(|error| panic!("{error}"));
        every(&case, &axes).unwrap_or_else(|error| panic!("{error}"))
    }

    fn many() -> Vec<Vec<RunName>> {
        let all: &[&str] = &["tcp", "tls", "unix", "unary", "rest"];
        let faults: &[&str] = &["none", "cut-1", "cut-2", "cut-3", "cut-4", "cut-5"];
        let calls: &[&str] = &["unary", "rest", "rest-tls"];
        let mut cases: Vec<Vec<RunName>> = (0..40)
            .map(|number| runs(&format!("a/b/c-{number}"), &[(Axis::Transport, all)]))
            .collect();
        cases.push(runs(
            "a/cut/all",
            &[(Axis::Transport, all), (Axis::Fault, faults)],
        ));
        cases.push(runs(
            "a/calls/all",
            &[
                (Axis::Transport, calls),
                (Axis::Concurrency, &["1", "64"]),
                (Axis::Fault, &["none", "slow"]),
            ],
        ));
        // None of it was asked for.
        cases.push(Vec::new());
        cases
    }

    fn chosen(seed: u64, limit: usize) -> BTreeSet<RunName> {
        let cases = many();
        let cases: Vec<&[RunName]> = cases.iter().map(|runs| &runs[..]).collect();
        few(&cases, seed, limit)
    }

    #[test]
    fn each_value_is_run_whatever_the_seed_and_then_each_case() {
        let all: BTreeSet<RunName> = many().into_iter().flatten().collect();
        let values = |runs: &BTreeSet<RunName>| -> BTreeSet<(Axis, String)> {
            let values = runs.iter().flat_map(RunName::values);
            values
                .map(|(axis, value)| (axis, value.to_owned()))
                .collect()
        };
        for seed in 0..20 {
            let few = chosen(seed, 12);
            assert_eq!(few.len(), 12, "{seed}");
            assert_eq!(values(&few), values(&all), "{seed}");
            let whole = chosen(seed, usize::MAX);
            let cases: BTreeSet<_> = whole.iter().map(RunName::case).collect();
            assert_eq!(cases.len(), 42, "{seed}");
            // Six faults need six runs of two cases; all others have one.
            assert!(whole.len() <= 48, "{seed}: {}", whole.len());
            // They are not all run with the same.
            for way in ["tcp", "tls", "unix", "unary", "rest"] {
                let with = |run: &&RunName| run.value(Axis::Transport) == Some(way);
                assert!(whole.iter().filter(with).count() < 24, "{seed}: {way}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_runs_and_another_gives_others() {
        assert_eq!(chosen(7, 20), chosen(7, 20));
        assert_ne!(chosen(7, 20), chosen(8, 20));
        assert_eq!(chosen(7, 0), BTreeSet::new());
        assert_eq!(few(&[], 7, 5), BTreeSet::new());
    }
}
