//! Values that a run's next fact needs come from the store first.

use super::Owner;
use super::load::RELOAD;
use super::messages::{Input, Output, ValueTexts};
use crate::error::NodeError;
use crate::id::RunId;
use conveyor_engine::time::Time;
use conveyor_engine::value::Hash;

impl Owner {
    /// Asks for values; `input` goes on when they are there.
    pub(super) fn want_values(&mut self, run: RunId, hashes: Vec<Hash>, input: Option<Input>) {
        if let Some(live) = self.live(run) {
            live.awaits_values = true;
            live.waiting.extend(input);
            self.outputs.push(Output::LoadValues { run, hashes });
        }
    }

    pub(super) fn values_loaded(
        &mut self,
        now: Time,
        run: RunId,
        values: Result<ValueTexts, NodeError>,
    ) {
        let Some(live) = self.live(run) else { return };
        match values {
            Ok(values) => values
                .iter()
                .for_each(|(hash, text)| live.keep(*hash, text)),
            // What waits for them asks again then.
            Err(error) if error.is_temporary() => {
                self.timers.insert((now.after(RELOAD), run));
                return;
            }
            Err(error) => {
                let sequence = live.run.sequence();
                return self.quarantine(now, run, &error.to_string(), sequence);
            }
        }
        self.go_on(now, run);
    }

    /// What waited for values is tried again.
    pub(super) fn go_on(&mut self, now: Time, run: RunId) {
        let Some(live) = self.live(run) else { return };
        live.awaits_values = false;
        let waiting = std::mem::take(&mut live.waiting);
        waiting
            .into_iter()
            .for_each(|input| self.of_run(now, run, input));
        self.fire(now, run);
        self.watch_turn(run);
    }
}
