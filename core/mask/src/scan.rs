//! Where needles are in a text, each letter of them as it is or escaped.
//!
//! Most texts are read in one way. Where an escape stands, two readings go on from there, as it is and
//! as what it means, until one of them has nothing of a needle any more.

use crate::automaton::{Automaton, NOTHING, Needle};
use crate::escape::{self, LONGEST, Not};
use std::ops::Range;

/// So many readings are followed at one place: more of them differ only in texts that are made of
/// escapes of escapes, for needles that are, too. Those with the longest beginnings are.
const READINGS: usize = 16;

/// Places within reach of one escape, and that where it stands.
const REACH: usize = LONGEST.next_power_of_two();

const NO_JUMP: u32 = u32::MAX;

/// The jumps that are kept before those that nobody needs are looked for.
const JUMPS: usize = 1024;

/// One way of reading a text up to a place.
#[derive(Clone, Copy)]
struct Reading {
    state: u32,
    /// So many bytes more has the text than what was read of it.
    lag: usize,
    /// The last escape that was read as one, in `jumps`.
    jump: u32,
}

const FRESH: Reading = Reading {
    state: NOTHING,
    lag: 0,
    jump: NO_JUMP,
};

/// An escape that a reading has read as one.
#[derive(Clone, Copy)]
struct Jump {
    /// Where it begins in the text.
    raw: usize,
    /// Where the bytes are that it means, in what is read.
    read: (usize, usize),
    /// The reading's lag before.
    lag: usize,
    before: u32,
}

/// A text that is read piece by piece.
#[derive(Clone)]
pub(crate) struct Scan {
    at: usize,
    /// The readings at each place from `at` on, by the place modulo [`REACH`]; none is a fresh one.
    readings: [Vec<Reading>; REACH],
    /// How many there are.
    count: usize,
    jumps: Vec<Jump>,
    /// How many jumps are kept before they are looked through.
    room: usize,
}

impl Default for Scan {
    fn default() -> Scan {
        Scan {
            at: 0,
            readings: Default::default(),
            count: 0,
            jumps: Vec::new(),
            room: JUMPS,
        }
    }
}

impl Scan {
    /// What is before is read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// No needle that is still to be found begins before.
    pub(crate) fn safe(&self, automaton: &Automaton) -> usize {
        let mut safe = self.at;
        if self.count > 0 {
            for place in self.at..self.at + REACH {
                for reading in &self.readings[place % REACH] {
                    safe = safe.min(self.start(automaton, place, reading));
                }
            }
        }
        safe
    }

    /// Reads on. `text`: all from where it is. Where the text may go on, an escape that is cut is not read
    /// yet. Says what is found: where, in the order of the ends, and whose.
    pub(crate) fn read(
        &mut self,
        automaton: &Automaton,
        text: &[u8],
        goes_on: bool,
        mut hit: impl FnMut(Range<usize>, usize),
    ) {
        let (from, end) = (self.at, self.at + text.len());
        while self.at < end {
            let rest = &text[self.at - from..];
            let read = match (self.count, self.readings[self.at % REACH].first()) {
                (0, _) => match self.skip(automaton, rest) {
                    0 => self.plain(automaton, FRESH, rest, &mut hit),
                    skipped => skipped,
                },
                (1, Some(reading)) => self.plain(automaton, *reading, rest, &mut hit),
                _ => 0,
            };
            if read > 0 {
                continue;
            }
            if self.jumps.len() >= self.room {
                self.forget(automaton);
            }
            let letter = match escape::read(rest) {
                Ok(letter) => Some(letter),
                Err(Not::Whole) if goes_on => return,
                Err(_) => None,
            };
            let place = self.at;
            let mut here = std::mem::take(&mut self.readings[place % REACH]);
            self.count -= here.len();
            self.at += 1;
            for reading in if here.is_empty() { &[FRESH][..] } else { &here } {
                self.byte(automaton, *reading, rest[0], &mut hit);
                if let Some(letter) = letter {
                    self.letter(automaton, place, *reading, letter, &mut hit);
                }
            }
            // Its memory is of use again.
            here.clear();
            self.readings[place % REACH] = here;
        }
    }

    /// Nothing of a needle is there: on to where one may begin.
    fn skip(&mut self, automaton: &Automaton, rest: &[u8]) -> usize {
        self.jumps.clear();
        let stop = |byte: &u8| automaton.begins(*byte) || escape::begins(*byte);
        let read = rest.iter().position(stop).unwrap_or(rest.len());
        self.at += read;
        read
    }

