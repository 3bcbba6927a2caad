//! What each step does.

mod calls;
mod runs;
mod sessions;

use super::Stop;
use super::script::Script;
use crate::v1::engine_step::Step;
use std::time::Duration;

/// Performs a step.
pub(super) async fn perform(script: &mut Script<'_>, step: &Step) -> Result<(), Stop> {
    let done = match step {
        Step::Start(step) => runs::start(script, step).await,
        Step::Ended(step) => runs::ended(script, step).await,
        Step::Call(step) => calls::call(script, step).await,
        Step::Read(step) => calls::read(script, step).await,
        Step::Compare(step) => calls::compare(script, step),
        Step::Driver(step) => sessions::driver(script, step).await,
        Step::Release(step) => sessions::release(script, step),
        Step::Open(step) => sessions::open(script, step).await,
        Step::Tell(step) => sessions::tell(script, step),
        Step::See(step) => sessions::see(script, step).await,
        Step::Unseen(step) => sessions::unseen(script, step).await,
        Step::Break(step) => sessions::broken(script, step),
        Step::Closed(step) => sessions::closed(script, step).await,
        Step::Restart(step) => {
            let super::Played::Own(engine) = &mut script.played else {
                return Err(Stop::CouldNotRun(
                    "it restarts its engine, and others use this one".to_owned(),
                ));
            };
            return engine.restart(step.gently).await.map_err(Stop::from);
        }
    };
    done.map_err(Stop::failed)
}

/// A limit in milliseconds, or its default.
fn limit(ms: u64, default: u64) -> Duration {
    Duration::from_millis(if ms == 0 { default } else { ms })
}

/// A name, or its default.
fn named<'a>(name: &'a str, default: &'a str) -> &'a str {
    if name.is_empty() { default } else { name }
}
