//! What cases are run with: all pairs of values, not all of their combinations.

mod few;
mod pairwise;

pub use few::few;
pub use pairwise::{Row, pairwise};

use crate::names::{Axis, CaseName, NameError, Pattern, RunName, Unmatched};
use std::collections::BTreeSet;

/// A case's axes with the values that matter to it. The first value of each is its default.
pub type Axes = Vec<(Axis, Vec<String>)>;

/// The runs that are to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The runs, by name. None twice.
    pub runs: Vec<RunName>,
    /// How many there would be with all values together: `ran N of M`.
    pub possible: u64,
}

/// How many rows there are with all values of all axes together.
#[must_use]
pub fn product(axes: &Axes) -> u64 {
    let values = |values: &Vec<String>| values.iter().collect::<BTreeSet<_>>().len() as u64;
    axes.iter()
        .filter(|(_, all)| !all.is_empty())
        .fold(1, |product, (_, all)| product.saturating_mul(values(all)))
}

/// All runs of a case: what patterns and lists of known cases are looked up in.
///
/// # Errors
///
/// A value that is no word of `[a-z0-9-]`.
pub fn every(case: &CaseName, axes: &Axes) -> Result<Vec<RunName>, NameError> {
    let mut rows: Vec<Row> = vec![Row::new()];
    for (axis, values) in axes.iter().filter(|(_, values)| !values.is_empty()) {
        let longer = |row: &Row| -> Vec<Row> {
            let values: BTreeSet<&String> = values.iter().collect();
            let with = |value: &&String| {
                let mut row = row.clone();
                row.push((*axis, (*value).clone()));
                row
            };
            values.iter().map(with).collect()
        };
        rows = rows.iter().flat_map(longer).collect();
    }
    rows.into_iter()
        .map(|row| RunName::new(case.clone(), row))
        .collect()
}

/// The runs of a case: all that there are where they are no more than `limit`, otherwise all pairs of values,
/// of which at most `limit` are taken, those first that cover most. The run with all defaults is always one.
/// The same seed gives the same runs, and other rows to another case.
///
/// # Errors
///
/// A value that is no word of `[a-z0-9-]`.
pub fn select(
    case: &CaseName,
    axes: &Axes,
    seed: u64,
    limit: usize,
) -> Result<Vec<RunName>, NameError> {
    if product(axes) <= limit as u64 {
        return every(case, axes);
    }
    let mut pairs = pairs(case, axes, seed)?;
    pairs.truncate(limit.max(1));
    Ok(pairs)
}

/// Runs of a case in which each two values of two axes meet, the one with all defaults first.
///
/// # Errors
///
/// A value that is no word of `[a-z0-9-]`.
pub(crate) fn pairs(case: &CaseName, axes: &Axes, seed: u64) -> Result<Vec<RunName>, NameError> {
    // Another array for each case: together they see more combinations than one does.
    let seed = case.as_str().bytes().fold(seed, |seed, letter| {
        (seed ^ u64::from(letter)).wrapping_mul(0x0100_0000_01b3)
    });
    pairwise(axes, seed)
        .into_iter()
        .map(|row| RunName::new(case.clone(), row))
        .collect()
}

/// The runs that patterns ask for; without patterns, those of all cases. A pattern with values is meant as it
/// stands: all that match it are run. Of cases that are named without values `select` takes some.
///
/// # Errors
///
/// All patterns that match nothing.
pub fn choose(
    cases: &[(CaseName, Axes)],
    include: &[Pattern],
    seed: u64,
    limit: usize,
) -> Result<Choice, ChoiceError> {
    let mut runs: BTreeSet<RunName> = BTreeSet::new();
    let mut possible = 0u64;
    let mut all: Vec<RunName> = Vec::new();
    for (case, axes) in cases {
        let every = every(case, axes)?;
        let whole = |pattern: &&Pattern| !pattern.has_values();
        let named = include
            .iter()
            .filter(whole)
            .any(|p| every.iter().any(|run| p.matches(run)));
        let exact = every.iter().filter(|run| {
            let by = |pattern: &&Pattern| pattern.has_values() && pattern.matches(run);
            include.iter().find(by).is_some()
        });
        let exact: Vec<&RunName> = exact.collect();
        if include.is_empty() || named {
            possible = possible.saturating_add(every.len() as u64);
            runs.extend(select(case, axes, seed, limit)?);
        } else {
            possible = possible.saturating_add(exact.len() as u64);
        }
        runs.extend(exact.into_iter().cloned());
        all.extend(every);
    }
    let unmatched: Vec<Unmatched> = include
        .iter()
        .filter_map(|pattern| pattern.select(&all).err())
        .collect();
    if !unmatched.is_empty() {
        return Err(ChoiceError::Unmatched(unmatched));
    }
    Ok(Choice {
        runs: runs.into_iter().collect(),
        possible,
    })
}

