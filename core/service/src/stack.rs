//! Documents and expressions recurse, so they are read on threads with the engine's stack.

use conveyor_engine::STACK_BYTES;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tonic::Status;

/// The most threads. What they do keeps a processor busy, so that more would be slower; what comes
/// meanwhile waits.
const MOST: usize = 64;
/// A thread without work ends after so long. To start one for each call costs more than most calls do.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// The threads of this process, started as they are needed.
static THREADS: Threads = Threads {
    state: Mutex::new(State {
        jobs: VecDeque::new(),
        idle: 0,
        threads: 0,
    }),
    work: Condvar::new(),
};

struct Threads {
    state: Mutex<State>,
    work: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    /// Threads that wait, those that were woken for a job of `jobs` included.
    idle: usize,
    threads: usize,
}

/// Does something on a thread with the engine's stack, without blocking the runtime.
///
/// # Errors
/// INTERNAL when it panics, RESOURCE_EXHAUSTED when the system gives no thread.
pub(crate) async fn on_stack<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    let (reply, answer) = oneshot::channel();
    let job = move || {
        // Nobody may wait any more: that is their business.
        let _ = reply.send(work());
    };
    THREADS
        .run(Box::new(job))
        .map_err(|error| Status::resource_exhausted(format!("no thread to work on: {error}")))?;
    answer
        .await
        .map_err(|_| Status::internal("a panic while working on the request; see the log"))
}

impl Threads {
    fn run(&'static self, job: Job) -> std::io::Result<()> {
        let mut state = self.state();
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle {
            self.work.notify_one();
        } else if state.threads < MOST {
            let started = std::thread::Builder::new()
                .name("conveyor-control".into())
                .stack_size(STACK_BYTES)
                .spawn(|| self.work());
            match started {
                Ok(_) => state.threads += 1,
                // One that is there takes it in its turn.
                Err(_) if state.threads > 0 => {}
                Err(error) => {
                    state.jobs.pop_back();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // Whoever waits is told by the end of their channel.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state();
                continue;
            }
            state.idle += 1;
            let waited = self.work.wait_timeout(state, IDLE);
            let (now, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = now;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No job runs under the lock; the counts are whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, on_stack};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::task::JoinSet;

    #[tokio::test]
    async fn many_calls_share_few_threads_and_a_panic_costs_none_of_them() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut calls = JoinSet::new();
        for number in 0..10 * MOST {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            calls.spawn(on_stack(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                assert!(number % 2 == 0, "an odd one panics");
                number
            }));
        }
        let (mut done, mut panicked) = (0, 0);
        while let Some(call) = calls.join_next().await {
            match call.unwrap() {
                Ok(_) => done += 1,
                Err(status) => {
                    assert_eq!(status.code(), tonic::Code::Internal);
                    panicked += 1;
                }
            }
        }
        assert_eq!((done, panicked), (5 * MOST, 5 * MOST));
        assert!(most.load(Ordering::SeqCst) <= MOST);
    }
}
