use super::cursor::{Cursor, Lane, Place};
use crate::error::NodeError;
use crate::keys;
use crate::reader::Reader;
use crate::stored::{corrupt, decode, row};
use conveyor_proto::storage::v1::{RecordKind, StoredEvent, StoredEventFloor};
use conveyor_store::{Direction, KeyRange, Store};

/// An event, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its lane.
    pub lane: Lane,
    /// Its place there.
    pub place: Place,
    /// What happened.
    pub event: StoredEvent,
}

/// Some of the events after a cursor: of each lane in its order, both together by their time.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// They.
    pub events: Vec<Told>,
    /// Where whoever has them is.
    pub through: Cursor,
    /// Whether there are no more.
    pub all: bool,
}

/// What there is after a cursor.
#[derive(Clone, Debug)]
pub enum Read {
    /// Events, or none.
    Page(Page),
    /// The cursor is of no event that is kept: what came after it nobody can tell whole.
    Gap {
        /// The oldest cursor that there is.
        oldest: Cursor,
    },
}

impl Reader {
    /// After all events that there are.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn feed_end(&self) -> Result<Cursor, NodeError> {
        self.on_worker(|reader| {
            let store = reader.store().as_ref();
            let mut end = Cursor::default();
            for lane in Lane::ALL {
                end.advance(lane, last(store, lane)?);
            }
            // Read last: what is deleted meanwhile is at or before it.
            end.advance_to(&floor(store)?);
            Ok(end)
        })
        .await
    }

    /// Before the oldest event that is kept.
    ///
    /// # Errors
    /// As [`Reader::feed_end`].
    pub async fn feed_oldest(&self) -> Result<Cursor, NodeError> {
        self.on_worker(|reader| floor(reader.store().as_ref()))
            .await
    }

    /// Whether the events at a cursor are those that it was made of; where not, the oldest cursor that there
    /// is.
    ///
    /// # Errors
    /// As [`Reader::feed_end`].
    pub async fn feed_gap(&self, cursor: Cursor) -> Result<Option<Cursor>, NodeError> {
        self.on_worker(move |reader| {
            let store = reader.store().as_ref();
            for lane in Lane::ALL {
                let place = cursor.at(lane);
                let key = place.key(lane);
                let there = match store.get(&key)? {
                    Some(value) => Place::of(&key, &value) == Some(place),
                    None => place == floor(store)?.at(lane),
                };
                if !there {
                    return floor(store).map(Some);
                }
            }
            Ok(None)
        })
        .await
    }

    /// Events after a cursor: at most `limit` of each lane.
    ///
    /// # Errors
    /// When the store cannot be read, or has something else there.
    pub async fn feed(&self, after: Cursor, limit: usize) -> Result<Read, NodeError> {
        self.on_worker(move |reader| page(reader.store().as_ref(), after, limit))
            .await
    }
}

fn page(store: &dyn Store, after: Cursor, limit: usize) -> Result<Read, NodeError> {
    let mut page = Page {
        events: Vec::new(),
        through: after,
        all: true,
    };
    for lane in Lane::ALL {
        let mut range = KeyRange::prefix(keys::events(lane.byte()));
        let mut start = after.at(lane).key(lane);
        start.push(0);
        range.start = start.into();
        let found = store.scan(&range, Direction::Forward, limit)?;
        for (key, value) in &found.entries {
            let place =
                Place::of(key, value).ok_or_else(|| corrupt("an event's key has no place"))?;
            let event = decode(RecordKind::Event, value)?;
            page.through.advance(lane, place);
            page.events.push(Told { lane, place, event });
        }
        page.all &= found.rest(&range, Direction::Forward).is_none();
    }
    // Read last: what was deleted before the pages were read is seen here.
    let oldest = floor(store)?;
    let gap = |lane: &Lane| after.at(*lane).is_before(oldest.at(*lane));
    if Lane::ALL.iter().any(gap) {
        return Ok(Read::Gap { oldest });
    }
    // Stable: clocks that go back change no lane's order, for they are only compared across the two.
    by_time(&mut page.events);
    Ok(Read::Page(page))
}

/// Merges the two lanes, which follow each other, by time; each keeps its order. Of the same instant an
/// object comes first: its change may have started the run.
fn by_time(events: &mut Vec<Told>) {
    let objects = events.partition_point(|told| told.lane == Lane::Runs);
    let objects = events.split_off(objects);
    let runs = std::mem::take(events);
    let (mut runs, mut objects) = (runs.into_iter().peekable(), objects.into_iter().peekable());
    loop {
        let next = match (runs.peek(), objects.peek()) {
            (Some(run), Some(object)) if object.event.time_ms <= run.event.time_ms => {
                objects.next()
            }
            (Some(_), _) => runs.next(),
            (None, _) => objects.next(),
        };
        match next {
            Some(told) => events.push(told),
            None => return,
        }
    }
}

/// Which events were deleted: all up to there.
pub(crate) fn floor(store: &dyn Store) -> Result<Cursor, NodeError> {
    let row: Option<StoredEventFloor> = row(store, RecordKind::EventFloor, &keys::event_floor())?;
    Ok(row.unwrap_or_default().into())
}

/// The last event of a lane; the start where there is none.
pub(super) fn last(store: &dyn Store, lane: Lane) -> Result<Place, NodeError> {
    let range = KeyRange::prefix(keys::events(lane.byte()));
    let page = store.scan(&range, Direction::Reverse, 1)?;
    let last = page.entries.first();
    let place = last.map(|(key, value)| {
        Place::of(key, value).ok_or_else(|| corrupt("an event's key has no place"))
    });
    Ok(place.transpose()?.unwrap_or_default())
}
