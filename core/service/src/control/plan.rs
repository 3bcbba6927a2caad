//! How a document would run, with nothing stored.

use super::{ControlHandlers, check, objects};
use crate::stack::on_stack;
use crate::{refusal, wire};
use conveyor_proto::v1;
use tonic::Status;

impl ControlHandlers {
    pub(super) async fn plan(
        &self,
        request: v1::PlanPipelineRequest,
    ) -> Result<v1::PlanPipelineResponse, Status> {
        let document = request.document;
        let document =
            document.ok_or_else(|| refusal::missing("/document", "`document` is missing"))?;
        check::within(&self.caller, &document)?;
        let (node, about) = (self.node.clone(), self.about.clone());
        let (inputs, texts) = (request.inputs, request.text_inputs);
        let (plan, read, mut diagnostics, file_name) = on_stack(move || -> Result<_, Status> {
            let read = check::read(&node, &document)?;
            let plan = read.plan();
            check::drivers(&about, &plan, Some(&document))?;
            let asked = !inputs.is_empty() || !texts.is_empty();
            let given = check::given(&plan, &inputs, &texts, None)?;
            let inputs = match check::inputs(&plan, &given) {
                Ok(inputs) => Some(inputs),
                // Nobody gave inputs: what depends on them is told to be unknown.
                Err(_) if !asked => None,
                Err(refused) => return Err(refused),
            };
            let found = read.diagnostics.iter().map(refusal::diagnostic);
            let mut diagnostics: Vec<_> = found.collect();
            diagnostics.extend(check::unregistered(&node, &about, &plan, &document));
            let told = wire::plan(&plan, inputs);
            Ok((told, read, diagnostics, document.file_name))
        })
        .await??;
        // As an apply of it would say.
        self.namespace(&plan.namespace).await?;
        objects::labels_fit("/metadata/labels", &plan.labels)?;
        diagnostics.extend(self.undefined(&read, &file_name).await?);
        Ok(v1::PlanPipelineResponse {
            plan: Some(plan),
            diagnostics,
        })
    }
}
