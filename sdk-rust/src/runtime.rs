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

/// Works until it is told to stop.
pub(crate) async fn run(driver: Arc<Driver>, stop: Stop) -> Result<(), Error> {
    session::Runtime::new(driver, &stop).run().await
}
