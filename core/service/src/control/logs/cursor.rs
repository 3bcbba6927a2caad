//! Where a reader of many logs is, in a text whose length does not grow with them.
//!
//! A reader goes over all logs again and again, in the order of their attempts' claims, which the journal
//! fixes: each time it reads what was written before a commit of log lines ([`conveyor_bus::LogCommits`])
//! and not before the one of the time before. So two numbers of commits, and the attempt and offset at
//! which it is, say what it has of every log.
//!
//! The text is `OF;FIRST[.OPEN.DONE]…;BEFORE-NOW;NUMBER:OFFSET`. `OF` says which logs they are ([`of`]), since
//! attempts are numbered among those that are asked for. All attempts before `FIRST` are done, then
//! so many are not, and so many are, and so on. What was written before the commit `NOW` is had of
//! attempts before `NUMBER`, of those after it what was written before `BEFORE`, of itself what is before
//! `OFFSET`: that stands last, so that a reader of a batch of lines knows the cursor after each of them.

use conveyor_engine::value::Hash;
use conveyor_node::RunId;
use conveyor_proto::v1;
use std::collections::BTreeMap;

/// The longest text, in bytes: it travels in a header, and servers in between take 8 KiB.
pub(crate) const MOST: usize = 4096;
/// What of it tells which attempts are done: 8 digits stand before it, and two numbers of 20 digits and two
/// of 10 after it.
const DONE: usize = MOST - 96;

/// Which logs are read: those of a run, of a step and so on. A cursor goes on with the same alone.
pub(super) fn of(run: RunId, request: &v1::ReadLogsRequest) -> u32 {
    let (step, instance, attempt) = (&request.step, request.instance, request.attempt);
    let hash = Hash::of(format!("{run} {step} {instance:?} {attempt:?}").as_bytes()).0;
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// Where a reader is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Which logs it is of.
    of: u32,
    /// Ranges of attempts that are done, by their starts; the ends are not part of them.
    done: BTreeMap<u32, u32>,
    /// The same as text.
    text: String,
    /// What was written before this commit the reader has of all logs.
    before: u64,
    /// What was written before this one it is about to have.
    now: u64,
    /// The attempt at which it is, and the next offset there; `None` before it has anything new.
    at: Option<(u32, u64)>,
}

/// Where reading a log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// At an offset.
    At(u64),
    /// After all that was written before a commit; 0: at the beginning.
    After(u64),
}

impl Cursor {
    /// Before all that there is of some logs.
    pub(super) fn begin_of(of: u32) -> Cursor {
        Cursor {
            of,
            done: BTreeMap::new(),
            text: "0".to_owned(),
            before: 0,
            now: 0,
            at: None,
        }
    }

    /// Reads what [`Cursor::text`] wrote, and nothing else: no sign, no zero in front, no other order.
    pub(crate) fn parse(text: &str) -> Option<Cursor> {
        let (of, rest) = text.split_once(';')?;
        let mut parts = rest.split(';');
        let (done, commits, at) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let done = parse_done(done)?;
        let (before, now) = commits.split_once('-')?;
        let (number, offset) = at.split_once(':')?;
        let cursor = Cursor {
            of: u32::from_str_radix(of, 16).ok()?,
            text: done_text(&done),
            done,
            before: before.parse().ok()?,
            now: now.parse().ok()?,
            at: Some((number.parse().ok()?, offset.parse().ok()?)),
        };
        (cursor.before <= cursor.now && cursor.text() == text).then_some(cursor)
    }

    /// For a later request.
    pub(crate) fn text(&self) -> String {
        let (number, offset) = self.at.unwrap_or_default();
        let Cursor {
            of,
            text,
            before,
            now,
            ..
        } = self;
        format!("{of:08x};{text};{before}-{now};{number}:{offset}")
    }

    /// Which logs it is of.
    pub(super) fn is_of(&self, of: u32) -> bool {
        self.of == of
    }

    /// The number after the highest that it knows.
    pub(crate) fn end(&self) -> u32 {
        let done = self.done.last_key_value().map_or(0, |(_, end)| *end);
        let at = self.at.map_or(0, |(number, _)| number.saturating_add(1));
        done.max(at)
    }

    pub(crate) fn is_done(&self, number: u32) -> bool {
        let before = self.done.range(..=number).next_back();
        before.is_some_and(|(_, end)| number < *end)
    }

    /// What is read now was written before this commit.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// Whether the reader is in the middle of all logs.
    pub(super) fn is_under_way(&self) -> bool {
        self.at.is_some()
    }

    /// Begins anew with the first log: to read what was written before `commit`.
    pub(super) fn begin(&mut self, commit: u64) {
        (self.before, self.now, self.at) = (self.now, commit, None);
    }

    /// Whether the reader has been at an attempt already, this time.
    pub(super) fn is_past(&self, number: u32) -> bool {
        self.at.is_some_and(|(at, _)| number < at)
    }

    /// Where reading an attempt's log begins.
    pub(super) fn start(&self, number: u32) -> Start {
        match self.at {
            Some((at, offset)) if at == number => Start::At(offset),
            _ if self.is_past(number) => Start::After(self.now),
            _ => Start::After(self.before),
        }
    }

    /// The reader has an attempt up to an offset.
    pub(super) fn has(&mut self, number: u32, next: u64) {
        self.at = Some((number, next));
    }

