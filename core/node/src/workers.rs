//! Threads for what blocks or recurses: reading the store, compiling, folding.

use conveyor_engine::STACK_BYTES;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// A few threads with the engine's stack. They end when the last handle is gone.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    jobs: Sender<Job>,
}

impl Workers {
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(count: usize) -> std::io::Result<Workers> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..count {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("conveyor-worker".into())
                .stack_size(STACK_BYTES)
                .spawn(move || {
                    while let Some(job) = next(&queue) {
                        job();
                    }
                })?;
        }
        Ok(Workers { jobs })
    }

    /// Runs a job when a thread is free, in the order of the calls.
    pub(crate) fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        // The threads live as long as this handle, so somebody takes it.
        let _ = self.jobs.send(Box::new(job));
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

fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}
