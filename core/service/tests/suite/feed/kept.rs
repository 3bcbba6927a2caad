//! For how long events are kept.

use super::{after, define, next, put, put_something_else, rest, watch, whole, word, words};
use crate::handlers_over;
use conveyor_engine::time::{Duration, Time};
use conveyor_node::retention::Retention;
use conveyor_node::{Clock, SystemClock};
use conveyor_proto::v1;
use conveyor_service::ControlHandlers;
use conveyor_store::Memory;
use prost::Message as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::Code;

/// A clock that a test moves on.
struct Later(SystemClock, AtomicU64);

impl Clock for Later {
    fn now(&self) -> Time {
        self.0.now().after(Duration(self.1.load(Ordering::SeqCst)))
    }
}

#[tokio::test]
async fn who_comes_back_later_than_events_are_kept_is_told_so() {
    const HOUR: u64 = 3_600_000;
    let clock = Arc::new(Later(SystemClock::new(), AtomicU64::new(0)));
    let handlers = handlers_over(Arc::new(Memory::new()), Arc::clone(&clock) as _).await;
    define(&handlers).await;
    put(&handlers, "web", 1, &[]).await;
    // More than one segment.
    for n in 0..600 {
        put(&handlers, "db", n, &[]).await;
    }
    put_something_else(&handlers).await;
    let told = rest(watch(&handlers, whole()).await.expect("all")).await;
    let kept = Retention {
        events: Some(Duration::millis(2 * HOUR)),
        ..Retention::default()
    };
    let retain = async || handlers.node().retain(&kept).await.expect("a pass").events;
    assert_eq!(retain().await, 0, "all is young");
    clock.1.store(HOUR, Ordering::SeqCst);
    put(&handlers, "late", 1, &[]).await;
    clock.1.store(5 * HOUR / 2, Ordering::SeqCst);
    assert_eq!(retain().await, told.len());
    let early = &told[told.len() - 2].cursor;
    let refused = watch(&handlers, after(early))
        .await
        .expect_err("it is too late");
    assert_eq!(refused.code(), Code::OutOfRange);
    let oldest = v1::EventsGap::decode(refused.details())
        .expect("a gap")
        .oldest;
    assert!(refused.message().contains(&oldest), "{refused}");
    // Whoever had all that was deleted has missed nothing.
    for cursor in [&told[told.len() - 1].cursor, &oldest] {
        let request = v1::WatchEventsRequest {
            until_now: true,
            ..after(cursor)
        };
        let rest = rest(watch(&handlers, request).await.expect("nothing is missing")).await;
        assert_eq!(words(&rest), ["app/late 1 created by local"]);
    }
    // The numbers go on where all events of a lane are gone.
    clock.1.store(5 * HOUR, Ordering::SeqCst);
    assert_eq!(retain().await, 1);
    let mut live = watch(&handlers, v1::WatchEventsRequest::default())
        .await
        .expect("it follows");
    put(&handlers, "later", 1, &[]).await;
    assert_eq!(word(&next(&mut live).await), "app/later 1 created by local");
    let again = watch(&handlers, after(&next_cursor(&handlers).await)).await;
    again.expect("a cursor of what is there now");
}

async fn next_cursor(handlers: &ControlHandlers) -> String {
    let told = rest(watch(handlers, whole()).await.expect("all")).await;
    assert_eq!(words(&told), ["app/later 1 created by local"]);
    told[0].cursor.clone()
}
