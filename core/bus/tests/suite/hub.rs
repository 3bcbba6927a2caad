use conveyor_bus::Hub;
use conveyor_store::{Bytes, Memory, Store, Transaction};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Whether a wait would return now.
fn woken<T: Clone + Eq + std::hash::Hash>(
    subscription: &mut conveyor_bus::Subscription<T>,
) -> bool {
    let wait = std::pin::pin!(subscription.wait());
    matches!(
        wait.poll(&mut Context::from_waker(Waker::noop())),
        Poll::Ready(())
    )
}

#[test]
fn wake_ups_until_one_looks_are_one() {
    let hub = Hub::new();
    let mut subscription = hub.subscribe("run");
    assert!(!woken(&mut subscription));
    hub.notify(&"run");
    hub.notify(&"run");
    assert!(woken(&mut subscription));
    assert!(!woken(&mut subscription));
}

#[test]
fn a_topic_wakes_its_own_subscribers_and_all_of_them() {
    let hub = Hub::new();
    let mut subscriptions = [hub.subscribe("a"), hub.subscribe("a"), hub.subscribe("b")];
    hub.notify(&"a");
    assert_eq!(subscriptions.each_mut().map(woken), [true, true, false]);
}

#[test]
fn what_came_before_the_subscription_wakes_nobody() {
    let hub = Hub::new();
    let mut first = hub.subscribe("a");
    hub.notify(&"a");
    assert!(!woken(&mut hub.subscribe("a")));
    assert!(woken(&mut first));
}

#[test]
fn a_topic_lives_as_long_as_its_last_subscriber() {
    let hub = Hub::new();
    let first = hub.subscribe("a");
    let mut second = hub.subscribe("a");
    drop(first);
    assert_eq!(hub.topics(), 1);
    hub.notify(&"a");
    assert!(woken(&mut second));
    drop(second);
    assert_eq!(hub.topics(), 0);
    hub.notify(&"a");
}

/// The pattern of the documentation: a follower that subscribes, reads and waits sees the last
/// write, however writes and reads fall. A lost wake-up hangs this test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_sees_the_last_write() {
    for _ in 0..200 {
        let (hub, store) = (Hub::new(), Arc::new(Memory::new()));
        let writer = tokio::task::spawn_blocking({
            let (hub, store) = (hub.clone(), Arc::clone(&store));
            move || {
                for number in 0..20u8 {
                    let mut transaction = Transaction::new();
                    transaction.put("last", vec![number]);
                    store.commit(&transaction).unwrap();
                    hub.notify(&"run");
                }
            }
        });
        let mut subscription = hub.subscribe("run");
        while store.get(b"last").unwrap() != Some(Bytes::from(vec![19])) {
            subscription.wait().await;
        }
        drop(subscription);
        writer.await.unwrap();
        assert_eq!(hub.topics(), 0);
    }
}
