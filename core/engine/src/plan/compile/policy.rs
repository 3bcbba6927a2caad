//! `retry` and `timeouts`, on a step and under `defaults` (SEMANTICS 10 to 12, 26).

use super::Compiler;
use super::fields::Fields;
use super::place::Place;
use crate::expr::Condition;
use crate::plan::types::{Backoff, BackoffKind, OnLost, Retry, Timeouts};
use crate::source::{Node, Path};
use crate::time::Duration;
use crate::value::{Hash, Json, canonical_bytes};
use std::sync::Arc;

const RETRY: Fields = Fields::of(&["attempts", "on", "if", "backoff", "lost", "on_lost"]);
const BACKOFF: Fields = Fields::of(&["kind", "initial", "factor", "max", "jitter"]);
const TIMEOUTS: Fields = Fields::of(&["queue", "attempt", "total", "heartbeat"]);
const WAIT_TIMEOUTS: Fields = Fields::of(&["total"]);

/// What one place says; what it leaves out comes from the place below.
#[derive(Clone, Default)]
pub(super) struct Policy {
    pub(super) retry: Option<RetryLayer>,
    pub(super) timeouts: Option<TimeoutsLayer>,
    /// Both as written.
    pub(super) json: Json,
}

impl Policy {
    /// SHA-256 of a step's own text with these below it (SEMANTICS 26, 27).
    pub(super) fn definition(&self, step: &Node, kind: &str) -> Hash {
        let mut json = step.to_json();
        let below: &[&str] = match kind {
            "driver" => &["retry", "timeouts"],
            "wait" => &["timeouts"],
            _ => &[],
        };
        for key in below {
            let Some(mut merged) = self.json.get(key).cloned() else {
                continue;
            };
            if kind == "wait"
                && let Json::Object(timeouts) = &mut merged
            {
                timeouts.retain(|name, _| WAIT_TIMEOUTS.known.contains(&name.as_str()));
                if timeouts.is_empty() {
                    continue;
                }
            }
            if let Json::Object(step) = &mut json {
                if let Some(own) = step.remove(*key) {
                    merge(&mut merged, own);
                }
                step.insert((*key).to_owned(), merged);
            }
        }
        Hash::of(&canonical_bytes(&json))
    }
}

/// Lays `over` on `below`: objects by key, all else replaced.
fn merge(below: &mut Json, over: Json) {
    match (below, over) {
        (Json::Object(below), Json::Object(over)) => {
            for (key, value) in over {
                match below.get_mut(&key) {
                    Some(old) => merge(old, value),
                    None => {
                        below.insert(key, value);
                    }
                }
            }
        }
        (below, over) => *below = over,
    }
}

#[derive(Clone, Default)]
pub(super) struct RetryLayer {
    attempts: Option<u32>,
    on: Option<[bool; 3]>,
    condition: Option<Arc<Condition>>,
    kind: Option<BackoffKind>,
    initial: Option<Duration>,
    factor_milli: Option<u64>,
    max: Option<Duration>,
    jitter_micro: Option<u32>,
    lost: Option<u32>,
    on_lost: Option<OnLost>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct TimeoutsLayer {
    queue: Option<Duration>,
    attempt: Option<Duration>,
    total: Option<Duration>,
    heartbeat: Option<Duration>,
}

impl RetryLayer {
    pub(super) fn over(self, below: Option<&RetryLayer>) -> RetryLayer {
        let Some(below) = below else { return self };
        RetryLayer {
            attempts: self.attempts.or(below.attempts),
            on: self.on.or(below.on),
            condition: self.condition.or_else(|| below.condition.clone()),
            kind: self.kind.or(below.kind),
            initial: self.initial.or(below.initial),
            factor_milli: self.factor_milli.or(below.factor_milli),
            max: self.max.or(below.max),
            jitter_micro: self.jitter_micro.or(below.jitter_micro),
            lost: self.lost.or(below.lost),
            on_lost: self.on_lost.or(below.on_lost),
        }
    }

    pub(super) fn finish(self) -> Retry {
        let none = Retry::none();
        let usual = Backoff::default();
        let [on_failure, on_error, on_timeout] = self.on.unwrap_or([true; 3]);
        Retry {
            attempts: self.attempts.unwrap_or(none.attempts),
            on_failure,
            on_error,
            on_timeout,
            condition: self.condition,
            backoff: Backoff {
                kind: self.kind.unwrap_or(usual.kind),
                initial: self.initial.unwrap_or(usual.initial),
                factor_milli: self.factor_milli.unwrap_or(usual.factor_milli),
                max: self.max.unwrap_or(usual.max),
                jitter_micro: self.jitter_micro.unwrap_or(usual.jitter_micro),
            },
            lost: self.lost.unwrap_or(none.lost),
            on_lost: self.on_lost.unwrap_or(none.on_lost),
        }
    }
}

impl TimeoutsLayer {
    pub(super) fn over(self, below: Option<&TimeoutsLayer>) -> TimeoutsLayer {
        let below = below.copied().unwrap_or_default();
        TimeoutsLayer {
            queue: self.queue.or(below.queue),
            attempt: self.attempt.or(below.attempt),
            total: self.total.or(below.total),
            heartbeat: self.heartbeat.or(below.heartbeat),
        }
    }

