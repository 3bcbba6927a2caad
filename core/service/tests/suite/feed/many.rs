//! Followers that are slow, and many of them.

use super::{Item, define, next, put, watch, word};
use crate::support::Counting;
use crate::{handlers, handlers_over};
use conveyor_node::SystemClock;
use conveyor_proto::v1;
use conveyor_store::{KeyRange, Page};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Whether it is events that are looked for.
fn looked(range: &KeyRange, _: &Page) -> u64 {
    range.start.starts_with(&[0, b'w']).into()
}

#[tokio::test]
async fn a_reader_that_is_slow_has_all_of_it_in_the_end() {
    const CHANGES: usize = 600;
    let handlers = handlers().await;
    define(&handlers).await;
    let mut slow = watch(&handlers, v1::WatchEventsRequest::default())
        .await
        .expect("it follows");
    // More than waits for it, and more than waits for anybody.
    for n in 0..CHANGES {
        put(&handlers, "web", n as u32, &[]).await;
    }
    for n in 1..=CHANGES {
        let told = next(&mut slow).await;
        let Some(Item::ResourceEvent(event)) = told.item else {
            panic!("{told:?}");
        };
        assert_eq!(event.resource.expect("a version").version, n as u64);
    }
}

#[tokio::test]
async fn a_thousand_followers_are_one_reading_and_quiet_ones_none() {
    let store = Arc::new(Counting::new(|_| 0, looked));
    let handlers = handlers_over(Arc::clone(&store) as _, Arc::new(SystemClock::new())).await;
    define(&handlers).await;
    let mut followers = Vec::new();
    for _ in 0..1000 {
        let follower = watch(&handlers, v1::WatchEventsRequest::default()).await;
        followers.push(follower.expect("it follows"));
    }
    // Each has read up to where it began.
    put(&handlers, "web", 1, &[]).await;
    for follower in &mut followers {
        assert_eq!(word(&next(follower).await), "app/web 1 created by local");
    }
    let before = store.count.load(Ordering::SeqCst);
    for n in 2..12 {
        put(&handlers, "web", n, &[]).await;
        for follower in &mut followers {
            next(follower).await;
        }
    }
    let read = store.count.load(Ordering::SeqCst) - before;
    // Two lanes for each of ten changes; a wake-up may find nothing more.
    assert!(read <= 2 * 2 * 10, "{read} readings");
    drop(followers);
    // The last of them has gone: nobody reads any more. Tasks see that by themselves.
    while handlers.reader().hub().topics() > 0 {
        tokio::task::yield_now().await;
    }
    let before = store.count.load(Ordering::SeqCst);
    put(&handlers, "web", 100, &[]).await;
    assert_eq!(store.count.load(Ordering::SeqCst), before);
}