    /// The reader has all of an attempt, up to an offset. False where that cannot be said yet: too many
    /// have ended out of their order. The first that is not done can always be said, and makes room.
    pub(super) fn finish(&mut self, number: u32, next: u64) -> bool {
        let mut done = self.done.clone();
        let end = match done.remove(&number.saturating_add(1)) {
            Some(end) => end,
            None => number.saturating_add(1),
        };
        match done.range_mut(..number).next_back() {
            Some((_, before)) if *before == number => *before = end,
            _ => drop(done.insert(number, end)),
        }
        let text = done_text(&done);
        let first = done.get(&0).is_some_and(|end| number < *end);
        if text.len() > DONE && !first {
            return false;
        }
        (self.done, self.text) = (done, text);
        self.has(number, next);
        true
    }
}

fn parse_done(text: &str) -> Option<BTreeMap<u32, u32>> {
    let mut done = BTreeMap::new();
    let mut numbers = text.split('.');
    let mut end: u32 = numbers.next()?.parse().ok()?;
    if end > 0 {
        done.insert(0, end);
    }
    while let Some(open) = numbers.next() {
        let (open, more): (u32, u32) = (open.parse().ok()?, numbers.next()?.parse().ok()?);
        if open == 0 || more == 0 {
            return None;
        }
        let from = end.checked_add(open)?;
        end = from.checked_add(more)?;
        done.insert(from, end);
    }
    Some(done)
}

fn done_text(done: &BTreeMap<u32, u32>) -> String {
    let mut end = done.get(&0).copied().unwrap_or_default();
    let mut text = end.to_string();
    for (from, to) in done.range(1..) {
        text.push_str(&format!(".{}.{}", from - end, to - from));
        end = *to;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Cursor, MOST, Start};

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let mut cursor = Cursor::begin_of(0xa0b1);
        cursor.begin(8);
        cursor.has(0, 3);
        assert_eq!(cursor.text(), "0000a0b1;0;0-8;0:3");
        cursor.has(2, 7);
        assert_eq!(cursor.text(), "0000a0b1;0;0-8;2:7");
        for number in [1, 4, 3] {
            assert!(cursor.finish(number, 9));
        }
        assert_eq!(cursor.text(), "0000a0b1;0.1.1.1.2;0-8;3:9");
        assert_eq!(Cursor::parse(&cursor.text()), Some(cursor.clone()));
        assert_eq!(cursor.end(), 5);
        cursor.begin(11);
        assert!(cursor.finish(0, 4));
        assert_eq!(cursor.text(), "0000a0b1;2.1.2;8-11;0:4");
        assert!(cursor.finish(2, 7));
        assert_eq!(cursor.text(), "0000a0b1;5;8-11;2:7");
        assert_eq!(Cursor::parse("0000a0b1;5;8-11;2:7"), Some(cursor));
    }

    #[test]
    fn a_cursor_says_where_each_log_goes_on() {
        let mut cursor = Cursor::parse("0000a0b1;1;8-11;4:7").expect("it is one");
        assert!(cursor.is_done(0));
        assert!(cursor.is_past(3) && !cursor.is_past(4));
        assert_eq!(cursor.start(3), Start::After(11));
        assert_eq!(cursor.start(4), Start::At(7));
        assert_eq!(cursor.start(5), Start::After(8));
        cursor.begin(20);
        assert_eq!(cursor.start(3), Start::After(11));
        assert_eq!(cursor.start(5), Start::After(11));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in [
            "",
            "7",
            "0;0-1;0:0",
            "a0b1;0;0-1;0:0",
            "0000A0B1;0;0-1;0:0",
            "0000a0b1;x;0-1;0:0",
            "0000a0b1;;0-1;0:0",
            "0000a0b1;0;1",
            "0000a0b1;0;0-1;1:",
            "0000a0b1;0;2-1;1:0",
            "0000a0b1;0;0-1;1:5;",
            "0000a0b1;3.1;0-1;1:5",
            "0000a0b1;3.0.1;0-1;1:5",
            "0000a0b1;3.1.0;0-1;1:5",
            "0000a0b1;3.1.4294967295;0-1;1:5",
            "0000a0b1;0,1-2;0:3",
            "0000a0b1;00;0-1;0:0",
            "0000a0b1;+1;0-1;0:0",
            "0000a0b1;0;0-01;0:0",
            "0000a0b1;0;0-1;0:+5",
            "0000a0b1;0; 0-1;0:5",
            "0000a0b1;4294967296;0-1;0:0",
            "0000a0b1;0;0-1;0:18446744073709551616",
        ] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_cursor_never_grows_too_long_and_always_takes_the_first_that_is_not_done() {
        let mut cursor = Cursor::begin_of(0xa0b1);
        cursor.begin(u64::MAX);
        let many = 6_000;
        // The worst order: each second one first.
        let odd = (0..many).filter(|number| number % 2 == 1);
        let mut held: Vec<_> = odd
            .filter(|number| !cursor.finish(*number, u64::MAX))
            .collect();
        assert!(!held.is_empty());
        for number in (0..many).filter(|number| number % 2 == 0) {
            assert!(cursor.finish(number, u64::MAX) || held.contains(&(number - 1)));
            assert!(cursor.text().len() <= MOST, "{}", cursor.text().len());
            if !cursor.is_done(number) {
                held.push(number);
            }
        }
        held.sort_unstable();
        for number in held {
            assert!(cursor.finish(number, 1), "{number} is the first");
        }
        assert_eq!(
            cursor.text(),
            format!("0000a0b1;{many};0-{};{}:1", u64::MAX, many - 1)
        );
    }
}
