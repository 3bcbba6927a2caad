//! What is committed together, and what becomes of it.

use crate::error::NodeError;
use crate::feed::RUNS;
use crate::keys;

/// One change of the store: a put, or a delete where there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: Vec<u8>,
    /// The value; `None` deletes.
    pub value: Option<Vec<u8>>,
}

impl From<(Vec<u8>, Vec<u8>)> for Write {
    fn from((key, value): (Vec<u8>, Vec<u8>)) -> Write {
        Write {
            key,
            value: Some(value),
        }
    }
}

impl Write {
    /// How many bytes it has.
    pub(in crate::owner) fn len(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// What a commit came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Committed,
    /// It is not, and will never be.
    Failed(NodeError),
    /// It will never be, because of what is in it: too large, for instance.
    Refused(String),
    /// Another owner has committed.
    Deposed,
    /// Nobody knows.
    Unknown,
}

/// What the commit key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitPoint {
    /// The owner's epoch: a number that grows.
    pub epoch: u64,
    /// The random part of the epoch.
    pub epoch_nonce: u64,
    /// The number of the last commit in it.
    pub number: u64,
}

/// One transaction: it must be committed only where the commit key holds `from`, and makes it `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What the commit key must hold.
    pub from: CommitPoint,
    /// What it holds afterwards.
    pub to: CommitPoint,
    /// The rest. No key twice.
    pub writes: Vec<Write>,
}

impl Group {
    /// Whether it has something that followers of namespaces are told.
    #[must_use]
    pub fn tells(&self) -> bool {
        let last = self.writes.last();
        last.is_some_and(|write| write.key.starts_with(&keys::events(RUNS)))
    }

    /// How many bytes it writes, keys included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.writes.iter().map(|write| write.len() as u64).sum()
    }
}
