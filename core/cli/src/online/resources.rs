//! Definitions and resources of a server.

use super::objects::{instant, options, print_rows, say};
use super::{reading, with_engine};
use crate::args::{
    DefinitionsVerb, MadeArgs, ResourceVersionArgs, ResourcesListArgs, ResourcesVerb, VersionArgs,
};
use crate::client::{Engine, Problem, json};
use crate::exit::Exit;
use crate::render::data;
use crate::render::style::Tone;
use crate::render::table::Table;
use conveyor_engine::time::Time;
use conveyor_engine::value::Json;
use conveyor_proto::v1;
use serde_json::json;

/// What all objects have, for programs.
fn row(metadata: Option<&v1::Metadata>) -> Json {
    let metadata = metadata.cloned().unwrap_or_default();
    json!({
        "name": metadata.name, "namespace": metadata.namespace, "labels": metadata.labels,
        "etag": metadata.etag,
        "created_at": Time(metadata.created_ms).to_string(),
        "updated_at": Time(metadata.updated_ms).to_string(),
    })
}

/// A definition for programs.
pub(super) fn definition_row(definition: &v1::ResourceDefinition) -> Json {
    let mut row = row(definition.metadata.as_ref());
    row["version"] = definition.version.into();
    row
}

/// A resource for programs.
pub(super) fn resource_row(resource: &v1::Resource) -> Json {
    let mut row = row(resource.metadata.as_ref());
    row["definition"] = resource.definition.as_str().into();
    row["version"] = resource.version.into();
    row["pipeline"] = match resource.pipeline.as_str() {
        "" => Json::Null,
        pipeline => pipeline.into(),
    };
    row
}

/// `conveyor definitions`.
pub(crate) fn definitions(verb: &DefinitionsVerb) -> Exit {
    match verb {
        DefinitionsVerb::List(args) => with_engine(reading(&args.listed.place), async |engine| {
            definitions_list(engine, args).await
        }),
        DefinitionsVerb::Show(args) => with_engine(reading(&args.named.place), async |engine| {
            definitions_show(engine, args).await
        }),
        DefinitionsVerb::Delete(args) => with_engine(reading(&args.place), async |engine| {
            let request = v1::DeleteDefinitionRequest {
                namespace: args.namespace.clone(),
                name: args.name.clone(),
                etag: String::new(),
            };
            engine.client().delete_definition(request).await?;
            let told = json!({ "name": args.name, "namespace": args.namespace, "deleted": true });
            let sentence = format!("definition {}/{} deleted", args.namespace, args.name);
            say(args.form, &told, &sentence)
        }),
    }
}

async fn definitions_list(engine: &Engine, of: &MadeArgs) -> Result<Exit, Problem> {
    let args = &of.listed;
    let mut definitions = Vec::new();
    let mut page = String::new();
    loop {
        let request = v1::ListDefinitionsRequest {
            namespace: args.namespace.clone(),
            options: options(&args.labels, Some(&of.made), page),
        };
        let answer = engine
            .client()
            .list_definitions(request)
            .await?
            .into_inner();
        definitions.extend(answer.definitions);
        page = answer.next_page_token;
        if page.is_empty() {
            break;
        }
    }
    let mut table = Table::new(&["definition", "version", "updated"]);
    for definition in &definitions {
        let metadata = definition.metadata.clone().unwrap_or_default();
        table.row([
            (Tone::Plain, metadata.name),
            (Tone::Plain, definition.version.to_string()),
            (Tone::Plain, instant(metadata.updated_ms)),
        ]);
    }
    let rows = definitions.iter().map(definition_row).collect();
    print_rows(args.form, &Json::Array(rows), &table)
}

