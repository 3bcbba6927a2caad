//! What cases and their runs are called: `area/feature/scenario[transport:rest,concurrency:64]`.

mod pattern;

pub use pattern::{Pattern, Unmatched};

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// How many letters a name or pattern has at most: it is a line of a report.
const NAME_LETTERS: usize = 256;

/// A case's name: `area/feature/scenario`, words of `[a-z0-9-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseName(String);

/// Something that a case is run with several values of. The order is the one that names have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Axis {
    /// How the driver talks to the engine: `tcp`, `tls`, `unix`, `unary`, `rest`, or calls over TLS or a
    /// socket: `unary-tls`, `unary-unix`, `rest-tls`, `rest-unix`.
    Transport,
    /// How many tasks it holds at once.
    Concurrency,
    /// What goes wrong meanwhile.
    Fault,
    /// Which action or sample of a finished driver it is run with: `run`, `run-good-1`.
    Sample,
}

/// A case and what it is run with.
///
/// ```
/// use conveyor_conformance::{Axis, RunName};
///
/// let run: RunName = "logs/order/flood[concurrency:64,transport:rest]".parse()?;
/// assert_eq!(run.to_string(), "logs/order/flood[transport:rest,concurrency:64]");
/// assert_eq!(run.value(Axis::Concurrency), Some("64"));
/// assert_eq!(run.case().area(), "logs");
/// # Ok::<(), conveyor_conformance::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName {
    case: CaseName,
    values: BTreeMap<Axis, String>,
}

/// What is wrong with a name or a pattern, and what it should be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError(String);

impl CaseName {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first word: what part of the contract it is about.
    #[must_use]
    pub fn area(&self) -> &str {
        self.words().next().unwrap_or_default()
    }

    /// The second word.
    #[must_use]
    pub fn feature(&self) -> &str {
        self.words().nth(1).unwrap_or_default()
    }

    /// The third word.
    #[must_use]
    pub fn scenario(&self) -> &str {
        self.words().nth(2).unwrap_or_default()
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl Axis {
    /// All axes that runs have, in the order of names.
    pub const ALL: [Axis; 4] = [
        Axis::Transport,
        Axis::Concurrency,
        Axis::Fault,
        Axis::Sample,
    ];

    /// Its name: `transport`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Axis::Transport => "transport",
            Axis::Concurrency => "concurrency",
            Axis::Fault => "fault",
            Axis::Sample => "sample",
        }
    }
}

impl RunName {
    /// A run of a case with these values; with none, the run of a case without axes.
    ///
    /// # Errors
    ///
    /// A value that is no word of `[a-z0-9-]`.
    pub fn new(
        case: CaseName,
        values: impl IntoIterator<Item = (Axis, String)>,
    ) -> Result<RunName, NameError> {
        let values: BTreeMap<Axis, String> = values.into_iter().collect();
        for (axis, value) in &values {
            word(value, &format!("the value of `{}`", axis.as_str()))?;
        }
        Ok(RunName { case, values })
    }

    /// Its case.
    #[must_use]
    pub fn case(&self) -> &CaseName {
        &self.case
    }

    /// What it is run with on an axis; `None` where its case does not have the axis.
    #[must_use]
    pub fn value(&self, axis: Axis) -> Option<&str> {
        self.values.get(&axis).map(String::as_str)
    }

    /// All that it is run with, in the order of names.
    pub fn values(&self) -> impl Iterator<Item = (Axis, &str)> {
        self.values
            .iter()
            .map(|(axis, value)| (*axis, value.as_str()))
    }
}

impl FromStr for CaseName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<CaseName, NameError> {
        short(text)?;
        let words: Vec<&str> = text.split('/').collect();
        if words.len() != 3 {
            return Err(NameError(format!(
                "`{}` has {} parts between `/`: a case is called `area/feature/scenario`",
                text.escape_debug(),
                words.len()
            )));
        }
        for part in words {
            word(part, &format!("a part of `{}`", text.escape_debug()))?;
        }
        Ok(CaseName(text.to_owned()))
    }
}

impl FromStr for Axis {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Axis, NameError> {
        let found = Axis::ALL.into_iter().find(|axis| axis.as_str() == text);
        found.ok_or_else(|| {
            let besides = match text == "backend" {
                true => "; which engine it is says `--backend`, and `cluster` comes with a later release",
                false => "",
            };
            NameError(format!(
                "there is no axis `{}`: there are transport, concurrency, fault and sample{besides}",
                text.escape_debug()
            ))
        })
    }
}

