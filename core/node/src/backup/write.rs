use super::{FORMAT, Header, MAGIC, Trailer, checksum, hex};
use crate::envelope;
use crate::error::NodeError;
use crate::keys;
use crate::reader::Reader;
use crate::stored::{corrupt, decode};
use bytes::Bytes;
use conveyor_engine::time::Time;
use conveyor_proto::storage::v1::{RecordKind, StoreMeta};
use conveyor_store::{KeyRange, Store, View};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;

/// A frame of entries ends with the entry that takes it beyond this: 1 MiB, about what one message
/// carries.
const FRAME_BYTES: usize = 1 << 20;
/// Entries that are read at once.
const PAGE: usize = 4096;

/// A backup on its way: pieces of a file, in their order.
pub struct Backup {
    view: Box<dyn View>,
    rest: Option<KeyRange>,
    ready: VecDeque<Bytes>,
    entries: u64,
    hash: Option<Sha256>,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup")
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

impl Backup {
    /// Of what a store holds now. Blocks, as all of it does.
    ///
    /// # Errors
    /// When the store cannot be read, or has no views.
    pub fn of(store: &dyn Store, now: Time) -> Result<Backup, NodeError> {
        let mut backup = Backup {
            view: store.view()?,
            rest: Some(KeyRange::all()),
            ready: VecDeque::new(),
            entries: 0,
            hash: Some(Sha256::new()),
        };
        let header = Header {
            created_ms: now.0,
            created_by: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut first = format!("{MAGIC}{FORMAT}\n").into_bytes();
        first.extend(frame(b'H', &json(&header)?));
        backup.push(first);
        Ok(backup)
    }

    /// The next piece of the file, about a megabyte; `None` after the last.
    ///
    /// # Errors
    /// When the store cannot be read: the file is not whole, and cannot become so.
    pub fn piece(&mut self) -> Result<Option<Bytes>, NodeError> {
        while self.ready.is_empty() {
            let Some(range) = self.rest.take() else {
                return self.trailer();
            };
            let page = self.view.scan(&range, PAGE)?;
            let mut payload = Vec::new();
            for (key, value) in &page.entries {
                let Some(value) = kept(key, value)? else {
                    continue;
                };
                payload.extend((key.len() as u32).to_le_bytes());
                payload.extend((value.len() as u32).to_le_bytes());
                payload.extend_from_slice(key);
                payload.extend_from_slice(&value);
                self.entries += 1;
                if payload.len() > FRAME_BYTES {
                    self.push(frame(b'E', &std::mem::take(&mut payload)));
                }
            }
            if !payload.is_empty() {
                self.push(frame(b'E', &payload));
            }
            self.rest = page.rest(&range, conveyor_store::Direction::Forward);
        }
        Ok(self.ready.pop_front())
    }

    fn trailer(&mut self) -> Result<Option<Bytes>, NodeError> {
        let Some(hash) = self.hash.take() else {
            return Ok(None);
        };
        let trailer = Trailer {
            entries: self.entries,
            sha256: hex(&hash.finalize()),
        };
        Ok(Some(frame(b'T', &json(&trailer)?).into()))
    }

    fn push(&mut self, bytes: Vec<u8>) {
        if let Some(hash) = &mut self.hash {
            hash.update(&bytes);
        }
        self.ready.push_back(bytes.into());
    }
}

impl Reader {
    /// A backup of what the store holds now.
    ///
    /// # Errors
    /// When the store cannot be read, or has no views.
    pub async fn backup(&self, now: Time) -> Result<Backup, NodeError> {
        self.on_worker(move |reader| Backup::of(reader.store().as_ref(), now))
            .await
    }

    /// The next piece of a backup; see [`Backup::piece`].
    ///
    /// # Errors
    /// As there.
    pub async fn next_piece(
        &self,
        mut backup: Backup,
    ) -> Result<(Backup, Option<Bytes>), NodeError> {
        self.on_worker(move |_| {
            let next = backup.piece()?;
            Ok((backup, next))
        })
        .await
    }
}

/// A value as a backup has it; `None` where it has none.
fn kept(key: &[u8], value: &Bytes) -> Result<Option<Bytes>, NodeError> {
    if key.starts_with(&keys::sessions()) || key == keys::reclaim() {
        return Ok(None);
    }
    if key == keys::meta() {
        let mut meta: StoreMeta = decode(RecordKind::StoreMeta, value)?;
        meta.token_key = Bytes::new();
        let row = envelope::wrap(RecordKind::StoreMeta, 0, &meta.encode_to_vec());
        return Ok(Some(row.into()));
    }
    Ok(Some(value.clone()))
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend((payload.len() as u32).to_le_bytes());
    frame.extend_from_slice(payload);
    let checksum = checksum(&frame);
    frame.extend(checksum);
    frame
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, NodeError> {
    serde_json::to_vec(value).map_err(corrupt)
}
