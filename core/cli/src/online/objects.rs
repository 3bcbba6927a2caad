//! Pipelines, drivers and namespaces of a server.

use super::{reading, with_engine};
use crate::args::{
    DriversVerb, Form, ListedArgs, Made, MadeArgs, NamedArgs, NamespaceArgs, NamespacesListArgs,
    NamespacesVerb, Output, PipelineShowArgs, PipelinesVerb,
};
use crate::client::{Engine, Problem, json};
use crate::exit::Exit;
use crate::render::style::{Style, Tone};
use crate::render::table::Table;
use crate::render::{data, human};
use crate::terminal;
use conveyor_engine::time::Time;
use conveyor_engine::value::Json;
use conveyor_proto::v1;
use serde_json::json;

/// Prints rows: a table for people, all there is for programs.
pub(super) fn print_rows(form: Form, rows: &Json, table: &Table) -> Result<Exit, Problem> {
    let text = match form.output {
        Output::Json => data::json(rows),
        Output::Yaml => data::yaml(rows),
        Output::Table => Ok(table.render(Style {
            colour: terminal::colours_out(),
        })),
    };
    terminal::print(&text.map_err(Problem::refused)?);
    Ok(Exit::Succeeded)
}

/// Says what was done to an object.
pub(super) fn say(form: Form, told: &Json, sentence: &str) -> Result<Exit, Problem> {
    let text = match form.output {
        Output::Json => data::json(told),
        Output::Yaml => data::yaml(told),
        Output::Table => Ok(format!("{sentence}\n")),
    };
    terminal::print(&text.map_err(Problem::refused)?);
    Ok(Exit::Succeeded)
}

pub(super) fn instant(millis: u64) -> String {
    match millis {
        0 => String::new(),
        millis => human::instant(Time(millis)),
    }
}

/// The same of all pages.
pub(super) fn options(
    labels: &[(String, String)],
    made: Option<&Made>,
    page_token: String,
) -> Option<v1::ListOptions> {
    let millis = |of: fn(&Made) -> Option<Time>| Some(made.and_then(of)?.0);
    Some(v1::ListOptions {
        labels: labels.iter().cloned().collect(),
        page_size: 0,
        page_token,
        created_from_ms: millis(|made| made.since),
        created_before_ms: millis(|made| made.until),
    })
}

/// `conveyor pipelines`.
pub(crate) fn pipelines(verb: &PipelinesVerb) -> Exit {
    match verb {
        PipelinesVerb::List(args) => with_engine(reading(&args.listed.place), async |engine| {
            pipelines_list(engine, args).await
        }),
        PipelinesVerb::Show(args) => with_engine(reading(&args.place), async |engine| {
            pipelines_show(engine, args).await
        }),
        PipelinesVerb::Revisions(args) => with_engine(reading(&args.place), async |engine| {
            pipelines_revisions(engine, args).await
        }),
        PipelinesVerb::Delete(args) => with_engine(reading(&args.place), async |engine| {
            let request = v1::DeletePipelineRequest {
                namespace: args.namespace.clone(),
                name: args.name.clone(),
                etag: String::new(),
            };
            engine.client().delete_pipeline(request).await?;
            let told = json!({ "name": args.name, "namespace": args.namespace, "deleted": true });
            let sentence = format!("pipeline {}/{} deleted", args.namespace, args.name);
            say(args.form, &told, &sentence)
        }),
    }
}

/// A pipeline for programs.
pub(super) fn pipeline_row(pipeline: &v1::Pipeline) -> Json {
    let metadata = pipeline.metadata.clone().unwrap_or_default();
    json!({
        "name": metadata.name, "namespace": metadata.namespace, "labels": metadata.labels,
        "etag": metadata.etag, "digest": pipeline.digest, "revision": pipeline.revision,
        "created_at": Time(metadata.created_ms).to_string(),
        "updated_at": Time(metadata.updated_ms).to_string(),
    })
}

