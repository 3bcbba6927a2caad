//! The ends of logs: what is not asked for is not read.

use super::{Had, Phased, Setup, following, read};
use crate::start;
use crate::support::Counting;
use conveyor_bus::{AttemptKey, LogStore as _, StoreLogs};
use conveyor_node::RunId;
use conveyor_proto::storage::v1 as stored;
use conveyor_proto::v1;
use conveyor_store::{KeyRange, Page, Store as _, Transaction};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;

/// Whether a row is a log's.
fn row(key: &[u8]) -> u64 {
    key.starts_with(b"l/").into()
}

fn rows(_: &KeyRange, page: &Page) -> u64 {
    page.entries.iter().map(|(key, _)| row(key)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_reads_as_much_of_a_long_log_as_of_a_short_one() {
    let store = Arc::new(Counting::new(row, rows));
    let (_phase, phased) = watch::channel(4);
    let handlers = Setup {
        store: store.clone(),
        drivers: vec![Arc::new(Phased(phased))],
        capacity: 1,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let mut counts = BTreeSet::new();
    for batches in [10, 2000] {
        let run = start(&handlers, "{steps: [{id: a, driver: exec}]}").await;
        read(&handlers, following(&run, ""), Had::default(), |had| {
            had.over
        })
        .await;
        // An attempt's log that is not sealed, beside the driver's own.
        let key = AttemptKey {
            run: RunId::parse(&run).expect("an id").0,
            step: 0,
            instance: 0,
            attempt: 1,
        };
        let logs = StoreLogs::new(store.clone());
        let mut forget = Transaction::new();
        forget.delete_range(key.rows());
        store.commit(&forget).expect("it is forgotten");
        for batch in 0..batches {
            let line = |number| stored::LogLine {
                text: format!("{batch} {number}").into_bytes().into(),
                ..stored::LogLine::default()
            };
            let lines = (0..100).map(line).collect();
            logs.append(key, batch * 100, lines).expect("they are kept");
        }
        store.count.store(0, Ordering::SeqCst);
        let tail = v1::ReadLogsRequest {
            run: run.clone(),
            tail: Some(20),
            ..v1::ReadLogsRequest::default()
        };
        let had = read(&handlers, tail, Had::default(), |had| had.over).await;
        let (_, had) = had.last().expect("an end");
        let wanted: BTreeSet<(u32, u64)> = (batches * 100 - 20..batches * 100)
            .map(|offset| (0, offset))
            .collect();
        assert_eq!(had.lines, wanted);
        counts.insert(store.count.load(Ordering::SeqCst));
    }
    assert_eq!(counts.len(), 1, "rows of logs that were read: {counts:?}");
    assert!(counts.first().is_some_and(|rows| *rows <= 6), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_in_the_middle_of_tails_has_the_other_tails() {
    let (_phase, phased) = watch::channel(4);
    let handlers = Setup {
        drivers: vec![Arc::new(Phased(phased))],
        capacity: 4,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let spec = "{steps: [{id: a, driver: exec, foreach: {items: [1, 2, 3]}}]}";
    let run = start(&handlers, spec).await;
    read(&handlers, following(&run, ""), Had::default(), |had| {
        had.over
    })
    .await;
    let tail = |after: &str| v1::ReadLogsRequest {
        tail: Some(1),
        ..following(&run, after)
    };
    let all = read(&handlers, tail(""), Had::default(), |had| had.over).await;
    let wanted: BTreeSet<_> = (0..3).map(|instance| (instance, 2)).collect();
    assert_eq!(all.last().expect("an end").1.lines, wanted);
    for (place, had) in all.iter().filter(|(place, _)| !place.is_empty()) {
        let rest = read(&handlers, tail(place), had.clone(), |had| had.over).await;
        assert_eq!(
            rest.last().expect("an end").1.lines,
            wanted,
            "after {place}"
        );
    }
    // An offset holds for whoever comes back, too.
    let from = |after: &str| v1::ReadLogsRequest {
        step: "a".to_owned(),
        attempt: Some(1),
        from_offset: 1,
        ..following(&run, after)
    };
    let all = read(&handlers, from(""), Had::default(), |had| had.over).await;
    let wanted: BTreeSet<_> = (0..3).flat_map(|one| [(one, 1), (one, 2)]).collect();
    for (place, had) in all.iter().filter(|(place, _)| !place.is_empty()) {
        let rest = read(&handlers, from(place), had.clone(), |had| had.over).await;
        assert_eq!(
            rest.last().expect("an end").1.lines,
            wanted,
            "after {place}"
        );
    }
}
