use super::{CHECKSUM, FORMAT, HEAD, Header, MAGIC, PAYLOAD_BYTES, Trailer, checksum, hex};
use crate::envelope;
use crate::error::NodeError;
use crate::keys;
use crate::node::random_bytes;
use crate::objects::Object as _;
use crate::stored::{corrupt, decode};
use bytes::Bytes;
use conveyor_proto::storage::v1::{RecordKind, StoreMeta, StoredToken};
use conveyor_store::{Store, Transaction};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// Bytes and entries of one transaction of a restore: 4 MiB, a quarter of what a store takes.
const GROUP_BYTES: usize = 4 << 20;
const GROUP_ENTRIES: usize = 10_000;

/// What a whole and undamaged backup has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// When it was made: milliseconds since 1970.
    pub created_ms: u64,
    /// The release that made it.
    pub created_by: String,
    /// How many entries.
    pub entries: u64,
    /// How many runs.
    pub runs: u64,
    /// How many access tokens.
    pub tokens: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Reads a backup to its last byte and checks all of it. Blocks.
///
/// # Errors
/// [`NodeError::Invalid`] for what is no backup, or one of a newer format; [`NodeError::Corrupt`] with the
/// place for one that is damaged or not whole; [`NodeError::Unavailable`] when it cannot be read.
pub fn verify(input: impl Read) -> Result<Contents, NodeError> {
    each(input, |_, _| Ok(()))
}

/// What a restore makes of the access tokens of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// None holds: which of them were revoked since, the backup cannot know.
    LeftOut,
    /// All hold as they did when the backup was made, those that were revoked since too.
    Kept,
}

/// Writes a backup into an empty store. Verify it first: what comes before damage is written already when
/// that is met. The contents are those of the backup, whatever becomes of its tokens. Blocks.
///
/// # Errors
/// As [`verify`], and those of the store.
pub fn restore(input: impl Read, store: &dyn Store, tokens: Tokens) -> Result<Contents, NodeError> {
    let (mut group, mut bytes, mut entries) = (Transaction::new(), 0, 0);
    let contents = each(input, |key, value| {
        if tokens == Tokens::LeftOut && is_token(&key) {
            return Ok(());
        }
        let value = restored(&key, value)?;
        bytes += key.len() + value.len();
        entries += 1;
        group.put(key, value);
        if bytes > GROUP_BYTES || entries == GROUP_ENTRIES {
            (bytes, entries) = (0, 0);
            store.commit(&std::mem::take(&mut group))?;
        }
        Ok(())
    })?;
    if entries > 0 {
        store.commit(&group)?;
    }
    Ok(contents)
}

/// Whether a key is that of an access token; they have no namespace.
fn is_token(key: &[u8]) -> bool {
    key.starts_with(&keys::object(StoredToken::KIND, "", ""))
}

/// The store gets a key of tokens of its own: nothing that was handed out before is taken.
fn restored(key: &[u8], value: Bytes) -> Result<Bytes, NodeError> {
    if key != keys::meta() {
        return Ok(value);
    }
    let mut meta: StoreMeta = decode(RecordKind::StoreMeta, &value)?;
    meta.token_key = random_bytes().to_vec().into();
    Ok(envelope::wrap(RecordKind::StoreMeta, 0, &meta.encode_to_vec()).into())
}

