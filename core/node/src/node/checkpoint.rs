//! Checkpoints of an attempt in this process: each a fact, its driver answered once it is durable.

use super::judge::secret_in_checkpoint;
use super::messages::{Message, RESEND};
use crate::driver::Checkpoint;
use crate::error::NodeError;
use crate::owner::{Answer, Input};
use crate::token::Claimed;
use bytes::Bytes;
use conveyor_mask::Mask;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Hands an attempt's checkpoints to the owner.
pub(super) struct Saver {
    pub(super) claimed: Claimed,
    pub(super) messages: Sender<Message>,
    /// The limit `checkpoint_bytes`.
    pub(super) most: u64,
    /// The attempt's secrets.
    pub(super) mask: Mask,
}

impl Saver {
    /// One after the other, so that the last one sent is the last one kept, until the driver has let
    /// go of its end.
    pub(super) async fn all(self, mut checkpoints: mpsc::Receiver<Checkpoint>) {
        while let Some(Checkpoint { data, saved }) = checkpoints.recv().await {
            let answer = self.save(&data).await;
            // Whoever saved it may have stopped waiting.
            let _ = saved.send(answer);
        }
    }

    async fn save(&self, data: &Bytes) -> Result<(), NodeError> {
        let (len, most) = (data.len() as u64, self.most);
        if len > most {
            return Err(NodeError::Invalid(format!(
                "the checkpoint has {len} bytes; the limit `checkpoint_bytes` is {most}"
            )));
        }
        if let Some(why) = secret_in_checkpoint(&self.mask, data) {
            return Err(NodeError::Invalid(why));
        }
        let data: Arc<[u8]> = Arc::from(&data[..]);
        let mut pause = RESEND;
        loop {
            let (reply, answer) = oneshot::channel();
            let (claimed, data) = (self.claimed, Arc::clone(&data));
            let make = Box::new(move |ticket| Input::Checkpoint {
                ticket,
                claimed,
                data,
            });
            let stopped = || NodeError::Unavailable("the node has stopped".into());
            let sent = self.messages.send(Message::Request(make, reply));
            sent.map_err(|_| stopped())?;
            match answer.await.map_err(|_| stopped())? {
                Ok(Answer::Stale) => {
                    return Err(NodeError::Invalid(
                        "the attempt's claim is over: its checkpoint is not kept".into(),
                    ));
                }
                Ok(_) => return Ok(()),
                Err(error) if error.is_temporary() => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                Err(error) => return Err(error),
            }
        }
    }
}
