//! A backup is of one instant, and takes no secret with it.

use crate::harness::chain;
use crate::support::{finish, open, quick, start};
use conveyor_engine::run::{Identity, RunState};
use conveyor_node::backup::{Backup, Tokens, restore, verify};
use conveyor_node::token::Claimed;
use conveyor_node::{Adopt, RunId, envelope, keys};
use conveyor_proto::storage::v1::{RecordKind, StoreMeta};
use conveyor_store::{Access, DataDir, Direction, Embedded, KeyRange, Memory, Store, Transaction};
use prost::Message as _;
use std::sync::Arc;

fn whole(mut backup: Backup) -> Vec<u8> {
    let mut file = Vec::new();
    while let Some(piece) = backup.piece().unwrap() {
        file.extend_from_slice(&piece);
    }
    assert!(backup.piece().unwrap().is_none(), "it stays at its end");
    file
}

fn token_key(store: &dyn Store) -> Vec<u8> {
    let row = store.get(&keys::meta()).unwrap().unwrap();
    let payload = envelope::unwrap(RecordKind::StoreMeta, &row).unwrap();
    StoreMeta::decode(payload).unwrap().token_key.to_vec()
}

#[tokio::test]
async fn no_token_of_before_is_taken_by_what_is_restored() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let node = open(Arc::clone(&store), quick(), Adopt::All).await;
    let run = start(&node, &chain(&["a"])).await;
    assert_eq!(finish(&node, run).await.state(), RunState::Succeeded);
    let claimed = Claimed {
        run,
        id: Identity {
            step: 0,
            instance: 0,
            attempt: 1,
        },
        nonce: 7,
    };
    let token = node.tokens().seal("default", "ci", &claimed);
    let secret = node.tokens().session_secret("one");
    let file = whole(node.reader().backup(node.now()).await.unwrap());
    let key = token_key(store.as_ref());
    assert!(
        !file.windows(32).any(|part| part == key),
        "the key is not in it"
    );
    assert_eq!(verify(&file[..]).unwrap().runs, 1);
    node.shutdown().await.unwrap();
    let other: Arc<dyn Store> = Arc::new(Memory::new());
    restore(&file[..], other.as_ref(), Tokens::Kept).unwrap();
    assert_ne!(token_key(other.as_ref()), key);
    let node = open(other, quick(), Adopt::All).await;
    assert_eq!(node.tokens().open("ci", &token), None);
    assert!(!node.tokens().is_secret_of("one", &secret));
    assert_eq!(
        node.reader().load(run).await.unwrap().state(),
        RunState::Succeeded
    );
    node.shutdown().await.unwrap();
}

#[test]
fn a_backup_of_a_busy_store_is_of_the_instant_when_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(DataDir::open(dir.path(), Access::Create).unwrap()).unwrap();
    let put = |round: u8, count: u32| {
        for row in 0..count {
            let mut transaction = Transaction::new();
            transaction.put(
                [&keys::summaries()[..], &row.to_be_bytes()].concat(),
                vec![round; 20_000],
            );
            store.commit(&transaction).unwrap();
        }
    };
    put(1, 300);
    let mut backup = Backup::of(&store, conveyor_engine::time::Time(1)).unwrap();
    let mut file = backup.piece().unwrap().unwrap().to_vec();
    // More than the journal holds before it is begun anew, and all of it merged.
    put(2, 900);
    store.reclaim(0).unwrap();
    put(3, 10);
    while let Some(piece) = backup.piece().unwrap() {
        file.extend_from_slice(&piece);
    }
    drop(backup);
    let copy = Memory::new();
    assert_eq!(
        restore(&file[..], &copy, Tokens::LeftOut).unwrap().entries,
        300
    );
    let page = copy
        .scan(&KeyRange::all(), Direction::Forward, 1000)
        .unwrap();
    assert!(
        page.entries
            .iter()
            .all(|(_, value)| value[..] == [1; 20_000])
    );
    put(4, 900);
    let page = store.scan(&KeyRange::all(), Direction::Reverse, 1).unwrap();
    assert_eq!(page.entries[0].1[0], 4, "the store goes on");
}

#[test]
fn every_cut_and_every_wrong_bit_of_a_backup_is_seen() {
    let store = Memory::new();
    let mut transaction = Transaction::new();
    let run = RunId([3; 16]);
    for sequence in 0..20 {
        transaction.put(keys::record(run, sequence), vec![sequence as u8; 10]);
    }
    store.commit(&transaction).unwrap();
    let file = whole(Backup::of(&store, conveyor_engine::time::Time(1)).unwrap());
    assert_eq!(verify(&file[..]).unwrap().entries, 20);
    for at in 0..file.len() {
        assert!(verify(&file[..at]).is_err(), "cut at {at}");
        let mut wrong = file.clone();
        wrong[at] ^= 0x10;
        assert!(verify(&wrong[..]).is_err(), "wrong at {at}");
    }
}
