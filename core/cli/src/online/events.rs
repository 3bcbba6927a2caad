//! `events`.

mod feed;

use super::follow::{goes_on, whole};
use super::{reading, with_engine};
use crate::args::{EventsArgs, Output};
use crate::client::{Engine, Events, Problem, Steady, json, run_view};
use crate::exit::Exit;
use crate::render::data;
use crate::render::progress::line;
use crate::render::style::Style;
use crate::render::view::RunView;
use crate::terminal;
use conveyor_engine::run::{AttemptState, RunState, StepState};
use conveyor_engine::time::Time;
use conveyor_engine::value::Json;
use conveyor_proto::v1;
use conveyor_proto::v1::event::Event as Told;
use conveyor_proto::v1::watch_run_events_response::Item;
use serde_json::json;

/// `conveyor events`.
pub(crate) fn events(args: &EventsArgs) -> Exit {
    with_engine(reading(&args.place), async |engine| match &args.run {
        Some(run) => watch(engine, args, run).await,
        None => feed::watch(engine, args).await,
    })
}

async fn watch(engine: &Engine, args: &EventsArgs, run: &str) -> Result<Exit, Problem> {
    let mut client = engine.client();
    let (run, steps) = whole(&mut client, run).await?;
    let follow = args.follow && goes_on(&run);
    let request = v1::WatchRunEventsRequest {
        run: run.id.clone(),
        after: args.after.clone().unwrap_or_default(),
        follow,
    };
    let mut stream = Steady::open(&engine.link(), client, request).await?;
    let mut view = run_view(&run, &steps);
    let names = Events::of(&view);
    while let Some(item) = stream.message().await? {
        match item.item {
            Some(Item::Event(event)) => print(&mut view, &names, &event, args.form.output)?,
            Some(Item::End(_)) => break,
            None => {}
        }
    }
    Ok(Exit::Succeeded)
}

fn print(
    view: &mut RunView,
    names: &Events,
    event: &v1::Event,
    output: Output,
) -> Result<(), Problem> {
    let text = match output {
        Output::Json => data::json_line(&object(event)).map_err(Problem::refused)?,
        Output::Yaml => {
            format!(
                "---\n{}",
                data::yaml(&object(event)).map_err(Problem::refused)?
            )
        }
        Output::Table => {
            let style = Style {
                colour: terminal::colours_out(),
            };
            let told = names.event(event).and_then(|event| {
                view.apply(&event);
                line(view, &event, style)
            });
            match told {
                Some(line) => format!("{:<8} {line}\n", event.id),
                None => return Ok(()),
            }
        }
    };
    terminal::print(&text);
    Ok(())
}

/// An event for programs: what the contract has, with words for numbers.
fn object(event: &v1::Event) -> Json {
    let mut object = match &event.event {
        Some(told) => fields(told),
        None => json!({"type": "unknown"}),
    };
    if let Some(object) = object.as_object_mut() {
        object.insert("id".to_owned(), json!(event.id));
        object.insert("run".to_owned(), json!(event.run));
        object.insert("time".to_owned(), json!(Time(event.time_ms).to_string()));
        object.retain(|_, value| !value.is_null() && *value != json!(""));
    }
    object
}

fn fields(told: &Told) -> Json {
    match told {
        Told::RunChanged(run) => json!({
            "type": "run_changed", "from": run_word(run.from), "to": run_word(run.to),
            "reason": run.reason,
        }),
        Told::StepExpanded(step) => json!({
            "type": "step_expanded", "step": step.step, "instances": step.instances,
        }),
        Told::InstanceChanged(one) => json!({
            "type": "instance_changed", "step": one.step, "instance": one.instance,
            "attempt": one.attempt, "from": step_word(one.from), "to": step_word(one.to),
            "allowed": one.allowed, "due_at": one.due_ms.map(|due| Time(due).to_string()),
            "reason": one.reason,
        }),
        Told::AttemptClaimed(one) => with_id(
            "attempt_claimed",
            one.id.as_ref(),
            json!({
                "session": one.session, "driver_version": one.driver_version,
            }),
        ),
        Told::AttemptCancelling(one) => with_id(
            "attempt_cancelling",
            one.id.as_ref(),
            json!({
                "reason": one.reason, "grace_ms": one.grace_ms,
            }),
        ),
        Told::AttemptEnded(one) => with_id(
            "attempt_ended",
            one.id.as_ref(),
            json!({
                "state": attempt_word(one.state), "reason": one.reason,
                "outputs": json(&one.outputs),
                "failure": one.failure.as_ref().map(|failure| json!({
                    "code": failure.code, "message": failure.message,
                    "details": json(&failure.details), "retryable": failure.retryable,
                })),
            }),
        ),
        Told::StepEnded(step) => json!({
            "type": "step_ended", "step": step.step, "state": step_word(step.state), "ok": step.ok,
            "warnings": step.warnings, "reason": step.reason,
        }),
        Told::OutputsSet(set) => json!({"type": "outputs_set", "outputs": json(&set.outputs)}),
        Told::NoEffect(none) => json!({"type": "no_effect", "reason": none.reason}),
    }
}

fn with_id(kind: &str, id: Option<&v1::AttemptId>, mut object: Json) -> Json {
    if let (Some(object), Some(id)) = (object.as_object_mut(), id) {
        object.insert("type".to_owned(), json!(kind));
        object.insert("step".to_owned(), json!(id.step));
        object.insert("instance".to_owned(), json!(id.instance));
        object.insert("attempt".to_owned(), json!(id.attempt));
    }
    object
}

fn run_word(number: i32) -> Option<&'static str> {
    u8::try_from(number)
        .ok()
        .and_then(RunState::from_code)
        .map(RunState::as_str)
}

fn step_word(number: i32) -> Option<&'static str> {
    u8::try_from(number)
        .ok()
        .and_then(StepState::from_code)
        .map(StepState::as_str)
}

fn attempt_word(number: i32) -> Option<&'static str> {
    u8::try_from(number)
        .ok()
        .and_then(AttemptState::from_code)
        .map(AttemptState::as_str)
}
