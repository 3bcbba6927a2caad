//! Samples of a config in the places of cases: a case of the profile `driver` is run with each that it asks for.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `place` | a case with one of them in it |
//! | `answers` | the server for HTTP that they may name |

mod answers;
mod place;

pub(crate) use answers::Answers;
pub(crate) use place::placed;

use crate::config::actions;
use crate::v1;
use crate::v1::step::Step as What;

/// What a sample stands for in `Work.sample`.
pub(crate) const WORDS: &[&str] = &[
    "good",
    "slow",
    "checkpointing",
    "each-good",
    "each-secret",
    "each-refused",
    "each-bad",
    "each-permanent",
];

/// What a case is run with: an action, or one of its samples.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pick {
    /// The value of the axis `sample`.
    pub(crate) value: String,
    pub(crate) action: String,
    /// What `each-…` stands for.
    each: Option<v1::Sample>,
}

impl Pick {
    /// What a word of `Work.sample` stands for.
    pub(crate) fn sample<'a>(
        &'a self,
        config: &'a v1::Config,
        word: &str,
    ) -> Option<&'a v1::Sample> {
        let samples = config.actions.get(&self.action)?;
        match word {
            "good" => samples.good.first(),
            "slow" | "checkpointing" => samples.slow.as_ref(),
            _ => self.each.as_ref(),
        }
    }
}

/// The words that a case has in `Work.sample`.
pub(crate) fn words(case: &v1::Case) -> Vec<&str> {
    let runs = case.script.iter().filter_map(|step| match &step.step {
        Some(What::Run(run)) => Some(run),
        _ => None,
    });
    let words = runs.flat_map(|run| run.tasks.iter().map(|work| work.sample.as_str()));
    words.filter(|word| !word.is_empty()).collect()
}

/// With what a case is run; `None` where it asks for no sample.
pub(crate) fn picks(case: &v1::Case, config: &v1::Config) -> Option<Vec<Pick>> {
    let words = words(case);
    if words.is_empty() {
        return None;
    }
    let each = words.iter().find(|word| word.starts_with("each-"));
    let mut picks = Vec::new();
    for (name, samples) in actions(config) {
        let slow = words.contains(&"slow") && samples.slow.is_none();
        let checkpoints = words.contains(&"checkpointing") && !samples.checkpoints;
        if slow || checkpoints {
            continue;
        }
        let pick = |value: String, each: Option<&v1::Sample>| Pick {
            value,
            action: name.to_owned(),
            each: each.cloned(),
        };
        let of = word(name);
        let Some(each) = each else {
            picks.push(pick(of, None));
            continue;
        };
        let (kind, among) = match *each {
            "each-good" | "each-secret" => ("good", &samples.good),
            _ => ("bad", &samples.bad),
        };
        let fits = |sample: &v1::Sample| match *each {
            "each-secret" => !sample.secrets.is_empty(),
            "each-refused" => sample.by_schema,
            "each-bad" => !sample.by_schema,
            "each-permanent" => sample.permanent,
            _ => true,
        };
        let fitting = among.iter().enumerate().filter(|(_, sample)| fits(sample));
        picks.extend(fitting.map(|(at, sample)| {
            let value = format!("{of}-{kind}-{}", at + 1);
            pick(value, Some(sample))
        }));
    }
    Some(picks)
}

/// A name as a word of names of runs: lower case, `-` for what is no letter and no digit.
pub(crate) fn word(name: &str) -> String {
    let letter = |letter: char| match letter.to_ascii_lowercase() {
        letter @ ('a'..='z' | '0'..='9') => letter,
        _ => '-',
    };
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(word: &str, config: &str) -> Vec<String> {
        let case = v1::Case {
            script: vec![v1::Step {
                step: Some(What::Run(v1::Run {
                    tasks: vec![v1::Work {
                        sample: word.to_owned(),
                        ..v1::Work::default()
                    }],
                    ..v1::Run::default()
                })),
                ..v1::Step::default()
            }],
            ..v1::Case::default()
        };
        let config = crate::config::read("c.yaml", config, "driver").expect("a config");
        let picks = picks(&case, &config).unwrap_or_default().into_iter();
        picks.map(|pick| pick.value).collect()
    }

    #[test]
    fn a_case_is_run_once_for_each_action_or_sample_that_it_asks_for() {
        let config = "actions: {B.x: {good: [{}, {secrets: {A: b}}], bad: [{by_schema: true}, {}, {permanent: true}]}, \
                      a: {good: [{}], slow: {}}}";
        for (word, expected) in [
            ("", vec![]),
            ("good", vec!["b-x", "a"]),
            ("slow", vec!["a"]),
            ("checkpointing", vec![]),
            ("each-good", vec!["b-x-good-1", "b-x-good-2", "a-good-1"]),
            ("each-secret", vec!["b-x-good-2"]),
            ("each-refused", vec!["b-x-bad-1"]),
            ("each-bad", vec!["b-x-bad-2", "b-x-bad-3"]),
            ("each-permanent", vec!["b-x-bad-3"]),
        ] {
            assert_eq!(values(word, config), expected, "{word}");
        }
    }
}
