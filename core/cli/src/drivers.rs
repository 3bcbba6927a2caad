//! The drivers in this process, and what they give to steps.

use conveyor_driver_exec::taken_environment;
use conveyor_node::driver::Driver;
use std::sync::Arc;

/// The drivers that `conveyor run` has in process.
pub(crate) fn local_drivers() -> Vec<Arc<dyn Driver>> {
    vec![conveyor_sdk::embedded::in_process(
        conveyor_driver_exec::driver(),
    )]
}

/// What `exec` gives to every step out of this process's environment.
pub(crate) fn step_environment() -> impl Iterator<Item = (String, String)> {
    taken_environment().map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned()))
}
