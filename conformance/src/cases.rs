//! The cases that the program has within it, and what is the same of all that are read.

mod read;

pub(crate) use read::{CaseError, Citing, all, one};

/// Files by their paths in `cases/`, sorted.
static FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/cases.rs"));

/// Paths and texts of a profile's files: `contract`, `driver` or `engine`, the first part of each path.
pub(crate) fn files(profile: &str) -> &'static [(&'static str, &'static str)] {
    let of = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let from = FILES.partition_point(|(path, _)| of(path).as_str() < profile);
    let to = FILES.partition_point(|(path, _)| of(path).as_str() <= profile);
    &FILES[from..to]
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
