use super::{commit, scan, scan_all};
use crate::{Bytes, Direction, KeyRange, PAGE_BYTES, Store};

fn keys(entries: &[(Bytes, Bytes)]) -> Vec<&[u8]> {
    entries.iter().map(|(key, _)| key.as_ref()).collect()
}

pub(super) fn byte_order_both_ways(store: &dyn Store) {
    let sorted: [&'static [u8]; 6] = [b"\x00", b"a", b"a\x00", b"ab", b"b", b"\xff\xff"];
    commit(store, |t| {
        for key in [3, 5, 0, 4, 2, 1].map(|index| sorted[index]) {
            t.put(key, key);
        }
    });
    let forward = scan_all(store, &KeyRange::all(), Direction::Forward, 100);
    assert_eq!(keys(&forward), sorted);
    let reverse = scan_all(store, &KeyRange::all(), Direction::Reverse, 100);
    assert_eq!(keys(&reverse), sorted.into_iter().rev().collect::<Vec<_>>());
    assert!(forward.iter().all(|(key, value)| key == value));
}

pub(super) fn pages_by_key_both_ways(store: &dyn Store) {
    let names: Vec<String> = (0..97).map(|number| format!("k{number:03}")).collect();
    commit(store, |t| {
        for name in &names {
            t.put(name.clone(), name.clone());
        }
        t.put("j", "before").put("l", "after");
    });
    let range = KeyRange::prefix("k");
    for limit in [1, 7, 96, 97, 98] {
        let forward = scan_all(store, &range, Direction::Forward, limit);
        let mut reverse = scan_all(store, &range, Direction::Reverse, limit);
        assert_eq!(forward.len(), 97, "limit {limit}");
        reverse.reverse();
        assert_eq!(forward, reverse, "limit {limit}");
    }
    let page = scan(store, &range, Direction::Forward, 97);
    assert!(!page.more && page.rest(&range, Direction::Forward).is_none());
    assert!(scan(store, &range, Direction::Reverse, 96).more);
}

pub(super) fn bounds_of_a_range(store: &dyn Store) {
    commit(store, |t| {
        for key in ["a", "b", "c", "d"] {
            t.put(key, key);
        }
    });
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut found = scan_all(store, &KeyRange::new("b", "d"), direction, 10);
        found.sort();
        assert_eq!(keys(&found), [b"b", b"c"]);
        for empty in [
            KeyRange::new("b", "b"),
            KeyRange::new("c", "b"),
            KeyRange::new("e", "f"),
        ] {
            assert_eq!(scan(store, &empty, direction, 10), crate::Page::default());
        }
    }
}

pub(super) fn prefixes(store: &dyn Store) {
    let all: [&'static [u8]; 6] = [b"a", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xffz"];
    commit(store, |t| {
        for key in all {
            t.put(key, "");
        }
    });
    let found = |prefix: &'static [u8]| {
        let found = scan_all(store, &KeyRange::prefix(prefix), Direction::Forward, 2);
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(found(b"a"), [b"a".as_ref(), b"a\xff", b"a\xff\xff"]);
    assert_eq!(found(b"a\xff"), [b"a\xff".as_ref(), b"a\xff\xff"]);
    assert_eq!(found(b"\xff"), [b"\xff".as_ref(), b"\xff\xffz"]);
    assert_eq!(found(b"").len(), 6);
}

pub(super) fn a_page_is_bounded_in_bytes(store: &dyn Store) {
    let limits = store.limits();
    let size = (limits.record_bytes.min(limits.transaction_bytes / 2)) as usize;
    let count = PAGE_BYTES / size + 3;
    for number in 0..count {
        commit(store, |t| {
            t.put(format!("{number:06}"), vec![7; size]);
        });
    }
    let page = scan(store, &KeyRange::all(), Direction::Forward, usize::MAX);
    assert!(page.more && !page.entries.is_empty() && page.entries.len() < count);
    let all = scan_all(store, &KeyRange::all(), Direction::Forward, usize::MAX);
    assert_eq!(all.len(), count);
    assert!(all.iter().all(|(_, value)| value.len() == size));
}
