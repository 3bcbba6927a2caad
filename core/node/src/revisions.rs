//! Revisions of pipelines. Each lies in two places, written and removed together: under its digest, of which
//! a part may be given, and under its number, in which order they are listed.

use crate::envelope;
use crate::error::NodeError;
use crate::keys;
use crate::node::Node;
use crate::objects::Changes;
use crate::reader::Reader;
use crate::stored::{decode, scan};
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{Deletion, RecordKind, StoredRevision};
use conveyor_store::{Bytes, Direction, Expected, KeyRange, Store, Transaction};
use prost::Message as _;

/// Revisions that one commit removes.
const TURN: usize = 256;

/// A revision of a pipeline, with what its key says.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundRevision {
    /// The pipeline's name.
    pub pipeline: String,
    /// The digest of its document.
    pub digest: Hash,
    /// What is stored of it.
    pub stored: StoredRevision,
}

/// Some revisions of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct RevisionPage {
    /// Newest first.
    pub revisions: Vec<FoundRevision>,
    /// Whether there are older ones.
    pub more: bool,
}

impl Changes {
    /// Makes a revision of a pipeline; refused where there is one of its number.
    pub fn revision(
        &mut self,
        namespace: &str,
        pipeline: &str,
        digest: &Hash,
        (number, created_ms): (u64, u64),
    ) -> &mut Changes {
        let revision = StoredRevision {
            revision: number,
            created_ms,
            digest: digest.0.to_vec().into(),
        };
        let row = envelope::wrap(RecordKind::Revision, 0, &revision.encode_to_vec());
        let numbered = keys::numbered_revision(namespace, pipeline, number);
        self.also()
            .compare(numbered.clone(), Expected::Absent)
            .put(numbered, row.clone())
            .put(keys::revision(namespace, digest, pipeline), row);
        self
    }
}

impl Reader {
    /// A revision of a pipeline, by the digest of its document.
    ///
    /// # Errors
    /// When the store cannot be read, or has something else there.
    pub async fn revision(
        &self,
        namespace: &str,
        pipeline: &str,
        digest: Hash,
    ) -> Result<Option<StoredRevision>, NodeError> {
        let key = keys::revision(namespace, &digest, pipeline);
        self.on_worker(move |reader| {
            let row = reader.store().get(&key)?;
            row.map(|row| decode(RecordKind::Revision, &row))
                .transpose()
        })
        .await
    }

    /// Revisions of a pipeline, or of all of a namespace, whose digests begin with these hexadecimal
    /// digits, in lower case; in the order of their digests. Those rows alone are read.
    ///
    /// # Errors
    /// As [`Reader::revision`].
    pub async fn revisions_with(
        &self,
        namespace: &str,
        pipeline: Option<&str>,
        digits: &str,
    ) -> Result<Vec<FoundRevision>, NodeError> {
        let mut prefix = keys::revisions_of(namespace);
        let at = prefix.len();
        let pairs = digits.as_bytes().chunks_exact(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        prefix.extend(pairs.map_while(byte));
        let range = KeyRange::prefix(prefix);
        let (pipeline, digits) = (pipeline.map(str::to_owned), digits.to_owned());
        self.on_worker(move |reader| {
            let mut found = Vec::new();
            scan(reader.store().as_ref(), range, |key, raw| {
                let one = named(&key[at..], raw)?;
                let own = pipeline.as_ref().is_none_or(|name| *name == one.pipeline);
                if own && one.digest.to_string().starts_with(&digits) {
                    found.push(one);
                }
                Ok(())
            })?;
            Ok(found)
        })
        .await
    }

    /// Revisions of a pipeline, newest first: at most `limit`, those before the number `before` where it is
    /// given. No others are read, but one where there are more.
    ///
    /// # Errors
    /// As [`Reader::revision`].
    pub async fn revisions(
        &self,
        namespace: &str,
        pipeline: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<RevisionPage, NodeError> {
        let mut range = KeyRange::prefix(keys::numbered_revisions(namespace, pipeline));
        if let Some(before) = before {
            range.end = Some(keys::numbered_revision(namespace, pipeline, before).into());
        }
        let pipeline = pipeline.to_owned();
        self.on_worker(move |reader| {
            let mut page = RevisionPage::default();
            let mut rest = Some(range);
            while let Some(range) = rest {
                let wanted = limit - page.revisions.len();
                let some = reader
                    .store()
                    .scan(&range, Direction::Reverse, wanted + 1)?;
                for (_, raw) in &some.entries {
                    if page.revisions.len() == limit {
                        page.more = true;
                        return Ok(page);
                    }
                    let stored: StoredRevision = decode(RecordKind::Revision, raw)?;
                    page.revisions.push(FoundRevision {
                        pipeline: pipeline.clone(),
                        digest: digest(&stored)?,
                        stored,
                    });
                }
                rest = some.rest(&range, Direction::Reverse);
            }
            Ok(page)
        })
        .await
    }
}

impl Node {
    /// Removes the revisions of all pipelines of a namespace, in turns. A document that nobody else names
    /// goes with a later pass of [`Node::retain`].
    ///
    /// # Errors
    /// Those of the store: what was removed is removed.
    pub async fn forget_revisions(&self, namespace: &str) -> Result<(), NodeError> {
        let mut rest = Some(KeyRange::prefix(keys::revisions_of(namespace)));
        while let Some(range) = rest {
            let (namespace, now) = (namespace.to_owned(), self.now().0);
            let turn =
                move |reader: &Reader| turn(reader.store().as_ref(), &namespace, &range, now);
            rest = self.reader().on_worker(turn).await?;
        }
        Ok(())
    }
}

/// Removes the first revisions of a range, and remembers that their documents may have no user any more.
/// Gives the rest of it.
fn turn(
    store: &dyn Store,
    namespace: &str,
    range: &KeyRange,
    now: u64,
) -> Result<Option<KeyRange>, NodeError> {
    let at = keys::revisions_of(namespace).len();
    let page = store.scan(range, Direction::Forward, TURN)?;
    if page.entries.is_empty() {
        return Ok(None);
    }
    let mut transaction = Transaction::new();
    for (key, raw) in &page.entries {
        let one = named(&key[at..], raw)?;
        let mark = Deletion {
            since_ms: now,
            document: Bytes::from(one.digest.0.to_vec()),
        };
        let mark = envelope::wrap(RecordKind::Deletion, 0, &mark.encode_to_vec());
        let number = one.stored.revision;
        transaction
            .delete(key.clone())
            .delete(keys::numbered_revision(namespace, &one.pipeline, number))
            .put(keys::unused(&one.digest), mark);
    }
    store.commit(&transaction)?;
    Ok(page.rest(range, Direction::Forward))
}

/// A revision by what follows the namespace in its key: its digest, and the pipeline's name.
fn named(key: &[u8], raw: &[u8]) -> Result<FoundRevision, NodeError> {
    let strange = || NodeError::Corrupt("the key of a revision has no digest".into());
    let (digest, name) = key.split_first_chunk::<32>().ok_or_else(strange)?;
    Ok(FoundRevision {
        pipeline: String::from_utf8_lossy(name).into_owned(),
        digest: Hash(*digest),
        stored: decode(RecordKind::Revision, raw)?,
    })
}

/// The digest that a revision's row has.
fn digest(stored: &StoredRevision) -> Result<Hash, NodeError> {
    let bytes = stored.digest.as_ref().try_into();
    let short = |_| NodeError::Corrupt("a revision's digest has not 32 bytes".into());
    bytes.map(Hash).map_err(short)
}
