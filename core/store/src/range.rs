use bytes::Bytes;

/// A page ends once its keys and values exceed this, 4 MiB: some thousands of journal records, and
/// never more memory than a reader can spare, whatever `limit` it asked for.
pub const PAGE_BYTES: usize = 4 << 20;

/// Keys from `start` (included) to `end` (excluded; `None` is no bound), in byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key of the range.
    pub start: Bytes,
    /// The first key after the range.
    pub end: Option<Bytes>,
}

/// The order in which a range is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the lowest key up.
    Forward,
    /// From the highest key down.
    Reverse,
}

/// A part of a range, in the direction asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and values.
    pub entries: Vec<(Bytes, Bytes)>,
    /// Whether the range has further entries.
    pub more: bool,
}

impl KeyRange {
    /// Every key.
    #[must_use]
    pub fn all() -> Self {
        Self {
            start: Bytes::new(),
            end: None,
        }
    }

    /// From `start` (included) to `end` (excluded).
    #[must_use]
    pub fn new(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self {
            start: start.into(),
            end: Some(end.into()),
        }
    }

    /// Every key that begins with `prefix`.
    #[must_use]
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start: Bytes = prefix.into();
        // The first key after all of them: the prefix without its trailing 0xff bytes, its last
        // byte raised by one. A prefix of 0xff bytes alone has no key after it.
        let end = start.iter().rposition(|byte| *byte != u8::MAX).map(|last| {
            let mut end = start[..=last].to_vec();
            end[last] += 1;
            Bytes::from(end)
        });
        Self { start, end }
    }

    /// Whether `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_ref() && self.end.as_ref().is_none_or(|end| key < end.as_ref())
    }

    /// Whether no key can lie in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

impl Page {
    /// What of `range`, read in `direction`, comes after this page; `None` after the last.
    #[must_use]
    pub fn rest(&self, range: &KeyRange, direction: Direction) -> Option<KeyRange> {
        let (last, _) = self.entries.last().filter(|_| self.more)?;
        Some(match direction {
            Direction::Forward => {
                let mut start = Vec::with_capacity(last.len() + 1);
                start.extend_from_slice(last);
                start.push(0);
                KeyRange {
                    start: start.into(),
                    end: range.end.clone(),
                }
            }
            Direction::Reverse => KeyRange {
                start: range.start.clone(),
                end: Some(last.clone()),
            },
        })
    }

    /// Collects entries until `limit` or [`PAGE_BYTES`] is reached.
    pub(crate) fn collect<E>(
        entries: impl Iterator<Item = Result<(Bytes, Bytes), E>>,
        limit: usize,
    ) -> Result<Self, E> {
        let mut page = Self::default();
        let mut bytes = 0;
        for entry in entries {
            let (key, value) = entry?;
            if page.entries.len() >= limit || bytes >= PAGE_BYTES {
                page.more = true;
                break;
            }
            bytes += key.len() + value.len();
            page.entries.push((key, value));
        }
        Ok(page)
    }
}