    pub(super) fn finish(self) -> Timeouts {
        let usual = Timeouts::default();
        Timeouts {
            queue: self.queue,
            attempt: self.attempt.unwrap_or(usual.attempt),
            total: self.total,
            heartbeat: self.heartbeat.unwrap_or(usual.heartbeat),
        }
    }

    /// What a `wait` knows of it.
    pub(super) fn only_total(self) -> TimeoutsLayer {
        TimeoutsLayer {
            total: self.total,
            ..TimeoutsLayer::default()
        }
    }
}

impl<'n> Compiler<'_, '_, 'n> {
    pub(super) fn retry(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        place: &Place<'_>,
    ) -> Option<RetryLayer> {
        let object = self.object(node, path, &RETRY)?;
        let mut layer = RetryLayer::default();
        if let Some(node) = object.get("attempts") {
            let most = ("retry_attempts", self.limits.retry_attempts);
            layer.attempts = self.integer(node, &path.key("attempts"), 1, most);
        }
        if let Some(node) = object.get("on") {
            layer.on = self.retry_on(node, &path.key("on"));
        }
        if let Some(node) = object.get("if") {
            layer.condition = self.condition(node, &path.key("if"), place).map(Arc::new);
        }
        if let Some(node) = object.get("lost") {
            let most = ("retry_lost", self.limits.retry_lost);
            layer.lost = self.integer(node, &path.key("lost"), 0, most);
        }
        if let Some(node) = object.get("on_lost") {
            let choices = [("retry", OnLost::Retry), ("fail", OnLost::Fail)];
            layer.on_lost = self.choice(node, &path.key("on_lost"), &choices);
        }
        if let Some(node) = object.get("backoff") {
            self.backoff(node, &path.key("backoff"), &mut layer);
        }
        Some(layer)
    }

    fn retry_on(&mut self, node: &'n Node, path: &Path<'_>) -> Option<[bool; 3]> {
        let choices = [("failure", 0), ("error", 1), ("timeout", 2)];
        let mut on = [false; 3];
        for (place, item) in self.list(node, path)?.iter().enumerate() {
            on[self.choice(item, &path.index(place), &choices)?] = true;
        }
        Some(on)
    }

    fn backoff(&mut self, node: &'n Node, path: &Path<'_>, layer: &mut RetryLayer) {
        let Some(object) = self.object(node, path, &BACKOFF) else {
            return;
        };
        if let Some(node) = object.get("kind") {
            let choices = [
                ("fixed", BackoffKind::Fixed),
                ("linear", BackoffKind::Linear),
                ("exponential", BackoffKind::Exponential),
            ];
            layer.kind = self.choice(node, &path.key("kind"), &choices);
        }
        if let Some(node) = object.get("initial") {
            layer.initial = self.duration(node, &path.key("initial"));
        }
        if let Some(node) = object.get("factor") {
            // Below 1 a backoff would shrink; above 100 two tries span the longest duration.
            layer.factor_milli = self.fraction(node, &path.key("factor"), (1.0, 100.0), 1_000.0);
        }
        if let Some(node) = object.get("max") {
            layer.max = self.duration(node, &path.key("max"));
        }
        if let Some(node) = object.get("jitter") {
            let micro = self.fraction(node, &path.key("jitter"), (0.0, 1.0), 1_000_000.0);
            layer.jitter_micro = micro.map(|micro| micro as u32);
        }
    }

    /// `timeouts`; a `wait` knows `total` alone.
    pub(super) fn timeouts(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        wait: bool,
    ) -> Option<TimeoutsLayer> {
        let fields = if wait { &WAIT_TIMEOUTS } else { &TIMEOUTS };
        let object = self.object(node, path, fields)?;
        let get = |compiler: &mut Self, key: &str| {
            if !fields.known.contains(&key) {
                return None;
            }
            object
                .get(key)
                .and_then(|node| compiler.duration(node, &path.key(key)))
        };
        Some(TimeoutsLayer {
            queue: get(self, "queue"),
            attempt: get(self, "attempt"),
            total: get(self, "total"),
            heartbeat: get(self, "heartbeat"),
        })
    }
}
