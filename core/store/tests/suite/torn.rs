//! Journals that end in a torn commit, and journals that are damaged.

use crate::backends::{hold, open};
use conveyor_store::{Access, Embedded, Error, ErrorKind, Expected, Store, Transaction};
use std::fs;
use std::path::{Path, PathBuf};

/// A store of some commits in a journal whose batches' ends are known.
struct Made {
    root: tempfile::TempDir,
    /// Where the batch of each commit ends.
    ends: Vec<u64>,
}

const COMMITS: u64 = 8;

impl Made {
    fn new() -> Self {
        let root = memory_dir();
        let mut ends = Vec::new();
        {
            let store = open(&root.path().join("data"));
            for number in 1..=COMMITS {
                commit(&store, number);
                // fjall reserves zeros, and a batch ends with another byte.
                let bytes = fs::read(journal(&root.path().join("data"))).unwrap();
                let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
                ends.push(end as u64);
            }
        }
        Self { root, ends }
    }

    fn end(&self, commit: u64) -> u64 {
        self.ends[commit as usize - 1]
    }

    /// A copy whose journal is what `change` makes of it, up to the last batch's end.
    fn copy(&self, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let copy = self.root.path().join("copy");
        let _ = fs::remove_dir_all(&copy);
        copy_tree(&self.root.path().join("data"), &copy);
        let mut bytes = fs::read(journal(&copy)).unwrap();
        bytes.truncate(self.end(COMMITS) as usize);
        change(&mut bytes);
        fs::write(journal(&copy), bytes).unwrap();
        copy
    }
}

/// In memory where the machine has such a place: thousands of stores are opened here, and none of
/// them depends on a disk.
pub(crate) fn memory_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory)
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// Commit `number`: a counter, a record and a row that moves.
fn commit(store: &Embedded, number: u64) {
    let mut transaction = Transaction::new();
    let key = |name: &str, number: u64| format!("{name}{number}");
    if number > 1 {
        transaction
            .compare("n", Expected::Value((number - 1).to_string().into()))
            .delete(key("live", number - 1));
    }
    transaction
        .put("n", number.to_string())
        .put(key("record", number), vec![number as u8; 40])
        .put(key("live", number), "");
    store.commit(&transaction).unwrap();
}

/// The last commit in a store, after checking that it and those before are there whole and no other
/// is there in part.
fn last(store: &Embedded, what: &str) -> u64 {
    let last = store.get(b"n").unwrap().map_or(0, |bytes| {
        std::str::from_utf8(&bytes).unwrap().parse().unwrap()
    });
    for number in 1..=COMMITS + 1 {
        let record = store.get(format!("record{number}").as_bytes()).unwrap();
        let wanted = (number <= last).then(|| vec![number as u8; 40]);
        assert_eq!(
            record.map(Vec::from),
            wanted,
            "{what}: record {number} of {last}"
        );
        let live = store.get(format!("live{number}").as_bytes()).unwrap();
        assert_eq!(
            live.is_some(),
            number == last,
            "{what}: live {number} of {last}"
        );
    }
    last
}

fn try_open(data: &Path) -> Result<Embedded, Error> {
    Embedded::open(hold(data, Access::Existing))
}

/// Opens `data`, whose last commit must be in `allowed`, goes on from there, and opens it again.
fn goes_on(data: &Path, allowed: std::ops::RangeInclusive<u64>, what: &str) {
    let store = try_open(data).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = last(&store, what);
    assert!(
        allowed.contains(&found),
        "{what}: ends with {found}, not {allowed:?}"
    );
    commit(&store, found + 1);
    drop(store);
    let store = try_open(data).unwrap_or_else(|error| panic!("{what}, once more: {error}"));
    assert_eq!(last(&store, what), found + 1, "{what}");
    assert_eq!(store.cut(), None, "{what}: it was cut once");
}

