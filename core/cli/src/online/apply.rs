//! `apply` and `start`.

use super::documents::{self, Found, Object};
use super::follow::{Begin, Shown, follow};
use super::objects::{pipeline_row, print_rows};
use super::resources::{definition_row, resource_row};
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
use std::collections::BTreeSet;

/// `conveyor apply`.
pub(crate) fn apply(args: &ApplyArgs) -> Exit {
    let objects = match documents::objects(&args.files) {
        Ok(objects) => objects,
        Err(problem) => return problem.tell(),
    };
    let mut options = reading(&args.place);
    options.access = conveyor_store::Access::Create;
    with_engine(options, async |engine| stored(engine, args, objects).await)
}

/// A row of what was done.
struct Done {
    kind: &'static str,
    name: String,
    changed: bool,
    version: String,
    digest: String,
    /// Ids of the runs that it started.
    runs: String,
    row: Json,
}

async fn stored(
    engine: &mut Engine,
    args: &ApplyArgs,
    objects: Vec<Found>,
) -> Result<Exit, Problem> {
    // First all are checked, so that a mistake in the last leaves nothing half done.
    let rounds: &[bool] = if args.check { &[true] } else { &[true, false] };
    let defined = |objects: &[Found]| -> BTreeSet<(String, String)> {
        let names = objects.iter().filter_map(|found| match &found.object {
            Object::Definition(definition) => definition.metadata.as_ref(),
            _ => None,
        });
        names
            .map(|of| (of.namespace.clone(), of.name.clone()))
            .collect()
    };
    let defined = defined(&objects);
    let mut table = Table::new(&["kind", "name", "", "version", "digest", "started"]);
    let mut rows = Vec::new();
    for validate_only in rounds {
        for found in &objects {
            // Its definition is not there before the second round.
            if *validate_only
                && let Object::Resource(resource) = &found.object
                && let Some(metadata) = &resource.metadata
                && defined.contains(&(metadata.namespace.clone(), resource.definition.clone()))
            {
                continue;
            }
            let done = applied(engine, found, *validate_only, *validate_only == args.check).await?;
            if *validate_only != args.check {
                continue;
            }
            let what = match (args.check, done.changed) {
                (_, false) => "unchanged",
                (true, true) => "would be applied",
                (false, true) => "applied",
            };
            let tone = if done.changed {
                Tone::Good
            } else {
                Tone::Faint
            };
            table.row([
                (Tone::Plain, done.kind.to_owned()),
                (Tone::Plain, done.name),
                (tone, what.to_owned()),
                (Tone::Plain, done.version),
                (Tone::Faint, done.digest),
                (Tone::Plain, done.runs),
            ]);
            let mut row = done.row;
            row["kind"] = done.kind.into();
            row["changed"] = done.changed.into();
            rows.push(row);
        }
    }
    print_rows(args.form, &Json::Array(rows), &table)
}

/// Applies one object; `last` tells whether this is the round whose warnings count.
async fn applied(
    engine: &mut Engine,
    found: &Found,
    validate_only: bool,
    last: bool,
) -> Result<Done, Problem> {
    let about = |of: Option<v1::Metadata>| {
        let of = of.unwrap_or_default();
        format!("{}/{}", of.namespace, of.name)
    };
    // An answer about these has no place of a document.
    let of = |kind: &str, name: &str, status: tonic::Status| {
        Problem::from(status).of(&format!("{}: {kind} {name}", found.file))
    };
    Ok(match &found.object {
        Object::Pipeline(document) => {
            let request = v1::ApplyPipelineRequest {
                document: Some(document.clone()),
                validate_only,
                ..v1::ApplyPipelineRequest::default()
            };
            let answer = engine.client().apply_pipeline(request).await;
            let answer = answer
                .map_err(|status| Problem::not_stored(status, document))?
                .into_inner();
            let pipeline = answer.pipeline.unwrap_or_default();
            for warning in answer.diagnostics.iter().filter(|_| last) {
                terminal::warning(&format!(
                    "{}:{}:{}: {}",
                    warning.file_name, warning.line, warning.column, warning.message
                ));
            }
            Done {
                kind: "pipeline",
                name: about(pipeline.metadata.clone()),
                changed: answer.changed,
                version: pipeline.revision.to_string(),
                digest: pipeline.digest.chars().take(12).collect(),
                runs: String::new(),
                row: pipeline_row(&pipeline),
            }
        }
        Object::Definition(definition) => {
            let request = v1::ApplyDefinitionRequest {
                definition: Some(definition.clone()),
                validate_only,
                ..v1::ApplyDefinitionRequest::default()
            };
            let answer = engine
                .client()
                .apply_definition(request)
                .await
                .map_err(|status| of("definition", &about(definition.metadata.clone()), status))?
                .into_inner();
            let definition = answer.definition.unwrap_or_default();
            Done {
                kind: "definition",
                name: about(definition.metadata.clone()),
                changed: answer.changed,
                version: definition.version.to_string(),
                digest: String::new(),
                runs: String::new(),
                row: definition_row(&definition),
            }
        }
        Object::Resource(resource) => {
            let request = v1::ApplyResourceRequest {
                resource: Some(resource.clone()),
                validate_only,
                ..v1::ApplyResourceRequest::default()
            };
            let metadata = resource.metadata.clone().unwrap_or_default();
            let (namespace, kind) = (&metadata.namespace, &resource.definition);
            let name = format!("{namespace}/{kind}/{}", metadata.name);
            let answer = engine.client().apply_resource(request).await;
            let answer = answer
                .map_err(|status| of("resource", &name, status))?
                .into_inner();
            for warning in answer.diagnostics.iter().filter(|_| last) {
                terminal::warning(&warning.message);
            }
            let resource = answer.resource.unwrap_or_default();
            let mut row = resource_row(&resource);
            row["runs"] = answer.runs.clone().into();
            let of = resource.metadata.clone().unwrap_or_default();
            Done {
                kind: "resource",
                name: format!("{}/{}/{}", of.namespace, resource.definition, of.name),
                changed: answer.changed,
                version: resource.version.to_string(),
                digest: String::new(),
                runs: answer.runs.join(" "),
                row,
            }
        }
    })
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
        annotations: args.annotations.iter().cloned().collect(),
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
