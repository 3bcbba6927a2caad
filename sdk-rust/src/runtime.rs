//! The driver's end of the contract: connects, registers, takes tasks, and tells what became of them
//! until it is heard. docs/driver-contract.md numbers what is owed; the numbers stand beside the code.

mod connect;
mod deadlines;
mod engine;
mod held;
mod options;
mod session;
mod sink;
mod work;

pub(crate) use held::result_of;
pub use options::{Options, Stop};

use crate::{Driver, Error};
use std::sync::Arc;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Works until it is told to stop.
pub(crate) async fn run(driver: Arc<Driver>, stop: Stop) -> Result<(), Error> {
    let work = Handle::current();
    session::Runtime::new(driver, &stop, work).run().await
}

/// Works until SIGTERM or SIGINT come, in a thread of its own: actions that compute without giving way take the
/// threads of the caller's runtime, and hold up neither heartbeats nor a stop (R20). Ends when it is dropped.
pub(crate) async fn run_apart(driver: Arc<Driver>) -> Result<(), Error> {
    let work = Handle::current();
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let (mut ended, end) = oneshot::channel();
    let why = |what: &str, error: &dyn std::fmt::Display| Error::Driver(format!("{what}: {error}"));
    let thread = move || {
        let _lines = tracing::dispatcher::set_default(&dispatch);
        let result = match Builder::new_current_thread().enable_all().build() {
            Err(error) => Err(why("no runtime for the driver", &error)),
            Ok(own) => own.block_on(async {
                let stop = Stop::new();
                stop.on_signals()?;
                tokio::select! {
                    result = session::Runtime::new(driver, &stop, work).run() => result,
                    // Nobody waits for it any more.
                    () = ended.closed() => Ok(()),
                }
            }),
        };
        let _ = ended.send(result);
    };
    let started = std::thread::Builder::new().name("conveyor-driver".to_owned());
    let started = started.spawn(thread);
    started.map_err(|error| why("no thread for the driver", &error))?;
    let gone = || Error::Driver("the driver's thread panicked".to_owned());
    end.await.map_err(|_| gone())?
}