async fn pipelines_list(engine: &Engine, of: &MadeArgs) -> Result<Exit, Problem> {
    let args = &of.listed;
    let mut pipelines = Vec::new();
    let mut page = String::new();
    loop {
        let request = v1::ListPipelinesRequest {
            namespace: args.namespace.clone(),
            options: options(&args.labels, Some(&of.made), page),
        };
        let answer = engine.client().list_pipelines(request).await?.into_inner();
        pipelines.extend(answer.pipelines);
        page = answer.next_page_token;
        if page.is_empty() {
            break;
        }
    }
    let mut table = Table::new(&["pipeline", "revision", "digest", "updated"]);
    for pipeline in &pipelines {
        let metadata = pipeline.metadata.clone().unwrap_or_default();
        table.row([
            (Tone::Plain, metadata.name),
            (Tone::Plain, pipeline.revision.to_string()),
            (Tone::Faint, pipeline.digest.chars().take(12).collect()),
            (Tone::Plain, instant(metadata.updated_ms)),
        ]);
    }
    let rows = pipelines.iter().map(pipeline_row).collect();
    print_rows(args.form, &Json::Array(rows), &table)
}

async fn pipelines_show(engine: &Engine, args: &PipelineShowArgs) -> Result<Exit, Problem> {
    let request = v1::GetPipelineRequest {
        namespace: args.namespace.clone(),
        name: args.name.clone().unwrap_or_default(),
        digest: args.digest.clone().unwrap_or_default(),
    };
    let answer = engine.client().get_pipeline(request).await?.into_inner();
    let pipeline = answer.pipeline.unwrap_or_default();
    let metadata = pipeline.metadata.clone().unwrap_or_default();
    let mut row = pipeline_row(&pipeline);
    let document = json(&pipeline.document).unwrap_or_default();
    let sentence = format!(
        "# {}/{} revision {}, {}\n{}",
        metadata.namespace,
        metadata.name,
        pipeline.revision,
        pipeline.digest,
        data::yaml(&document).map_err(Problem::refused)?.trim_end()
    );
    row["document"] = document;
    say(args.form, &row, &sentence)
}

async fn pipelines_revisions(engine: &Engine, args: &NamedArgs) -> Result<Exit, Problem> {
    let mut revisions = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListPipelineRevisionsRequest {
            namespace: args.namespace.clone(),
            name: args.name.clone(),
            page_size: 0,
            page_token,
        };
        let answer = engine.client().list_pipeline_revisions(request).await?;
        let answer = answer.into_inner();
        revisions.extend(answer.revisions);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut table = Table::new(&["revision", "digest", "created", ""]);
    let mut rows = Vec::new();
    for revision in &revisions {
        let current = if revision.current { "current" } else { "" };
        table.row([
            (Tone::Plain, revision.revision.to_string()),
            (Tone::Faint, revision.digest.chars().take(12).collect()),
            (Tone::Plain, instant(revision.created_ms)),
            (Tone::Good, current.to_owned()),
        ]);
        rows.push(json!({
            "revision": revision.revision, "digest": revision.digest, "current": revision.current,
            "created_at": Time(revision.created_ms).to_string(),
        }));
    }
    print_rows(args.form, &Json::Array(rows), &table)
}

/// `conveyor drivers`.
pub(crate) fn drivers(verb: &DriversVerb) -> Exit {
    match verb {
        DriversVerb::List(args) => with_engine(reading(&args.place), async |engine| {
            drivers_list(engine, args).await
        }),
        DriversVerb::Show(args) => with_engine(reading(&args.place), async |engine| {
            drivers_show(engine, args).await
        }),
        DriversVerb::Delete(args) => with_engine(reading(&args.place), async |engine| {
            let request = v1::DeleteDriverRequest {
                namespace: args.namespace.clone(),
                name: args.name.clone(),
            };
            let answer = engine.client().delete_driver(request).await?.into_inner();
            let sentence = format!(
                "driver {} deleted: {}",
                args.name,
                answer.versions.join(", ")
            );
            let told = json!({ "name": args.name, "versions": answer.versions, "deleted": true });
            say(args.form, &told, &sentence)
        }),
    }
}