async fn definitions_show(engine: &Engine, args: &VersionArgs) -> Result<Exit, Problem> {
    let named = &args.named;
    let request = v1::GetDefinitionRequest {
        namespace: named.namespace.clone(),
        name: named.name.clone(),
        version: args.version,
    };
    let answer = engine.client().get_definition(request).await?.into_inner();
    let definition = answer.definition.unwrap_or_default();
    let schema = json(&definition.schema).unwrap_or_default();
    let sentence = format!(
        "# {}/{} version {}\n{}",
        named.namespace,
        named.name,
        definition.version,
        data::yaml(&schema).map_err(Problem::refused)?.trim_end()
    );
    let mut row = definition_row(&definition);
    row["schema"] = schema;
    say(named.form, &row, &sentence)
}

/// `conveyor resources`.
pub(crate) fn resources(verb: &ResourcesVerb) -> Exit {
    match verb {
        ResourcesVerb::List(args) => with_engine(reading(&args.of.listed.place), async |engine| {
            resources_list(engine, args).await
        }),
        ResourcesVerb::Show(args) => {
            with_engine(reading(&args.resource.named.place), async |engine| {
                resources_show(engine, args).await
            })
        }
        ResourcesVerb::Delete(args) => with_engine(reading(&args.named.place), async |engine| {
            let (named, definition) = (&args.named, &args.definition);
            let request = v1::DeleteResourceRequest {
                namespace: named.namespace.clone(),
                definition: definition.clone(),
                name: named.name.clone(),
                etag: String::new(),
            };
            let answer = engine.client().delete_resource(request).await?.into_inner();
            for warning in &answer.diagnostics {
                crate::terminal::warning(&warning.message);
            }
            let told = json!({
                "name": named.name, "namespace": named.namespace, "definition": definition,
                "deleted": true, "runs": answer.runs,
            });
            let sentence = format!(
                "resource {}/{definition}/{} deleted",
                named.namespace, named.name
            );
            say(named.form, &told, &sentence)
        }),
    }
}

async fn resources_list(engine: &Engine, args: &ResourcesListArgs) -> Result<Exit, Problem> {
    let listed = &args.of.listed;
    let mut resources = Vec::new();
    let mut page = String::new();
    loop {
        let request = v1::ListResourcesRequest {
            namespace: listed.namespace.clone(),
            definition: args.definition.clone(),
            options: options(&listed.labels, Some(&args.of.made), page),
        };
        let answer = engine.client().list_resources(request).await?.into_inner();
        resources.extend(answer.resources);
        page = answer.next_page_token;
        if page.is_empty() {
            break;
        }
    }
    let mut table = Table::new(&["definition", "resource", "version", "pipeline", "updated"]);
    for resource in &resources {
        let metadata = resource.metadata.clone().unwrap_or_default();
        table.row([
            (Tone::Plain, resource.definition.clone()),
            (Tone::Plain, metadata.name),
            (Tone::Plain, resource.version.to_string()),
            (Tone::Plain, resource.pipeline.clone()),
            (Tone::Plain, instant(metadata.updated_ms)),
        ]);
    }
    let rows = resources.iter().map(resource_row).collect();
    print_rows(listed.form, &Json::Array(rows), &table)
}

async fn resources_show(engine: &Engine, args: &ResourceVersionArgs) -> Result<Exit, Problem> {
    let (named, definition) = (&args.resource.named, &args.resource.definition);
    let request = v1::GetResourceRequest {
        namespace: named.namespace.clone(),
        definition: definition.clone(),
        name: named.name.clone(),
        version: args.version,
    };
    let answer = engine.client().get_resource(request).await?.into_inner();
    let resource = answer.resource.unwrap_or_default();
    let spec = json(&resource.spec).unwrap_or_default();
    let sentence = format!(
        "# {}/{definition}/{} version {}\n{}",
        named.namespace,
        named.name,
        resource.version,
        data::yaml(&spec).map_err(Problem::refused)?.trim_end()
    );
    let mut row = resource_row(&resource);
    row["spec"] = spec;
    say(named.form, &row, &sentence)
}
