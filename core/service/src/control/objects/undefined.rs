//! What a pipeline names and nobody has made yet.

use super::super::{ControlHandlers, check, refuse};
use crate::refusal::input;
use crate::stack::on_stack;
use conveyor_engine::document::Document;
use conveyor_node::objects::Row;
use conveyor_proto::storage::v1::StoredDefinition;
use conveyor_proto::v1;
use std::collections::BTreeMap;
use tonic::Status;

impl ControlHandlers {
    /// Warns of triggers on ResourceDefinitions that are not there: until somebody makes one, nothing can change
    /// that would start the pipeline. Each is told once, where the first trigger has it.
    pub(in super::super) async fn undefined(
        &self,
        read: &Document,
        file_name: &str,
    ) -> Result<Vec<v1::Diagnostic>, Status> {
        let plan = read.plan();
        let mut named = BTreeMap::new();
        for (at, trigger) in plan.triggers.iter().enumerate() {
            let definition = trigger.definition.to_string();
            named.entry(definition).or_insert((at, trigger.id.clone()));
        }
        let mut found = Vec::new();
        for (definition, (at, trigger)) in named {
            let there = self
                .reader
                .object::<StoredDefinition>(&plan.namespace, &definition);
            let there: Option<Row<_>> = there.await.map_err(refuse)?;
            if there.is_some() {
                continue;
            }
            let why = format!(
                "the trigger `{trigger}` is on the ResourceDefinition `{definition}`, which nobody has made in the \
                 namespace `{}` yet: nothing starts the pipeline by it until then",
                plan.namespace
            );
            let pointer = format!("/spec/triggers/{at}/resource/definition");
            let mut one = input(pointer, why, "unknown_definition");
            one.severity = v1::Severity::Warning.into();
            one.found = definition;
            found.push(one);
        }
        if found.is_empty() {
            return Ok(found);
        }
        let document = v1::Document {
            source: read.source.as_bytes().to_vec().into(),
            file_name: file_name.to_owned(),
        };
        on_stack(move || {
            check::place(&document, &mut found);
            found
        })
        .await
    }
}
