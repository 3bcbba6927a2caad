//! `runs list`, `runs show`, `runs release`, `runs delete`.

use super::follow::whole;
use super::{actor, now, reading, tell, with_engine};
use crate::args::{DeleteArgs, ListArgs, Output, ReleaseArgs, ShowArgs, ShowOutput};
use crate::client::{Client, Engine, Problem, run_view};
use crate::exit::Exit;
use crate::render::style::{self, Style, Tone};
use crate::render::table::Table;
use crate::render::view::RunView;
use crate::render::{data, human, summary, timeline};
use crate::terminal;
use conveyor_proto::v1;

/// The narrowest chart, and its width where there is no terminal.
const WIDTH: usize = 100;
/// The most runs of one answer of a server.
const PAGE: usize = 1000;

/// `conveyor runs list`.
pub(crate) fn runs_list(args: &ListArgs) -> Exit {
    with_engine(reading(&args.place), async |engine| {
        list(engine, args).await
    })
}

async fn list(engine: &Engine, args: &ListArgs) -> Result<Exit, Problem> {
    let mut client = engine.client();
    let interrupted = args.state.iter().any(|state| state == "interrupted");
    if interrupted && args.state.len() > 1 {
        return Err(Problem::refused(
            "`--state interrupted` goes alone: it is no state, but that nobody moves a run",
        ));
    }
    let states: Result<Vec<_>, _> = args
        .state
        .iter()
        .filter(|state| *state != "interrupted")
        .map(|word| number(word))
        .collect();
    let states = states?;
    let mut runs: Vec<RunView> = Vec::new();
    let mut page_token = args.after.clone().unwrap_or_default();
    let limit = args.limit as usize;
    // The filters of all pages are the same.
    let began = now();
    while runs.len() < limit {
        let request = v1::ListRunsRequest {
            pipeline: args.pipeline.clone().unwrap_or_default(),
            states: states.clone(),
            interrupted,
            page_size: (limit - runs.len()).min(PAGE) as u32,
            page_token,
            namespace: args.namespace.clone(),
            labels: args.labels.iter().cloned().collect(),
            created_from_ms: args.since.map(|since| since.millis(began)),
            created_before_ms: args.until.map(|until| until.millis(began)),
        };
        let answer = client.list_runs(request).await?.into_inner();
        runs.extend(answer.runs.iter().map(|run| run_view(run, &[])));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let text = match args.form.output {
        Output::Json => data::json(&runs.iter().map(data::row).collect::<Vec<_>>()),
        Output::Yaml => data::yaml(&runs.iter().map(data::row).collect::<Vec<_>>()),
        Output::Table => Ok(table(&runs)),
    };
    terminal::print(&text.map_err(Problem::refused)?);
    Ok(Exit::Succeeded)
}

fn number(word: &str) -> Result<i32, Problem> {
    let known = conveyor_engine::run::RunState::ALL
        .iter()
        .find(|state| state.as_str() == word);
    let known = known.ok_or_else(|| Problem::refused(format!("`{word}` is no state of a run")))?;
    Ok(known.code().into())
}

fn table(runs: &[RunView]) -> String {
    let several = runs.iter().any(|run| run.namespace != runs[0].namespace);
    let mut heads = vec!["run", "pipeline", "state", "started", "took", "why"];
    if several {
        heads.insert(1, "namespace");
    }
    let mut table = Table::new(&heads);
    let now = now();
    for view in runs {
        let tone = match view.interrupted {
            true => Tone::Warn,
            false => style::run_tone(view.state),
        };
        let took = match view.interrupted {
            true => String::new(),
            false => human::duration(view.elapsed(now)),
        };
        let mut row = vec![
            (Tone::Plain, view.id.clone()),
            (Tone::Plain, view.pipeline.clone()),
            (tone, view.word().to_owned()),
            (
                Tone::Plain,
                view.started_at.map(human::instant).unwrap_or_default(),
            ),
            (Tone::Plain, took),
            (Tone::Faint, view.reason.clone()),
        ];
        if several {
            row.insert(1, (Tone::Plain, view.namespace.clone()));
        }
        table.row(row);
    }
    table.render(Style {
        colour: terminal::colours_out(),
    })
}

/// `conveyor runs show`.
pub(crate) fn runs_show(args: &ShowArgs) -> Exit {
    with_engine(reading(&args.place), async |engine| {
        show(engine, args).await
    })
}

async fn show(engine: &Engine, args: &ShowArgs) -> Result<Exit, Problem> {
    let (run, steps) = whole(&mut engine.client(), &args.run).await?;
    let view = run_view(&run, &steps);
    let style = Style {
        colour: terminal::colours_out(),
    };
    let text = match args.output {
        ShowOutput::Json => data::json(&view).map_err(Problem::refused)?,
        ShowOutput::Yaml => data::yaml(&view).map_err(Problem::refused)?,
        ShowOutput::Svg => timeline::svg(&view, now()),
        ShowOutput::Table if args.timeline => {
            let width = terminal::size().map_or(WIDTH, |(width, _)| width);
            timeline::text(&view, now(), width, style)
        }
        ShowOutput::Table => summary::show(&view, now(), style),
    };
    terminal::print(&text);
    if let Some(mark) = &run.quarantine {
        let next = match mark.since_ms {
            Some(_) => format!(
                "is quarantined; `conveyor runs release {}` folds it again",
                run.id
            ),
            None => "will be quarantined by whoever moves it".to_owned(),
        };
        terminal::warning(&format!(
            "the run does not fold, and {next}. At record {}: {}",
            mark.sequence, mark.reason
        ));
    }
    Ok(Exit::Succeeded)
}

/// `conveyor runs release`.
pub(crate) fn runs_release(args: &ReleaseArgs) -> Exit {
    with_engine(reading(&args.place), async |engine| {
        let request = v1::ReleaseRunRequest {
            run: args.run.clone(),
            actor: actor(),
        };
        let answer = engine.client().release_run(request).await?.into_inner();
        tell(answer.run, "", args.form)
    })
}

/// `conveyor runs delete`.
pub(crate) fn runs_delete(args: &DeleteArgs) -> Exit {
    with_engine(reading(&args.place), async |engine| {
        let mut client = engine.client();
        // Each is looked for before any is deleted: where one is not there, nothing is done.
        let mut found = Vec::new();
        for run in &args.runs {
            found.push(ended(&mut client, run).await?);
        }
        let mut deleted = Vec::new();
        let mut refused = None;
        for run in found {
            let request = v1::DeleteRunRequest { run: run.clone() };
            match client.delete_run(request).await.map_err(Problem::from) {
                Ok(_) => deleted.push(run),
                Err(problem) => {
                    refused = Some(problem);
                    break;
                }
            }
        }
        // Those before the one that is refused are gone: it has to be said.
        let rows: Vec<_> = deleted
            .iter()
            .map(|id| serde_json::json!({ "id": id, "deleted": true }))
            .collect();
        let text = match args.form.output {
            Output::Json => data::json(&rows),
            Output::Yaml => data::yaml(&rows),
            Output::Table => Ok(deleted
                .iter()
                .map(|id| format!("run {id} deleted\n"))
                .collect()),
        };
        terminal::print(&text.map_err(Problem::refused)?);
        match refused {
            Some(problem) => Err(problem),
            None => Ok(Exit::Succeeded),
        }
    })
}

/// The whole id of a run that has ended.
async fn ended(client: &mut Client, run: &str) -> Result<String, Problem> {
    let request = v1::GetRunRequest {
        run: run.to_owned(),
        ..v1::GetRunRequest::default()
    };
    let found = client.get_run(request).await?.into_inner();
    let run = found.run.unwrap_or_default();
    match run_view(&run, &[]).state.is_terminal() || run.quarantine.is_some() {
        true => Ok(run.id),
        false => Err(Problem::refused(format!(
            "the run {} has not ended: nothing is deleted; stop it first (`conveyor terminate {0}`)",
            run.id
        ))),
    }
}
