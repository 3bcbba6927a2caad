//! Runs: how they are started, and how they end.

use super::{limit, named};
use crate::engine::http::Asked;
use crate::engine::script::Script;
use crate::interfere::merge;
use crate::like::same;
use crate::v1::{EngineEnded, EngineStart};
use crate::view::{self, overview, steps};
use serde_json::{Value, json};

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
        merge(&mut body, &more);
    }
    let token = script.token("")?;
    let answer = script
        .http
        .call(&Asked::post("/v1/runs", &body, token.as_deref()))
        .await?;
    let status = if step.status == 0 { 200 } else { step.status };
    if u32::from(answer.status) != status {
        return Err(format!(
            "the engine answers the start of run `{name}` with {}; expected {status}",
            answer.told()
        ));
    }
    if let Some(expected) = script.values.json(&step.like)? {
        same(&expected, &answer.body)
            .map_err(|why| format!("the engine's answer to the start of run `{name}`: {why}"))?;
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
    let namespace = script.values.get("namespace")?;
    Ok(view::document(Some(&namespace), &spec))
}

pub(super) async fn ended(script: &mut Script<'_>, step: &EngineEnded) -> Result<(), String> {
    let name = named(&step.run, "run");
    let run = script.values.text(&format!("${{{name}}}"))?;
    let state = named(&step.state, "succeeded");
    let token = script.token("")?;
    let asked = Asked::get(&format!("/v1/runs/{run}?view=attempts"), token.as_deref());
    let within = limit(step.within_ms, 10_000);
    let http = script.http.clone();
    let look = async || match http.call(&asked).await {
        Ok(answer) if answer.status == 200 => Ok(Some(answer.body)),
        // An engine that restarts is not there for a moment.
        Ok(answer) if answer.status < 500 => {
            Err(format!("the engine answers {asked} with {}", answer.told()))
        }
        _ => Ok(None),
    };
    let view = view::ended(within, look).await?.map_err(|view| {
        format!(
            "the engine did not end run `{name}` within {} ms: {}",
            within.as_millis(),
            overview(&view)
        )
    })?;
    if view["run"]["state"] != state {
        return Err(format!(
            "the engine was to end run `{name}` as `{state}`: {}",
            overview(&view)
        ));
    }
    for (what, expected, shown) in [
        ("", &step.like, view["run"].clone()),
        ("the steps of ", &step.steps, steps(&view)),
    ] {
        if let Some(expected) = script.values.json(expected)? {
            same(&expected, &shown)
                .map_err(|why| format!("the engine shows {what}run `{name}` otherwise: {why}"))?;
        }
    }
    Ok(())
}
