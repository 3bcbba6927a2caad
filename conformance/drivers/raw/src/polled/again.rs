//! Calls until they are answered (R78).

use super::Calls;
use crate::breaks::Break;
use crate::connect::{Client, is_final};
use std::time::Duration;
use tonic::{Code, Response, Status};

/// How long the engine has to answer a call, besides what the call waits: what it cannot do for now it says
/// within half a minute (R77), and a repeat is safe.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// The first pause before a repeat; it doubles up to [`MOST`].
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(5);

impl Calls {
    fn is_repeated(&self, status: &Status) -> bool {
        match is_passing(status) {
            true => !self.breaks.has(Break::GivesUp),
            false => self.breaks.has(Break::RepeatsMistakes) && is_mistake(status),
        }
    }

    /// Makes a call until it is answered, with growing pauses, as it was (R78).
    pub(super) async fn repeated<T, F>(
        &self,
        time: Duration,
        call: impl Fn(Client) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut pause = FIRST;
        loop {
            match within(time, call(self.client.clone())).await {
                Err(status) if self.is_repeated(&status) && !self.heard.is_closed() => {
                    tokio::time::sleep(pause.max(retry_after(&status))).await;
                    if !self.breaks.has(Break::SteadyPauses) {
                        pause = (pause * 2).min(MOST);
                    }
                }
                answered => return answered,
            }
        }
    }
}

/// The answer to a call, or `UNAVAILABLE` where none comes.
pub(super) async fn within<T>(
    time: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(time, call).await {
        Ok(answered) => answered.map(Response::into_inner),
        Err(_) => Err(Status::unavailable(format!(
            "no answer came within {} s",
            time.as_secs()
        ))),
    }
}

/// Whether the same call may be answered later: all that is no mistake of the driver's.
pub(super) fn is_passing(status: &Status) -> bool {
    !is_final(status)
        && !is_mistake(status)
        && !matches!(status.code(), Code::NotFound | Code::Unimplemented)
}

/// Whether a call is a mistake of the driver's.
fn is_mistake(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange
    )
}

fn retry_after(status: &Status) -> Duration {
    let seconds = status
        .metadata()
        .get("retry-after")
        .and_then(|value| value.to_str().ok());
    Duration::from_secs(
        seconds
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(0),
    )
}
