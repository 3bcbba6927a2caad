//! What is said while something is drawn: whoever draws shows it above its drawing, so that neither
//! tears the other.

use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

static DRAWING: Mutex<Option<UnboundedSender<String>>> = Mutex::new(None);

/// What is said from now on comes here, until this is dropped.
pub(crate) struct Notices(UnboundedReceiver<String>);

impl Notices {
    /// Takes over. One drawing at a time: the latest gets everything.
    pub(crate) fn divert() -> Notices {
        let (sender, notices) = unbounded_channel();
        *drawing() = Some(sender);
        Notices(notices)
    }

    /// The next text, with its line's end. Never, once another has taken over.
    pub(crate) async fn next(&mut self) -> String {
        match self.0.recv().await {
            Some(text) => text,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        let mut drawing = drawing();
        self.0.close();
        if drawing.as_ref().is_some_and(UnboundedSender::is_closed) {
            *drawing = None;
        }
        while let Ok(text) = self.0.try_recv() {
            super::print_err(&text);
        }
    }
}

/// Says a text, wherever it is to be seen.
pub(super) fn say(text: String) {
    let unseen = match drawing().as_ref() {
        Some(sender) => sender.send(text).map_err(|unsent| unsent.0),
        None => Err(text),
    };
    if let Err(text) = unseen {
        super::print_err(&text);
    }
}

fn drawing() -> std::sync::MutexGuard<'static, Option<UnboundedSender<String>>> {
    DRAWING.lock().unwrap_or_else(PoisonError::into_inner)
}
