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
use serde_json::json;
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
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for validate_only in rounds {
        for found in &objects {
            // Its definition is not there before the second round.
            if *validate_only
                && let Object::Resource(resource) = &found.object
                && let Some(metadata) = &resource.metadata
                && defined.contains(&(metadata.namespace.clone(), resource.definition.clone()))
            {
                if args.check {
                    let mut line = line("resource", resource_name(resource));
                    line[2] = (Tone::Faint, "checked after its definition".to_owned());
                    lines.push(line);
                    rows.push(json!({
                        "kind": "resource", "name": metadata.name, "namespace": metadata.namespace,
                        "definition": resource.definition, "changed": null,
                    }));
                }
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
            let mut line = line(done.kind, done.name);
            line[2] = (tone, what.to_owned());
            line[3].1 = done.version;
            line[4] = (Tone::Faint, done.digest);
            line[5].1 = done.runs;
            lines.push(line);
            let mut row = done.row;
            row["kind"] = done.kind.into();
            row["changed"] = done.changed.into();
            rows.push(row);
        }
    }
    let started = lines.iter().any(|line| !line[5].1.is_empty());
    let heads = ["kind", "name", "", "version", "digest", "started"];
    let shown = if started {
        heads.len()
    } else {
        heads.len() - 1
    };
    let mut table = Table::new(&heads[..shown]);
    for line in lines {
        table.row(line);
    }
    print_rows(args.form, &Json::Array(rows), &table)
}

/// A line of the table, of which only the beginning is known.
fn line(kind: &str, name: String) -> [(Tone, String); 6] {
    let mut line = [const { (Tone::Plain, String::new()) }; 6];
    line[0].1 = kind.to_owned();
    line[1].1 = name;
    line
}

/// A resource with its namespace and its definition.
fn resource_name(resource: &v1::Resource) -> String {
    let of = resource.metadata.clone().unwrap_or_default();
    format!("{}/{}/{}", of.namespace, resource.definition, of.name)
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
            let refused = |status| {
                let object = format!("{}: {}", found.file, documents::pipeline(document));
                Problem::not_stored(status, document, &object)
            };
            let answer = answer.map_err(refused)?.into_inner();
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
            let answer = engine.client().apply_resource(request).await;
            let answer = answer
                .map_err(|status| of("resource", &resource_name(resource), status))?
                .into_inner();
            for warning in answer.diagnostics.iter().filter(|_| last) {
                terminal::warning(&warning.message);
            }
            let resource = answer.resource.unwrap_or_default();
            let mut row = resource_row(&resource);
            row["runs"] = answer.runs.clone().into();
            Done {
                kind: "resource",
                name: resource_name(&resource),
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
    // Where nothing is stored no stored pipeline can be started: only a document makes the directory.
    if args.file.is_some() {
        options.access = conveyor_store::Access::Create;
    }
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
        resource: args.resource.as_ref().map(|of| v1::ResourceVersion {
            definition: of.definition.clone(),
            name: of.name.clone(),
            version: of.version,
            ..v1::ResourceVersion::default()
        }),
        idempotency_key: args.repeats.idempotency_key.clone(),
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
        // Of one that is stored there is no file.
        terminal::warning(&match document {
            Some(_) => format!(
                "{}:{}:{}: {}",
                warning.file_name, warning.line, warning.column, warning.message
            ),
            None => warning.message.clone(),
        });
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
