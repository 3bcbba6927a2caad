use crate::{Error, ErrorKind, KeyRange, Limits};
use bytes::Bytes;
use std::collections::HashSet;

/// Compares and writes that happen together or not at all.
///
/// A key may be compared once and written (put or deleted) once. Every compare sees the state before
/// the transaction. Deleted ranges must not contain a key that the same transaction puts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What must hold.
    pub compares: Vec<Compare>,
    /// Keys and their new values.
    pub puts: Vec<(Bytes, Bytes)>,
    /// Keys to remove; one that is absent is not an error.
    pub deletes: Vec<Bytes>,
    /// Ranges to empty. Each key in them counts as an operation: empty a large range in parts.
    pub delete_ranges: Vec<KeyRange>,
}

/// What must be under a key for the transaction to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key.
    pub key: Bytes,
    /// What must be there.
    pub expected: Expected,
}

/// What is expected under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// Exactly these bytes.
    Value(Bytes),
}

impl Expected {
    /// Whether `found` is as expected.
    #[must_use]
    pub fn matches(&self, found: Option<&[u8]>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Value(value) => found == Some(value.as_ref()),
        }
    }
}

impl Transaction {
    /// One without compares or writes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires `expected` under `key`.
    pub fn compare(&mut self, key: impl Into<Bytes>, expected: Expected) -> &mut Self {
        self.compares.push(Compare {
            key: key.into(),
            expected,
        });
        self
    }

    /// Writes `value` under `key`.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Self {
        self.puts.push((key.into(), value.into()));
        self
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: impl Into<Bytes>) -> &mut Self {
        self.deletes.push(key.into());
        self
    }

    /// Removes every key in `range`.
    pub fn delete_range(&mut self, range: KeyRange) -> &mut Self {
        self.delete_ranges.push(range);
        self
    }

    /// Whether it writes nothing.
    #[must_use]
    pub fn writes_nothing(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty() && self.delete_ranges.is_empty()
    }

    /// Compares and writes, each deleted range counted once.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.compares.len() + self.puts.len() + self.deletes.len() + self.delete_ranges.len()
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let compares = self.compares.iter().map(|compare| {
            compare.key.len()
                + match &compare.expected {
                    Expected::Absent => 0,
                    Expected::Value(value) => value.len(),
                }
        });
        let puts = self.puts.iter().map(|(key, value)| key.len() + value.len());
        let deletes = self.deletes.iter().map(Bytes::len);
        compares.chain(puts).chain(deletes).sum()
    }

    /// Checks the rules above and `limits`. Every backend calls it first, so that a transaction is
    /// refused alike everywhere.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] or [`ErrorKind::TooLarge`], naming the key.
    pub fn check(&self, limits: &Limits) -> Result<(), Error> {
        at_most("operations", self.operations(), limits.operations)?;
        at_most("transaction_bytes", self.bytes(), limits.transaction_bytes)?;

        let mut compared = HashSet::with_capacity(self.compares.len());
        for compare in &self.compares {
            self.check_key(&compare.key, limits)?;
            if !compared.insert(&compare.key) {
                return Err(twice(&compare.key, "compared"));
            }
        }
        let mut written = HashSet::with_capacity(self.puts.len() + self.deletes.len());
        for (key, value) in &self.puts {
            self.check_key(key, limits)?;
            at_most("record_bytes", value.len(), limits.record_bytes)
                .map_err(|error| error.with("key", key.escape_ascii()))?;
            if !written.insert(key) {
                return Err(twice(key, "written"));
            }
        }
        for key in &self.deletes {
            self.check_key(key, limits)?;
            if !written.insert(key) {
                return Err(twice(key, "written"));
            }
        }
        for range in &self.delete_ranges {
            if let Some((key, _)) = self.puts.iter().find(|(key, _)| range.contains(key)) {
                return Err(invalid(
                    key,
                    "it is put and lies in a range that is deleted",
                ));
            }
        }
        Ok(())
    }

    fn check_key(&self, key: &Bytes, limits: &Limits) -> Result<(), Error> {
        if key.is_empty() {
            return Err(invalid(key, "it is empty"));
        }
        at_most("key_bytes", key.len(), limits.key_bytes)
    }
}

/// Refuses `value` over `maximum` under the limit's name.
pub(crate) fn at_most(limit: &'static str, value: usize, maximum: u64) -> Result<(), Error> {
    let value = value as u64;
    if value <= maximum {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TooLarge {
            limit,
            value,
            maximum,
        },
        "commit",
    ))
}

fn twice(key: &Bytes, verb: &str) -> Error {
    invalid(key, &format!("it is {verb} twice"))
}

fn invalid(key: &Bytes, problem: &str) -> Error {
    Error::new(ErrorKind::Invalid, "commit")
        .with("key", key.escape_ascii())
        .with("problem", problem)
}
