//! Files of cases that are known to fail, or to be unsteady: a pattern a line, `#` before a comment.

use crate::names::{Pattern, RunName};
use crate::report::line;
use crate::result::{Expectation, Line, Results, Standing};
use std::fmt;
use std::fmt::Write;

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFile {
    /// Its name, as errors have it.
    pub name: String,
    /// What it has.
    pub text: String,
}

/// What is known of cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    failing: Vec<(Pattern, Line)>,
    flaky: Vec<(Pattern, Line)>,
}

/// What is wrong with lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListErrors {
    /// Each mistake with its place, by place: `known.txt:3: no case matches …`. At least one.
    pub mistakes: Vec<String>,
}

impl Lists {
    /// The lists of what fails and of what may do either. `runs` are all that there can be, not only those that
    /// are chosen now: a list is of the whole suite.
    ///
    /// # Errors
    ///
    /// All lines that are no pattern, that match no run, or that are of a run which the other list has, too.
    pub fn new(
        failing: &[ListFile],
        flaky: &[ListFile],
        runs: &[RunName],
    ) -> Result<Lists, ListErrors> {
        let mut mistakes: Vec<(Line, String)> = Vec::new();
        let lists = Lists {
            failing: read(failing, &mut mistakes),
            flaky: read(flaky, &mut mistakes),
        };
        for (pattern, place) in lists.failing.iter().chain(&lists.flaky) {
            if let Err(unmatched) = pattern.select(runs) {
                mistakes.push((place.clone(), unmatched.to_string()));
            }
        }
        for (fails, place) in &lists.failing {
            for (may, other) in &lists.flaky {
                let both = |run: &&RunName| fails.matches(run) && may.matches(run);
                if let Some(run) = runs.iter().find(both) {
                    let text = format!(
                        "`{fails}` is of `{run}`, as `{may}` in {other} is: what is known as flaky cannot be known as failing; take one out"
                    );
                    mistakes.push((place.clone(), text));
                }
            }
        }
        if mistakes.is_empty() {
            return Ok(lists);
        }
        mistakes.sort();
        let text = |(place, text): (Line, String)| format!("{place}: {text}");
        Err(ListErrors {
            mistakes: mistakes.into_iter().map(text).collect(),
        })
    }

    /// What they say of a run, with the first line that does.
    #[must_use]
    pub fn expectation(&self, run: &RunName) -> Expectation {
        let of = |list: &[(Pattern, Line)]| {
            let found = list.iter().find(|(pattern, _)| pattern.matches(run));
            found.map(|(_, place)| place.clone())
        };
        match (of(&self.failing), of(&self.flaky)) {
            (Some(line), _) => Expectation::KnownFailing(line),
            (None, Some(line)) => Expectation::KnownFlaky(line),
            (None, None) => Expectation::MustPass,
        }
    }
}

fn read(files: &[ListFile], mistakes: &mut Vec<(Line, String)>) -> Vec<(Pattern, Line)> {
    let mut patterns = Vec::new();
    for file in files {
        for (index, text) in file.text.lines().enumerate() {
            let text = text.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            let place = Line {
                file: file.name.clone(),
                number: index + 1,
            };
            match text.parse::<Pattern>() {
                Ok(pattern) => patterns.push((pattern, place)),
                Err(error) => mistakes.push((place, error.to_string())),
            }
        }
    }
    patterns
}

/// `known-failing.new.txt`: the list that would make all as expected. The runs that failed, known or not, by
/// name, each under what was found first; without those that may fail anyway. Empty where nothing failed.
#[must_use]
pub fn known_failing(results: &Results) -> String {
    let mut text = String::new();
    for outcome in results.sorted() {
        let flaky = matches!(outcome.expectation, Expectation::KnownFlaky(_));
        let fails = matches!(outcome.standing(), Standing::Failed | Standing::Known);
        if !fails || flaky {
            continue;
        }
        if let Some(finding) = outcome.findings().first() {
            let _ = writeln!(text, "# {}", line(&finding.to_string()));
        }
        let _ = writeln!(text, "{}", outcome.run);
    }
    text
}

impl fmt::Display for ListErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistakes.join("\n"))
    }
}

impl std::error::Error for ListErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> ListFile {
        ListFile {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    fn run(name: &str) -> RunName {
        name.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn runs() -> Vec<RunName> {
        [
            "logs/order/flood[transport:rest]",
            "logs/order/flood[transport:tcp]",
            "logs/order/short",
            "cancel/late/report",
        ]
        .map(run)
        .to_vec()
    }

    #[test]
    fn several_files_say_what_is_known_with_their_lines() {
        let failing = [
            file(
                "a.txt",
                "# all of it\r\n\r\nlogs/*/flood[transport:rest] # slow\r\n",
            ),
            file("b.txt", "cancel/**"),
        ];
        let flaky = [file("c.txt", "logs/order/short\n")];
        let lists = Lists::new(&failing, &flaky, &runs()).expect("lists");
        let line = |file: &str, number| Line {
            file: file.to_owned(),
            number,
        };
        for (name, expected) in [
            (
                "logs/order/flood[transport:rest]",
                Expectation::KnownFailing(line("a.txt", 3)),
            ),
            ("logs/order/flood[transport:tcp]", Expectation::MustPass),
            (
                "logs/order/short",
                Expectation::KnownFlaky(line("c.txt", 1)),
            ),
            (
                "cancel/late/report",
                Expectation::KnownFailing(line("b.txt", 1)),
            ),
        ] {
            assert_eq!(lists.expectation(&run(name)), expected, "{name}");
        }
    }

    #[test]
    fn mistakes_in_lists_are_told_with_their_places() {
        let failing = [
            file("a.txt", "logs/ordr/*\nlogs/**\nlogs/Order/x"),
            file("b.txt", "x[y"),
        ];
        let flaky = [file(
            "c.txt",
            "\nlogs/order/flood[transport:tcp]\ncancel/**",
        )];
        let errors = Lists::new(&failing, &flaky, &runs()).expect_err("mistakes");
        let expected = [
            "a.txt:1: no case matches `logs/ordr/*`; near to it: `logs/order/*`",
            "a.txt:2: `logs/**` is of `logs/order/flood[transport:tcp]`, as `logs/order/flood[transport:tcp]` in c.txt:2 is: what is known as flaky cannot be known as failing; take one out",
            "a.txt:3: `Order` in the pattern `logs/Order/x`: a part has `a` to `z`, `0` to `9`, `-` and `*`",
            "b.txt:1: `x[y`: what a case is run with stands at the end, as `[axis:value,axis:value]`",
        ];
        assert_eq!(errors.mistakes, expected);
    }
}
