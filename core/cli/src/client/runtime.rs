//! The threads that the verbs and the server run on.

use crate::exit::{Exit, refuse};
use std::pin::Pin;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long tasks have to end with the program.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Runs `work` to its end on threads of its own: so many, or one for each core.
pub(crate) fn with_runtime(threads: Option<usize>, work: impl Future<Output = Exit>) -> Exit {
    on_threads(threads, Box::pin(work))
}

/// Boxed, so that the runtime's loop is compiled once and not for each verb (decision 0064).
fn on_threads(threads: Option<usize>, work: Pin<Box<dyn Future<Output = Exit> + '_>>) -> Exit {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(format!("cannot start threads: {error}")),
    };
    let exit = runtime.block_on(async {
        let _ = outlive_file_limits();
        work.await
    });
    runtime.shutdown_timeout(SHUTDOWN);
    exit
}

/// From now on a file that may not grow is an error of the write (EFBIG), as a full disk is; SIGXFSZ
/// would end the program. It is caught, not ignored: what the program starts has it as it was.
fn outlive_file_limits() -> std::io::Result<()> {
    let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    signal(kind).map(drop)
}