    /// The only reading goes on, up to an escape or until it has nothing.
    fn plain(
        &mut self,
        automaton: &Automaton,
        mut reading: Reading,
        rest: &[u8],
        hit: &mut impl FnMut(Range<usize>, usize),
    ) -> usize {
        let mut read = 0;
        for byte in rest.iter().take_while(|byte| !escape::begins(**byte)) {
            reading.state = automaton.next(reading.state, *byte);
            read += 1;
            if let Some(needle) = automaton.found(reading.state) {
                let place = self.at + read;
                let start = self.raw(&reading, place - reading.lag - needle.len);
                hit(start..place, needle.of);
            }
            if reading.state == NOTHING {
                break;
            }
        }
        if read > 0 {
            self.readings[self.at % REACH].clear();
            self.count = 0;
            self.at += read;
            self.add(automaton, self.at, reading);
        }
        read
    }

    /// A reading goes on with the byte before where it is.
    fn byte(
        &mut self,
        automaton: &Automaton,
        reading: Reading,
        byte: u8,
        hit: &mut impl FnMut(Range<usize>, usize),
    ) {
        let state = automaton.next(reading.state, byte);
        let reading = Reading { state, ..reading };
        if let Some(Needle { len, of }) = automaton.found(state) {
            hit(self.raw(&reading, self.at - reading.lag - len)..self.at, of);
        }
        self.add(automaton, self.at, reading);
    }

    /// A reading goes on with what an escape at a place means.
    fn letter(
        &mut self,
        automaton: &Automaton,
        place: usize,
        mut reading: Reading,
        letter: escape::Letter,
        hit: &mut impl FnMut(Range<usize>, usize),
    ) {
        let (bytes, end) = (letter.bytes(), place + letter.raw);
        let next = |state, byte: &u8| automaton.next(state, *byte);
        let after = bytes.iter().fold(reading.state, next);
        // Most mean nothing; no needle is so short that it begins and ends within one letter's bytes.
        if after == NOTHING && (reading.state == NOTHING || bytes.len() == 1) {
            return;
        }
        let first = place - reading.lag;
        self.jumps.push(Jump {
            raw: place,
            read: (first, first + bytes.len()),
            lag: reading.lag,
            before: reading.jump,
        });
        reading.lag = end - (first + bytes.len());
        reading.jump = (self.jumps.len() - 1) as u32;
        for (byte, read) in bytes.iter().zip(first + 1..) {
            reading.state = automaton.next(reading.state, *byte);
            if let Some(Needle { len, of }) = automaton.found(reading.state) {
                hit(self.raw(&reading, read - len)..end, of);
            }
        }
        self.add(automaton, end, reading);
    }

    fn add(&mut self, automaton: &Automaton, place: usize, reading: Reading) {
        if reading.state == NOTHING {
            return;
        }
        let depth = |reading: &Reading| automaton.depth(reading.state);
        let there = &self.readings[place % REACH];
        if let Some(same) = there.iter().position(|other| other.state == reading.state) {
            let start = |reading| self.start(automaton, place, reading);
            // The longer text is hidden.
            if start(&reading) < start(&there[same]) {
                self.readings[place % REACH][same] = reading;
            }
        } else if there.len() < READINGS {
            self.readings[place % REACH].push(reading);
            self.count += 1;
        } else {
            let there = &mut self.readings[place % REACH];
            let least = there.iter_mut().min_by_key(|other| depth(other));
            if let Some(least) = least.filter(|least| depth(least) < depth(&reading)) {
                *least = reading;
            }
        }
    }

    /// Where the beginning of a needle begins, of a reading up to a place.
    fn start(&self, automaton: &Automaton, place: usize, reading: &Reading) -> usize {
        self.raw(
            reading,
            place - reading.lag - automaton.depth(reading.state),
        )
    }

    /// Where a byte that was read is in the text.
    fn raw(&self, reading: &Reading, read: usize) -> usize {
        let (mut lag, mut jump) = (reading.lag, reading.jump);
        while let Some(last) = self.jumps.get(jump as usize) {
            if read >= last.read.1 {
                break;
            }
            if read >= last.read.0 {
                return last.raw;
            }
            (lag, jump) = (last.lag, last.before);
        }
        read + lag
    }

    /// Forgets the escapes before all beginnings of needles.
    #[cold]
    fn forget(&mut self, automaton: &Automaton) {
        let old = std::mem::take(&mut self.jumps);
        let mut kept = Vec::new();
        let mut keep = |reading: &mut Reading, place: usize| {
            let start = place - reading.lag - automaton.depth(reading.state);
            let (mut chain, mut jump) = (Vec::new(), reading.jump);
            while let Some(last) = old.get(jump as usize).filter(|last| last.read.1 > start) {
                chain.push(*last);
                jump = last.before;
            }
            reading.jump = NO_JUMP;
            for last in chain.into_iter().rev() {
                kept.push(Jump {
                    before: reading.jump,
                    ..last
                });
                reading.jump = (kept.len() - 1) as u32;
            }
        };
        for place in self.at..self.at + REACH {
            for reading in &mut self.readings[place % REACH] {
                keep(reading, place);
            }
        }
        self.room = JUMPS.max(2 * kept.len());
        self.jumps = kept;
    }
}