fn journal(data: &Path) -> PathBuf {
    let store = data.join("store");
    let mut journals: Vec<PathBuf> = fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jnl"))
        .collect();
    assert_eq!(journals.len(), 1);
    journals.remove(0)
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The last three commits, each byte of them.
fn offsets(made: &Made) -> std::ops::Range<usize> {
    made.end(COMMITS - 3) as usize..made.end(COMMITS) as usize
}

#[test]
fn a_journal_may_end_anywhere() {
    let made = Made::new();
    for offset in offsets(&made) {
        let whole = made
            .ends
            .iter()
            .filter(|end| **end <= offset as u64)
            .count() as u64;
        let data = made.copy(|bytes| bytes.truncate(offset));
        goes_on(&data, whole..=whole, &format!("ends at {offset}"));
    }
}

/// A power failure leaves zeros where the length was written and the bytes were not.
#[test]
fn a_journal_may_end_in_zeros() {
    let made = Made::new();
    for offset in offsets(&made) {
        let data = made.copy(|bytes| bytes[offset..].fill(0));
        let whole = made
            .ends
            .iter()
            .filter(|end| **end <= offset as u64)
            .count() as u64;
        goes_on(&data, whole..=whole, &format!("zeros from {offset}"));
        // As fjall reserves them.
        let data = made.copy(|bytes| {
            bytes.truncate(offset);
            bytes.resize(1 << 20, 0);
        });
        goes_on(&data, whole..=whole, &format!("reserved from {offset}"));
    }
}

#[test]
fn a_journal_may_end_in_anything() {
    let made = Made::new();
    let mut noise = 0x5eed_u64;
    for offset in offsets(&made) {
        let whole = made
            .ends
            .iter()
            .filter(|end| **end <= offset as u64)
            .count() as u64;
        for longer in [0, 3000] {
            let data = made.copy(|bytes| {
                bytes.resize(bytes.len() + longer, 0);
                for byte in &mut bytes[offset..] {
                    noise = noise
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    *byte = (noise >> 56) as u8;
                }
            });
            goes_on(&data, whole..=whole, &format!("noise from {offset}"));
        }
    }
}

/// Sectors reach the disk in any order: the end of a commit may be there without its beginning.
#[test]
fn the_last_commit_may_have_holes() {
    let made = Made::new();
    let (begin, end) = (made.end(COMMITS - 1) as usize, made.end(COMMITS) as usize);
    for hole in begin..end {
        let data = made.copy(|bytes| bytes[begin..=hole].fill(0));
        goes_on(
            &data,
            COMMITS - 1..=COMMITS,
            &format!("a hole up to {hole}"),
        );
    }
}

#[test]
fn any_bit_of_the_last_commit_may_be_wrong() {
    let made = Made::new();
    for offset in made.end(COMMITS - 1)..made.end(COMMITS) {
        for bit in 0..8 {
            let data = made.copy(|bytes| bytes[offset as usize] ^= 1 << bit);
            goes_on(
                &data,
                COMMITS - 1..=COMMITS,
                &format!("bit {bit} of {offset}"),
            );
        }
    }
}

/// Whole commits follow: nothing that was acknowledged may go without a word.
#[test]
fn damage_before_a_whole_commit_is_refused() {
    let made = Made::new();
    let begin = made.end(COMMITS - 3);
    let middle = begin..made.end(COMMITS - 1);
    let mut opened = 0;
    for offset in middle.clone() {
        for wrong in [1u8, 0x80, 0xff] {
            let data = made.copy(|bytes| bytes[offset as usize] ^= wrong);
            let what = format!("{wrong} in {offset}");
            // fjall's checksum does not cover the seqno. One that still fits between its neighbours
            // changes nothing.
            if let Ok(store) = try_open(&data) {
                assert_eq!(last(&store, &what), COMMITS, "{what}");
                opened += 1;
            } else {
                refused(&data, &[begin, made.end(COMMITS - 2)], &what);
            }
        }
    }
    assert!(opened <= 4, "{opened} of them open");
    let zeros = made.copy(|bytes| bytes[middle.start as usize..middle.end as usize].fill(0));
    refused(&zeros, &[begin], "two commits are zeros");
    let gone = made.copy(|bytes| drop(bytes.drain(middle.start as usize..middle.end as usize)));
    refused(&gone, &[begin], "two commits are gone");
    let twice = made.copy(|bytes| {
        let last = bytes[made.end(COMMITS - 1) as usize..].to_vec();
        bytes.extend_from_slice(&last);
    });
    refused(&twice, &[made.end(COMMITS)], "a commit is there twice");
}

/// The message names the file and the place, and nothing was changed.
fn refused(data: &Path, offsets: &[u64], what: &str) {
    let before = fs::read(journal(data)).unwrap();
    let error = try_open(data)
        .err()
        .unwrap_or_else(|| panic!("{what}: it opens"));
    assert_eq!(*error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    let text = error.to_string();
    assert!(text.contains("stored data is damaged"), "{what}: {text}");
    assert!(
        text.contains(&journal(data).canonicalize().unwrap().display().to_string()),
        "{text}"
    );
    assert!(
        offsets
            .iter()
            .any(|offset| text.contains(&format!("offset: {offset}"))),
        "{what}: {text}"
    );
    assert!(
        fs::read(journal(data)).unwrap() == before,
        "{what}: the journal was changed"
    );
}

#[test]
fn what_is_cut_off_is_told_and_kept() {
    let made = Made::new();
    let offset = made.end(COMMITS) - 5;
    let data = made.copy(|bytes| bytes.truncate(offset as usize));
    let torn = fs::read(journal(&data)).unwrap()[made.end(COMMITS - 1) as usize..].to_vec();
    let store = try_open(&data).unwrap();
    let cut = store.cut().expect("it was cut");
    assert_eq!(cut.offset, made.end(COMMITS - 1));
    assert_eq!(cut.bytes, torn.len() as u64);
    assert_eq!(cut.problem, "it ends early");
    let kept = cut.kept.clone().expect("it was kept");
    assert_eq!(kept, data.canonicalize().unwrap().join("store.torn"));
    assert_eq!(fs::read(kept).unwrap(), torn);
}

/// Journals are more than one when a disk failed between two of fjall's own steps.
#[test]
fn a_torn_end_before_an_empty_journal_is_cut() {
    let made = Made::new();
    let data = made.copy(|bytes| bytes.truncate(made.end(COMMITS) as usize - 1));
    let first = journal(&data);
    let next = first.with_file_name("1.jnl");
    assert_eq!(first.file_name().unwrap(), "0.jnl");
    fs::write(&next, vec![0; 1 << 20]).unwrap();
    let store = try_open(&data).unwrap();
    assert_eq!(last(&store, "two journals"), COMMITS - 1);
    commit(&store, COMMITS);
    drop(store);
    assert_eq!(last(&try_open(&data).unwrap(), "two journals"), COMMITS);
}
