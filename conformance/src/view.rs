//! Runs as suites look at them: the pipeline that is started, its view, and the wait for its end.

use serde_json::{Map, Value as Json, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often a run is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(25);
/// As many steps as a sentence names.
const NAMED: usize = 12;

/// A pipeline's document.
pub(crate) fn document(namespace: Option<&Json>, spec: &Json) -> Json {
    let mut metadata = json!({ "name": "case" });
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.clone();
    }
    json!({
        "apiVersion": "conveyor/v1",
        "kind": "Pipeline",
        "metadata": metadata,
        "spec": spec,
    })
}

/// Waits until a run has ended. `look` gives its view, or nothing where there is none for a moment.
///
/// # Errors
/// What `look` cannot go on with; within, the last view of a run that did not end in time.
pub(crate) async fn ended<E>(
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<Json>, E>,
) -> Result<Result<Json, Json>, E> {
    let until = Instant::now() + within;
    loop {
        let view = look().await?.unwrap_or_default();
        if view.pointer("/run/ended_ms").is_some() {
            return Ok(Ok(view));
        }
        if Instant::now() >= until {
            return Ok(Err(view));
        }
        sleep(LOOK).await;
    }
}

/// A run's steps by id, plain ones with what their only instance has.
pub(crate) fn steps(view: &Json) -> Json {
    let steps = view["steps"].as_array().into_iter().flatten();
    let steps = steps.filter_map(|step| {
        let mut fields = step.as_object()?.clone();
        if step["fan_out"] == false
            && let Some(instance) = step.pointer("/instances/0").and_then(Json::as_object)
        {
            for (key, value) in instance {
                // Its reason is the step's own where that has none.
                let empty = fields.get(key).is_none_or(|own| own == "");
                if empty {
                    fields.insert(key.clone(), value.clone());
                }
            }
        }
        Some((step["id"].as_str()?.to_owned(), Json::Object(fields)))
    });
    Json::Object(steps.collect::<Map<_, _>>())
}

/// A run and its steps as a sentence: ``it is `failed`; `a` is `failed` (stumbled: it did)``.
pub(crate) fn overview(view: &Json) -> String {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let state = text(&view["run"]["state"]);
    if state.is_empty() {
        return "the engine does not show it".to_owned();
    }
    let all = steps(view);
    let all = all.as_object().into_iter().flatten();
    let mut told = vec![match text(&view["run"]["reason"]).as_str() {
        "" => format!("it is `{state}`"),
        reason => format!("it is `{state}` ({reason})"),
    }];
    let count = all.clone().count();
    told.extend(all.take(NAMED).map(|(id, step)| {
        let state = text(&step["state"]);
        let last = step["attempts"].as_array().and_then(|all| all.last());
        let failure = last.map(|attempt| &attempt["failure"]);
        let failure = failure.filter(|failure| failure.is_object());
        let why = match failure {
            Some(failure) => format!("{}: {}", text(&failure["code"]), text(&failure["message"])),
            None => text(&step["reason"]),
        };
        match why.as_str() {
            "" => format!("`{id}` is `{state}`"),
            why => format!("`{id}` is `{state}` ({why})"),
        }
    }));
    if count > NAMED {
        told.push(format!("and {} steps more", count - NAMED));
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_with_its_steps_and_why_they_failed() {
        let failure = json!({"code": "stumbled", "message": "it did"});
        let view = json!({
            "run": {"state": "failed", "reason": ""},
            "steps": [
                {"id": "a", "state": "failed", "reason": "", "fan_out": false,
                 "instances": [{"state": "failed", "reason": "its attempt failed", "attempts": [{"failure": failure}]}]},
                {"id": "b", "state": "skipped", "reason": "needs a", "fan_out": true, "instances": [{"outputs": {}}]},
            ],
        });
        assert_eq!(
            overview(&view),
            "it is `failed`; `a` is `failed` (stumbled: it did); `b` is `skipped` (needs a)"
        );
        assert_eq!(overview(&json!({})), "the engine does not show it");
        let steps = steps(&view);
        assert_eq!(steps["a"]["reason"], "its attempt failed");
        assert_eq!(steps["b"].get("outputs"), None);
    }

    #[tokio::test]
    async fn an_end_is_waited_for_until_the_time_is_over() {
        let mut looks = 0;
        let view = ended(Duration::from_secs(60), async || {
            looks += 1;
            Ok::<_, ()>((looks > 2).then(|| json!({"run": {"ended_ms": 5}})))
        });
        assert!(view.await.is_ok_and(|view| view.is_ok()));
        let running = json!({"run": {"state": "running"}});
        let view = ended(Duration::from_millis(1), async || {
            Ok::<_, ()>(Some(running.clone()))
        });
        assert_eq!(view.await, Ok(Err(running.clone())));
        let view = ended(Duration::from_secs(1), async || Err("gone"));
        assert_eq!(view.await, Err("gone"));
    }
}