async fn drivers_show(engine: &Engine, args: &NamedArgs) -> Result<Exit, Problem> {
    let request = v1::GetDriverRequest {
        namespace: args.namespace.clone(),
        name: args.name.clone(),
    };
    let answer = engine.client().get_driver(request).await?.into_inner();
    let driver = answer.driver.unwrap_or_default();
    let row = driver_row(&driver);
    let text = data::yaml(&row).map_err(Problem::refused)?;
    let of = match driver.namespace.as_str() {
        "*" => "all namespaces".to_owned(),
        namespace => format!("the namespace {namespace}"),
    };
    let sentence = format!("# driver {} of {of}\n{}", driver.name, text.trim_end());
    say(args.form, &row, &sentence)
}

async fn drivers_list(engine: &Engine, args: &ListedArgs) -> Result<Exit, Problem> {
    let mut drivers = Vec::new();
    let mut page = String::new();
    loop {
        let request = v1::ListDriversRequest {
            namespace: args.namespace.clone(),
            options: options(&args.labels, None, page),
        };
        let answer = engine.client().list_drivers(request).await?.into_inner();
        drivers.extend(answer.drivers);
        page = answer.next_page_token;
        if page.is_empty() {
            break;
        }
    }
    let mut table = Table::new(&[
        "driver",
        "namespace",
        "version",
        "actions",
        "sessions",
        "busy",
    ]);
    let mut rows = Vec::new();
    for driver in &drivers {
        let newest = driver.versions.first().cloned().unwrap_or_default();
        let actions: Vec<_> = newest
            .actions
            .iter()
            .map(|action| action.name.clone())
            .collect();
        let held: u32 = driver.sessions.iter().map(|session| session.held).sum();
        let takes: u32 = driver.sessions.iter().map(|session| session.capacity).sum();
        table.row([
            (Tone::Plain, driver.name.clone()),
            (Tone::Plain, driver.namespace.clone()),
            (Tone::Plain, newest.version),
            (Tone::Plain, actions.join(", ")),
            (Tone::Plain, driver.sessions.len().to_string()),
            (Tone::Plain, format!("{held}/{takes}")),
        ]);
        rows.push(driver_row(driver));
    }
    print_rows(args.form, &Json::Array(rows), &table)
}

fn driver_row(driver: &v1::Driver) -> Json {
    let action = |action: &v1::DriverAction| {
        json!({
            "name": action.name, "description": action.description,
            "inputs_schema": json(&action.inputs_schema),
            "outputs_schema": json(&action.outputs_schema),
        })
    };
    let version = |version: &v1::DriverVersion| {
        json!({
            "version": version.version, "schema_digest": version.schema_digest,
            "actions": version.actions.iter().map(action).collect::<Vec<_>>(),
        })
    };
    let session = |session: &v1::DriverSession| {
        json!({
            "id": session.id, "version": session.version, "capacity": session.capacity,
            "held": session.held, "labels": session.labels, "draining": session.draining,
            "sdk": session.sdk, "instance": session.instance,
            "connected_at": Time(session.connected_ms).to_string(),
            "heard_at": Time(session.heard_ms).to_string(),
        })
    };
    json!({
        "name": driver.name, "namespace": driver.namespace,
        "versions": driver.versions.iter().map(version).collect::<Vec<_>>(),
        "sessions": driver.sessions.iter().map(session).collect::<Vec<_>>(),
    })
}