/// Why runs cannot be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChoiceError {
    /// A case has a value that is no word.
    Name(NameError),
    /// Patterns that match nothing. At least one.
    Unmatched(Vec<Unmatched>),
}

impl From<NameError> for ChoiceError {
    fn from(error: NameError) -> ChoiceError {
        ChoiceError::Name(error)
    }
}

impl std::fmt::Display for ChoiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ChoiceError::Name(error) => error.fmt(f),
            ChoiceError::Unmatched(all) => {
                let all: Vec<String> = all.iter().map(Unmatched::to_string).collect();
                f.write_str(&all.join("\n"))
            }
        }
    }
}

impl std::error::Error for ChoiceError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[&str]) -> Vec<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    fn case(name: &str) -> CaseName {
        name.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn wide() -> Axes {
        vec![
            (
                Axis::Transport,
                values(&["tcp", "tls", "unix", "unary", "rest"]),
            ),
            (Axis::Concurrency, values(&["1", "64"])),
            (Axis::Fault, values(&["none", "cut", "slow"])),
        ]
    }

    #[test]
    fn few_runs_are_all_done_and_of_many_the_default_is_first() {
        let name = case("a/b/c");
        assert_eq!(product(&wide()), 30);
        let all = every(&name, &wide()).expect("runs");
        assert_eq!(all.len(), 30);
        assert_eq!(select(&name, &wide(), 7, 30), Ok(all));
        let some = select(&name, &wide(), 7, 29).expect("runs");
        assert!((15..=20).contains(&some.len()), "{some:?}");
        let least = select(&name, &wide(), 7, 0).expect("runs");
        assert_eq!(
            least.iter().map(RunName::to_string).collect::<Vec<_>>(),
            ["a/b/c[transport:tcp,concurrency:1,fault:none]"]
        );
        let alone = select(&name, &Vec::new(), 7, 9).expect("a run");
        assert_eq!(alone, every(&name, &Vec::new()).expect("a run"));
        assert_eq!(alone[0].to_string(), "a/b/c");
        // Another case has other rows.
        let rows = |runs: &[RunName]| -> BTreeSet<String> {
            let text = |run: &RunName| run.to_string()[5..].to_owned();
            runs.iter().map(text).collect()
        };
        let other = select(&case("a/b/d"), &wide(), 7, 29).expect("runs");
        assert_ne!(rows(&some), rows(&other));
    }

    #[test]
    fn a_pattern_with_values_runs_all_that_it_names() {
        let cases = [
            (case("a/b/c"), wide()),
            (case("a/b/d"), Vec::new()),
            (case("x/y/z"), wide()),
        ];
        let choose = |patterns: &[&str]| {
            let parse = |text: &&str| text.parse().unwrap_or_else(|error| panic!("{error}"));
            let patterns: Vec<Pattern> = patterns.iter().map(parse).collect();
            choose(&cases, &patterns, 7, 20)
        };
        let all = choose(&[]).expect("a choice");
        assert_eq!(all.possible, 61);
        assert!((31..=41).contains(&all.runs.len()), "{all:?}");
        assert!(all.runs.is_sorted());
        let exact = choose(&["a/**[transport:rest]"]).expect("a choice");
        assert_eq!((exact.runs.len(), exact.possible), (6, 6));
        // What is chosen both ways is run once.
        let both = choose(&["a/b/c", "a/b/c[transport:rest]"]).expect("a choice");
        assert_eq!(both.possible, 30);
        assert!(both.runs.len() < 30);
        let rest = |run: &&RunName| run.value(Axis::Transport) == Some("rest");
        assert_eq!(both.runs.iter().filter(rest).count(), 6);
        let error = choose(&["a/b/d", "x/y/zz", "q"]).expect_err("no such case");
        let text = error.to_string();
        assert!(text.contains("`x/y/zz`") && text.contains("`q`"), "{text}");
        assert!(!text.contains("`a/b/d`"), "{text}");
        let odd = vec![(Axis::Fault, values(&["Cut!"]))];
        let error = every(&case("a/b/c"), &odd).expect_err("no word");
        assert!(error.to_string().contains("the value of `fault`"));
    }
}
