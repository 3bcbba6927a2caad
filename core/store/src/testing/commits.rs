use super::{commit, get, scan_all, try_commit};
use crate::{Bytes, CommitError, Direction, Expected, KeyRange, Store};

pub(super) fn put_then_get(store: &dyn Store) {
    assert_eq!(get(store, b"a"), None);
    commit(store, |t| {
        t.put("a", "1").put("b", "2");
    });
    assert_eq!(get(store, b"a"), Some(Bytes::from("1")));
    assert_eq!(get(store, b"b"), Some(Bytes::from("2")));
    assert_eq!(get(store, b"ab"), None);
}

pub(super) fn a_later_put_replaces(store: &dyn Store) {
    for value in ["1", "22", ""] {
        commit(store, |t| {
            t.put("a", value);
        });
        assert_eq!(get(store, b"a"), Some(Bytes::from(value)));
    }
    assert_eq!(
        scan_all(store, &KeyRange::all(), Direction::Forward, 10).len(),
        1
    );
}

pub(super) fn delete_removes(store: &dyn Store) {
    commit(store, |t| {
        t.put("a", "1").put("b", "2");
    });
    commit(store, |t| {
        t.delete("a").delete("never was");
    });
    assert_eq!(get(store, b"a"), None);
    assert_eq!(get(store, b"b"), Some(Bytes::from("2")));
}

pub(super) fn a_range_is_emptied(store: &dyn Store) {
    commit(store, |t| {
        for key in ["a", "b", "b1", "b2", "c"] {
            t.put(key, key);
        }
    });
    // Ranges that overlap each other and a delete, and one that holds nothing.
    commit(store, |t| {
        t.delete_range(KeyRange::prefix("b"))
            .delete_range(KeyRange::new("b1", "c"));
        t.delete_range(KeyRange::new("x", "a"))
            .delete("b1")
            .put("d", "d");
    });
    let left = scan_all(store, &KeyRange::all(), Direction::Forward, 10);
    let keys: Vec<_> = left.iter().map(|(key, _)| key.as_ref()).collect();
    assert_eq!(keys, [b"a".as_ref(), b"c", b"d"]);
}

pub(super) fn an_empty_value_is_a_value(store: &dyn Store) {
    commit(store, |t| {
        t.put("a", "");
    });
    let refused = try_commit(store, |t| {
        t.compare("a", Expected::Absent).put("b", "1");
    });
    assert!(
        matches!(refused, Err(CommitError::Conflict(_))),
        "{refused:?}"
    );
    commit(store, |t| {
        t.compare("a", Expected::Value(Bytes::new())).put("b", "1");
    });
}

pub(super) fn a_compare_that_holds(store: &dyn Store) {
    commit(store, |t| {
        t.compare("a", Expected::Absent).put("a", "1");
    });
    commit(store, |t| {
        t.compare("a", Expected::Value("1".into()))
            .put("a", "2")
            .put("b", "x");
    });
    assert_eq!(get(store, b"a"), Some(Bytes::from("2")));
    // A compare sees the state before the transaction, not its own writes.
    commit(store, |t| {
        t.compare("a", Expected::Value("2".into())).delete("a");
    });
    assert_eq!(get(store, b"a"), None);
}

pub(super) fn a_conflict_writes_nothing(store: &dyn Store) {
    commit(store, |t| {
        t.put("a", "1").put("r1", "1");
    });
    let refused = try_commit(store, |t| {
        t.compare("r1", Expected::Value("1".into()));
        t.compare("a", Expected::Value("0".into()));
        t.compare("z", Expected::Value("0".into()));
        t.put("b", "2")
            .delete("r1")
            .delete_range(KeyRange::prefix("r"));
    });
    let Err(CommitError::Conflict(conflict)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (conflict.key.as_ref(), conflict.found),
        (b"a".as_ref(), Some(Bytes::from("1")))
    );
    assert_eq!(get(store, b"b"), None);
    assert_eq!(get(store, b"r1"), Some(Bytes::from("1")));

    let refused = try_commit(store, |t| {
        t.compare("z", Expected::Value("0".into())).put("b", "2");
    });
    let Err(CommitError::Conflict(conflict)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (conflict.key.as_ref(), conflict.found),
        (b"z".as_ref(), None)
    );
}

/// PROTOCOL P10.
pub(super) fn a_late_copy_fails(store: &dyn Store) {
    let mut first = crate::Transaction::new();
    first
        .compare("commit", Expected::Absent)
        .put("commit", "1")
        .put("x", "first");
    store.commit(&first).expect("the first commit");
    commit(store, |t| {
        t.compare("commit", Expected::Value("1".into()))
            .put("commit", "2")
            .put("x", "second");
    });
    let late = store.commit(&first);
    assert!(matches!(late, Err(CommitError::Conflict(_))), "{late:?}");
    assert_eq!(get(store, b"x"), Some(Bytes::from("second")));
}

pub(super) fn compares_alone_write_nothing(store: &dyn Store) {
    commit(store, |t| {
        t.compare("a", Expected::Absent);
    });
    assert!(scan_all(store, &KeyRange::all(), Direction::Forward, 10).is_empty());
}
