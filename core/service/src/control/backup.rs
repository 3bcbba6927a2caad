//! A backup, as the bytes of its file.

use super::watch::Stream;
use super::{ControlHandlers, refuse};
use conveyor_node::backup::Backup;
use conveyor_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Pieces that may be ahead of a slow reader: some megabytes.
const BUFFER: usize = 4;

impl ControlHandlers {
    /// What the store holds now. A reader that goes away ends it, and leaves nothing behind here.
    pub(super) async fn back_up(&self) -> Result<Stream<v1::BackupResponse>, Status> {
        let backup = self.reader.backup(self.node.now()).await.map_err(refuse)?;
        let (sender, receiver) = mpsc::channel(BUFFER);
        let handlers = self.clone();
        tokio::spawn(async move { handlers.send_backup(backup, &sender).await });
        Ok(ReceiverStream::new(receiver))
    }

    async fn send_backup(
        &self,
        mut backup: Backup,
        sender: &mpsc::Sender<Result<v1::BackupResponse, Status>>,
    ) {
        loop {
            let piece = match self.reader.next_piece(backup).await {
                Ok((rest, Some(piece))) => {
                    backup = rest;
                    Ok(v1::BackupResponse { data: piece })
                }
                Ok((_, None)) => return,
                Err(error) => {
                    // The reader may have gone.
                    let _ = sender.send(Err(refuse(error))).await;
                    return;
                }
            };
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    }
}
