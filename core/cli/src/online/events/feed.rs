//! What happens to all runs and objects.

use super::run_word;
use crate::args::{EventsArgs, Output};
use crate::client::{Engine, Problem, Steady};
use crate::exit::Exit;
use crate::render::style::{Style, Tone, run_tone};
use crate::render::{data, human};
use crate::terminal;
use conveyor_engine::run::RunState;
use conveyor_engine::time::Time;
use conveyor_engine::value::Json;
use conveyor_proto::v1;
use conveyor_proto::v1::watch_events_response::Item;
use serde_json::json;
use tonic::Code;

pub(super) async fn watch(engine: &Engine, args: &EventsArgs) -> Result<Exit, Problem> {
    let only = &args.only;
    let states = only.state.iter().filter_map(|word| {
        let known = RunState::ALL.iter().find(|state| state.as_str() == word)?;
        Some(i32::from(known.code()))
    });
    let request = v1::WatchEventsRequest {
        namespace: only.namespace.clone().unwrap_or_default(),
        cursor: args.after.clone().unwrap_or_default(),
        labels: only.labels.iter().cloned().collect(),
        pipeline: only.pipeline.clone().unwrap_or_default(),
        states: states.collect(),
        from_oldest: only.all || !args.follow,
        until_now: !args.follow,
    };
    let mut stream = Steady::open(&engine.link(), engine.client(), request).await?;
    let mut cursor = String::new();
    let ended = loop {
        match stream.message().await {
            Ok(Some(told)) => {
                cursor.clone_from(&told.cursor);
                if told.item.is_some() {
                    print(&told, args.form.output)?;
                }
            }
            Ok(None) if !args.follow => return Ok(Exit::Succeeded),
            // Of a process that ends with its runs.
            Ok(None) => break "it has ended the stream".to_owned(),
            Err(status) if cursor.is_empty() || status.code() != Code::Unavailable => {
                return Err(status.into());
            }
            Err(status) => break status.message().to_owned(),
        }
    };
    Err(Problem::unreachable(format!(
        "{ended}; `--after {cursor}` goes on where it was"
    )))
}

fn print(told: &v1::WatchEventsResponse, output: Output) -> Result<(), Problem> {
    let text = match output {
        Output::Json => data::json_line(&row(told)).map_err(Problem::refused)?,
        Output::Yaml => {
            let text = data::yaml(&row(told)).map_err(Problem::refused)?;
            format!("---\n{text}")
        }
        Output::Table => {
            let style = Style {
                colour: terminal::colours_out(),
            };
            match line(told, style) {
                Some(line) => line,
                None => return Ok(()),
            }
        }
    };
    terminal::print(&text);
    Ok(())
}

/// An event for programs: as [`super::object`] has those of one run, with what that leaves to its reader.
fn row(told: &v1::WatchEventsResponse) -> Json {
    let changed = |kind: &str, change: v1::ResourceChange, time_ms: u64, mut row: Json| {
        row["type"] = kind.into();
        row["change"] = done(change).into();
        row["time"] = Time(time_ms).to_string().into();
        row
    };
    let mut row = match &told.item {
        Some(Item::RunEvent(event)) => super::object(event),
        Some(Item::ResourceEvent(event)) => {
            let of = event.resource.clone().unwrap_or_default();
            let row = json!({
                "definition": of.definition, "name": of.name, "version": of.version,
                "actor": event.actor,
            });
            changed("resource", event.change(), event.time_ms, row)
        }
        Some(Item::ObjectEvent(event)) => {
            let mut row = json!({
                "name": event.name, "version": event.version, "actor": event.actor,
            });
            if !event.digest.is_empty() {
                row["digest"] = event.digest.as_str().into();
            }
            let kind = kind(event.kind()).unwrap_or("unknown");
            changed(kind, event.change(), event.time_ms, row)
        }
        None => json!({"type": "unknown"}),
    };
    if let Some(run) = &told.run {
        row["pipeline"] = run.pipeline.as_str().into();
        row["labels"] = json!(run.labels);
        row["actor"] = run.actor.as_str().into();
    }
    row["namespace"] = told.namespace.as_str().into();
    row["cursor"] = told.cursor.as_str().into();
    row
}

