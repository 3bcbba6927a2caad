//! Words, limits and what may stand in their place, as errors tell them.

use super::shape::Flaws;
use prost_reflect::{EnumDescriptor, EnumValueDescriptor};

/// As long as a case, or anything in it, may wait, in milliseconds: a suite that hangs is to be seen soon.
const LONGEST_MS: u64 = 120_000;

/// A word that is none of those that may stand there; nothing of one that is, or of none.
pub(crate) fn word(place: &str, found: &str, may: &[&str]) -> Flaws {
    match found.is_empty() || may.contains(&found) {
        true => Flaws::new(),
        false => vec![(place.to_owned(), none_of(found, may))],
    }
}

/// `` `terminat` is none of cancel, terminate, drain ``, with what is near to it.
pub(crate) fn none_of(found: &str, may: &[&str]) -> String {
    format!(
        "`{found}` is none of {}{}",
        may.join(", "),
        near(found, may)
    )
}

/// What is near to a word, behind a sentence: `; near to it: `cancel``. Empty where nothing is.
pub(crate) fn near(found: &str, may: &[&str]) -> String {
    let near = conveyor_engine::nearest(found, may.iter().copied());
    near.map_or_else(String::new, |near| format!("; near to it: `{near}`"))
}

/// Values of a list that stand there already.
pub(crate) fn twice<T: PartialEq + std::fmt::Display>(place: &str, list: &[T]) -> Flaws {
    let repeated = list
        .iter()
        .enumerate()
        .filter(|(at, value)| list[..*at].contains(value));
    repeated
        .map(|(at, value)| {
            (
                format!("{place}/{at}"),
                format!("`{value}` stands there twice"),
            )
        })
        .collect()
}

/// A time that is longer than any may be.
pub(crate) fn time(place: &str, ms: u64) -> Flaws {
    match ms > LONGEST_MS {
        true => {
            let why = format!("{ms} ms are more than anything may take: {LONGEST_MS} ms");
            vec![(place.to_owned(), why)]
        }
        false => Flaws::new(),
    }
}

/// A regular expression that is none.
pub(crate) fn regex(place: &str, text: &str) -> Flaws {
    match regex::Regex::new(text) {
        Ok(_) => Flaws::new(),
        Err(error) => vec![(place.to_owned(), no_regex(text, &error))],
    }
}

/// Why a text is no regular expression. Of what the parser says the last line has the reason; the others draw it.
pub(crate) fn no_regex(text: &str, error: &regex::Error) -> String {
    let told = error.to_string();
    let reason = told.lines().last().unwrap_or_default();
    let reason = reason.trim_start_matches("error: ");
    format!("`{text}` is no regular expression: {reason}")
}

/// The words of an enum of the contract, without that of nothing: `stdout`, `stderr`, `driver`.
pub(crate) fn words_of(name: &str) -> Vec<String> {
    let of = crate::pool().get_enum_by_name(&format!("conveyor.v1.{name}"));
    let short = |of: &EnumDescriptor, value: &EnumValueDescriptor| {
        let first = of.values().next().map_or_else(String::new, |zero| {
            zero.name().trim_end_matches("UNSPECIFIED").to_owned()
        });
        value
            .name()
            .trim_start_matches(&*first)
            .to_ascii_lowercase()
    };
    let words = of.iter().flat_map(|of| {
        let values = of.values().filter(|value| value.number() != 0);
        values.map(|value| short(of, &value)).collect::<Vec<_>>()
    });
    words.collect()
}
