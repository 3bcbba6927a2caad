use super::{scan_all, try_commit};
use crate::{
    Bytes, CommitError, Direction, ErrorKind, Expected, KeyRange, Status, Store, Transaction,
};

/// The kind of the refusal; it must be definite and permanent, and leave nothing behind.
fn refused(store: &dyn Store, build: impl FnOnce(&mut Transaction)) -> ErrorKind {
    let outcome = try_commit(store, build);
    let Err(CommitError::Failed(error)) = outcome else {
        panic!("not refused: {outcome:?}")
    };
    assert_eq!(error.status(), Status::Permanent);
    assert!(scan_all(store, &KeyRange::all(), Direction::Forward, 10).is_empty());
    error.kind().clone()
}

pub(super) fn a_key_twice(store: &dyn Store) {
    for kind in [
        refused(store, |t| {
            t.put("a", "1").put("b", "1").put("a", "1");
        }),
        refused(store, |t| {
            t.put("a", "1").delete("a");
        }),
        refused(store, |t| {
            t.delete("a").delete("a");
        }),
        refused(store, |t| {
            t.compare("a", Expected::Absent)
                .compare("a", Expected::Absent)
                .put("b", "");
        }),
    ] {
        assert_eq!(kind, ErrorKind::Invalid);
    }
}

pub(super) fn a_put_in_a_deleted_range(store: &dyn Store) {
    let kind = refused(store, |t| {
        t.put("ab", "1").delete_range(KeyRange::prefix("a"));
    });
    assert_eq!(kind, ErrorKind::Invalid);
}

pub(super) fn an_empty_key(store: &dyn Store) {
    let kind = refused(store, |t| {
        t.put("", "1");
    });
    assert_eq!(kind, ErrorKind::Invalid);
}

pub(super) fn each_limit(store: &dyn Store) {
    let limits = store.limits();
    let name = |kind: ErrorKind| match kind {
        ErrorKind::TooLarge {
            limit,
            value,
            maximum,
        } if value > maximum => limit,
        other => panic!("not a limit: {other:?}"),
    };
    let key = vec![b'k'; limits.key_bytes as usize + 1];
    assert_eq!(
        name(refused(store, |t| {
            t.put(key, "");
        })),
        "key_bytes"
    );
    let value = vec![0; limits.record_bytes as usize + 1];
    assert_eq!(
        name(refused(store, |t| {
            t.put("a", value);
        })),
        "record_bytes"
    );
    assert_eq!(
        name(refused(store, |t| {
            for number in 0..=limits.operations {
                t.put(number.to_be_bytes().to_vec(), "");
            }
        })),
        "operations"
    );
    let value = Bytes::from(vec![0; limits.record_bytes as usize]);
    assert_eq!(
        name(refused(store, |t| {
            for number in 0..=limits.transaction_bytes / limits.record_bytes {
                t.put(number.to_be_bytes().to_vec(), value.clone());
            }
        })),
        "transaction_bytes"
    );
}
