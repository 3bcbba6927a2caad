use conveyor_store::{
    Access, CommitError, DataDir, Direction, Embedded, ErrorKind, Expected, KeyRange, Memory,
    Store, Transaction, testing,
};

#[test]
fn memory_passes_the_suite() {
    testing::suite(|| Box::new(Memory::new()));
}

#[test]
fn embedded_passes_the_suite() {
    let root = tempfile::tempdir().unwrap();
    let mut number = 0;
    testing::suite(|| {
        number += 1;
        Box::new(open(&root.path().join(number.to_string())))
    });
}

#[test]
fn embedded_keeps_what_it_committed() {
    let root = tempfile::tempdir().unwrap();
    for round in 0..3u8 {
        let store = open(root.path());
        let mut transaction = Transaction::new();
        let expected = match round {
            0 => Expected::Absent,
            _ => Expected::Value(vec![round - 1].into()),
        };
        transaction
            .compare("commit", expected)
            .put("commit", vec![round]);
        transaction.put(vec![b'k', round], vec![round; 1000]);
        store.commit(&transaction).unwrap();
    }
    let store = open(root.path());
    let page = store
        .scan(&KeyRange::prefix("k"), Direction::Forward, 10)
        .unwrap();
    assert_eq!(page.entries.len(), 3);
    assert!(
        page.entries
            .iter()
            .all(|(key, value)| *value == vec![key[1]; 1000])
    );
}

#[test]
fn a_range_over_the_limit_is_refused_whole() {
    let root = tempfile::tempdir().unwrap();
    for store in [
        Box::new(Memory::new()) as Box<dyn Store>,
        Box::new(open(root.path())),
    ] {
        let operations = store.limits().operations;
        for half in 0..2u64 {
            let mut transaction = Transaction::new();
            for number in 0..operations / 2 + 1 {
                transaction.put([half.to_be_bytes(), number.to_be_bytes()].concat(), "");
            }
            store.commit(&transaction).unwrap();
        }
        let mut transaction = Transaction::new();
        transaction.delete_range(KeyRange::all());
        let outcome = store.commit(&transaction);
        let Err(CommitError::Failed(error)) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(
            matches!(
                error.kind(),
                ErrorKind::TooLarge {
                    limit: "operations",
                    ..
                }
            ),
            "{error}"
        );
        assert!(store.get(&[0; 16]).unwrap().is_some());
    }
}

pub(crate) fn open(path: &std::path::Path) -> Embedded {
    Embedded::open(hold(path, Access::Create)).unwrap()
}

/// Holds a directory that nobody else uses. A child of another test may have a copy of an earlier lock
/// of ours, between its fork and its exec.
pub(crate) fn hold(path: &std::path::Path, access: Access) -> DataDir {
    loop {
        match DataDir::open(path, access) {
            Err(error) if matches!(error.kind(), ErrorKind::Locked { .. }) => {
                std::thread::yield_now();
            }
            directory => return directory.unwrap(),
        }
    }
}

/// Processes that are started meanwhile hold copies of fjall's own lock for a moment.
#[test]
fn a_store_opens_beside_processes_that_start() {
    let root = tempfile::tempdir().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                let status = std::process::Command::new("true").status().unwrap();
                assert!(status.success());
            }
        });
        for _ in 0..100 {
            drop(open(root.path()));
        }
        done.store(true, std::sync::atomic::Ordering::Release);
    });
}
