//! What a driver's processes write where they are not to: anything to standard output, and to standard error what nobody
//! is to read (R61, R71).
//!
//! All is looked at as it is read, and only a little of it kept: a driver may write for as long as its case lasts.

use crate::wire::{Entry, From, Record};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much of the first line on standard output is kept, in bytes.
const FIRST_LINE: usize = 200;

/// What was overheard in a case.
#[derive(Debug)]
pub(crate) struct Overheard {
    /// Tokens and resume secrets stand there before the driver has them.
    record: Arc<Record>,
    hidden: Mutex<Hidden>,
    output: Mutex<Output>,
}

#[derive(Debug, Default)]
struct Hidden {
    /// Behind what was read of the record.
    cursor: usize,
    words: BTreeSet<Word>,
    found: BTreeSet<(&'static str, &'static str)>,
}

/// What is not to be read anywhere.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Word {
    rule: &'static str,
    what: &'static str,
    text: String,
}

#[derive(Debug, Default)]
struct Output {
    bytes: u64,
    first: Vec<u8>,
    /// Whether the first line has ended.
    over: bool,
}

impl Overheard {
    pub(crate) fn new(record: Arc<Record>) -> Overheard {
        Overheard {
            record,
            hidden: Mutex::default(),
            output: Mutex::default(),
        }
    }

    fn hidden(&self) -> MutexGuard<'_, Hidden> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the values of secrets.
    pub(crate) fn hide<'a>(&self, secrets: impl Iterator<Item = &'a String>) {
        let mut hidden = self.hidden();
        for secret in secrets {
            hidden.word("R71", "a secret", secret.clone());
            let coded = STANDARD_NO_PAD.encode(secret);
            hidden.word("R71", "a secret", coded);
        }
    }

    /// Listens to a piece of standard error. `before` has the end of what the same process wrote before.
    pub(super) fn error(&self, before: &mut Vec<u8>, piece: &[u8]) {
        let mut hidden = self.hidden();
        hidden.learn(&self.record);
        let Hidden { words, found, .. } = &mut *hidden;
        before.extend_from_slice(piece);
        let text = String::from_utf8_lossy(before);
        for word in words.iter() {
            if text.contains(&word.text) {
                found.insert((word.rule, word.what));
            }
        }
        let longest = words.iter().map(|word| word.text.len()).max();
        let keep = longest.unwrap_or(0).saturating_sub(1);
        let over = before.len().saturating_sub(keep);
        before.drain(..over);
    }

    /// Listens to a piece of standard output.
    pub(super) fn output(&self, piece: &[u8]) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.bytes += piece.len() as u64;
        if output.over {
            return;
        }
        let line = piece.split(|byte| *byte == b'\n').next().unwrap_or(piece);
        let room = FIRST_LINE - output.first.len();
        output.over = line.len() < piece.len() || line.len() >= room;
        output
            .first
            .extend_from_slice(&line[..line.len().min(room)]);
    }

    /// What was written to standard error that a rule hides.
    pub(crate) fn written(&self, rule: &str) -> Option<&'static str> {
        let hidden = self.hidden();
        let mut found = hidden.found.iter();
        found.find(|(of, _)| *of == rule).map(|(_, what)| *what)
    }

    /// That something was written to standard output.
    pub(crate) fn complaint(&self) -> Option<String> {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        if output.bytes == 0 {
            return None;
        }
        let first = String::from_utf8_lossy(&output.first);
        Some(format!(
            "the driver wrote {} bytes to standard output, which is not for it: people's lines go to standard error; the first is `{}`",
            output.bytes,
            first.trim_end().escape_debug()
        ))
    }
}

impl Hidden {
    fn word(&mut self, rule: &'static str, what: &'static str, text: String) {
        if !text.is_empty() {
            self.words.insert(Word { rule, what, text });
        }
    }

    /// Reads what the engine has given away since.
    fn learn(&mut self, record: &Record) {
        let to = record.len();
        let gives = |entry: &Entry| {
            entry.from == From::Engine
                && (entry.kind == "task" || entry.body["resume_secret"].is_string())
        };
        while let Some((at, entry)) = record.find(self.cursor, |entry, _| gives(entry)) {
            self.cursor = at + 1;
            if entry.kind == "task" {
                self.word("R61", "a token", STANDARD_NO_PAD.encode(&entry.token));
                self.word("R61", "a token", hex(&entry.token));
            }
            if let Some(secret) = entry.body["resume_secret"].as_str() {
                let bytes = STANDARD.decode(secret).unwrap_or_default();
                let text = secret.trim_end_matches('=').to_owned();
                self.word("R61", "a resume secret", text);
                self.word("R61", "a resume secret", hex(&bytes));
            }
        }
        self.cursor = self.cursor.max(to);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_heard_across_pieces_and_before_any_number_of_lines() {
        let overheard = Overheard::new(Arc::new(Record::new()));
        overheard.hide([&"hunter2 of ours".to_owned()].into_iter());
        let mut before = Vec::new();
        overheard.error(&mut before, b"the password is hunter2");
        assert_eq!(overheard.written("R71"), None);
        overheard.error(&mut before, b" of ours\n");
        for _ in 0..1_000 {
            overheard.error(&mut before, &[b'\n'; 4096]);
            assert!(before.len() < 32, "{}", before.len());
        }
        assert_eq!(overheard.written("R71"), Some("a secret"));
        assert_eq!(overheard.written("R61"), None);
    }

    #[test]
    fn of_standard_output_the_first_line_is_quoted() {
        let overheard = Overheard::new(Arc::new(Record::new()));
        assert_eq!(overheard.complaint(), None);
        overheard.output(b"he");
        overheard.output(b"llo\nmore");
        overheard.output(b" and more\n");
        let told = overheard.complaint().expect("something was written");
        assert!(
            told.starts_with("the driver wrote 20 bytes to standard output"),
            "{told}"
        );
        assert!(told.ends_with("the first is `hello`"), "{told}");
    }
}
