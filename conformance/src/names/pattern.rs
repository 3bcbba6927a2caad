//! How cases are chosen: `checkpoints/**`, `logs/*/flood*[transport:rest]`.

use super::{Axis, NameError, RunName, bracketed, short, split};
use conveyor_engine::nearest;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// How many names an error suggests.
const SUGGESTIONS: usize = 3;
/// Values that no run of this release has, and runs of a later one will.
const LATER: &[(Axis, &str)] = &[(Axis::Transport, "ffi"), (Axis::Fault, "takeover")];

/// A pattern of names: `*` is anything within a part, `**` any number of parts (also none). Without
/// `[…]` it is of all runs of a case; with it, of those that have these values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    parts: Vec<String>,
    values: BTreeMap<Axis, String>,
}

/// A pattern that is none of any run. Its text names it, and what is near to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// The pattern.
    pub pattern: Pattern,
    /// Names or patterns that there are, the nearest first; at most three.
    pub nearest: Vec<String>,
    /// Of each value that no run of any case has, a sentence: which ones its axis has.
    pub strange: Vec<String>,
}

impl Pattern {
    /// Whether it is one of this run.
    #[must_use]
    pub fn matches(&self, run: &RunName) -> bool {
        let words: Vec<&str> = run.case().words().collect();
        let holds = |(axis, wanted): (&Axis, &String)| {
            run.value(*axis).is_some_and(|value| within(wanted, value))
        };
        across(&self.parts, &words) && self.values.iter().all(holds)
    }

    /// Whether it says with what a case is run.
    #[must_use]
    pub fn has_values(&self) -> bool {
        !self.values.is_empty()
    }

    /// The runs that it is of, in their order.
    ///
    /// # Errors
    ///
    /// There is none among `runs`.
    pub fn select<'a>(
        &self,
        runs: impl IntoIterator<Item = &'a RunName>,
    ) -> Result<Vec<&'a RunName>, Unmatched> {
        let runs: Vec<&RunName> = runs.into_iter().collect();
        let found: Vec<&RunName> = runs.iter().copied().filter(|r| self.matches(r)).collect();
        if found.is_empty() {
            return Err(Unmatched {
                nearest: self.near(&runs),
                strange: self.strange(&runs),
                pattern: self.clone(),
            });
        }
        Ok(found)
    }

    /// Values that no run has, of whatever case.
    fn strange(&self, runs: &[&RunName]) -> Vec<String> {
        let strange = |(axis, wanted): (&Axis, &String)| {
            let known: BTreeSet<&str> = runs.iter().filter_map(|run| run.value(*axis)).collect();
            let has = known.iter().any(|value| within(wanted, value));
            (!has).then(|| none_of(*axis, wanted, known))
        };
        self.values.iter().filter_map(strange).collect()
    }

    /// What there is near to a pattern of nothing.
    fn near(&self, runs: &[&RunName]) -> Vec<String> {
        let cases = Pattern {
            parts: self.parts.clone(),
            values: BTreeMap::new(),
        };
        let mut found: Vec<String> = Vec::new();
        // The case is there, though not with these values.
        let others = runs.iter().filter(|run| cases.matches(run));
        found.extend(others.map(ToString::to_string).take(SUGGESTIONS));
        // An area or feature alone, without what it has below.
        let mut below = cases.clone();
        below.parts.push("**".to_owned());
        if found.is_empty() && runs.iter().any(|run| below.matches(run)) {
            found.push(below.to_string());
        }
        // A slip in one part.
        for index in 0..self.parts.len() {
            let words: BTreeSet<&str> = runs
                .iter()
                .filter_map(|run| run.case().words().nth(index))
                .collect();
            let Some(meant) = nearest(&self.parts[index], words) else {
                continue;
            };
            let mut other = self.clone();
            other.parts[index] = meant.to_owned();
            if runs.iter().any(|run| other.matches(run)) {
                found.push(other.to_string());
            }
        }
        // Slips anywhere.
        let mut names: BTreeSet<&str> = runs.iter().map(|run| run.case().as_str()).collect();
        let text = cases.to_string();
        while let Some(name) = nearest(&text, names.iter().copied()) {
            if found.len() >= SUGGESTIONS {
                break;
            }
            names.remove(name);
            if !found.iter().any(|known| known.starts_with(name)) {
                found.push(name.to_owned());
            }
        }
        found.truncate(SUGGESTIONS);
        found
    }
}

