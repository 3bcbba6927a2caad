//! Secrets in what a task says (R71).

use std::collections::BTreeMap;

/// What stands in place of a secret.
const HIDDEN: &str = "***";
/// Shorter values are left: they are in any text. The engine's mask has the same limit.
const SHORTEST: usize = 4;

/// Puts `***` in place of the values, each as it is: the engine looks for the other forms (R72).
#[derive(Clone, Debug, Default)]
pub(crate) struct Mask(Vec<String>);

impl Mask {
    /// Of a task's secrets.
    pub(crate) fn new(secrets: &BTreeMap<String, String>) -> Mask {
        let mut values: Vec<_> = secrets
            .values()
            .filter(|value| value.len() >= SHORTEST)
            .cloned()
            .collect();
        // One may be a part of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Mask(values)
    }

    /// The text without them.
    pub(crate) fn text(&self, text: &str) -> String {
        let hide = |text: String, value: &String| text.replace(value, HIDDEN);
        self.0.iter().fold(text.to_owned(), hide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_is_hidden_first() {
        let secrets = [("a", "word"), ("b", "password"), ("c", "x")];
        let secrets = secrets.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mask = Mask::new(&BTreeMap::from(secrets));
        assert_eq!(mask.text("password, word, x"), "***, ***, x");
    }
}
