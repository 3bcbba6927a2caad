//! Numbers of requirements.

use std::fmt;
use std::str::FromStr;

/// A requirement's number: `R12` of docs/driver-contract.md, or another document's: `P27a`. In a report they
/// are in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    document: char,
    number: u32,
    part: Option<char>,
}

/// A text that is no requirement's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError(String);

impl Rule {
    /// `R12`: a requirement of the driver contract.
    #[must_use]
    pub fn contract(number: u32) -> Rule {
        Rule {
            document: 'R',
            number,
            part: None,
        }
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Rule, RuleError> {
        let read = || {
            let mut letters = text.chars();
            let document = letters.next().filter(char::is_ascii_uppercase)?;
            let rest = letters.as_str();
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
        write!(f, "{}{}", self.document, self.number)?;
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
            "`{}` is no requirement's number: it has to be like `R12`",
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
        for text in ["R12", "R2", "P27a", "P27"] {
            let rule: Rule = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(rule.to_string(), text);
            rules.push(rule);
        }
        rules.sort();
        let sorted: Vec<String> = rules.iter().map(Rule::to_string).collect();
        assert_eq!(sorted, ["P27", "P27a", "R2", "R12"]);
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
            "R99999999999",
        ] {
            let error = text.parse::<Rule>().expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
