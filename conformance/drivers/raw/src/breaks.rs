//! The broken driver: one switch for each way to violate a requirement that binds a driver.
//!
//! A switch violates its rule alone, and as little as can be seen: all else goes on working, so that in the suite's
//! self-test only cases that cite the rule fail.
//!
//! Switches of R51 and R78 show over calls (`unary`, `rest`), those of R69 over `rest`, those of R1, R2, R6, R31, R41, R43, R62,
//! R74 and R76 over a stream; all others over each. Of the rules these parts cannot be seen from outside, and have none: that secrets are kept no longer than their task (R71), that a token is
//! written to no file (R61), and that unknown fields are left out (R5: the generated stubs do that).

mod forms;
mod numbers;
mod streams;
mod switches;
mod words;

pub use switches::{Break, SWITCHES, Switch};

/// Which switch is on: one, or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breaks(Option<Break>);

impl Breaks {
    /// The switch of a name; none for an empty one.
    ///
    /// # Errors
    /// A sentence that names what is no switch.
    pub fn named(name: &str) -> Result<Breaks, String> {
        if name.is_empty() {
            return Ok(Breaks(None));
        }
        let found = SWITCHES.iter().find(|switch| switch.name == name);
        let found = found.ok_or_else(|| format!("`{name}` is no switch: see --list-switches"))?;
        Ok(Breaks(Some(found.breaks)))
    }

    /// Whether this one is on.
    #[must_use]
    pub fn has(self, one: Break) -> bool {
        self.0 == Some(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conveyor_proto::contract::TEXT;
    use std::collections::BTreeSet;

    /// Rules of the text that bind a driver: `| R12 | driver | must | …`.
    fn musts() -> BTreeSet<&'static str> {
        let rules = TEXT.lines().filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            match cells[..] {
                ["", number, "driver" | "both", "must", ..] => Some(number),
                _ => None,
            }
        });
        rules.collect()
    }

    #[test]
    fn each_must_of_a_driver_has_a_switch() {
        let switches: BTreeSet<_> = SWITCHES.iter().map(|switch| switch.requirement).collect();
        let musts = musts();
        assert!(musts.len() > 30, "the text's tables are read: {musts:?}");
        assert_eq!(switches, musts);
    }

    #[test]
    fn names_are_unique_and_begin_with_their_rule() {
        let mut names = BTreeSet::new();
        for switch in SWITCHES {
            assert!(names.insert(switch.name), "{} is there twice", switch.name);
            let rule = format!("{}-", switch.requirement.to_lowercase());
            assert!(
                switch.name.starts_with(&rule),
                "{} is of {}",
                switch.name,
                switch.requirement
            );
            let is_word =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(switch.name.bytes().all(is_word), "{}", switch.name);
            assert!(!switch.sentence.contains(['\t', '\n']) && switch.sentence.ends_with('.'));
        }
    }

    #[test]
    fn a_switch_is_found_by_its_name_and_no_other() {
        let breaks = Breaks::named("r12-answers-late").expect("a switch");
        assert!(breaks.has(Break::AnswersLate) && !breaks.has(Break::StartsTwice));
        assert!(!Breaks::named("").expect("none").has(Break::AnswersLate));
        let wrong = Breaks::named("r12").expect_err("no switch");
        assert!(wrong.contains("`r12`"), "{wrong}");
    }
}