/// That a value is none of an axis, and those that are.
fn none_of(axis: Axis, value: &str, known: BTreeSet<&str>) -> String {
    let later = match LATER.contains(&(axis, value)) {
        true => format!("`{axis}:{value}` comes with a later release; "),
        false => String::new(),
    };
    let mut known: Vec<&str> = known.into_iter().collect();
    // Numbers stand in their own order: `cut-2` before `cut-10`.
    known.sort_by_key(|value| {
        let digits = value.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let word = &value[..value.len() - digits.len()];
        (word, digits.parse::<u32>().unwrap_or_default())
    });
    match (known.is_empty(), axis) {
        (true, Axis::Sample) => format!("{later}samples are those of a config"),
        (true, _) => format!("{later}no run has the axis `{axis}`"),
        (false, _) => format!(
            "{later}`{axis}` is one of {}, and none of them is `{value}`",
            known.join(", ")
        ),
    }
}

/// Whether parts of a pattern are of these words.
fn across(parts: &[String], words: &[&str]) -> bool {
    match (parts.split_first(), words.split_first()) {
        (None, None) => true,
        (Some((part, rest)), _) if part == "**" => {
            across(rest, words) || (!words.is_empty() && across(parts, &words[1..]))
        }
        (Some((part, parts)), Some((word, words))) => within(part, word) && across(parts, words),
        _ => false,
    }
}

/// Whether a part of a pattern is of a word. In time of their product: at a mismatch only the last `*`
/// takes one letter more.
fn within(part: &str, word: &str) -> bool {
    let (part, word) = (part.as_bytes(), word.as_bytes());
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < word.len() {
        match part.get(at) {
            Some(b'*') => {
                star = Some((at + 1, read));
                at += 1;
            }
            Some(letter) if *letter == word[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((behind, taken)) = star else {
                    return false;
                };
                star = Some((behind, taken + 1));
                at = behind;
                read = taken + 1;
            }
        }
    }
    part[at..].iter().all(|letter| *letter == b'*')
}

impl FromStr for Pattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Pattern, NameError> {
        short(text)?;
        let (case, values) = split(text)?;
        let parts: Vec<String> = case.split('/').map(str::to_owned).collect();
        let fits = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '-' | '*');
        for part in parts.iter().chain(values.values()) {
            if part.is_empty() || !part.chars().all(fits) {
                return Err(NameError(format!(
                    "`{}` in the pattern `{}`: a part has `a` to `z`, `0` to `9`, `-` and `*`",
                    part.escape_debug(),
                    text.escape_debug()
                )));
            }
        }
        // `a**` would read as if it went over parts. And two of them are one, for each is a choice.
        if let Some(part) = parts
            .iter()
            .find(|part| part.contains("**") && *part != "**")
        {
            return Err(NameError(format!(
                "`{part}` in the pattern `{text}`: `**` is a part of its own; within one it is `*`"
            )));
        }
        let mut parts = parts;
        parts.dedup_by(|part, before| part == "**" && before == "**");
        Ok(Pattern { parts, values })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.join("/"))?;
        bracketed(f, &self.values)
    }
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no case matches `{}`", self.pattern)?;
        // What is near has other values: whose value is none has no use for it.
        if !self.strange.is_empty() {
            return write!(f, ": {}", self.strange.join("; "));
        }
        match self.nearest.is_empty() {
            true => f.write_str(": `list` shows all"),
            false => write!(f, "; near to it: `{}`", self.nearest.join("`, `")),
        }
    }
}

impl std::error::Error for Unmatched {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn runs(names: &[&str]) -> Vec<RunName> {
        let parse = |name: &&str| name.parse().unwrap_or_else(|error| panic!("{error}"));
        names.iter().map(parse).collect()
    }

