//! The rules that cases cite: those of the driver contract, with who is bound, and those of the semantics and of
//! the protocol. They are read from the documents themselves, so that no second list can be wrong.

use conveyor_proto::contract::{RULES, TEXT};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Who a requirement binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Driver,
    Engine,
    Both,
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    Must,
    Should,
    May,
}

/// A requirement of docs/driver-contract.md.
#[derive(Clone, Debug)]
pub(crate) struct Requirement {
    /// `R12`.
    pub(crate) number: &'static str,
    pub(crate) who: Who,
    pub(crate) strength: Strength,
    /// The rule's own sentences.
    pub(crate) rule: &'static str,
}

/// All of them, in the order of the document.
pub(crate) static REQUIREMENTS: LazyLock<Vec<Requirement>> =
    LazyLock::new(|| TEXT.lines().filter_map(requirement).collect());

/// The rules of the semantics and of the protocol by their numbers, as cases cite them: `SEMANTICS 7`, `P24`.
static OTHERS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let text = |name: &str| RULES.iter().find(|(path, _)| path.ends_with(name));
    let read = |name, begins| items(text(name).map_or("", |(_, text)| *text), begins);
    let semantics = read("semantics.md", |line| {
        let (number, says) = line.split_once(". ")?;
        number.parse::<u32>().ok()?;
        Some((format!("SEMANTICS {number}"), says))
    });
    let protocol = read("protocol.md", |line| {
        let (number, says) = line.strip_prefix("- **")?.split_once("** ")?;
        Some((number.to_owned(), says))
    });
    semantics.into_iter().chain(protocol).collect()
});

/// The items of a document's lists, each with the lines below it that belong to it: they are indented.
fn items(text: &str, begins: fn(&str) -> Option<(String, &str)>) -> Vec<(String, String)> {
    let mut items: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some((number, says)) = begins(line) {
            items.push((number, says.to_owned()));
            open = true;
        } else if open && line.starts_with("  ") {
            if let Some((_, says)) = items.last_mut() {
                says.push(' ');
                says.push_str(line.trim());
            }
        } else {
            open = false;
        }
    }
    items
}

/// Numbers of the rules of the other documents, as cases cite them.
#[cfg(test)]
pub(crate) fn of_other_documents() -> impl Iterator<Item = &'static str> {
    OTHERS.keys().map(String::as_str)
}

/// A row of one of the document's tables; `None` for every other line.
fn requirement(line: &'static str) -> Option<Requirement> {
    let mut cells = line.strip_prefix("| R")?.splitn(4, " | ");
    let digits = cells.next()?;
    digits.parse::<u32>().ok()?;
    let who = match cells.next()? {
        "driver" => Who::Driver,
        "engine" => Who::Engine,
        "both" => Who::Both,
        _ => return None,
    };
    let strength = match cells.next()? {
        "must" => Strength::Must,
        "should" => Strength::Should,
        "may" => Strength::May,
        _ => return None,
    };
    let (rule, _why) = cells.next()?.rsplit_once(" | ")?;
    Some(Requirement {
        number: &line[2..3 + digits.len()],
        who,
        strength,
        rule,
    })
}

/// The requirement of a number.
pub(crate) fn of(number: &str) -> Option<&'static Requirement> {
    REQUIREMENTS.iter().find(|rule| rule.number == number)
}

/// Whether there is a rule that is cited so.
pub(crate) fn is_known(cited: &str) -> bool {
    of(cited).is_some() || OTHERS.contains_key(cited)
}

/// What a rule says, of whichever document; `None` where there is none that is cited so.
pub(crate) fn sentence(cited: &str) -> Option<String> {
    match of(cited) {
        // A bar would end the cell of the table that it stands in.
        Some(requirement) => Some(requirement.rule.replace("\\|", "|")),
        None => OTHERS.get(cited).cloned(),
    }
}

/// Whether a case that cites these is of what a good driver does, and none has to: one of them is a *should* of
/// drivers, and none a *must*. What an engine must says nothing of the driver.
pub(crate) fn only_should(cited: &[String]) -> bool {
    let of_drivers = || {
        let rules = cited.iter().filter_map(|cited| of(cited));
        rules.filter(|rule| rule.who != Who::Engine)
    };
    of_drivers().any(|rule| rule.strength == Strength::Should)
        && of_drivers().all(|rule| rule.strength != Strength::Must)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_contract_is_read() {
        let rows = TEXT.lines().filter(|line| line.starts_with("| R"));
        assert_eq!(REQUIREMENTS.len(), rows.count());
        let refused = of("R63").expect("it is there");
        assert_eq!(
            (refused.who, refused.strength),
            (Who::Engine, Strength::Must)
        );
        assert!(refused.rule.starts_with("A checkpoint or a `detached`"));
        assert_eq!(of("R44").map(|rule| rule.strength), Some(Strength::May));
        assert_eq!(of("R5").map(|rule| rule.who), Some(Who::Both));
    }

    #[test]
    fn what_is_only_a_should_is_told_from_what_a_driver_must() {
        let only = |cited: &[&str]| {
            let cited: Vec<String> = cited.iter().map(|&cited| cited.to_owned()).collect();
            only_should(&cited)
        };
        // R29, R42: a driver should. R10: the engine must. R44: a driver may. R12: a driver must.
        assert!(only(&["R29"]) && only(&["R29", "R42"]) && only(&["R10", "R29"]));
        assert!(only(&["R29", "R44"]));
        for must in [
            &["R12"][..],
            &["R12", "R29"],
            &["R10"],
            &["R44"],
            &["P1"],
            &[],
        ] {
            assert!(!only(must), "{must:?}");
        }
    }

    #[test]
    fn rules_of_the_other_documents_have_their_whole_sentences() {
        for (cited, begins, has) in [
            ("SEMANTICS 1", "No `needs` anywhere", "counts as a `needs`."),
            (
                "SEMANTICS 3",
                "`needs: {rule: EXPR}`: parents",
                "`handles: [a]`",
            ),
            (
                "P1",
                "Identity is (run, step, instance, attempt)",
                "metrics.",
            ),
            ("P27a", "*Detached* completion", "`detached {until}`"),
        ] {
            let says = sentence(cited).expect("it is there");
            assert!(says.starts_with(begins) && says.contains(has), "{says}");
        }
        for cited in of_other_documents() {
            let says = sentence(cited).expect("it is there");
            assert!(!says.is_empty() && !says.contains('\n'), "{cited}: {says}");
        }
        assert_eq!(sentence("P37"), None);
    }

    #[test]
    fn rules_of_the_other_documents_are_known_by_their_numbers() {
        for cited in [
            "R1",
            "R78",
            "SEMANTICS 1",
            "SEMANTICS 27",
            "P1",
            "P27a",
            "P36",
        ] {
            assert!(is_known(cited), "{cited}");
        }
        for cited in ["R79", "R0", "SEMANTICS 28", "P37", "7", "PROTOCOL", ""] {
            assert!(!is_known(cited), "{cited}");
        }
    }
}
