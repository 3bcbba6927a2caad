//! Files of cases as messages. What is wrong with one is told with its line.

use super::vocabulary::twice;
use crate::rules;
use conveyor_api::from_json_of;
use conveyor_engine::document::{Limits, Located, Severity};
use prost::Message;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// The messages of `conveyor.conformance.v1`.
pub(crate) fn pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        // The bytes are the crate's own: the tests read them.
        DescriptorPool::decode(crate::DESCRIPTORS).unwrap_or_default()
    });
    &POOL
}

/// A message of `conveyor.conformance.v1` by its name; `None` where there is none.
fn descriptor(name: &str) -> Option<MessageDescriptor> {
    pool().get_message_by_name(&format!("conveyor.conformance.v1.{name}"))
}

/// What is wrong with a file of cases, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaseError {
    /// `FILE:LINE:COLUMN`.
    pub(crate) place: String,
    /// JSON pointer within the file.
    pub(crate) pointer: String,
    /// What it is.
    pub(crate) message: String,
}

impl fmt::Display for CaseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)?;
        match self.pointer.as_str() {
            "" => Ok(()),
            pointer => write!(formatter, " (at {pointer})"),
        }
    }
}

impl std::error::Error for CaseError {}

/// What all cases have, of whatever profile.
pub(crate) trait Citing {
    /// `area/feature/scenario`.
    fn name(&self) -> &str;
    /// What it is for.
    fn purpose(&self) -> &str;
    /// The rules that it tests.
    fn requires(&self) -> &[String];
    /// What is wrong with it besides, by the JSON pointer within the case.
    fn flaws(&self) -> Vec<(String, String)>;
}

/// A file that was read, and knows its places.
struct Source(Located);

impl Source {
    fn error(&self, pointer: &str, message: impl Into<String>) -> CaseError {
        let message = message.into();
        let told = self.0.diagnostic(Severity::Error, pointer, &message);
        CaseError {
            place: format!("{}:{}:{}", told.file, told.line, told.column),
            pointer: pointer.to_owned(),
            message,
        }
    }
}

/// Reads one file as a message.
fn read<M: Message + Default>(
    file: &str,
    text: &str,
    of: &MessageDescriptor,
) -> Result<(M, Source), CaseError> {
    let located = Located::read(file, text.as_bytes(), &Limits::default());
    let located = located.map_err(|told| {
        let first = told.first();
        CaseError {
            place: first.map_or(file.to_owned(), |told| {
                format!("{}:{}:{}", told.file, told.line, told.column)
            }),
            pointer: first.map_or(String::new(), |told| told.pointer.clone()),
            message: first.map_or("cannot be read".to_owned(), |told| told.message.clone()),
        }
    })?;
    let json = located.to_json();
    let source = Source(located);
    let message = from_json_of(of, &json);
    let message = message.map_err(|flaw| source.error(&flaw.pointer, flaw.message))?;
    let message = M::decode(&message.encode_to_vec()[..]);
    let message = message.map_err(|error| source.error("", error.to_string()))?;
    Ok((message, source))
}

/// A file that is one message of `conveyor.conformance.v1`. `flaws` tells what is wrong with it, by JSON pointers.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn one<M: Message + Default>(
    file: &str,
    text: &str,
    name: &str,
    flaws: impl Fn(&M) -> Vec<(String, String)>,
) -> Result<M, Vec<CaseError>> {
    let none = || CaseError {
        place: file.to_owned(),
        pointer: String::new(),
        message: format!("there is no message {name}"),
    };
    let of = descriptor(name).ok_or_else(|| vec![none()])?;
    let (message, source) = read(file, text, &of).map_err(|error| vec![error])?;
    let flaws = flaws(&message).into_iter();
    let errors: Vec<_> = flaws.map(|(at, why)| source.error(&at, why)).collect();
    match errors.is_empty() {
        true => Ok(message),
        false => Err(errors),
    }
}

