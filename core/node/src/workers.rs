//! Threads for what blocks or recurses: reading the store, compiling, folding.

use conveyor_engine::STACK_BYTES;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// A few threads with the engine's stack. They end when the last handle is gone.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    hold: Arc<Hold>,
}

/// What all handles share. Its end is that of the threads.
struct Hold(Arc<Queue>);

/// What the threads take from. A job wakes one of them, and only where one waits: a channel behind a lock
/// wakes two, the one that takes the job and the one that waits for the channel next.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    over: bool,
}

impl Workers {
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(count: usize) -> std::io::Result<Workers> {
        let queue = Arc::new(Queue::default());
        let hold = Arc::new(Hold(Arc::clone(&queue)));
        for _ in 0..count {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("conveyor-worker".into())
                .stack_size(STACK_BYTES)
                .spawn(move || {
                    while let Some(job) = queue.next() {
                        job();
                    }
                })?;
        }
        Ok(Workers { hold })
    }

    /// Runs a job when a thread is free, in the order of the calls.
    pub(crate) fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        let queue = &self.hold.0;
        queue.state().jobs.push_back(Box::new(job));
        queue.work.notify_one();
    }

    /// Runs a job and gives what it returns; `None` when it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.spawn(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            // Nobody waits any more: that is their business.
            let _ = outcome.map(|value| reply.send(value));
        });
        answer.await.ok()
    }
}

impl Queue {
    /// The next job, waiting for it; `None` once no more can come and all are taken.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.over {
                return None;
            }
            let waited = self.work.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No job runs under the lock; the queue is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.state().over = true;
        self.0.work.notify_all();
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold(..)")
    }
}
