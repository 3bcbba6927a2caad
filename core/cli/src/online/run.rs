//! `run`.

use super::follow::{Begin, Shown, follow, whole};
use super::{actor, given, with_engine};
use crate::args::RunArgs;
use crate::client::{Engine, Options, Problem};
use crate::exit::Exit;
use crate::source::Given;
use crate::terminal;
use conveyor_driver_exec::WORKDIR_LABEL;
use conveyor_node::RunId;
use conveyor_proto::v1;
use conveyor_proto::v1::start_run_request::Pipeline;
use conveyor_store::Access;
use std::collections::BTreeMap;
use tonic::Status;

/// How often a start is tried with who holds the directory next.
const TRIES: u32 = 5;

/// `conveyor run`.
pub(crate) fn run(args: RunArgs) -> Exit {
    let shown = Shown {
        progress: args.progress,
        output: args.form.output,
    };
    let access = match args.continue_run {
        Some(_) => Access::Existing,
        None => Access::Create,
    };
    let options = Options::of(&args.local, access);
    if let Some(run) = args.continue_run {
        return with_engine(options, async |engine| go_on(engine, &run, shown).await);
    }
    let (request, given) = match request(&args) {
        Ok(request) => request,
        Err(problem) => return problem.tell(),
    };
    with_engine(options, async |engine| {
        start(engine, request, &given, shown).await
    })
}

fn request(args: &RunArgs) -> Result<(v1::StartRunRequest, Given), Problem> {
    let path = args
        .file
        .as_deref()
        .ok_or_else(|| Problem::refused("give a document to run"))?;
    let inputs = given::inputs(&args.inputs, Some(path))?;
    let document = given::document(path)?;
    let mut labels: BTreeMap<_, _> = args.labels.iter().cloned().collect();
    labels
        .entry(WORKDIR_LABEL.to_owned())
        .or_insert(directory()?);
    let request = v1::StartRunRequest {
        pipeline: Some(Pipeline::Document(document)),
        inputs: given::bytes(&inputs).into(),
        text_inputs: inputs.texts.clone(),
        labels,
        run_id: RunId::fresh().to_string(),
        actor: actor(),
        ..v1::StartRunRequest::default()
    };
    Ok((request, inputs))
}

/// Where the program was started: where the steps' relative directories begin.
fn directory() -> Result<String, Problem> {
    let directory = std::env::current_dir()
        .map_err(|error| Problem::refused(format!("the current directory is gone: {error}")))?;
    directory
        .into_os_string()
        .into_string()
        .map_err(|directory| {
            let directory = directory.to_string_lossy().into_owned();
            Problem::refused(format!(
                "the current directory's name is not UTF-8: {directory}"
            ))
        })
}

async fn start(
    engine: &mut Engine,
    request: v1::StartRunRequest,
    given: &Given,
    shown: Shown,
) -> Result<Exit, Problem> {
    let mut tries = 0;
    let answer = loop {
        match engine.client().start_run(request.clone()).await {
            Ok(answer) => break answer.into_inner(),
            Err(status) if tries < TRIES && engine.has_gone(&status) => {
                tries += 1;
                engine.reopen().await?;
            }
            Err(status) => return Err(refused(status, &request, given)),
        }
    };
    for warning in &answer.diagnostics {
        terminal::warning(&format!(
            "{}:{}:{}: {}",
            warning.file_name, warning.line, warning.column, warning.message
        ));
    }
    let run = answer.run.unwrap_or_default();
    if answer.existing && run.interrupted {
        // Our own first try was taken by a process that has gone since.
        let again = v1::ContinueRunRequest {
            run: run.id.clone(),
            actor: actor(),
        };
        engine.client().continue_run(again).await?;
    }
    follow(engine, &run.id, Begin::AtTheStart, shown).await
}

async fn go_on(engine: &mut Engine, run: &str, shown: Shown) -> Result<Exit, Problem> {
    let request = v1::ContinueRunRequest {
        run: run.to_owned(),
        actor: actor(),
    };
    let mut tries = 0;
    // What there was before it goes on is not told again.
    let (before, steps) = whole(&mut engine.client(), run).await?;
    let answer = loop {
        match engine.client().continue_run(request.clone()).await {
            Ok(answer) => break answer.into_inner(),
            Err(status) if tries < TRIES && engine.has_gone(&status) => {
                tries += 1;
                engine.reopen().await?;
            }
            Err(status) => return Err(status.into()),
        }
    };
    let run = answer.run.unwrap_or_default();
    if !answer.continued {
        let why = if run.ended_ms.is_some() {
            "has ended already"
        } else {
            "is moving already"
        };
        terminal::warning(&format!("run {} {why}", run.id));
    }
    let begin = Begin::After(Box::new(before), steps);
    follow(engine, &run.id, begin, shown).await
}

/// A refusal with the lines of the document and of the inputs that it is about.
fn refused(status: Status, request: &v1::StartRunRequest, given: &Given) -> Problem {
    let document = match &request.pipeline {
        Some(Pipeline::Document(document)) => Some(document),
        _ => None,
    };
    Problem::about(status, document, given)
}
