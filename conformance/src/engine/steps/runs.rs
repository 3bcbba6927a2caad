//! Runs: how they are started, and how they end.

use super::{limit, named, over};
use crate::engine::http::Asked;
use crate::engine::script::Script;
use crate::like::{like, short};
use crate::v1::{EngineEnded, EngineStart};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// How often a run is looked at.
const LOOK: Duration = Duration::from_millis(20);

pub(super) async fn start(script: &mut Script<'_>, step: &EngineStart) -> Result<(), String> {
    let name = named(&step.name, "run");
    let mut body = json!({});
    if step.document.is_empty() {
        if let Some(spec) = script.values.json(&step.spec)? {
            let document = document(script, spec)?;
            body["document"] = json!({"source": document.to_string(), "file_name": "case.json"});
        }
    } else {
        let source = script.values.text(&step.document)?;
        body["document"] = json!({"source": source, "file_name": "case.yaml"});
    }
    if let Some(inputs) = script.values.json(&step.inputs)? {
        body["inputs"] = inputs;
    }
    if let Some(more) = script.values.json(&step.request)? {
        over(&mut body, more);
    }
    let token = script.token("")?;
    let answer = script
        .http
        .call(&Asked::post("/v1/runs", &body, token.as_deref()))
        .await?;
    let status = if step.status == 0 { 200 } else { step.status };
    if u32::from(answer.status) != status {
        return Err(format!(
            "it is answered {} {}; expected {status}",
            answer.status,
            short(&answer.body)
        ));
    }
    if let Some(expected) = script.values.json(&step.like)? {
        like(&expected, &answer.body)
            .map_err(|why| format!("{why}; the answer is {}", short(&answer.body)))?;
    }
    if let Some(id) = answer.body.pointer("/run/id") {
        script.values.set(name, id.clone());
    }
    Ok(())
}

/// A document of a spec, whose steps have the case's driver where they say none.
fn document(script: &Script<'_>, mut spec: Value) -> Result<Value, String> {
    let driver = script.values.get("driver")?;
    for list in ["steps", "finally"] {
        let steps = spec.get_mut(list).and_then(Value::as_array_mut);
        for step in steps.into_iter().flatten().filter_map(Value::as_object_mut) {
            // `approval` and `pipeline` are of later releases, and refused by name.
            let kinds = ["driver", "transform", "wait", "approval", "pipeline"];
            if !kinds.iter().any(|kind| step.contains_key(*kind)) {
                step.insert("driver".to_owned(), driver.clone());
            }
        }
    }
    Ok(json!({
        "apiVersion": "conveyor/v1",
        "kind": "Pipeline",
        "metadata": {"name": "case", "namespace": script.values.get("namespace")?},
        "spec": spec,
    }))
}

pub(super) async fn ended(script: &mut Script<'_>, step: &EngineEnded) -> Result<(), String> {
    let name = named(&step.run, "run");
    let run = script.values.text(&format!("${{{name}}}"))?;
    let state = named(&step.state, "succeeded");
    let token = script.token("")?;
    let asked = Asked::get(&format!("/v1/runs/{run}?view=attempts"), token.as_deref());
    let within = limit(step.within_ms, 10_000);
    let until = Instant::now() + within;
    let view = loop {
        let answer = script.http.call(&asked).await;
        let view = match answer {
            Ok(answer) if answer.status == 200 => answer.body,
            // An engine that restarts is not there for a moment.
            Ok(answer) if answer.status < 500 => return Err(answer.body.to_string()),
            _ => Value::Null,
        };
        if view.pointer("/run/ended_ms").is_some() {
            break view;
        }
        if Instant::now() > until {
            let milliseconds = within.as_millis();
            return Err(format!(
                "run `{name}` has not ended within {milliseconds} ms: {}",
                overview(&view)
            ));
        }
        tokio::time::sleep(LOOK).await;
    };
    let told = |why: String| format!("run `{name}`: {why}; {}", overview(&view));
    if view["run"]["state"] != state {
        return Err(told(format!(
            "is {}; expected {state:?}",
            view["run"]["state"]
        )));
    }
    if let Some(expected) = script.values.json(&step.like)? {
        like(&expected, &view["run"]).map_err(|why| told(why.to_string()))?;
    }
    if let Some(expected) = script.values.json(&step.steps)? {
        like(&expected, &by_id(&view)).map_err(|why| told(why.to_string()))?;
    }
    Ok(())
}

/// Steps by id, plain ones with what their only instance has.
fn by_id(view: &Value) -> Value {
    let steps = view["steps"].as_array().into_iter().flatten();
    let steps = steps.filter_map(|step| {
        let mut fields = step.as_object()?.clone();
        if step["fan_out"] == false
            && let Some(instance) = step.pointer("/instances/0").and_then(Value::as_object)
        {
            for (key, value) in instance {
                // Its reason is the step's own where that has none.
                let empty = fields.get(key).is_none_or(|own| own == "");
                if empty {
                    fields.insert(key.clone(), value.clone());
                }
            }
        }
        Some((step["id"].as_str()?.to_owned(), Value::Object(fields)))
    });
    Value::Object(steps.collect::<Map<_, _>>())
}

/// A run and its steps in a line.
fn overview(view: &Value) -> String {
    let steps = view["steps"].as_array().into_iter().flatten().map(|step| {
        let (id, state, reason) = (&step["id"], &step["state"], &step["reason"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match text(reason).as_str() {
            "" => format!("{}={}", text(id), text(state)),
            reason => format!("{}={} ({reason})", text(id), text(state)),
        }
    });
    let steps: Vec<_> = steps.collect();
    format!(
        "it is {} {}: {}",
        view["run"]["state"],
        view["run"]["reason"],
        steps.join(", ")
    )
}
