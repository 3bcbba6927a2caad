//! One attempt, as a case says that it is done.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::{mpsc, watch};

/// What is done of an attempt: a `Play` with all its names filled in.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Act {
    pub(in crate::engine) refuse: bool,
    pub(in crate::engine) forget: bool,
    pub(in crate::engine) logs: Vec<String>,
    pub(in crate::engine) checkpoint: Option<String>,
    pub(in crate::engine) hold: bool,
    pub(in crate::engine) cancelled: String,
    pub(in crate::engine) succeed: Option<Value>,
    pub(in crate::engine) fail: Option<Value>,
    pub(in crate::engine) error: Option<Value>,
    pub(in crate::engine) echo: bool,
}

/// What is done of each, and which may go on.
#[derive(Clone, Debug)]
pub(super) struct Acts {
    pub(super) acts: BTreeMap<String, Vec<Act>>,
    pub(super) release: watch::Receiver<BTreeSet<(String, u32)>>,
}

/// What an attempt has its driver say.
#[derive(Debug)]
pub(super) enum Said {
    /// A SessionRequest.
    Message(Value),
    /// The task with this token is refused.
    Refused(String),
    /// It is taken, and nothing more is said of it.
    Forgotten(String),
    /// It ended so.
    Ended(String, Value),
}

impl Acts {
    /// What is done of an attempt, and the names that it goes by.
    fn of(&self, task: &Value) -> (Act, [String; 2], u32) {
        let step = task["id"]["step"].as_str().unwrap_or_default();
        let instance = task["id"]["instance"].as_u64().unwrap_or(0);
        let attempt = task["id"]["attempt"].as_u64().unwrap_or(1) as u32;
        let names = [format!("{step}[{instance}]"), step.to_owned()];
        let acts = names.iter().find_map(|name| self.acts.get(name));
        let index = attempt.saturating_sub(1) as usize;
        let act = acts.and_then(|acts| acts.get(index)).cloned();
        (act.unwrap_or_default(), names, attempt)
    }
}

/// Does one attempt. Whoever listens may be gone: then nothing of it matters.
pub(super) async fn perform(
    acts: Acts,
    task: Value,
    say: mpsc::UnboundedSender<Said>,
    mut cancelled: watch::Receiver<bool>,
) {
    let token = task["token"].as_str().unwrap_or_default().to_owned();
    let (act, names, attempt) = acts.of(&task);
    let tell = |said| drop(say.send(said));
    if act.refuse {
        return tell(Said::Refused(token));
    }
    tell(Said::Message(
        json!({"answer": {"token": token, "accepted": {}}}),
    ));
    if act.forget {
        return tell(Said::Forgotten(token));
    }
    if !act.logs.is_empty() {
        let lines: Vec<_> = act.logs.iter().map(|text| json!({"text": text})).collect();
        let batch = json!({"token": token, "first_offset": 0, "lines": lines});
        tell(Said::Message(json!({"logs": batch})));
    }
    if let Some(checkpoint) = &act.checkpoint {
        let data = STANDARD.encode(checkpoint);
        tell(Said::Message(
            json!({"checkpoint": {"token": token, "data": data}}),
        ));
    }
    let mut result = result(&act, &task);
    if act.hold {
        let mut release = acts.release;
        let ignores = act.cancelled == "ignore";
        let freed = release.wait_for(|released| {
            names
                .iter()
                .any(|name| released.contains(&(name.clone(), attempt)))
        });
        tokio::select! {
            freed = freed => if freed.is_err() {
                return;
            },
            stopped = cancelled.wait_for(|cancelled| *cancelled), if !ignores => {
                // Its sender goes with the claim: nothing is told of it any more.
                if stopped.is_err() {
                    return;
                }
                result = match act.cancelled.as_str() {
                    "succeed" => result,
                    "fail" => json!({
                        "state": "failed",
                        "failure": {"code": "stopped", "message": "it was stopped"}
                    }),
                    _ => json!({"state": "cancelled"}),
                };
            }
        }
    }
    if !act.logs.is_empty() {
        result["last_log_offset"] = (act.logs.len() - 1).into();
    }
    tell(Said::Ended(token, result));
}

fn result(act: &Act, task: &Value) -> Value {
    let failed = |state: &str, failure: &Value| {
        let mut told = json!({"code": "no", "message": "as the case says"});
        if let (Value::Object(told), Value::Object(failure)) = (&mut told, failure) {
            told.extend(failure.clone());
        }
        json!({"state": state, "failure": told})
    };
    if let Some(failure) = &act.fail {
        return failed("failed", failure);
    }
    if let Some(failure) = &act.error {
        return failed("errored", failure);
    }
    let outputs = match act.echo {
        true => carried(task),
        false => act
            .succeed
            .clone()
            .unwrap_or_else(|| Value::Object(Map::new())),
    };
    json!({"state": "succeeded", "outputs": outputs})
}

/// What a task came with.
fn carried(task: &Value) -> Value {
    let mut carried = json!({
        "inputs": task["inputs"],
        "labels": task["labels"],
        "attempt": task["id"]["attempt"],
        "action": task["action"],
    });
    if let Some(parameters) = task.get("parameters") {
        carried["parameters"] = parameters.clone();
    }
    if let Some(checkpoint) = task.get("checkpoint").and_then(Value::as_str) {
        let bytes = STANDARD.decode(checkpoint).unwrap_or_default();
        carried["checkpoint"] = String::from_utf8_lossy(&bytes).into_owned().into();
    }
    carried
}
