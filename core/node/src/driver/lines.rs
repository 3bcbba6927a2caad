//! A task's log lines on their way to its log.

use super::LogLine;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Lines that a driver may be ahead of its log: beyond them it waits, and slows nobody else.
pub(crate) const LINES: usize = 4096;
/// The same in bytes of text and of what a line costs besides.
const BYTES: usize = 4 << 20;
/// What a line costs besides its text.
const LINE: usize = 64;

/// The driver's end. Clones are the same.
#[derive(Clone, Debug)]
pub struct Logs {
    sender: mpsc::Sender<(LogLine, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
}

/// The other end.
#[derive(Debug)]
pub struct Lines(mpsc::Receiver<(LogLine, OwnedSemaphorePermit)>);

/// There is no room for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What a line takes of the room. One that is longer than all of it takes all.
fn cost(line: &LogLine) -> u32 {
    u32::try_from((line.text.len() + LINE).min(BYTES)).unwrap_or(u32::MAX)
}

impl Logs {
    /// Both ends: a node's, and a test's of a driver.
    #[must_use]
    pub fn channel() -> (Logs, Lines) {
        let (sender, receiver) = mpsc::channel(LINES);
        let room = Arc::new(Semaphore::new(BYTES));
        (Logs { sender, room }, Lines(receiver))
    }

    /// Sends a line once there is room for it. Where the attempt is over nobody reads it, and it is dropped.
    pub async fn send(&self, line: LogLine) {
        let room = Arc::clone(&self.room).acquire_many_owned(cost(&line));
        let room = tokio::select! {
            room = room => room,
            () = self.sender.closed() => return,
        };
        if let Ok(room) = room {
            let _ = self.sender.send((line, room)).await;
        }
    }

    /// Sends a line at once; see [`Logs::send`].
    ///
    /// # Errors
    /// [`Full`] where it would have to wait.
    pub fn try_send(&self, line: LogLine) -> Result<(), Full> {
        if self.sender.is_closed() {
            return Ok(());
        }
        let room = Arc::clone(&self.room).try_acquire_many_owned(cost(&line));
        let sent = self.sender.try_send((line, room.map_err(|_| Full)?));
        match sent {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Full),
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }
}

impl Lines {
    /// The next line; `None` once all senders are gone.
    pub async fn recv(&mut self) -> Option<LogLine> {
        self.0.recv().await.map(|(line, _)| line)
    }

    /// Waits for a line, and adds all that there are. Nothing is lost where it is not waited for to the
    /// end. How many there were: none once all senders are gone.
    pub(crate) async fn recv_some(&mut self, lines: &mut Vec<LogLine>) -> usize {
        let mut some = Vec::new();
        let count = self.0.recv_many(&mut some, LINES).await;
        lines.extend(some.into_iter().map(|(line, _)| line));
        count
    }

    /// Takes no more, and gives what there is.
    pub(crate) async fn rest(&mut self) -> Vec<LogLine> {
        self.0.close();
        let mut rest = Vec::new();
        while let Some(line) = self.recv().await {
            rest.push(line);
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Full, LINES, Logs};
    use crate::driver::{LogLine, LogStream};
    use conveyor_engine::time::Time;

    fn line(bytes: usize) -> LogLine {
        LogLine {
            time: Time(0),
            stream: LogStream::Log,
            text: vec![b'x'; bytes].into(),
            goes_on: false,
        }
    }

    #[tokio::test]
    async fn lines_have_room_by_their_number_and_by_their_bytes() {
        let (logs, mut lines) = Logs::channel();
        assert!((0..LINES).all(|_| logs.try_send(line(1)).is_ok()));
        assert_eq!(logs.try_send(line(1)), Err(Full));
        assert_eq!(lines.recv_some(&mut Vec::new()).await, LINES);
        let long = BYTES / 4;
        let sent = (0..10).take_while(|_| logs.try_send(line(long)).is_ok());
        assert_eq!(sent.count(), 3);
        assert_eq!(lines.recv_some(&mut Vec::new()).await, 3);
        // One that is longer than all of the room has all of it.
        assert_eq!(logs.try_send(line(2 * BYTES)), Ok(()));
        assert_eq!(logs.try_send(line(0)), Err(Full));
        let waits = tokio::spawn({
            let logs = logs.clone();
            async move { logs.send(line(0)).await }
        });
        drop(lines);
        waits.await.unwrap();
        assert_eq!(logs.try_send(line(0)), Ok(()));
    }
}
