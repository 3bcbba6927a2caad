//! `apply` and `start`.

use super::follow::{Begin, Shown, follow};
use super::objects::{pipeline_row, print_rows};
use super::{actor, given, reading, tell, with_engine};
use crate::args::{ApplyArgs, StartArgs};
use crate::client::{Engine, Problem};
use crate::exit::Exit;
use crate::render::style::Tone;
use crate::render::table::Table;
use crate::source::Given;
use crate::terminal;
use conveyor_engine::value::Json;
use conveyor_node::RunId;
use conveyor_proto::v1;
use conveyor_proto::v1::start_run_request::Pipeline;
use std::path::{Path, PathBuf};

/// `conveyor apply`.
pub(crate) fn apply(args: &ApplyArgs) -> Exit {
    let documents = match documents(&args.files) {
        Ok(documents) => documents,
        Err(problem) => return problem.tell(),
    };
    let mut options = reading(&args.place);
    options.access = conveyor_store::Access::Create;
    with_engine(options, async |engine| {
        stored(engine, args, documents).await
    })
}

/// The documents that are named, those of a directory by their names.
fn documents(paths: &[PathBuf]) -> Result<Vec<v1::Document>, Problem> {
    let mut documents = Vec::new();
    for path in paths {
        if !path.is_dir() {
            documents.push(given::document(path)?);
            continue;
        }
        let unreadable =
            |error: std::io::Error| Problem::refused(format!("{}: {error}", path.display()));
        let entries = std::fs::read_dir(path).map_err(unreadable)?;
        let entries: Result<Vec<_>, _> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect();
        let mut files: Vec<_> = entries.map_err(unreadable)?;
        files.retain(|file| is_document(file));
        files.sort();
        if files.is_empty() {
            return Err(Problem::refused(format!(
                "the directory {} has no document: no .yaml, .yml or .json file",
                path.display()
            )));
        }
        for file in files {
            documents.push(given::document(&file)?);
        }
    }
    Ok(documents)
}

/// Files of test cases lie beside their pipelines.
fn is_document(file: &Path) -> bool {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let kind = file.extension().and_then(|kind| kind.to_str());
    let test = [".test.yaml", ".test.yml", ".test.json"];
    matches!(kind, Some("yaml" | "yml" | "json"))
        && !name.starts_with('.')
        && !test.iter().any(|end| name.ends_with(end))
}

async fn stored(
    engine: &mut Engine,
    args: &ApplyArgs,
    documents: Vec<v1::Document>,
) -> Result<Exit, Problem> {
    // First all are checked, so that a mistake in the last leaves nothing half done.
    let rounds: &[bool] = if args.check { &[true] } else { &[true, false] };
    let mut table = Table::new(&["pipeline", "", "revision", "digest"]);
    let mut rows = Vec::new();
    for validate_only in rounds {
        for document in &documents {
            let request = v1::ApplyPipelineRequest {
                document: Some(document.clone()),
                validate_only: *validate_only,
                ..v1::ApplyPipelineRequest::default()
            };
            let answer = engine.client().apply_pipeline(request).await;
            let answer = answer
                .map_err(|status| Problem::about(status, Some(document), &Given::default()))?
                .into_inner();
            let pipeline = answer.pipeline.unwrap_or_default();
            if *validate_only != args.check {
                continue;
            }
            for warning in &answer.diagnostics {
                terminal::warning(&format!(
                    "{}:{}:{}: {}",
                    warning.file_name, warning.line, warning.column, warning.message
                ));
            }
            let done = match (args.check, answer.changed) {
                (_, false) => "unchanged",
                (true, true) => "would be applied",
                (false, true) => "applied",
            };
            let metadata = pipeline.metadata.clone().unwrap_or_default();
            table.row([
                (
                    Tone::Plain,
                    format!("{}/{}", metadata.namespace, metadata.name),
                ),
                (
                    if answer.changed {
                        Tone::Good
                    } else {
                        Tone::Faint
                    },
                    done.to_owned(),
                ),
                (Tone::Plain, pipeline.revision.to_string()),
                (Tone::Faint, pipeline.digest.chars().take(12).collect()),
            ]);
            let mut row = pipeline_row(&pipeline);
            row["changed"] = answer.changed.into();
            rows.push(row);
        }
    }
    print_rows(args.form, &Json::Array(rows), &table)
}

/// `conveyor start`.
pub(crate) fn start(args: &StartArgs) -> Exit {
    let (request, given) = match request(args) {
        Ok(request) => request,
        Err(problem) => return problem.tell(),
    };
    let mut options = reading(&args.place);
    options.access = conveyor_store::Access::Create;
    with_engine(options, async |engine| {
        started(engine, args, request, &given).await
    })
}

fn request(args: &StartArgs) -> Result<(v1::StartRunRequest, Given), Problem> {
    let inputs = given::inputs(&args.inputs, args.file.as_deref())?;
    let pipeline = match (&args.pipeline, &args.file) {
        (Some(name), _) => Pipeline::Stored(v1::PipelineRef {
            name: name.clone(),
            digest: args.digest.clone().unwrap_or_default(),
        }),
        (None, Some(file)) => Pipeline::Document(given::document(file)?),
        (None, None) => {
            return Err(Problem::refused(
                "name a pipeline, or give a document with -f",
            ));
        }
    };
    let request = v1::StartRunRequest {
        pipeline: Some(pipeline),
        inputs: given::bytes(&inputs).into(),
        text_inputs: inputs.texts.clone(),
        labels: args.labels.iter().cloned().collect(),
        run_id: args
            .run_id
            .clone()
            .unwrap_or_else(|| RunId::fresh().to_string()),
        actor: actor(),
        namespace: args.namespace.clone(),
        ..v1::StartRunRequest::default()
    };
    Ok((request, inputs))
}

async fn started(
    engine: &mut Engine,
    args: &StartArgs,
    request: v1::StartRunRequest,
    given: &Given,
) -> Result<Exit, Problem> {
    let document = match &request.pipeline {
        Some(Pipeline::Document(document)) => Some(document.clone()),
        _ => None,
    };
    let answer = engine.client().start_run(request).await;
    let answer = answer
        .map_err(|status| Problem::about(status, document.as_ref(), given))?
        .into_inner();
    for warning in &answer.diagnostics {
        terminal::warning(&format!(
            "{}:{}:{}: {}",
            warning.file_name, warning.line, warning.column, warning.message
        ));
    }
    if !args.follow {
        return tell(answer.run, "", args.form);
    }
    let run = answer.run.unwrap_or_default();
    let shown = Shown {
        progress: args.progress,
        output: args.form.output,
    };
    follow(engine, &run.id, Begin::AtTheStart, shown).await
}