/// The cases of files of one kind, in their order. `name` is the file's message, `of` its cases, which lie in its field
/// `cases`.
///
/// # Errors
/// Everything that is wrong with any of them.
pub(crate) fn all<F: Message + Default, C: Citing>(
    files: &[(&str, &str)],
    name: &str,
    of: impl Fn(F) -> Vec<C>,
) -> Result<Vec<C>, Vec<CaseError>> {
    let mut errors = Vec::new();
    let mut cases = Vec::new();
    let mut places: HashMap<String, String> = HashMap::new();
    for (file, text) in files {
        let read = match descriptor(name) {
            Some(descriptor) => read::<F>(file, text, &descriptor),
            None => Err(CaseError {
                place: (*file).to_owned(),
                pointer: String::new(),
                message: format!("there is no message {name}"),
            }),
        };
        let (read, source) = match read {
            Ok(read) => read,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let of_file = of(read);
        if of_file.is_empty() {
            errors.push(source.error("", "has no case"));
        }
        for (index, case) in of_file.into_iter().enumerate() {
            let at = format!("/cases/{index}");
            let flaws = flaws(&case).into_iter();
            errors.extend(flaws.map(|(below, why)| source.error(&format!("{at}{below}"), why)));
            let here = source.error(&format!("{at}/name"), "");
            match places.insert(case.name().to_owned(), here.place) {
                None => cases.push(case),
                Some(first) => {
                    let why = format!("there is a case `{}` already: {first}", case.name());
                    errors.push(source.error(&format!("{at}/name"), why));
                }
            }
        }
    }
    match errors.is_empty() {
        true => Ok(cases),
        false => Err(errors),
    }
}

/// What is wrong with a case, by the JSON pointer within it.
fn flaws(case: &impl Citing) -> Vec<(String, String)> {
    let mut flaws = Vec::new();
    let parts: Vec<_> = case.name().split('/').collect();
    let word = |part: &&str| {
        let letters = part.bytes();
        !part.is_empty()
            && letters
                .into_iter()
                .all(|letter| matches!(letter, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if parts.len() != 3 || !parts.iter().all(word) {
        let why = format!(
            "`{}` is no name of a case: it is area/feature/scenario, of words of a-z, 0-9 and `-`",
            case.name()
        );
        flaws.push(("/name".to_owned(), why));
    }
    if case.purpose().is_empty() {
        flaws.push((String::new(), "says no `purpose`".to_owned()));
    }
    if case.requires().is_empty() {
        let why = "cites no rule in `requires`: `R12`, `SEMANTICS 7` or `P24`";
        flaws.push((String::new(), why.to_owned()));
    }
    for (index, cited) in case.requires().iter().enumerate() {
        if !rules::is_known(cited) {
            let why = format!(
                "there is no rule `{cited}`: cited are R1… of docs/driver-contract.md, SEMANTICS 1… of docs/semantics.md, P1… of docs/protocol.md"
            );
            flaws.push((format!("/requires/{index}"), why));
        }
    }
    flaws.extend(twice("/requires", case.requires()));
    flaws.extend(case.flaws());
    flaws
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    fn refused(text: &str) -> Vec<String> {
        let of = |file: v1::EngineFile| file.cases;
        let errors = all::<_, v1::EngineCase>(&[("a.yaml", text)], "EngineFile", of);
        let errors = errors.expect_err("it is refused").into_iter();
        errors.map(|error| error.to_string()).collect()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let case = "cases:\n  - name: a/b/c\n    purpose: it is.\n    requires: [R1]\n";
        let cases: &[(&str, &str)] = &[
            ("cases: [", "a.yaml:1:"),
            ("cases: []", "a.yaml:1:1: has no case"),
            (
                &format!("{case}    step: []\n"),
                "a.yaml:5:11: unknown field `step`",
            ),
            (
                &format!("{case}    steps: [{{call: {{path: 3}}}}]\n"),
                "a.yaml:5:27: expected a string, found a number (at /cases/0/steps/0/call/path)",
            ),
            (
                &case.replace("[R1]", "[R1, R79]"),
                "a.yaml:4:20: there is no rule `R79`",
            ),
            (&case.replace("[R1]", "[]"), "a.yaml:2:5: cites no rule"),
            (
                &case.replace("a/b/c", "a/B/c"),
                "a.yaml:2:11: `a/B/c` is no name",
            ),
            (
                &format!("{case}{}", &case["cases:\n".len()..]),
                "a.yaml:5:11: there is a case `a/b/c` already: a.yaml:2:11",
            ),
        ];
        for (text, told) in cases {
            let errors = refused(text);
            assert!(
                errors.iter().any(|error| error.starts_with(told)),
                "{told}: {errors:?}"
            );
        }
    }
}
