//! A disk that is really full, as far as one process can see: no file may grow (RLIMIT_FSIZE).

use crate::backends::open;
use crate::child;
use conveyor_store::{CommitError, Embedded, ErrorKind, Status, Store};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;

#[test]
fn a_full_disk_refuses_commits_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    child::pass("full::fill_the_disk", &root.path().join("data"));
}

#[test]
fn a_disk_that_is_full_from_the_start_is_named() {
    let root = tempfile::tempdir().unwrap();
    child::pass("full::open_on_a_full_disk", &root.path().join("data"));
}

#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn fill_the_disk() {
    let directory = child::directory();
    drop(committed(&directory, 1..=20));
    // Opened again, so that the journal has no room in reserve.
    let store = open(&directory);
    let mut last = 20;
    for round in 1..=3 {
        limit(Some(journal_bytes(&directory) + 20_000));
        let error = loop {
            match store.commit(&child::transaction(Some(last), last + 1)) {
                Ok(()) => last += 1,
                Err(error) => break error,
            }
        };
        full(&error, &directory);
        let again = store.commit(&child::transaction(Some(last), last + 1));
        full(&again.unwrap_err(), &directory);
        assert!(last > 20, "round {round}: some fitted");
        // What was acknowledged is read while nothing can be written.
        assert_eq!(
            child::inspect(&store, last + 1).last(),
            Some(&last),
            "round {round}"
        );
        limit(None);
        store
            .commit(&child::transaction(Some(last), last + 1))
            .expect("there is space again");
        last += 1;
        assert_eq!(
            child::inspect(&store, last + 1).last(),
            Some(&last),
            "round {round}"
        );
    }
    assert_eq!(
        store.stats().unwrap().recoveries,
        6,
        "one for each commit that failed"
    );
    drop(store);
    assert_eq!(
        child::inspect(&open(&directory), last + 1).last(),
        Some(&last)
    );
}

#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn open_on_a_full_disk() {
    let directory = child::directory();
    let data = conveyor_store::DataDir::open(&directory, conveyor_store::Access::Create).unwrap();
    limit(Some(100));
    let error = Embedded::open(data).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DiskFull, "{error}");
    let place = directory.canonicalize().unwrap().display().to_string();
    assert!(error.to_string().contains(&place), "{error}");
    limit(None);
    committed(&directory, 1..=2);

    // A store that is there opens, and is read.
    limit(Some(0));
    let store = open(&directory);
    assert_eq!(child::inspect(&store, 3).len(), 2);
    full(
        &store.commit(&child::transaction(Some(2), 3)).unwrap_err(),
        &directory,
    );
    assert_eq!(child::inspect(&store, 3).len(), 2);
    limit(None);
    store.commit(&child::transaction(Some(2), 3)).unwrap();
}

fn committed(directory: &Path, numbers: std::ops::RangeInclusive<u64>) -> Embedded {
    let store = open(directory);
    for number in numbers {
        let last = (number > 1).then(|| number - 1);
        store.commit(&child::transaction(last, number)).unwrap();
    }
    store
}

/// A definite failure that may pass, and says where there is no space.
fn full(error: &CommitError, directory: &Path) {
    let CommitError::Failed(error) = error else {
        panic!("{error}")
    };
    assert_eq!(*error.kind(), ErrorKind::DiskFull, "{error}");
    assert_eq!(error.status(), Status::Temporary);
    let text = error.to_string();
    let place = directory.canonicalize().unwrap().display().to_string();
    assert!(
        text.contains("no space is left for the store") && text.contains(&place),
        "{text}"
    );
}

fn journal_bytes(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory.join("store")).unwrap();
    let journals = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".jnl"));
    journals.map(|entry| entry.metadata().unwrap().len()).sum()
}

/// No file grows over this; `None` takes the limit away. The parent has SIGXFSZ ignored.
fn limit(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = bytes.or(maximum);
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}
