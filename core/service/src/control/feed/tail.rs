use super::PAGE;
use conveyor_node::feed::{Cursor, Event, Page, Read};
use conveyor_node::reader::Topic;
use conveyor_node::{NodeError, Reader};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex as AsyncMutex, broadcast};
use tokio::task::AbortHandle;

/// Batches that wait for whoever is slow; with [`PAGE`] of each lane, 4,096 events. Who is slower reads the
/// store.
const BATCHES: usize = 16;
/// Events after which everybody is told how far all is, though nothing was for them.
const QUIET: usize = 1000;

/// The reading that all followers of this process share, while there are any.
#[derive(Debug, Default)]
pub(in super::super) struct Feed(AsyncMutex<Weak<Tail>>);

/// Events that came together.
#[derive(Debug)]
pub(super) struct Batch {
    /// Those of one namespace, or all.
    pub(super) events: Vec<Arc<Event>>,
    /// Up to there these are all.
    pub(super) through: Cursor,
}

/// A follower's place at the reading.
pub(super) struct Seat {
    batches: broadcast::Receiver<Arc<Batch>>,
    /// The reading ends with the last of its followers.
    _tail: Arc<Tail>,
}

impl Seat {
    pub(super) async fn next(&mut self) -> Result<Arc<Batch>, RecvError> {
        self.batches.recv().await
    }
}

/// Channels by namespace; that of all has none.
type Channels = HashMap<Option<Arc<str>>, broadcast::Sender<Arc<Batch>>>;

#[derive(Debug, Default)]
struct Tail {
    /// `None` once the reading has failed.
    channels: Mutex<Option<Channels>>,
    task: OnceLock<AbortHandle>,
}

impl Drop for Tail {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Feed {
    /// A place for a follower of a namespace, or of all: what is committed from now on comes to it.
    pub(super) async fn sit(
        &self,
        reader: &Reader,
        namespace: Option<Arc<str>>,
    ) -> Result<Seat, NodeError> {
        let mut known = self.0.lock().await;
        if let Some(tail) = known.upgrade()
            && let Some(seat) = tail.seat(namespace.clone())
        {
            return Ok(seat);
        }
        // Subscribe first, read then: what is committed in between is told.
        let mut changes = reader.hub().subscribe(Topic::Events);
        let mut through = reader.feed_end().await?;
        let tail = Arc::new(Tail {
            channels: Mutex::new(Some(Channels::new())),
            task: OnceLock::new(),
        });
        let (shared, reader) = (Arc::downgrade(&tail), reader.clone());
        let task = tokio::spawn(async move {
            let mut quiet = 0;
            loop {
                changes.wait().await;
                let read = read(&reader, &shared, &mut through, &mut quiet).await;
                if let Err(error) = read {
                    tracing::warn!(%error, "events could not be read: their followers have to come back");
                    if let Some(tail) = shared.upgrade() {
                        tail.channels().take();
                    }
                    return;
                }
            }
        });
        // Nobody else has it yet.
        let _ = tail.task.set(task.abort_handle());
        *known = Arc::downgrade(&tail);
        let ended = || NodeError::Unavailable("the events cannot be read".into());
        tail.seat(namespace).ok_or_else(ended)
    }
}

/// Hands out what is new.
async fn read(
    reader: &Reader,
    shared: &Weak<Tail>,
    through: &mut Cursor,
    quiet: &mut usize,
) -> Result<(), NodeError> {
    loop {
        let page = match reader.feed(*through, PAGE).await? {
            Read::Page(page) => page,
            Read::Gap { .. } => {
                return Err(NodeError::Unavailable(
                    "they were deleted before they were read".into(),
                ));
            }
        };
        let all = page.all;
        *through = page.through;
        *quiet += page.events.len();
        let everybody = *quiet >= QUIET;
        if everybody {
            *quiet = 0;
        }
        // Nobody is there any more: the task is about to be ended.
        let Some(tail) = shared.upgrade() else {
            return Ok(());
        };
        tail.hand_out(page, everybody);
        if all {
            return Ok(());
        }
    }
}

impl Tail {
    fn channels(&self) -> MutexGuard<'_, Option<Channels>> {
        // Nothing of a caller runs under the lock.
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seat(self: &Arc<Self>, namespace: Option<Arc<str>>) -> Option<Seat> {
        let mut channels = self.channels();
        let channel = channels.as_mut()?.entry(namespace);
        let channel = channel.or_insert_with(|| broadcast::channel(BATCHES).0);
        Some(Seat {
            batches: channel.subscribe(),
            _tail: Arc::clone(self),
        })
    }

    /// Gives each channel its events; with `everybody`, also those where there are none.
    fn hand_out(&self, page: Page, everybody: bool) {
        let through = page.through;
        let mut of: HashMap<Arc<str>, Vec<Arc<Event>>> = HashMap::new();
        let all: Vec<_> = page.events.into_iter().map(Arc::new).collect();
        for event in &all {
            let own = of.entry(Arc::from(event.event.namespace.as_str()));
            own.or_default().push(Arc::clone(event));
        }
        let mut channels = self.channels();
        let Some(channels) = channels.as_mut() else {
            return;
        };
        channels.retain(|namespace, channel| {
            let events = match namespace {
                None => all.clone(),
                Some(namespace) => of.remove(namespace).unwrap_or_default(),
            };
            if !events.is_empty() || everybody {
                // Whoever was there may have gone.
                let _ = channel.send(Arc::new(Batch { events, through }));
            }
            channel.receiver_count() > 0
        });
    }
}