    #[test]
    fn stars_stay_within_a_part_and_double_stars_do_not() {
        let name = "checkpoints/resume/after-kill[transport:rest,concurrency:64]";
        for (text, fits) in [
            ("checkpoints/resume/after-kill", true),
            ("**", true),
            ("checkpoints/**", true),
            ("**/after-kill", true),
            ("checkpoints/**/after-kill", true),
            ("checkpoints/resume/after-kill/**", true),
            ("checkpoints/**/resume/**/after-kill", true),
            ("**/**/**/**/**", true),
            ("*/*/*", true),
            ("*/*/*-kill", true),
            ("*/*/a*t*r-k*l", true),
            ("*/*/a*t*r-k*x", false),
            ("*/*", false),
            ("*", false),
            ("*/*/*/*", false),
            ("checkpoints", false),
            ("checkpoint/**", false),
            ("**[transport:rest]", true),
            ("**[concurrency:64,transport:rest]", true),
            ("**[transport:r*]", true),
            ("**[transport:tcp]", false),
            ("**[transport:rest,concurrency:1]", false),
            ("**[fault:*]", false),
        ] {
            assert_eq!(pattern(text).matches(&runs(&[name])[0]), fits, "{text}");
        }
    }

    #[test]
    fn a_pattern_with_a_mistake_is_refused() {
        for (text, says) in [
            ("", "empty"),
            ("a//b", "`` in the pattern"),
            ("a/B", "`B` in the pattern"),
            ("a**/b", "a part of its own"),
            ("a/b/c[transport:rest", "stands at the end"),
            ("a/b/c[x:y]", "no axis `x`"),
        ] {
            let error = text.parse::<Pattern>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_pattern_of_nothing_names_what_is_near() {
        let all = runs(&[
            "checkpoints/resume/after-kill[transport:rest]",
            "checkpoints/resume/after-kill[transport:tcp]",
            "checkpoints/resume/after-term",
            "logs/order/flood",
        ]);
        for (text, near) in [
            ("checkpoint/**", vec!["checkpoints/**"]),
            ("checkpoints", vec!["checkpoints/**"]),
            ("logs/ordre/*", vec!["logs/order/*"]),
            (
                "checkpoints/resume/after-kill[transport:unix]",
                vec![
                    "checkpoints/resume/after-kill[transport:rest]",
                    "checkpoints/resume/after-kill[transport:tcp]",
                    "checkpoints/resume/after-term",
                ],
            ),
            ("log/oder/flod", vec!["logs/order/flood"]),
            ("secrets/masks/all", vec![]),
        ] {
            let error = pattern(text).select(&all).expect_err(text);
            assert_eq!(error.nearest, near, "{text}");
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
        let found = pattern("checkpoints/**[transport:*]").select(&all);
        assert_eq!(found.map(|found| found.len()), Ok(2));
    }

    #[test]
    fn a_value_that_no_run_has_is_told_with_those_that_there_are() {
        let all = runs(&[
            "checkpoints/resume/after-kill[transport:rest,fault:cut]",
            "checkpoints/resume/after-kill[transport:tcp,fault:none]",
            "logs/order/flood[transport:unix]",
        ]);
        for (text, told) in [
            (
                "**[transport:grpc]",
                ": `transport` is one of rest, tcp, unix, and none of them is `grpc`",
            ),
            (
                "**[transport:ffi]",
                ": `transport:ffi` comes with a later release; `transport` is one of rest, tcp, unix, and none",
            ),
            (
                "logs/**[fault:takeover]",
                ": `fault:takeover` comes with a later release; `fault` is one of cut, none, and none of them is",
            ),
            ("**[concurrency:64]", ": no run has the axis `concurrency`"),
            ("**[sample:run]", ": samples are those of a config"),
            // Another case has it: it is no strange value.
            ("logs/**[transport:tcp]", "; near to it: `logs/order/flood["),
        ] {
            let error = pattern(text).select(&all).expect_err(text).to_string();
            let whole = format!("no case matches `{text}`{told}");
            assert!(error.starts_with(&whole), "{whole}: {error}");
        }
    }
}
