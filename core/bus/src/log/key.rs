use conveyor_store::{Bytes, KeyRange};

const PREFIX: &[u8] = b"l/";
/// Where the number of commits lies: before all logs.
pub(super) const COMMITS: &[u8] = b"l.";
/// Bytes of a key before the offset: prefix, run, step, instance, attempt.
const ATTEMPT_BYTES: usize = PREFIX.len() + 16 + 4 + 4 + 4;
/// The offset under which an attempt's end lies, after every line.
const END: u64 = u64::MAX;

/// Whose log it is (PROTOCOL P1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    /// The run's UUID.
    pub run: [u8; 16],
    /// The step's index in the plan.
    pub step: u32,
    /// The instance, 0 for a plain step.
    pub instance: u32,
    /// The attempt, from 1.
    pub attempt: u32,
}

impl AttemptKey {
    /// Every row of the logs of one run, to delete them with it.
    #[must_use]
    pub fn of_run(run: [u8; 16]) -> KeyRange {
        KeyRange::prefix([PREFIX, &run].concat())
    }

    /// Every row of all logs.
    #[must_use]
    pub fn of_all() -> KeyRange {
        KeyRange::prefix(PREFIX)
    }

    /// The run that a row is of; `None` for another key.
    #[must_use]
    pub fn run_of(key: &[u8]) -> Option<[u8; 16]> {
        key.strip_prefix(PREFIX)?.get(..16)?.try_into().ok()
    }

    /// The offset that a row's key says; `None` for another key.
    pub(super) fn offset_of(key: &[u8]) -> Option<u64> {
        let offset = key.get(ATTEMPT_BYTES..)?.try_into().ok()?;
        key.starts_with(PREFIX).then(|| u64::from_be_bytes(offset))
    }

    /// Every row of this attempt's log.
    #[must_use]
    pub fn rows(&self) -> KeyRange {
        KeyRange::prefix(self.prefix())
    }

    /// The chunks whose first offset is `from` or later.
    pub(super) fn chunks_from(&self, from: u64) -> KeyRange {
        KeyRange::new(self.chunk(from), self.end())
    }

    /// The chunks whose first offset is `to` or earlier.
    pub(super) fn chunks_to(&self, to: u64) -> KeyRange {
        KeyRange::new(self.chunk(0), self.chunk(to.saturating_add(1)))
    }

    pub(super) fn chunk(&self, first_offset: u64) -> Bytes {
        let mut key = self.prefix();
        key.extend_from_slice(&first_offset.to_be_bytes());
        key.into()
    }

    pub(super) fn end(&self) -> Bytes {
        self.chunk(END)
    }

    fn prefix(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(ATTEMPT_BYTES + 8);
        key.extend_from_slice(PREFIX);
        key.extend_from_slice(&self.run);
        for part in [self.step, self.instance, self.attempt] {
            key.extend_from_slice(&part.to_be_bytes());
        }
        key
    }
}
