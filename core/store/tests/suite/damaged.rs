//! Stores with a file that is not what was written: refused by the file's name, or read right.

use crate::backends::hold;
use crate::torn::{copy_tree, memory_dir};
use bytes::Bytes;
use conveyor_store::{
    Access, CommitError, Direction, Embedded, Error, ErrorKind, Expected, KeyRange, Store,
    Transaction,
};
use std::fs;
use std::path::{Path, PathBuf};

/// Commits of one flush of `written_out`.
const WRITTEN_OUT: u64 = 26;

/// Commits of the store that `made` makes.
const COMMITS: u64 = 2 * WRITTEN_OUT + 3;

/// A store whose commits lie in sorted files of two flushes and, the last ones, in a journal.
fn made() -> tempfile::TempDir {
    let root = memory_dir();
    let data = root.path().join("data");
    let mut last = 0;
    written_out(&data, &mut last);
    written_out(&data, &mut last);
    let store = Embedded::open(hold(&data, Access::Existing)).unwrap();
    for _ in 0..3 {
        commit(&store, &mut last, None);
    }
    assert_eq!(last, COMMITS);
    root
}

/// Makes commits that are in sorted files afterwards: a journal of over 4 MiB is written out when the
/// store is closed.
fn written_out(data: &Path, last: &mut u64) {
    let store = Embedded::open(hold(data, Access::Create)).unwrap();
    let end = *last + WRITTEN_OUT;
    for _ in 0..5 {
        commit(&store, last, Some(vec![7; 1 << 20]));
    }
    while *last < end {
        commit(&store, last, None);
    }
}

fn commit(store: &Embedded, last: &mut u64, padding: Option<Vec<u8>>) {
    try_commit(store, last, padding).unwrap();
}

fn try_commit(
    store: &Embedded,
    last: &mut u64,
    padding: Option<Vec<u8>>,
) -> Result<(), CommitError> {
    let mut transaction = Transaction::new();
    let expected = match *last {
        0 => Expected::Absent,
        last => Expected::Value(last.to_string().into()),
    };
    let next = *last + 1;
    transaction
        .compare("n", expected)
        .put("n", next.to_string())
        .put(format!("record{next}"), vec![next as u8; 40]);
    match padding {
        Some(padding) => _ = transaction.put("padding", padding),
        None => _ = transaction.delete("padding"),
    }
    store.commit(&transaction)?;
    *last = next;
    Ok(())
}

