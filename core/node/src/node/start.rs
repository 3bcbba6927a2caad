use crate::error::NodeError;
use crate::id::RunId;
use crate::owner::{Start, ValueTexts};
use crate::plans::Plans;
use crate::{chunks, keys, stored};
use conveyor_engine::plan::Plan;
use conveyor_engine::run::Inherited;
use conveyor_engine::value::{Hash, Json, Texts, Value};
use conveyor_proto::storage::v1::{RecordKind, ResourceName, StoredDocument};
use conveyor_store::{Store, Transaction};
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A document up to this many bytes joins the commit of the run's start; a longer one is stored
/// before it, so that no transaction grows too large.
const JOINS: usize = 256 << 10;
/// Pieces of a long document in one transaction: 8 MiB.
const PIECES: usize = 8;

/// A run to start.
#[derive(Clone, Debug)]
pub struct StartRun {
    /// Its id, made before the first try: [`RunId::fresh`], or the caller's own.
    pub run: RunId,
    /// Whether the id was made for this call, so that nobody can have used it before. Saves a read.
    pub fresh: bool,
    /// What it runs.
    pub plan: Arc<Plan>,
    /// The plan's canonical document.
    pub canonical: Arc<[u8]>,
    /// The document as it was given, for positions in messages; may be empty.
    pub source: Arc<str>,
    /// Its file's name, for messages; may be empty.
    pub file_name: String,
    /// Inputs with defaults filled in, already validated: an object.
    pub inputs: Json,
    /// Labels of the run.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the run, over those of the document.
    pub annotations: BTreeMap<String, String>,
    /// Who starts it.
    pub actor: Arc<str>,
    /// The run that it is forked from.
    pub forked_from: Option<RunId>,
    /// Steps whose results it inherits from there (SEMANTICS 27). Values in them are inline.
    pub inherited: Vec<Inherited>,
    /// The version of a Resource that it is for, as expressions and drivers see it: an object with
    /// `definition`, `name`, `version` and `spec`.
    pub resource: Option<Json>,
    /// What triggered it, as expressions see it: an object.
    pub event: Option<Json>,
    /// Texts of values that `inherited` names by hash all the same.
    pub values: ValueTexts,
}

impl StartRun {
    /// A run of a plan under a fresh id, without labels.
    #[must_use]
    pub fn new(plan: Arc<Plan>, canonical: Arc<[u8]>, inputs: Json, actor: &str) -> StartRun {
        StartRun {
            run: RunId::fresh(),
            fresh: true,
            plan,
            canonical,
            source: Arc::from(""),
            file_name: String::new(),
            inputs,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            actor: actor.into(),
            forked_from: None,
            inherited: Vec::new(),
            resource: None,
            event: None,
            values: Vec::new(),
        }
    }

    /// What an owner takes. Stores what is too long for the commit of the start.
    ///
    /// # Errors
    /// When the store fails.
    pub fn prepare(mut self, store: &dyn Store, plans: &Plans) -> Result<Start, NodeError> {
        let plan = plans.share(self.plan);
        plans.rely_on(plan.digest);
        let document = stored_document(&self.canonical, &self.source, self.file_name);
        let long = document.len() > JOINS;
        if long {
            keep_document(store, &plan.digest, &document)?;
        }
        let inputs = inline_or_stored(&self.inputs, &mut self.values);
        let resource_name = self.resource.as_ref().map(resource_name);
        let mut keep = |json: &Option<Json>| {
            let json = json.as_ref()?;
            Some(inline_or_stored(json, &mut self.values))
        };
        let (resource, event) = (keep(&self.resource), keep(&self.event));
        let bytes: usize = self.values.iter().map(|(_, text)| text.len()).sum();
        let values_stored = bytes > JOINS;
        if values_stored {
            keep_values(store, self.run, &self.values)?;
        }
        Ok(Start {
            run: self.run,
            fresh: self.fresh,
            plan,
            document: if long { Arc::from([]) } else { document },
            inputs,
            labels: self.labels,
            annotations: self.annotations,
            actor: self.actor,
            forked_from: self.forked_from.map(|run| run.text()),
            inherited: self.inherited,
            resource,
            event,
            resource_name,
            values: self.values,
            values_stored,
        })
    }
}

fn resource_name(resource: &Json) -> ResourceName {
    let text = |key: &str| resource[key].as_str().unwrap_or_default().to_owned();
    ResourceName {
        definition: text("definition"),
        name: text("name"),
        version: resource["version"].as_u64().unwrap_or_default(),
    }
}

/// A pipeline's document as it is stored.
pub(super) fn stored_document(canonical: &[u8], source: &str, file_name: String) -> Arc<[u8]> {
    let document = StoredDocument {
        canonical: canonical.to_vec().into(),
        source: source.as_bytes().to_vec().into(),
        file_name,
    };
    document.encode_to_vec().into()
}

/// A value for a fact: inline, or stored beside the journal when it is long.
pub(super) fn inline_or_stored(json: &Json, values: &mut ValueTexts) -> Value {
    let mut texts = Texts::new();
    let value = Value::keep(json, &mut texts);
    values.extend(texts);
    value
}

/// Stores the values of a start that has many before the start itself. A run that then is not
/// started after all leaves them behind, under an id that nothing else will ever have.
fn keep_values(store: &dyn Store, run: RunId, values: &ValueTexts) -> Result<(), NodeError> {
    let mut transaction = Transaction::new();
    let mut bytes = 0;
    for (hash, text) in values {
        let key = keys::value(run, hash);
        let pieces: Vec<_> = chunks::split(RecordKind::Value, 0, &key, text).collect();
        // The first piece last, so that what is found is whole.
        for (key, value) in pieces.into_iter().rev() {
            bytes += value.len();
            transaction.put(key, value);
            if bytes > PIECES * chunks::PIECE {
                store.commit(&std::mem::take(&mut transaction))?;
                bytes = 0;
            }
        }
    }
    if bytes > 0 {
        store.commit(&transaction)?;
    }
    Ok(())
}

/// Stores a document in transactions of its own. It is found by its digest, so storing it twice does no
/// harm; the first piece comes last, so that what is found is whole.
///
/// # Errors
/// When the store fails.
pub fn keep_document(store: &dyn Store, digest: &Hash, document: &[u8]) -> Result<(), NodeError> {
    let key = keys::document(digest);
    if stored::row_exists(store, &key)? {
        return Ok(());
    }
    let mut pieces: Vec<_> = chunks::split(RecordKind::Document, 0, &key, document).collect();
    pieces.reverse();
    for pieces in pieces.chunks(PIECES) {
        let mut transaction = Transaction::new();
        for (key, value) in pieces {
            transaction.put(key.clone(), value.clone());
        }
        store.commit(&transaction)?;
    }
    Ok(())
}
