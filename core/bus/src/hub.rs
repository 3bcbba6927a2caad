use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Wake-ups by topic, within one process.
///
/// A wake-up says only that something may be new; any number of them until the subscriber looks are
/// one. None is lost if the subscriber keeps this order:
///
/// 1. [`Hub::subscribe`], *before* the first read;
/// 2. read the store until nothing is new;
/// 3. [`Subscription::wait`], then 2 again;
///
/// and the writer this one: commit, then [`Hub::notify`]. What is committed before the read is read;
/// what is committed after it is notified after the subscription, and so ends the next wait at once.
///
/// A topic costs memory only while someone is subscribed to it.
pub struct Hub<T> {
    topics: Arc<Mutex<Topics<T>>>,
}

type Topics<T> = HashMap<T, watch::Sender<()>>;

/// A subscription to one topic; dropping it ends it.
pub struct Subscription<T: Eq + Hash> {
    topics: Arc<Mutex<Topics<T>>>,
    topic: T,
    receiver: watch::Receiver<()>,
}

impl<T: Clone + Eq + Hash> Hub<T> {
    /// A hub without subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            topics: Arc::default(),
        }
    }

    /// Wakes whoever is subscribed to `topic`. Call it after the commit, never before.
    pub fn notify(&self, topic: &T) {
        if let Some(sender) = lock(&self.topics).get(topic) {
            sender.send_replace(());
        }
    }

    /// Subscribes to `topic`: every later [`Hub::notify`] ends a wait.
    #[must_use]
    pub fn subscribe(&self, topic: T) -> Subscription<T> {
        let mut topics = lock(&self.topics);
        let receiver = topics
            .entry(topic.clone())
            .or_insert_with(|| watch::channel(()).0)
            .subscribe();
        drop(topics);
        Subscription {
            topics: Arc::clone(&self.topics),
            topic,
            receiver,
        }
    }

    /// How many topics have a subscriber.
    #[must_use]
    pub fn topics(&self) -> usize {
        lock(&self.topics).len()
    }
}

impl<T: Clone + Eq + Hash> Default for Hub<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Hub<T> {
    fn clone(&self) -> Self {
        Self {
            topics: Arc::clone(&self.topics),
        }
    }
}

impl<T> fmt::Debug for Hub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("topics", &lock(&self.topics).len())
            .finish()
    }
}

impl<T: Eq + Hash> Subscription<T> {
    /// Waits for a wake-up since the subscription or the last wait; returns at once where there was
    /// one. Dropping the future loses none.
    pub async fn wait(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The sender stays in the hub's table as long as this subscription lives, and the table
            // as long as we hold it.
            std::future::pending::<()>().await;
        }
    }

    /// Whether there was a wake-up since the subscription, the last wait or the last call: what
    /// [`Subscription::wait`] would return for at once.
    pub fn is_due(&mut self) -> bool {
        let due = self.receiver.has_changed().unwrap_or_default();
        if due {
            // One that comes in between is of what the caller reads next.
            self.receiver.mark_unchanged();
        }
        due
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &T {
        &self.topic
    }
}

impl<T: Eq + Hash> Drop for Subscription<T> {
    fn drop(&mut self) {
        let mut topics = lock(&self.topics);
        // Under the table's lock nobody subscribes meanwhile; the one receiver left is our own.
        if topics
            .get(&self.topic)
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            topics.remove(&self.topic);
        }
    }
}

impl<T: Eq + Hash + fmt::Debug> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

fn lock<T>(topics: &Mutex<Topics<T>>) -> MutexGuard<'_, Topics<T>> {
    // No code of a caller runs under the lock; the table is whole.
    topics.lock().unwrap_or_else(PoisonError::into_inner)
}