fn each(
    input: impl Read,
    mut entry: impl FnMut(Bytes, Bytes) -> Result<(), NodeError>,
) -> Result<Contents, NodeError> {
    let mut file = File::open(input)?;
    let mut contents = Contents::default();
    let mut last: Option<Bytes> = None;
    let (kind, header) = file.frame()?;
    if kind != b'H' {
        return Err(file.damaged("it does not begin with its header"));
    }
    let header: Header = serde_json::from_slice(&header).map_err(corrupt)?;
    (contents.created_ms, contents.created_by) = (header.created_ms, header.created_by);
    loop {
        let before = file.hash.clone();
        let (kind, payload) = file.frame()?;
        match kind {
            b'E' => {
                let mut rest = payload;
                while !rest.is_empty() {
                    let (key, value) = take(&mut rest)
                        .ok_or_else(|| file.damaged("an entry is longer than its frame"))?;
                    if last.as_ref().is_some_and(|last| *last >= key) {
                        return Err(file.damaged("its entries are not in order"));
                    }
                    contents.entries += 1;
                    contents.runs += u64::from(key.starts_with(&keys::summaries()));
                    contents.tokens += u64::from(is_token(&key));
                    last = Some(key.clone());
                    entry(key, value)?;
                }
            }
            b'T' => {
                let trailer: Trailer = serde_json::from_slice(&payload).map_err(corrupt)?;
                if trailer.entries != contents.entries || trailer.sha256 != hex(&before.finalize())
                {
                    return Err(file.damaged("its trailer is that of other entries"));
                }
                if !file.is_at_end()? {
                    return Err(file.damaged("something follows its trailer"));
                }
                contents.bytes = file.at;
                return Ok(contents);
            }
            _ => return Err(file.damaged("a frame is of no kind that is known")),
        }
    }
}

/// The first entry of a frame's rest.
fn take(rest: &mut Bytes) -> Option<(Bytes, Bytes)> {
    let length = |at: usize| {
        let bytes = rest.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let (key, value) = (length(0)?, length(4)?);
    let end = 8usize.checked_add(key)?.checked_add(value)?;
    if end > rest.len() {
        return None;
    }
    let mut entry = rest.split_to(end);
    let head = entry.split_to(8 + key);
    // Copied: what is kept of an entry is not to keep its whole frame.
    Some((
        Bytes::copy_from_slice(&head[8..]),
        Bytes::copy_from_slice(&entry),
    ))
}

struct File<R> {
    input: R,
    at: u64,
    hash: Sha256,
}

impl<R: Read> File<R> {
    fn open(input: R) -> Result<File<R>, NodeError> {
        let mut file = File {
            input,
            at: 0,
            hash: Sha256::new(),
        };
        let no_backup = || NodeError::Invalid("it is no backup that `conveyor backup` made".into());
        let mut line = Vec::new();
        loop {
            let byte = file.exactly(1).map_err(|_| no_backup())?[0];
            if byte == b'\n' {
                break;
            }
            line.push(byte);
            if line.len() > MAGIC.len() + 10 {
                return Err(no_backup());
            }
        }
        let format = std::str::from_utf8(&line).ok();
        let format = format.and_then(|line| line.strip_prefix(MAGIC)?.parse::<u32>().ok());
        match format {
            Some(FORMAT) => Ok(file),
            Some(format) => Err(NodeError::Invalid(format!(
                "the backup has format {format}, and this release reads format {FORMAT}: restore it with the \
                 release that made it, or a later one"
            ))),
            None => Err(no_backup()),
        }
    }

    /// The next frame: its kind and payload.
    fn frame(&mut self) -> Result<(u8, Bytes), NodeError> {
        let mut frame = self.exactly(HEAD)?;
        let length = u32::from_le_bytes([frame[1], frame[2], frame[3], frame[4]]) as usize;
        if length > PAYLOAD_BYTES {
            return Err(self.damaged("the length of a frame is none that is written"));
        }
        frame.extend(self.exactly(length)?);
        let expected = checksum(&frame);
        if self.exactly(CHECKSUM)? != expected {
            return Err(self.damaged("the checksum of a frame is not that of its bytes"));
        }
        Ok((frame[0], Bytes::from(frame).slice(HEAD..)))
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, NodeError> {
        let mut bytes = vec![0; length];
        self.input
            .read_exact(&mut bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    self.damaged("it ends early: it was not written to its end, or was cut short")
                }
                _ => NodeError::Unavailable(format!("reading the backup: {error}")),
            })?;
        self.hash.update(&bytes);
        self.at += length as u64;
        Ok(bytes)
    }

    fn is_at_end(&mut self) -> Result<bool, NodeError> {
        let mut one = [0];
        let read = self.input.read(&mut one);
        let read = read.map_err(|error| NodeError::Unavailable(format!("reading it: {error}")))?;
        Ok(read == 0)
    }

    fn damaged(&self, problem: &str) -> NodeError {
        NodeError::Corrupt(format!(
            "the backup is damaged at byte {}: {problem}",
            self.at
        ))
    }
}