/// `conveyor namespaces`.
pub(crate) fn namespaces(verb: &NamespacesVerb) -> Exit {
    match verb {
        NamespacesVerb::List(args) => with_engine(reading(&args.place), async |engine| {
            namespaces_list(engine, args).await
        }),
        NamespacesVerb::Show(args) => with_engine(reading(&args.place), async |engine| {
            namespaces_show(engine, args).await
        }),
        NamespacesVerb::Create(args) => with_engine(reading(&args.of.place), async |engine| {
            let metadata = v1::Metadata {
                name: args.of.name.clone(),
                labels: args.labels.iter().cloned().collect(),
                annotations: args.annotations.iter().cloned().collect(),
                ..v1::Metadata::default()
            };
            let request = v1::CreateNamespaceRequest {
                namespace: Some(v1::Namespace {
                    metadata: Some(metadata),
                }),
                idempotency_key: String::new(),
            };
            engine.client().create_namespace(request).await?;
            told_namespace(&args.of, "created")
        }),
        NamespacesVerb::Set(args) => with_engine(reading(&args.of.place), async |engine| {
            let request = v1::UpdateNamespaceRequest {
                name: args.of.name.clone(),
                labels: args.labels.iter().cloned().collect(),
                annotations: args.annotations.iter().cloned().collect(),
                etag: String::new(),
            };
            let answer = engine.client().update_namespace(request).await?;
            match answer.into_inner().changed {
                true => told_namespace(&args.of, "changed"),
                false => told_namespace(&args.of, "unchanged"),
            }
        }),
        NamespacesVerb::Delete(args) => with_engine(reading(&args.place), async |engine| {
            let request = v1::DeleteNamespaceRequest {
                name: args.name.clone(),
                etag: String::new(),
            };
            engine.client().delete_namespace(request).await?;
            told_namespace(args, "deleted")
        }),
    }
}

fn namespace_row(metadata: &v1::Metadata) -> Json {
    json!({
        "name": metadata.name, "labels": metadata.labels, "annotations": metadata.annotations,
        "etag": metadata.etag, "created_at": (metadata.created_ms > 0)
            .then(|| Time(metadata.created_ms).to_string()),
    })
}

async fn namespaces_show(engine: &Engine, args: &NamespaceArgs) -> Result<Exit, Problem> {
    let name = args.name.clone();
    let answer = engine
        .client()
        .get_namespace(v1::GetNamespaceRequest { name })
        .await?
        .into_inner();
    let metadata = answer.namespace.and_then(|namespace| namespace.metadata);
    let metadata = metadata.unwrap_or_default();
    let mut sentence = format!("# namespace {}", metadata.name);
    if metadata.created_ms > 0 {
        sentence.push_str(&format!(", created {}", instant(metadata.created_ms)));
    }
    for (what, pairs) in [
        ("labels", &metadata.labels),
        ("annotations", &metadata.annotations),
    ] {
        if !pairs.is_empty() {
            let text = data::yaml(&json!({ what: pairs })).map_err(Problem::refused)?;
            sentence.push('\n');
            sentence.push_str(text.trim_end());
        }
    }
    say(args.form, &namespace_row(&metadata), &sentence)
}

fn told_namespace(args: &NamespaceArgs, done: &str) -> Result<Exit, Problem> {
    let told = json!({ "name": args.name, done: true });
    say(args.form, &told, &format!("namespace {} {done}", args.name))
}

async fn namespaces_list(engine: &Engine, args: &NamespacesListArgs) -> Result<Exit, Problem> {
    let mut namespaces = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListNamespacesRequest {
            options: options(&args.labels, Some(&args.made), page_token),
        };
        let answer = engine.client().list_namespaces(request).await?.into_inner();
        namespaces.extend(answer.namespaces);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut table = Table::new(&["namespace", "created"]);
    let mut rows = Vec::new();
    for namespace in namespaces {
        let metadata = namespace.metadata.unwrap_or_default();
        rows.push(json!({ "name": metadata.name, "labels": metadata.labels }));
        table.row([
            (Tone::Plain, metadata.name),
            (Tone::Plain, instant(metadata.created_ms)),
        ]);
    }
    print_rows(args.form, &Json::Array(rows), &table)
}
