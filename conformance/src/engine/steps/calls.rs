//! Calls of REST, events, and what was saved of both.

use super::{limit, named};
use crate::engine::http::{Answer, Asked, authorization};
use crate::engine::script::Script;
use crate::like::{like, same, short};
use crate::v1::{EngineCall, EngineCompare, EngineRead};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How often a call is repeated that waits for what it looks for.
const AGAIN: Duration = Duration::from_millis(25);

pub(super) async fn call(script: &mut Script<'_>, step: &EngineCall) -> Result<(), String> {
    let begun;
    let answer = if step.answered.is_empty() {
        let asked = asked(script, step)?;
        begun = Instant::now();
        if !step.unanswered.is_empty() {
            let http = script.http.clone();
            let pending = tokio::spawn(async move { http.call(&asked).await });
            let name = step.unanswered.clone();
            script.pending.insert(name, (begun, pending));
            return Ok(());
        }
        let until = begun + Duration::from_millis(step.within_ms);
        loop {
            let answer = script.http.call(&asked).await;
            let fits = answer.and_then(|answer| {
                fits(script, step, &asked.to_string(), &answer)?;
                Ok(answer)
            });
            match fits {
                Ok(answer) => break answer,
                Err(why) if Instant::now() >= until => return Err(why),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    } else {
        let pending = script.pending.remove(&step.answered);
        let (made, pending) =
            pending.ok_or_else(|| format!("no call `{}` was made", step.answered))?;
        begun = made;
        let answer = pending.await.map_err(|error| error.to_string())??;
        let call = format!("the call `{}`", step.answered);
        fits(script, step, &call, &answer)?;
        answer
    };
    let took = begun.elapsed().as_millis();
    if took < u128::from(step.not_before_ms) {
        return Err(format!(
            "the engine answered after {took} ms; expected no earlier than after {} ms",
            step.not_before_ms
        ));
    }
    let (headers, body): (Vec<_>, Vec<_>) = step
        .save
        .iter()
        .partition(|(_, from)| from.starts_with("header:"));
    for (name, from) in headers {
        let header = from.trim_start_matches("header:");
        let value = answer.headers.get(header);
        let value = value.ok_or_else(|| format!("the engine's answer has no header `{header}`"))?;
        script.values.set(name, value.clone());
    }
    script.values.save(body, &answer.body)
}

fn asked(script: &Script<'_>, step: &EngineCall) -> Result<Asked, String> {
    let values = &script.values;
    let body = match values.json(&step.body)? {
        Some(json) => Some(json.to_string().into_bytes()),
        None if !step.text.is_empty() => Some(values.text(&step.text)?.into_bytes()),
        None => None,
    };
    let method = named(&step.method, if body.is_some() { "POST" } else { "GET" });
    let mut headers = Vec::new();
    if body.is_some() {
        let kind = named(&step.r#type, "application/json");
        headers.push(("content-type".to_owned(), kind.to_owned()));
    }
    let token = script.token(&step.token)?;
    headers.extend(token.as_deref().map(authorization));
    for (name, value) in &step.headers {
        headers.push((name.clone(), values.text(value)?));
    }
    Ok(Asked {
        method: method.to_owned(),
        path: values.text(&step.path)?,
        headers,
        body,
    })
}

/// Whether an answer is as the step says; otherwise what of it is not.
fn fits(script: &Script<'_>, step: &EngineCall, call: &str, answer: &Answer) -> Result<(), String> {
    let status = if step.status == 0 { 200 } else { step.status };
    if u32::from(answer.status) != status {
        return Err(format!(
            "the engine answers {call} with {}; expected {status}",
            answer.told()
        ));
    }
    for (what, expected, actual) in [
        ("answer", &step.like, &answer.body),
        ("headers", &step.headers_like, &answer.headers),
    ] {
        if let Some(expected) = script.values.json(expected)? {
            same(&expected, actual)
                .map_err(|why| format!("the engine's {what} to {call}: {why}"))?;
        }
    }
    Ok(())
}

pub(super) async fn read(script: &mut Script<'_>, step: &EngineRead) -> Result<(), String> {
    let token = script.token("")?;
    let mut asked = Asked::get(&script.values.text(&step.path)?, token.as_deref());
    if !step.last_event_id.is_empty() {
        let id = script.values.text(&step.last_event_id)?;
        asked.headers.push(("last-event-id".to_owned(), id));
    }
    let within = limit(step.within_ms, 10_000);
    let events = script.http.events(&asked, step.count as usize);
    let events = tokio::time::timeout(within, events).await;
    let events = events.map_err(|_| {
        let count = match step.count {
            0 => "its end".to_owned(),
            count => format!("{count} events"),
        };
        format!(
            "the engine has not come to {count} of {asked} within {} ms",
            within.as_millis()
        )
    })??;
    if let Some(expected) = script.values.json(&step.like)? {
        same(&expected, &events).map_err(|why| format!("the engine's events of {asked}: {why}"))?;
    }
    script.values.save(&step.save, &events)
}

pub(super) fn compare(script: &Script<'_>, step: &EngineCompare) -> Result<(), String> {
    let that = script.values.json(&step.that)?.unwrap_or(Value::Null);
    if let Some(expected) = script.values.json(&step.like)? {
        same(&expected, &that).map_err(|why| format!("what the engine said before: {why}"))?;
    }
    match script.values.json(&step.unlike)? {
        Some(other) if like(&other, &that).is_ok() => Err(format!(
            "what the engine said before is {}, and was not to be like {}",
            short(&that),
            short(&other)
        )),
        _ => Ok(()),
    }
}
