//! The cases that the program has within it, and what is the same of all that are read.

mod read;
mod shape;
mod vocabulary;

pub(crate) use read::{CaseError, Citing, all, one, pool};
pub(crate) use shape::{Flaws, Form, Shape, at, is_name, names};
pub(crate) use vocabulary::{near, no_regex, none_of, regex, time, twice, word, words_of};

/// Files by their paths in `cases/`, sorted.
static FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/cases.rs"));

/// Paths and texts of a profile's files: `contract`, `driver` or `engine`, the first part of each path.
pub(crate) fn files(profile: &str) -> &'static [(&'static str, &'static str)] {
    let of = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let from = FILES.partition_point(|(path, _)| of(path).as_str() < profile);
    let to = FILES.partition_point(|(path, _)| of(path).as_str() <= profile);
    &FILES[from..to]
}

/// A text without its mark `‸`, and where that stood: `c.yaml:3:7`.
#[cfg(test)]
pub(crate) fn marked(file: &str, text: &str) -> (String, String) {
    let (before, behind) = text.split_once('‸').expect("a mark");
    let line = before.split('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default();
    let place = format!("{file}:{line}:{}", column.chars().count() + 1);
    (format!("{before}{behind}"), place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_of_a_profile() {
        let engine = files("engine");
        assert!(!engine.is_empty());
        assert!(engine.iter().all(|(path, _)| path.starts_with("engine/")));
        assert_eq!(files("nobody"), []);
    }
}