fn kind(kind: v1::ObjectKind) -> Option<&'static str> {
    match kind {
        v1::ObjectKind::Pipeline => Some("pipeline"),
        v1::ObjectKind::Definition => Some("definition"),
        v1::ObjectKind::Unspecified => None,
    }
}

fn done(change: v1::ResourceChange) -> &'static str {
    match change {
        v1::ResourceChange::Created => "created",
        v1::ResourceChange::Updated => "updated",
        v1::ResourceChange::Deleted => "deleted",
        v1::ResourceChange::Unspecified => "changed",
    }
}

/// An event for people; `None` for one of a later release.
fn line(told: &v1::WatchEventsResponse, style: Style) -> Option<String> {
    let (time_ms, text) = match told.item.as_ref()? {
        Item::RunEvent(event) => {
            let Some(v1::event::Event::RunChanged(changed)) = &event.event else {
                return None;
            };
            let state = RunState::from_code(u8::try_from(changed.to).ok()?)?;
            let run = told.run.as_ref();
            let pipeline = run.map(|run| run.pipeline.as_str()).unwrap_or_default();
            let mut text = format!("run {} of {pipeline} ", event.run);
            if changed.from != changed.to {
                text.push_str(&format!("{} → ", run_word(changed.from)?));
            }
            text.push_str(&style.paint(run_tone(state), state.as_str()));
            if !changed.reason.is_empty() && state != RunState::Succeeded {
                text.push_str(&format!(": {}", human::printable(&changed.reason)));
            }
            (event.time_ms, text)
        }
        Item::ResourceEvent(event) => {
            let of = event.resource.as_ref()?;
            let (name, version) = (format!("{}/{}", of.definition, of.name), of.version);
            let text = did("resource", &name, event.change(), version, &event.actor);
            (event.time_ms, text)
        }
        Item::ObjectEvent(event) => {
            let text = did(
                kind(event.kind())?,
                &event.name,
                event.change(),
                event.version,
                &event.actor,
            );
            (event.time_ms, text)
        }
    };
    let time = style.paint(Tone::Faint, &human::instant(Time(time_ms)));
    Some(format!("{time}  {:<12} {text}\n", told.namespace))
}

fn did(kind: &str, name: &str, change: v1::ResourceChange, version: u64, actor: &str) -> String {
    let (done, actor) = (done(change), human::printable(actor));
    format!("{kind} {name} {done}, version {version}, by {actor}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let mut told = v1::WatchEventsResponse {
            namespace: "default".to_owned(),
            run: Some(v1::Run {
                pipeline: "release".to_owned(),
                ..v1::Run::default()
            }),
            ..v1::WatchEventsResponse::default()
        };
        let plain = Style { colour: false };
        assert_eq!(line(&told, plain), None, "only a cursor");
        told.item = Some(Item::RunEvent(v1::Event {
            run: "0198".to_owned(),
            event: Some(v1::event::Event::RunChanged(v1::RunChanged {
                from: v1::RunState::Running.into(),
                to: v1::RunState::Failed.into(),
                reason: "step `test` failed".to_owned(),
            })),
            ..v1::Event::default()
        }));
        let text = line(&told, plain).expect("a line");
        assert!(
            text.ends_with(
                "default      run 0198 of release running → failed: step `test` failed\n"
            ),
            "{text}"
        );
        told.item = Some(Item::ResourceEvent(v1::ResourceEvent {
            change: v1::ResourceChange::Deleted.into(),
            resource: Some(v1::ResourceVersion {
                definition: "application".to_owned(),
                name: "web".to_owned(),
                version: 3,
                ..v1::ResourceVersion::default()
            }),
            actor: "ada".to_owned(),
            ..v1::ResourceEvent::default()
        }));
        let text = line(&told, plain).expect("a line");
        assert!(
            text.ends_with("default      resource application/web deleted, version 3, by ada\n"),
            "{text}"
        );
    }
}
