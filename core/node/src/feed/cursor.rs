use super::{OBJECTS, RUNS};
use crate::keys;
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{StoredEventFloor, StoredEventPlace};
use std::fmt;
use std::str::FromStr;

/// Where an event is in its lane: the commit that has it, and its place there. Zero is before all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    at: (u64, u64, u32),
    /// Of the event's bytes: a store that was restored has others in the same place.
    check: u32,
}

/// One of the two orders that events have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Changes of runs.
    Runs,
    /// Changes of objects.
    Objects,
}

/// Where a follower is: after these events and all that came before them. Prints as a word that
/// [`Cursor::from_str`] reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    runs: Place,
    objects: Place,
}

impl Place {
    pub(crate) fn of(key: &[u8], value: &[u8]) -> Option<Place> {
        let hash = Hash::of(value).0;
        Some(Place {
            at: keys::event_place(key)?,
            check: u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]),
        })
    }

    /// Whether it is in a lane before the other.
    #[must_use]
    pub fn is_before(self, other: Place) -> bool {
        self.at < other.at
    }

    pub(super) fn is_start(self) -> bool {
        self == Place::default()
    }

    pub(super) fn number(self) -> u64 {
        self.at.1
    }

    pub(crate) fn key(self, lane: Lane) -> Vec<u8> {
        keys::event(lane.byte(), self.at)
    }
}

impl Lane {
    pub(crate) const ALL: [Lane; 2] = [Lane::Runs, Lane::Objects];

    pub(crate) fn byte(self) -> u8 {
        match self {
            Lane::Runs => RUNS,
            Lane::Objects => OBJECTS,
        }
    }
}

impl Cursor {
    /// Where it is in a lane.
    #[must_use]
    pub fn at(&self, lane: Lane) -> Place {
        match lane {
            Lane::Runs => self.runs,
            Lane::Objects => self.objects,
        }
    }

    /// Goes on to a place, unless it is there already.
    pub fn advance(&mut self, lane: Lane, to: Place) {
        let at = match lane {
            Lane::Runs => &mut self.runs,
            Lane::Objects => &mut self.objects,
        };
        if at.is_before(to) {
            *at = to;
        }
    }

    /// Goes on to wherever the other is further.
    pub fn advance_to(&mut self, other: &Cursor) {
        for lane in Lane::ALL {
            self.advance(lane, other.at(lane));
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (epoch, number, index) = self.runs.at;
        write!(f, "{epoch}.{number}.{index}.{:08x}", self.runs.check)?;
        write!(f, "-{}.{:08x}", self.objects.number(), self.objects.check)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Cursor, ()> {
        let read = || {
            let (runs, objects) = text.split_once('-')?;
            let mut parts = runs.split('.');
            let at = (
                parts.next()?.parse().ok()?,
                parts.next()?.parse().ok()?,
                parts.next()?.parse().ok()?,
            );
            let check = u32::from_str_radix(parts.next()?, 16).ok()?;
            let (number, mark) = objects.split_once('.')?;
            let cursor = Cursor {
                runs: Place { at, check },
                objects: Place {
                    at: (0, number.parse().ok()?, 0),
                    check: u32::from_str_radix(mark, 16).ok()?,
                },
            };
            // One way to write each.
            (cursor.to_string() == text).then_some(cursor)
        };
        read().ok_or(())
    }
}

impl From<StoredEventFloor> for Cursor {
    fn from(floor: StoredEventFloor) -> Cursor {
        let place = |place: Option<StoredEventPlace>| {
            let place = place.unwrap_or_default();
            Place {
                at: (place.epoch, place.number, place.index),
                check: place.check,
            }
        };
        Cursor {
            runs: place(floor.runs),
            objects: place(floor.objects),
        }
    }
}

impl From<Cursor> for StoredEventFloor {
    fn from(cursor: Cursor) -> StoredEventFloor {
        let place = |place: Place| {
            let (epoch, number, index) = place.at;
            (!place.is_start()).then_some(StoredEventPlace {
                epoch,
                number,
                index,
                check: place.check,
            })
        };
        StoredEventFloor {
            runs: place(cursor.runs),
            objects: place(cursor.objects),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_was_written() {
        let cursor = Cursor {
            runs: Place {
                at: (3, 1 << 40, 7),
                check: 0xa0b,
            },
            objects: Place {
                at: (0, 12, 0),
                check: u32::MAX,
            },
        };
        assert_eq!(cursor.to_string(), "3.1099511627776.7.00000a0b-12.ffffffff");
        for known in [cursor, Cursor::default()] {
            assert_eq!(known.to_string().parse(), Ok(known));
            assert_eq!(Cursor::from(StoredEventFloor::from(known)), known);
        }
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        for text in [
            "",
            "7",
            "17.2",
            "1.2.3-4",
            "1.2.3.00000000-4",
            "1.2.3.0-4.0",
            "+1.2.3.00000000-4.00000000",
            "1.2.3.00000000-4.00000000 ",
            "1.2.3.00000000-4.00000000-1",
            "1.2.4294967296.00000000-4.00000000",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(()), "{text}");
        }
    }
}
