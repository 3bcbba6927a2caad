//! Numbers of requirements.

use std::fmt;
use std::str::FromStr;

/// A requirement's number: `R12` of docs/driver-contract.md, `P27a` of docs/protocol.md, `SEMANTICS 7` of
/// docs/semantics.md. In a report they are in this order of documents, each in the order of its numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    document: Document,
    number: u32,
    part: Option<char>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Document {
    Contract,
    Protocol,
    Semantics,
}

impl Document {
    const ALL: [Document; 3] = [Document::Contract, Document::Protocol, Document::Semantics];

    /// What its numbers begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Document::Contract => "R",
            Document::Protocol => "P",
            Document::Semantics => "SEMANTICS ",
        }
    }
}

/// A text that is no requirement's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError(String);

impl Rule {
    /// `R12`: a requirement of the driver contract.
    #[must_use]
    pub fn contract(number: u32) -> Rule {
        Rule {
            document: Document::Contract,
            number,
            part: None,
        }
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Rule, RuleError> {
        let read = || {
            let of = |document: Document| Some((document, text.strip_prefix(document.prefix())?));
            let (document, rest) = Document::ALL.into_iter().find_map(of)?;
            let part = rest.chars().next_back().filter(char::is_ascii_lowercase);
            let digits = rest.trim_end_matches(|letter| Some(letter) == part);
            let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
            let number = digits.parse().ok().filter(|number| *number > 0 && plain)?;
            let rule = Rule {
                document,
                number,
                part,
            };
            // `R07` and `R7` would be two names of one.
            (rule.to_string() == text).then_some(rule)
        };
        read().ok_or_else(|| RuleError(text.escape_debug().to_string()))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.document.prefix(), self.number)?;
        match self.part {
            Some(part) => write!(f, "{part}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no requirement's number: it has to be like `R12`, `P7` or `SEMANTICS 7`",
            self.0
        )
    }
}

impl std::error::Error for RuleError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written_and_stand_in_their_order() {
        let mut rules = Vec::new();
        for text in ["SEMANTICS 7", "R12", "R2", "P27a", "P27"] {
            let rule: Rule = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(rule.to_string(), text);
            rules.push(rule);
        }
        rules.sort();
        let sorted: Vec<String> = rules.iter().map(Rule::to_string).collect();
        assert_eq!(sorted, ["R2", "R12", "P27", "P27a", "SEMANTICS 7"]);
        assert_eq!("R7".parse(), Ok(Rule::contract(7)));
        for text in [
            "",
            "R",
            "12",
            "r12",
            "R07",
            "R0",
            "R+1",
            "R1aa",
            "R1 ",
            "RR1",
            "SEMANTICS7",
            "X1",
            "R99999999999",
        ] {
            let error = text.parse::<Rule>().expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn all_numbers_of_the_documents_are_numbers() {
        let contract = conveyor_proto::contract::TEXT.lines();
        let contract = contract.filter_map(|line| line.strip_prefix("| R")?.split_once(" | "));
        let contract = contract.map(|(number, _)| format!("R{number}"));
        let protocol = conveyor_proto::contract::RULES[0].1.lines();
        let protocol = protocol.filter_map(|line| line.strip_prefix("- **P")?.split_once("**"));
        let protocol = protocol.map(|(number, _)| format!("P{number}"));
        let all: Vec<String> = contract.chain(protocol).collect();
        assert!(all.len() > 100, "{all:?}");
        for number in all {
            assert_eq!(
                number.parse::<Rule>().map(|rule| rule.to_string()),
                Ok(number)
            );
        }
    }
}
