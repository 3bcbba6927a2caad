//! Drivers: those that play, and streams on which a case says each message.

use super::{limit, named};
use crate::engine::driver::{Act, Part, Player};
use crate::engine::link;
use crate::engine::script::Script;
use crate::engine::stream::Stream;
use crate::interfere::merge;
use crate::like::same;
use crate::v1::{
    EngineBreak, EngineClosed, EngineDriver, EngineOpen, EngineRelease, EngineSee, EngineTell,
    EngineUnseen, Play,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) async fn driver(script: &mut Script<'_>, step: &EngineDriver) -> Result<(), String> {
    let name = named(&step.name, "d").to_owned();
    let mut hello = script.values.get("hello")?;
    if let Some(more) = script.values.json(&step.hello)? {
        merge(&mut hello, &more);
    }
    let mut acts = BTreeMap::new();
    for (task, plays) in &step.play {
        let each = plays.attempts.iter().map(|play| act(script, play));
        acts.insert(task.clone(), each.collect::<Result<Vec<_>, _>>()?);
    }
    let rest = match named(&step.transport, "stream") {
        "stream" => false,
        "rest" => true,
        other => {
            return Err(format!(
                "there is no transport `{other}`: `stream` or `rest`"
            ));
        }
    };
    let part = Part {
        url: script.played.engine().url().to_owned(),
        access: script.token("")?,
        hello,
        rest,
        acts,
        said: script.said.clone(),
        name: name.clone(),
    };
    let player = Player::connect(part).await?;
    script.players.insert(name, player);
    Ok(())
}

fn act(script: &Script<'_>, play: &Play) -> Result<Act, String> {
    let values = &script.values;
    let logs = play.logs.iter().map(|line| values.text(line));
    Ok(Act {
        refuse: play.refuse,
        forget: play.forget,
        logs: logs.collect::<Result<_, _>>()?,
        checkpoint: match play.checkpoint.as_str() {
            "" => None,
            text => Some(values.text(text)?),
        },
        hold: play.hold,
        cancelled: play.cancelled.clone(),
        succeed: values.json(&play.succeed)?,
        fail: values.json(&play.fail)?,
        error: values.json(&play.error)?,
        echo: play.echo,
    })
}

pub(super) fn release(script: &mut Script<'_>, step: &EngineRelease) -> Result<(), String> {
    let name = named(&step.driver, "d");
    let player = script.players.get(name);
    let player = player.ok_or_else(|| format!("no driver `{name}` is connected"))?;
    player.release(&step.task, step.attempt.max(1));
    Ok(())
}

pub(super) async fn open(script: &mut Script<'_>, step: &EngineOpen) -> Result<(), String> {
    let name = named(&step.session, "s").to_owned();
    let token = script.token(&step.token)?;
    let url = script.played.engine().url();
    let opened = Stream::open(url, token.as_deref(), &name, &script.said).await;
    let mut stream = match opened {
        Ok(stream) if step.refused.is_empty() => stream,
        Ok(mut stream) => return stream.closed(&step.refused, limit(0, 5_000)).await,
        Err(status) if link::word(status.code()) == step.refused => return Ok(()),
        Err(status) => {
            return Err(format!(
                "the engine refuses the stream `{name}`: `{}`: {}",
                link::word(status.code()),
                status.message()
            ));
        }
    };
    if let Some(mut first) = script.values.json(&step.first)? {
        if let Some(said) = first.get("hello").cloned() {
            let mut hello = script.values.get("hello")?;
            merge(&mut hello, &said);
            first["hello"] = hello;
        }
        stream.tell(&first, None, &[])?;
    }
    if let Some(expected) = script.values.json(&step.see)? {
        let seen = stream
            .see(&json!({}), limit(0, 5_000), Duration::ZERO)
            .await?;
        same(&expected, &seen).map_err(|why| {
            format!(
                "the engine's first message on stream `{name}` is {}: {why}",
                kind_of(&seen)
            )
        })?;
        script.values.save(&step.save, &seen)?;
    }
    script.streams.insert(name, stream);
    Ok(())
}

/// What a message is: `` `goodbye` ``.
fn kind_of(message: &Value) -> String {
    let fields = message.as_object().into_iter().flatten();
    let mut kinds = fields.filter(|(name, _)| *name != "sequence");
    let kind = kinds.next();
    kind.map_or_else(|| "nothing".to_owned(), |(kind, _)| format!("`{kind}`"))
}

pub(super) fn tell(script: &mut Script<'_>, step: &EngineTell) -> Result<(), String> {
    let message = script.values.json(&step.message)?;
    let stream = script.stream(&step.session)?;
    if !step.raw.is_empty() {
        stream.raw(&step.raw);
        return Ok(());
    }
    let message = message.unwrap_or_else(|| Value::Object(Default::default()));
    let sequence = Some(step.sequence).filter(|sequence| *sequence > 0);
    for _ in 0..step.times.max(1) {
        stream.tell(&message, sequence, &step.later)?;
    }
    Ok(())
}

pub(super) async fn see(script: &mut Script<'_>, step: &EngineSee) -> Result<(), String> {
    let expected = script
        .values
        .json(&step.message)?
        .unwrap_or_else(|| json!({}));
    let stream = script.stream(&step.session)?;
    let not_before = Duration::from_millis(step.not_before_ms);
    let seen = stream
        .see(&expected, limit(step.within_ms, 5_000), not_before)
        .await?;
    script.values.save(&step.save, &seen)
}

pub(super) async fn unseen(script: &mut Script<'_>, step: &EngineUnseen) -> Result<(), String> {
    let expected = script
        .values
        .json(&step.message)?
        .unwrap_or_else(|| json!({}));
    let stream = script.stream(&step.session)?;
    stream.unseen(&expected, limit(step.for_ms, 300)).await
}

pub(super) fn broken(script: &mut Script<'_>, step: &EngineBreak) -> Result<(), String> {
    let name = named(&step.session, "s");
    let stream = script.streams.remove(name).is_some();
    let player = script.players.remove(name).is_some();
    match stream || player {
        true => Ok(()),
        false => Err(format!("no stream and no driver `{name}` is open")),
    }
}

pub(super) async fn closed(script: &mut Script<'_>, step: &EngineClosed) -> Result<(), String> {
    let status = named(&step.status, "ok");
    let stream = script.stream(&step.session)?;
    stream.closed(status, limit(step.within_ms, 5_000)).await
}
