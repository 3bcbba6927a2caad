//! What is tried again, and when.

use crate::dial;
use crate::error::{is_temporary, retry_after};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;

/// What may be done with a call whose answer did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twice {
    /// Making it twice is as making it once.
    Safe,
    /// It may have been done: only whoever called knows whether to ask again.
    Unsafe,
}

/// Failures in a row, and how long they are borne.
#[derive(Debug)]
pub(super) struct Patience {
    most: Duration,
    failures: u32,
    since: Option<Instant>,
}

impl Patience {
    pub(super) fn new(most: Duration) -> Patience {
        Patience {
            most,
            failures: 0,
            since: None,
        }
    }

    /// Something came: what failed before is forgotten.
    pub(super) fn reset(&mut self) {
        (self.failures, self.since) = (0, None);
    }

    /// Waits before another try.
    ///
    /// # Errors
    /// The status, where another try is in vain or comes too late.
    pub(super) async fn after(&mut self, status: Status) -> Result<(), Status> {
        if !is_temporary(&status) {
            return Err(status);
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let pause = dial::pause(self.failures);
        let pause = retry_after(&status).unwrap_or_default().max(pause);
        if since.elapsed() + pause > self.most {
            return Err(status);
        }
        self.failures += 1;
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_is_borne_for_as_long_as_is_allowed() {
        let mut patience = Patience::new(Duration::from_secs(5));
        let begin = Instant::now();
        let mut tries = 0;
        while patience.after(Status::unavailable("away")).await.is_ok() {
            tries += 1;
        }
        assert!(begin.elapsed() <= Duration::from_secs(5));
        assert!(tries > 3, "{tries} tries");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_says_itself_when_to_come_back() {
        let mut patience = Patience::new(Duration::from_secs(60));
        let mut status = Status::unavailable("full");
        let seconds = "9".parse().expect("it is a number");
        status.metadata_mut().insert("retry-after", seconds);
        let begin = Instant::now();
        patience.after(status).await.expect("it is worth a try");
        assert!(begin.elapsed() >= Duration::from_secs(9));
    }

    #[tokio::test]
    async fn an_answer_is_an_answer() {
        let mut patience = Patience::new(Duration::from_secs(60));
        let status = patience.after(Status::not_found("no such run")).await;
        assert_eq!(status.expect_err("it is final").message(), "no such run");
    }
}
