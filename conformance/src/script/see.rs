//! What is said, and what is not.

use super::{Halt, Stage, failed};
use crate::interfere::{about, inline, with_tokens};
use crate::like::like;
use crate::v1;
use crate::v1::Pattern;
use crate::wire::{Entry, TaskName, engine_message};
use serde_json::Value as Json;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long something is waited for unless the case says it.
const PATIENCE: u64 = 5_000;
/// How often it is looked whether the driver's process is still there.
const LOOK: Duration = Duration::from_millis(100);

impl Stage {
    pub(super) async fn see(&mut self, see: &v1::See) -> Result<(), Halt> {
        let pattern = see.message.clone().unwrap_or_default();
        let wanted = inline(&pattern.like);
        let within = Duration::from_millis(match see.within_ms {
            0 => PATIENCE,
            within => within,
        });
        let times = see.times.max(1);
        let mut from = if see.anywhere { 0 } else { self.cursor };
        let start = from;
        let until = Instant::now() + within;
        let mut found = 0;
        loop {
            let mut grown = self.site.record.grown();
            grown.mark_unchanged();
            let record = &self.site.record;
            let like_now = with_tokens(record, &wanted);
            while let Some((at, entry)) =
                record.find(from, |entry, task| fits(&pattern, &like_now, entry, task))
            {
                from = at + 1;
                found += 1;
                if found == times {
                    return self.found(see, at, &entry);
                }
            }
            if Instant::now() >= until {
                return failed(self.unseen_yet(&pattern, &like_now, start, found, times, within));
            }
            if let Some(gone) = self.gone() {
                let what = super::words::pattern(&pattern);
                return failed(format!("no {what} came: {gone}"));
            }
            let left = until.saturating_duration_since(Instant::now()).min(LOOK);
            // Its sender lives as long as the record.
            let _ = timeout(left, grown.changed()).await;
        }
    }

    fn found(&mut self, see: &v1::See, at: usize, entry: &Entry) -> Result<(), Halt> {
        let pause = entry.at.saturating_sub(self.seen);
        let least = Duration::from_millis(see.not_before_ms);
        if pause < least {
            let what = super::words::pattern(&see.message.clone().unwrap_or_default());
            return failed(format!(
                "{what} came {} ms behind what was seen before; at least {} ms are to lie between",
                pause.as_millis(),
                least.as_millis()
            ));
        }
        if !see.anywhere {
            self.cursor = at + 1;
            self.seen = entry.at;
        }
        self.site.record.saw(at);
        Ok(())
    }

    /// What did not come, and what came in its place.
    fn unseen_yet(
        &self,
        pattern: &Pattern,
        wanted: &Json,
        start: usize,
        found: u32,
        times: u32,
        within: Duration,
    ) -> String {
        let what = super::words::pattern(pattern);
        let within = within.as_millis();
        if times > 1 {
            return format!("{what} came {found} times of {times} within {within} ms");
        }
        let near = self.site.record.entries();
        let near = near.iter().skip(start).rev().find(|entry| {
            let task = self.site.record.task(&entry.token);
            about(pattern, entry.from, entry.kind, task.as_ref())
        });
        match near.map(|entry| like(wanted, &entry.body)) {
            Some(Err(mismatch)) => {
                format!(
                    "no such {what} came within {within} ms; the last was not like it: {mismatch}"
                )
            }
            _ => format!("no {what} came within {within} ms"),
        }
    }

    pub(super) async fn unseen(&mut self, unseen: &v1::Unseen) -> Result<(), Halt> {
        let pattern = unseen.message.clone().unwrap_or_default();
        // That nothing comes can be seen in no other way than by waiting.
        sleep(Duration::from_millis(unseen.for_ms)).await;
        let record = &self.site.record;
        let wanted = inline(&pattern.like);
        let wanted = with_tokens(record, &wanted);
        let from = if unseen.anywhere { 0 } else { self.cursor };
        match record.find(from, |entry, task| fits(&pattern, &wanted, entry, task)) {
            None => Ok(()),
            Some((_, entry)) => {
                let what = super::words::pattern(&pattern);
                let body = short(&entry.body);
                failed(format!("{what} came, and was not to come: {body}"))
            }
        }
    }

    pub(super) fn say(&mut self, say: &v1::Say) -> Result<(), Halt> {
        let json = self.placed(&say.message);
        let message = engine_message(&json).map_err(|why| {
            Halt::Unable(format!(
                "what the case says is no message of the engine: {why}"
            ))
        })?;
        self.site.tap.say(message, say.cut, say.later);
        Ok(())
    }
}

fn fits(pattern: &Pattern, wanted: &Json, entry: &Entry, task: Option<&TaskName>) -> bool {
    about(pattern, entry.from, entry.kind, task) && like(wanted, &entry.body).is_ok()
}

/// JSON as a sentence can have it.
pub(super) fn short(json: &Json) -> String {
    let text = json.to_string();
    match text.char_indices().nth(300) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