impl FromStr for RunName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<RunName, NameError> {
        short(text)?;
        let (case, values) = split(text)?;
        RunName::new(case.parse()?, values)
    }
}

/// What is before `[`, and what is between the brackets. Values are looked at by whoever takes them.
fn split(text: &str) -> Result<(&str, BTreeMap<Axis, String>), NameError> {
    let mut values = BTreeMap::new();
    let Some((case, rest)) = text.split_once('[') else {
        return Ok((text, values));
    };
    let shape = || {
        NameError(format!(
            "`{}`: what a case is run with stands at the end, as `[axis:value,axis:value]`",
            text.escape_debug()
        ))
    };
    let inside = rest.strip_suffix(']').ok_or_else(shape)?;
    for pair in inside.split(',') {
        let (axis, value) = pair.split_once(':').ok_or_else(shape)?;
        if values.insert(axis.parse()?, value.to_owned()).is_some() {
            return Err(NameError(format!(
                "`{}` names the axis `{axis}` twice",
                text.escape_debug()
            )));
        }
    }
    Ok((case, values))
}

fn short(text: &str) -> Result<(), NameError> {
    match text.chars().count() {
        0 => Err(NameError(
            "a name is empty: a case is called `area/feature/scenario`".to_owned(),
        )),
        letters if letters > NAME_LETTERS => Err(NameError(format!(
            "a name has {letters} letters, and may have {NAME_LETTERS}"
        ))),
        _ => Ok(()),
    }
}

fn word(text: &str, what: &str) -> Result<(), NameError> {
    let fits = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '-');
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(());
    }
    Err(NameError(format!(
        "{what} is `{}`: it has to be a word of `a` to `z`, `0` to `9` and `-`",
        text.escape_debug()
    )))
}

impl fmt::Display for CaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.case.fmt(f)?;
        bracketed(f, &self.values)
    }
}

/// Writes values as they stand behind a name; nothing where there are none.
fn bracketed(f: &mut fmt::Formatter<'_>, values: &BTreeMap<Axis, String>) -> fmt::Result {
    let mut before = '[';
    for (axis, value) in values {
        write!(f, "{before}{axis}:{value}")?;
        before = ',';
    }
    match before {
        ',' => f.write_str("]"),
        _ => Ok(()),
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_as_it_is_read_with_its_axes_in_their_order() {
        for (text, written) in [
            ("logs/order/flood", "logs/order/flood"),
            ("a/b-2/3", "a/b-2/3"),
            (
                "a/b/c[sample:run,fault:cut-hello,concurrency:64,transport:rest]",
                "a/b/c[transport:rest,concurrency:64,fault:cut-hello,sample:run]",
            ),
        ] {
            let run: RunName = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(run.to_string(), written);
            assert_eq!(written.parse(), Ok(run));
        }
    }

    #[test]
    fn a_name_with_a_mistake_is_refused_and_says_why() {
        for (text, says) in [
            ("", "empty"),
            ("a/b", "has 2 parts"),
            ("a/b/c/d", "has 4 parts"),
            ("a//c", "is ``"),
            ("a/B/c", "is `B`"),
            ("a/b/*", "is `*`"),
            ("a/b/c[", "stands at the end"),
            ("a/b/c[]", "stands at the end"),
            ("a/b/c[transport]", "stands at the end"),
            ("a/b/c[transport:tcp]x", "stands at the end"),
            ("a/b/c[colour:red]", "no axis `colour`"),
            (
                "a/b/c[backend:cluster]",
                "no axis `backend`: there are transport, concurrency, fault and sample; which engine it is says `--backend`, and `cluster` comes with a later release",
            ),
            ("a/b/c[transport:]", "is ``"),
            ("a/b/c[transport:tcp,transport:tls]", "twice"),
            ("a/b/c\u{1b}", "is `c\\u{1b}`"),
        ] {
            let error = text.parse::<RunName>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let long = format!("a/b/{}", "c".repeat(300));
        let error = long.parse::<RunName>().expect_err("too long").to_string();
        assert_eq!(error, "a name has 304 letters, and may have 256");
    }
}
