//! The sorted files and their lists, checked before fjall reads them.
//!
//! fjall believes what it finds: it makes a new database where `version` is missing, empties a
//! keyspace whose `current` is missing, and deletes every sorted file that a list does not name, also
//! where the list itself is damaged (it has a checksum, which fjall does not look at). So all of them
//! are looked at here first, and what is not as it was written is refused by its name and left as it
//! is (docs/decisions/0010-embedded-store.md).
//!
//! What a sorted file holds is under checksums that fjall does look at, block by block, when it reads
//! it; it does not say which file it was. [`verify`] finds that out.

use super::engine::KEYSPACES;
use super::journal::io_error;
use crate::{Error, ErrorKind};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

/// What `version` holds in a database of fjall 3.
const VERSION: &[u8] = b"FJL\x03";

/// The keyspace in which fjall has the names of the others. What it reads there decides about whole
/// keyspaces, and it is a few kilobytes: it is checked in full.
const NAMES: u64 = 0;

/// Bytes of `current`: a number, a checksum and the kind of the checksum.
const CURRENT_BYTES: usize = 8 + 16 + 1;

/// The only kind of checksum: XXH3 in 128 bits.
const XXH3: u8 = 0;

/// Bytes of one sorted file in a list: its number, the kind of its checksum, that, and a seqno.
const LISTED_BYTES: usize = 8 + 1 + 16 + 8;

/// Bytes read at once.
const READ: usize = 256 << 10;

/// A sorted file, as the list of its keyspace has it.
struct Listed {
    path: PathBuf,
    checksum: u128,
}

/// Checks that all files that fjall relies on are there and that the lists are what was written.
pub(super) fn check(place: &Path) -> Result<(), Error> {
    let version = place.join("version");
    if read(&version)? != VERSION {
        return Err(damaged(&version, "it is not what fjall 3 writes"));
    }
    // It holds nothing, and a copy of the directory may well lack it.
    let lock = place.join("lock");
    let opened = OpenOptions::new().append(true).create(true).open(&lock);
    opened.map_err(|error| io_error(error, &lock))?;
    let keyspaces = place.join("keyspaces");
    for entry in entries(&keyspaces)? {
        let known = (NAMES..=KEYSPACES).any(|id| entry.ends_with(id.to_string()));
        if !known && entry.is_dir() {
            return Err(damaged(&entry, "it is no part of the store"));
        }
    }
    for id in NAMES..=KEYSPACES {
        let keyspace = keyspaces.join(id.to_string());
        let listed = list(&keyspace)?;
        for file in &listed {
            match file.path.try_exists() {
                Ok(true) if id == NAMES => whole(file)?,
                Ok(true) => {}
                Ok(false) => return Err(damaged(&file.path, "it is missing")),
                Err(error) => return Err(io_error(error, &file.path)),
            }
        }
        // fjall deletes what has a number and is not listed; that is what a kill left behind.
        for entry in entries(&keyspace.join("tables"))? {
            let name = entry.file_name().and_then(|name| name.to_str());
            let ignored = |name: &str| name == ".DS_Store" || name.starts_with("._");
            let known = name.is_some_and(|name| name.parse::<u64>().is_ok() || ignored(name));
            if !known || entry.is_dir() {
                return Err(damaged(&entry, "it is no part of the store"));
            }
        }
    }
    Ok(())
}

/// Reads every listed file and refuses the first that cannot be read or is not what was written. Files
/// that are merged meanwhile may go; those are passed over.
pub(super) fn verify(place: &Path) -> Result<(), Error> {
    for id in NAMES..=KEYSPACES {
        for file in list(&place.join("keyspaces").join(id.to_string()))? {
            if file.path.exists() {
                whole(&file)?;
            }
        }
    }
    Ok(())
}

fn whole(file: &Listed) -> Result<(), Error> {
    let failed = |error| io_error(error, &file.path);
    let mut reader = File::open(&file.path).map_err(failed)?;
    let mut hash = Xxh3Default::new();
    let mut part = vec![0; READ];
    loop {
        match reader.read(&mut part) {
            Ok(0) => break,
            Ok(read) => hash.update(&part[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if hash.digest128() == file.checksum {
        Ok(())
    } else {
        Err(damaged(&file.path, "its checksum is not that of its bytes"))
    }
}

/// The sorted files of a keyspace.
fn list(keyspace: &Path) -> Result<Vec<Listed>, Error> {
    let path = keyspace.join("current");
    let current = read(&path)?;
    let (number, checksum) = match current.split_first_chunk() {
        Some((number, rest)) if current.len() == CURRENT_BYTES && rest[16] == XXH3 => {
            let checksum = rest.first_chunk().copied().unwrap_or_default();
            (u64::from_le_bytes(*number), u128::from_le_bytes(checksum))
        }
        _ => return Err(damaged(&path, "it is not what is written")),
    };
    let path = keyspace.join(format!("v{number}"));
    let list = read(&path)?;
    if xxh3_128(&list) != checksum {
        let problem = "its checksum is not the one that `current` beside it has";
        return Err(damaged(&path, problem));
    }
    let unknown = || damaged(&path, "it is not what fjall 3.1 writes");
    let archive = sfa::Reader::from_reader(&mut io::Cursor::new(&list)).map_err(|_| unknown())?;
    let tables = archive.toc().section(b"tables").ok_or_else(unknown)?;
    let begin = usize::try_from(tables.pos()).map_err(|_| unknown())?;
    let bytes = list.get(begin..).ok_or_else(unknown)?;
    let tables = numbers(bytes).ok_or_else(unknown)?;
    let place = keyspace.join("tables");
    Ok(tables
        .into_iter()
        .map(|(id, checksum)| Listed {
            path: place.join(id.to_string()),
            checksum,
        })
        .collect())
}

/// The numbers and checksums of the files in the section `tables` of a list: levels of runs of files.
fn numbers(mut bytes: &[u8]) -> Option<Vec<(u64, u128)>> {
    let mut tables = Vec::new();
    let levels = *bytes.split_off_first()?;
    for _ in 0..levels {
        let runs = *bytes.split_off_first()?;
        for _ in 0..runs {
            let (count, rest) = bytes.split_first_chunk()?;
            bytes = rest;
            for _ in 0..u32::from_le_bytes(*count) {
                let (table, rest) = bytes.split_at_checked(LISTED_BYTES)?;
                bytes = rest;
                let id = u64::from_le_bytes(*table.first_chunk()?);
                if table[8] != XXH3 {
                    return None;
                }
                let checksum = u128::from_le_bytes(*table[9..].first_chunk()?);
                tables.push((id, checksum));
            }
        }
    }
    Some(tables)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(|error| missing(error, directory))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| missing(error, path))
}

/// A file that the store always has.
fn missing(error: io::Error, path: &Path) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => damaged(path, "it is missing"),
        _ => io_error(error, path),
    }
}

fn damaged(path: &Path, problem: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "open")
        .with("file", path.display())
        .with("problem", problem)
}
