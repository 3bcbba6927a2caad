//! `logs`.

use super::follow::{goes_on, whole};
use super::{reading, with_engine};
use crate::args::{LogsArgs, Output};
use crate::client::{Engine, Events, Problem, Steady, run_view};
use crate::exit::Exit;
use crate::render::data;
use crate::render::human;
use crate::render::view::{RunView, What};
use crate::terminal;
use conveyor_engine::time::Time;
use conveyor_proto::v1;
use conveyor_proto::v1::read_logs_response::Item;

/// Steps that are named where none of them was meant.
const STEPS: usize = 20;

/// `conveyor logs`.
pub(crate) fn logs(args: &LogsArgs) -> Exit {
    with_engine(reading(&args.place), async |engine| {
        read(engine, args).await
    })
}

async fn read(engine: &Engine, args: &LogsArgs) -> Result<Exit, Problem> {
    let mut client = engine.client();
    let (run, steps) = whole(&mut client, &args.run).await?;
    let view = run_view(&run, &steps);
    let names = Events::of(&view);
    there(&view, args)?;
    let follow = args.follow && goes_on(&run);
    let request = v1::ReadLogsRequest {
        run: run.id.clone(),
        step: args.step.clone().unwrap_or_default(),
        instance: args.instance,
        attempt: args.attempt,
        from_offset: args.after.map_or(0, |after| after.saturating_add(1)),
        tail: args.tail,
        follow,
        after: String::new(),
    };
    let mut stream = Steady::open(&engine.link(), client, request).await?;
    while let Some(item) = stream.message().await? {
        match item.item {
            Some(Item::Records(records)) => {
                for record in &records.records {
                    print(&view, &names, record, args)?;
                }
            }
            Some(Item::LogEnd(_)) | None => {}
            Some(Item::End(_)) => break,
        }
    }
    Ok(Exit::Succeeded)
}

/// Refuses a step, an instance or an attempt that there is not: silence would look like a step that
/// says nothing.
fn there(view: &RunView, args: &LogsArgs) -> Result<(), Problem> {
    let Some(named) = args.step.as_deref() else {
        return Ok(());
    };
    let Some(step) = view.steps.iter().find(|step| step.id == named) else {
        let ids = view.steps.iter().take(STEPS).map(|step| step.id.clone());
        let mut ids = ids.collect::<Vec<_>>().join(", ");
        if view.steps.len() > STEPS {
            ids.push_str(&format!(" and {} more", view.steps.len() - STEPS));
        }
        return Err(Problem::refused(format!(
            "the run has no step `{named}`; it has: {ids}"
        )));
    };
    // Who follows may be early.
    let ended = step.state.is_terminal();
    if args.follow && !ended && step.instances.is_empty() {
        return Ok(());
    }
    let instances = match args.instance {
        None => &step.instances[..],
        Some(at) => match step.instances.get(at as usize) {
            Some(one) => std::slice::from_ref(one),
            None => {
                return Err(Problem::refused(format!(
                    "the step `{}` has no instance {at}: it has {}, numbered from 0",
                    step.id,
                    human::count(step.instances.len(), "instance")
                )));
            }
        },
    };
    let had = instances.iter().map(|one| one.attempts.len()).max();
    match args.attempt {
        Some(number) if number as usize > had.unwrap_or(0) && (ended || !args.follow) => {
            Err(Problem::refused(format!(
                "the step `{}` has had no attempt {number}: it has had {}",
                step.id,
                human::count(had.unwrap_or(0), "attempt")
            )))
        }
        _ => Ok(()),
    }
}

fn print(
    view: &RunView,
    names: &Events,
    record: &v1::LogRecord,
    args: &LogsArgs,
) -> Result<(), Problem> {
    if args.form.output != Output::Table {
        let id = record.id.clone().unwrap_or_default();
        let line = serde_json::json!({
            "run": id.run, "step": id.step, "instance": id.instance, "attempt": id.attempt,
            "offset": record.offset, "time": Time(record.time_ms).to_string(),
            "stream": match record.stream() {
                v1::LogStream::Stdout => "stdout",
                v1::LogStream::Stderr => "stderr",
                _ => "driver",
            },
            "text": String::from_utf8_lossy(&record.text), "truncated": record.truncated,
        });
        let text = match args.form.output {
            Output::Yaml => data::yaml(&line).map(|text| format!("---\n{text}")),
            _ => data::json_line(&line),
        };
        terminal::print(&text.map_err(Problem::refused)?);
        return Ok(());
    }
    let time = match args.timestamps {
        true => format!("{} ", Time(record.time_ms)),
        false => String::new(),
    };
    let Some(event) = names.line(record) else {
        return Ok(());
    };
    let What::Log { id, text, .. } = event.what else {
        return Ok(());
    };
    let step = view.steps.get(id.step as usize);
    let name = step.map(|step| step.instance_name(id.instance as usize));
    // Of one plain step there is nothing to tell apart.
    let alone = args.step.is_some() && step.is_some_and(|step| !step.fan);
    let prefix = if alone {
        String::new()
    } else {
        format!("{} | ", name.unwrap_or_default())
    };
    terminal::print(&format!("{time}{prefix}{}\n", human::printable(&text)));
    Ok(())
}
