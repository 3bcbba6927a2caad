//! Where a reader of many logs is: which attempts it has whole, and how far it has the others.
//!
//! Attempts are numbered in the order of their claims, which the journal fixes. The text is
//! `FIRST[,FROM-TO]…;[NUMBER:OFFSET,]…`: all attempts before `FIRST` and those of the ranges are done;
//! of others the next offset follows. The one that was read last stands last, so that a reader of a
//! batch of lines knows the cursor after each of them.

use std::collections::BTreeMap;

/// The longest text, in bytes: it travels in a header, and servers in between take 8 KiB.
pub(crate) const MOST: usize = 4096;

/// Where a reader is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Ranges of attempts that are done, by their starts; the ends are not part of them.
    done: BTreeMap<u32, u32>,
    /// The next offset of each attempt that was begun.
    open: BTreeMap<u32, u64>,
}

impl Cursor {
    /// Reads what [`Cursor::text`] wrote, and nothing else: no sign, no zero in front, no other order.
    pub(crate) fn parse(text: &str) -> Option<Cursor> {
        let mut cursor = Cursor::default();
        let (done, open) = text.split_once(';')?;
        let mut done = done.split(',');
        match done.next()?.parse().ok()? {
            0 => {}
            first => drop(cursor.done.insert(0, first)),
        }
        for range in done {
            let (from, to) = range.split_once('-')?;
            let (from, to) = (from.parse().ok()?, to.parse().ok()?);
            let before = cursor.done.last_key_value().map_or(0, |(_, end)| *end);
            if from <= before && before > 0 || from >= to {
                return None;
            }
            cursor.done.insert(from, to);
        }
        let mut last = None;
        for one in open.split(',').filter(|one| !one.is_empty()) {
            let (number, offset) = one.split_once(':')?;
            let (number, offset) = (number.parse().ok()?, offset.parse().ok()?);
            last = Some(number);
            if cursor.is_done(number) || cursor.open.insert(number, offset).is_some() {
                return None;
            }
        }
        (cursor.text(last) == text).then_some(cursor)
    }

    /// For a later request; empty where it would be too long. `last` is the attempt that was read last.
    pub(crate) fn text(&self, last: Option<u32>) -> String {
        let mut text = self.done.get(&0).unwrap_or(&0).to_string();
        for (from, to) in self.done.range(1..) {
            text.push_str(&format!(",{from}-{to}"));
            if text.len() > MOST {
                return String::new();
            }
        }
        let last = last.and_then(|last| Some((last, *self.open.get(&last)?)));
        let others = self.open.iter().map(|(number, offset)| (*number, *offset));
        let others = others.filter(|(number, _)| Some(*number) != last.map(|(last, _)| last));
        let mut separator = ';';
        for (number, offset) in others.chain(last) {
            text.push_str(&format!("{separator}{number}:{offset}"));
            separator = ',';
            if text.len() > MOST {
                return String::new();
            }
        }
        if separator == ';' {
            text.push(';');
        }
        text
    }

    /// The number after the highest that it knows.
    pub(crate) fn end(&self) -> u32 {
        let done = self.done.last_key_value().map_or(0, |(_, end)| *end);
        let open = self.open.last_key_value();
        done.max(open.map_or(0, |(number, _)| number.saturating_add(1)))
    }

    pub(crate) fn is_done(&self, number: u32) -> bool {
        let before = self.done.range(..=number).next_back();
        before.is_some_and(|(_, end)| number < *end)
    }

    /// The next offset of an attempt; `None` where nothing of it was read.
    pub(crate) fn next(&self, number: u32) -> Option<u64> {
        self.open.get(&number).copied()
    }

    /// The reader has an attempt up to an offset.
    pub(crate) fn has(&mut self, number: u32, next: u64) {
        self.open.insert(number, next);
    }

    /// The reader has all of an attempt, or does not want it.
    pub(crate) fn finish(&mut self, number: u32) {
        self.open.remove(&number);
        if self.is_done(number) {
            return;
        }
        let end = match self.done.remove(&(number + 1)) {
            Some(end) => end,
            None => number + 1,
        };
        match self.done.range_mut(..number).next_back() {
            Some((_, before)) if *before == number => *before = end,
            _ => drop(self.done.insert(number, end)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, MOST};

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.text(None), "0;");
        cursor.has(2, 7);
        cursor.has(0, 3);
        assert_eq!(cursor.text(Some(2)), "0;0:3,2:7");
        assert_eq!(cursor.text(Some(0)), "0;2:7,0:3");
        cursor.finish(1);
        cursor.finish(4);
        cursor.finish(3);
        assert_eq!(cursor.text(Some(2)), "0,1-2,3-5;0:3,2:7");
        assert_eq!(Cursor::parse(&cursor.text(Some(0))), Some(cursor.clone()));
        assert_eq!(cursor.end(), 5);
        cursor.finish(0);
        assert_eq!(cursor.text(Some(2)), "2,3-5;2:7");
        assert_eq!(Cursor::parse("2,3-5;2:7"), Some(cursor.clone()));
        cursor.finish(2);
        assert_eq!(cursor.text(None), "5;");
        assert_eq!(Cursor::parse("5;"), Some(cursor));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in [
            "",
            "7",
            "x;",
            ";",
            "0;1",
            "0;1:",
            "2;1:5",
            "3,1-2;",
            "0,2-2;",
            "0;1:2,1:3",
            "0,1-2,2-3;",
            "00;",
            "+1;",
            "0;,",
            "0;1:2,",
            "0;3:1,2:1,4:1",
            "0;1:02",
            "0;1:18446744073709551616",
            "4294967296;",
            "0; 1:2",
        ] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_cursor_that_would_be_too_long_is_none() {
        let mut cursor = Cursor::default();
        for number in 0..MOST as u32 {
            cursor.has(number, 1);
        }
        assert_eq!(cursor.text(None), "");
    }
}