/// Opens a store and reads all of it.
fn read(data: &Path) -> Result<Vec<(Bytes, Bytes)>, Error> {
    let store = Embedded::open(hold(data, Access::Existing))?;
    let page = store.scan(&KeyRange::all(), Direction::Forward, 1000)?;
    for (key, value) in &page.entries {
        assert_eq!(store.get(key)?.as_ref(), Some(value));
    }
    Ok(page.entries)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.append(&mut files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Each way to damage a file, by its name.
fn changes(bytes: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let mut changes = vec![("gone".to_owned(), None)];
    for offset in (0..bytes.len()).step_by((bytes.len() / 60).max(1)) {
        let mut flipped = bytes.to_vec();
        flipped[offset] ^= 1 << (offset % 8);
        changes.push((format!("a bit of {offset}"), Some(flipped)));
        if offset % 5 == 0 {
            let mut zeros = bytes.to_vec();
            zeros[offset..].fill(0);
            changes.push((format!("zeros from {offset}"), Some(zeros)));
            let cut = bytes[..offset].to_vec();
            changes.push((format!("cut at {offset}"), Some(cut)));
        }
    }
    changes.retain(|(_, changed)| changed.as_deref() != Some(bytes));
    changes
}

/// What `changes` makes of a journal is in the tests of torn ones.
#[test]
fn damage_to_any_file_is_refused_by_its_name_or_does_not_matter() {
    let root = made();
    let data = root.path().join("data");
    let copy = root.path().join("copy");
    link_tree(&data, &copy);
    let whole = read(&copy).unwrap();
    assert_eq!(whole.len() as u64, COMMITS + 1);
    let (mut refused, mut right) = (0, 0);
    let files = files(&data.join("store"));
    assert!(files.len() > 12, "{files:?}");
    for file in files {
        let name = file.strip_prefix(&data).unwrap();
        let bytes = fs::read(&file).unwrap();
        let mut changes = changes(&bytes);
        if is_journal(&file) {
            changes.truncate(1);
        }
        for (what, changed) in changes {
            let what = format!("{}: {what}", name.display());
            fs::remove_dir_all(&copy).unwrap();
            link_tree(&data, &copy);
            fs::remove_file(copy.join(name)).unwrap();
            if let Some(changed) = changed {
                fs::write(copy.join(name), changed).unwrap();
            }
            match read(&copy) {
                Ok(entries) => {
                    assert!(entries == whole, "{what}: it reads as something else");
                    right += 1;
                }
                Err(error) => {
                    assert_names(&error, &file, &what);
                    refused += 1;
                }
            }
        }
    }
    // Most of what does not matter is of the commit's number as it was earlier.
    assert!(refused > 800 && right < refused / 10, "{refused} {right}");
}

/// One line that names the file, says what is wrong with it and what to do.
fn assert_names(error: &Error, file: &Path, what: &str) {
    let text = error.to_string();
    assert_eq!(*error.kind(), ErrorKind::Corrupt, "{what}: {text}");
    // What `current` says is about the list beside it, and is known to be wrong only by that.
    let place = match file.file_name().unwrap().to_str().unwrap() {
        "current" => file.parent().unwrap().join("").display().to_string(),
        _ if is_journal(file) => ".jnl".to_owned(),
        _ => file.display().to_string(),
    };
    let place = place.replace("/data/", "/copy/");
    for part in [
        &place,
        "problem: ",
        "directory: ",
        "from a backup, or move it away",
    ] {
        assert!(text.contains(part), "{what}: {text}");
    }
    assert!(
        !text.contains('\n') && !text.contains("FjallError"),
        "{text}"
    );
}

/// As when someone restores the sorted files of one backup and the journal of another.
#[test]
fn a_journal_that_begins_too_late_is_refused() {
    let root = memory_dir();
    let (data, earlier) = (root.path().join("data"), root.path().join("earlier"));
    let mut last = 0;
    written_out(&data, &mut last);
    copy_tree(&data, &earlier);
    written_out(&data, &mut last);
    let store = Embedded::open(hold(&data, Access::Existing)).unwrap();
    commit(&store, &mut last, None);
    drop(store);
    for directory in [&data, &earlier] {
        let journals = files(directory).into_iter().filter(|file| is_journal(file));
        for journal in journals {
            match directory == &data {
                true => _ = fs::copy(&journal, earlier.join("store").join("9.jnl")).unwrap(),
                false if journal.ends_with("9.jnl") => {}
                false => fs::remove_file(journal).unwrap(),
            }
        }
    }
    let error = read(&earlier).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt);
    let text = error.to_string();
    let wanted =
        format!("begins with commit {last}, and the sorted files end with commit {WRITTEN_OUT}");
    assert!(text.contains(&wanted) && text.contains("9.jnl"), "{text}");
    assert_eq!(read(&data).unwrap().len() as u64, last + 1);
}

/// Nobody reads the damaged part but the thread that merges files. Commits do not go on as if it were
/// well.
#[test]
fn damage_that_a_merge_meets_fails_the_commits() {
    let root = made();
    let data = root.path().join("data");
    let table = data.join("store/keyspaces/1/tables/1");
    let mut bytes = fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&table, bytes).unwrap();
    let mut last = COMMITS;
    let store = Embedded::open(hold(&data, Access::Existing)).unwrap();
    // Eight files of 8 MiB: they are merged from the fourth on.
    let error = (0..64)
        .find_map(|_| try_commit(&store, &mut last, Some(vec![8; 1 << 20])).err())
        .expect("the damage is met");
    let CommitError::Failed(error) = error else {
        panic!("{error}")
    };
    let table = table.canonicalize().unwrap().display().to_string();
    assert_eq!(*error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains(&table), "{error}");
    let again = try_commit(&store, &mut last, None).unwrap_err();
    assert!(again.to_string().contains(&table), "{again}");
    let found = store.get(b"n").unwrap().unwrap();
    assert_eq!(found, last.to_string(), "what is not damaged is read");
}

/// What a kill leaves of a sorted file that was being written: it is in no list.
#[test]
fn a_sorted_file_that_is_not_listed_does_not_matter() {
    let root = made();
    let data = root.path().join("data");
    let whole = {
        let copy = root.path().join("copy");
        copy_tree(&data, &copy);
        read(&copy).unwrap()
    };
    let keyspaces = data.join("store/keyspaces");
    for keyspace in ["0", "1", "2"] {
        fs::write(keyspaces.join(keyspace).join("tables/77"), [7; 5000]).unwrap();
        fs::write(keyspaces.join(keyspace).join("v99"), [7; 100]).unwrap();
    }
    assert!(read(&data).unwrap() == whole);
    fs::write(keyspaces.join("1/tables/notes"), "mine").unwrap();
    let text = read(&data).unwrap_err().to_string();
    assert!(
        text.contains("1/tables/notes") && text.contains("no part of the store"),
        "{text}"
    );
    assert!(keyspaces.join("1/tables/notes").exists());
}

fn is_journal(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "jnl")
}

/// A copy that shares what is never changed in place.
fn link_tree(from: &Path, to: &Path) {
    for file in files(from) {
        let to = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if file.starts_with(from.join("store")) && !is_journal(&file) {
            fs::hard_link(&file, to).unwrap();
        } else {
            fs::copy(&file, to).unwrap();
        }
    }
}
