use conveyor_engine::time::Time;
use conveyor_engine::value::Hash;
use std::fmt;
use std::sync::Arc;

/// A run's id: a UUIDv7, so that ids sort by the time they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub [u8; 16]);

impl RunId {
    /// A new id. Takes the clock and randomness from the system; make it before the first try, so
    /// that a repeat finds what the first try made (PROTOCOL P2).
    #[must_use]
    pub fn fresh() -> RunId {
        RunId(uuid::Uuid::now_v7().into_bytes())
    }

    /// The id of a run that something makes at an instant: the same for the same, so that a repeat finds
    /// what the first try made.
    #[must_use]
    pub fn derived(at: Time, from: &[u8]) -> RunId {
        let hash = Hash::of(from);
        let mut random = [0; 10];
        random.copy_from_slice(&hash.0[..10]);
        let id = uuid::Builder::from_unix_timestamp_millis(at.0, &random);
        RunId(id.into_uuid().into_bytes())
    }

    /// Before all ids that were made at an instant, in milliseconds since 1970, and after all that were made
    /// before it. No run has it.
    pub(crate) fn first_of(at: u64) -> RunId {
        // An id has 48 bits of it.
        let at = at.min((1 << 48) - 1).to_be_bytes();
        let mut first = [0; 16];
        first[..6].copy_from_slice(&at[2..]);
        RunId(first)
    }

    /// Reads the usual text of a UUID. `None` when it is none, or not of version 7.
    #[must_use]
    pub fn parse(text: &str) -> Option<RunId> {
        let uuid = uuid::Uuid::try_parse(text).ok()?;
        (uuid.get_version_num() == 7).then(|| RunId(uuid.into_bytes()))
    }

    /// Its text, as facts hold it.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        self.to_string().into()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).fmt(f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lie_between_the_firsts_of_their_instants() {
        for at in [0, 1, 1_800_000_000_000, (1 << 48) - 2] {
            let id = RunId::derived(Time(at), b"x");
            assert!(RunId::first_of(at) < id && id < RunId::first_of(at + 1));
        }
        assert_eq!(RunId::first_of(u64::MAX), RunId::first_of((1 << 48) - 1));
    }

    #[test]
    fn only_version_7_is_an_id() {
        let id = RunId::fresh();
        assert_eq!(RunId::parse(&id.to_string()), Some(id));
        assert_eq!(RunId::parse("6f2c1c1e-6a0b-4d53-9b52-0b8a2f4f9f11"), None);
        assert_eq!(RunId::parse("runs/1"), None);
    }
}
