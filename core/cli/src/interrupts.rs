//! Ctrl-C, and what else asks the program to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What asked the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// SIGINT: Ctrl-C.
    CtrlC,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    HangUp,
}

impl Interrupt {
    /// For the run's records: who looks later cannot see which terminal it was.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Interrupt::CtrlC => "interrupted at the terminal",
            Interrupt::Terminate => "`conveyor` was told to end (SIGTERM)",
            Interrupt::HangUp => "the terminal of `conveyor` was closed (SIGHUP)",
        }
    }
}

/// Ctrl-C, SIGTERM and SIGHUP. From the first on, none of them ends the program by itself.
pub(crate) struct Interrupts(Vec<(Interrupt, Signal)>);

impl Interrupts {
    /// Listens from now on. Needs a tokio runtime.
    pub(crate) fn new() -> Interrupts {
        let kinds = [
            (Interrupt::CtrlC, SignalKind::interrupt()),
            (Interrupt::Terminate, SignalKind::terminate()),
            (Interrupt::HangUp, SignalKind::hangup()),
        ];
        let listening = kinds
            .into_iter()
            .filter_map(|(what, kind)| Some((what, signal(kind).ok()?)));
        Interrupts(listening.collect())
    }

    /// The next of them.
    pub(crate) async fn next(&mut self) -> Interrupt {
        std::future::poll_fn(|context| {
            for (what, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*what);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
