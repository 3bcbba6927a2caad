use super::{get, scan_all};
use crate::{Bytes, CommitError, Direction, Expected, KeyRange, Store, Transaction};
use std::collections::BTreeMap;

/// Random transactions against a plain map, always the same ones.
pub(super) fn random_transactions(store: &dyn Store) {
    let mut random = Random(0x5eed_c0de);
    let mut model = BTreeMap::<Bytes, Bytes>::new();
    let (mut committed, mut conflicts) = (0, 0);
    for _ in 0..300 {
        let transaction = transaction(&mut random, &model);
        let holds = transaction.compares.iter().all(|compare| {
            compare
                .expected
                .matches(model.get(&compare.key).map(Bytes::as_ref))
        });
        match store.commit(&transaction) {
            Ok(()) => {
                assert!(holds, "committed against a compare that does not hold");
                committed += 1;
                model.retain(|key, _| {
                    !transaction.deletes.contains(key)
                        && !transaction
                            .delete_ranges
                            .iter()
                            .any(|range| range.contains(key))
                });
                model.extend(transaction.puts);
            }
            Err(CommitError::Conflict(conflict)) => {
                assert!(!holds, "a conflict although every compare holds");
                assert_eq!(conflict.found, model.get(&conflict.key).cloned());
                conflicts += 1;
            }
            Err(error) => panic!("{error}"),
        }
        let key = key(&mut random);
        assert_eq!(get(store, &key), model.get(&key).cloned());
    }
    assert!(
        committed > 50 && conflicts > 20,
        "{committed} committed, {conflicts} conflicts"
    );
    let all: Vec<_> = model.into_iter().collect();
    assert_eq!(
        scan_all(store, &KeyRange::all(), Direction::Forward, 7),
        all
    );
}

fn transaction(random: &mut Random, model: &BTreeMap<Bytes, Bytes>) -> Transaction {
    let mut transaction = Transaction::new();
    let mut written = std::collections::BTreeSet::new();
    if random.below(2) == 0 {
        let key = key(random);
        let expected = match (model.get(&key), random.below(3)) {
            (_, 0) => Expected::Value("never written".into()),
            (Some(value), _) => Expected::Value(value.clone()),
            (None, _) => Expected::Absent,
        };
        transaction.compare(key, expected);
    }
    for _ in 0..random.below(8) {
        let key = key(random);
        if written.insert(key.clone()) {
            if random.below(3) == 0 {
                transaction.delete(key);
            } else {
                let length = random.below(600) as usize;
                transaction.put(key, vec![random.below(256) as u8; length]);
            }
        }
    }
    if random.below(10) == 0 {
        let range = KeyRange::new(key(random), key(random));
        if !transaction.puts.iter().any(|(key, _)| range.contains(key)) {
            transaction.delete_range(range);
        }
    }
    transaction
}

fn key(random: &mut Random) -> Bytes {
    Bytes::from(format!("key {:02}", random.below(40)))
}

/// SplitMix64: enough for a test, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
