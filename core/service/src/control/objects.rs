//! What people make beside runs.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `namespaces`, `pipelines`, `drivers` | what their names say |
//! | `revisions` | those of a pipeline, by digest or by number |
//! | `definitions`, `resources` | versioned JSON Schemas, and objects of them |
//! | `firing` | the runs that changes of Resources start, started |
//! | `undefined` | what a pipeline names and nobody has made yet |
//! | `tell` | what followers of a namespace are told of it |
//! | `repeats` | requests with an idempotency key |

mod definitions;
mod drivers;
mod firing;
mod namespaces;
mod pipelines;
mod repeats;
mod resources;
mod revisions;
mod tell;
mod undefined;

pub(super) use repeats::{Keyed, KeyedRun};

use super::{ControlHandlers, LIMIT_LABELS, refuse};
use crate::refusal;
use conveyor_engine::time::Time;
use conveyor_node::objects::{Changes, ListObjects, Object, Row};
use conveyor_node::resources::{JOINT, version_key};
use conveyor_proto::storage::v1::{StoredMeta, StoredNamespace};
use conveyor_proto::v1;
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::Status;

/// The longest page token.
const TOKEN_BYTES: usize = 256;
/// The most objects of one answer.
const PAGE: u32 = 1000;
/// How many there are where nobody says.
const USUAL: u32 = 100;
/// The longest key of a label, in bytes.
pub(crate) const LABEL_KEY: usize = 63;
/// What the key of a label is, besides its length: where it is asked for, as in `labels=KEY=VALUE`, nothing else
/// can be told from what stands around it.
const LABEL_KEY_RULE: &str = "the key of a label has no `=`, no `,` and no control character, and neither begins \
                              nor ends with a space";
/// What the key of an annotation is: nobody asks for one, but it is shown.
const ANNOTATION_KEY_RULE: &str =
    "the key of an annotation is not empty and has no control character";
/// The longest value of a label, in bytes.
pub(crate) const LABEL_VALUE: usize = 256;
/// All annotations together, in bytes.
const ANNOTATION_BYTES: usize = 256 << 10;

/// What changes of objects share in this process.
#[derive(Debug, Default)]
pub(super) struct Changing {
    /// Held while one is decided and made, so that two in this process do not refuse each other. What
    /// keeps them right is that each commit names the rows that it was decided by.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    /// Starts of runs share it from where they see their namespace until their run is durable: the end of a
    /// namespace has it alone while it looks for runs.
    pub(super) starts: tokio::sync::RwLock<()>,
    /// Told when a change's runs could not be started at once, or nobody knows whether it was made.
    left: tokio::sync::Notify,
}

/// A name: lower-case letters, digits, and hyphens between them. `pointer` is the request's field that has
/// it, `what` what people call that.
fn name(pointer: &str, what: &str, text: &str) -> Result<(), Status> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    match good {
        true => Ok(()),
        false => {
            let why = format!(
                "`{what}` is {text:?}; a name has 1 to 63 lower-case letters, digits and hyphens, and \
                 neither begins nor ends with a hyphen"
            );
            Err(refusal::value(pointer, why).found(text).status())
        }
    }
}

/// Labels that something may have, or that a filter may ask for; they stand in the field at `pointer`.
pub(super) fn labels_fit(pointer: &str, labels: &BTreeMap<String, String>) -> Result<(), Status> {
    labels_of(pointer, labels, |_| LABEL_VALUE)?;
    label_keys_fit(pointer, labels)
}

/// Why the key of a label cannot be asked for, if it cannot.
pub(crate) fn label_key_flaw(key: &str) -> Option<&'static str> {
    let good = !key.contains(['=', ',']) && !key.contains(char::is_control) && key.trim() == key;
    (!good).then_some(LABEL_KEY_RULE)
}

/// Why the key of an annotation cannot be shown, if it cannot.
pub(super) fn annotation_key_flaw(key: &str) -> Option<&'static str> {
    let good = !key.is_empty() && !key.contains(char::is_control);
    (!good).then_some(ANNOTATION_KEY_RULE)
}

/// Keys of labels that somebody gives.
pub(super) fn label_keys_fit(
    pointer: &str,
    labels: &BTreeMap<String, String>,
) -> Result<(), Status> {
    keys_fit(pointer, labels, label_key_flaw)
}

fn keys_fit(
    pointer: &str,
    entries: &BTreeMap<String, String>,
    flaw: fn(&str) -> Option<&'static str>,
) -> Result<(), Status> {
    for key in entries.keys() {
        if let Some(rule) = flaw(key) {
            let why = format!("{rule}; the request has {key:?}");
            let place = refusal::at(pointer, key);
            return Err(refusal::value(place, why).found(key).status());
        }
    }
    Ok(())
}

/// The number of labels and their lengths, with the longest value of each key.
pub(super) fn labels_of(
    pointer: &str,
    labels: &BTreeMap<String, String>,
    longest: impl Fn(&str) -> usize,
) -> Result<(), Status> {
    let count = labels.len();
    if count > LIMIT_LABELS {
        return Err(refusal::limit(pointer, "labels", count, LIMIT_LABELS));
    }
    for (key, value) in labels {
        let place = || refusal::at(pointer, key);
        let most = longest(key);
        if key.is_empty() {
            let why = format!("the key of a label is empty; it has 1 to {LABEL_KEY} bytes");
            return Err(refusal::value(place(), why).status());
        }
        if key.len() > LABEL_KEY {
            return Err(refusal::limit(place(), "label_key", key.len(), LABEL_KEY));
        }
        if value.len() > most {
            return Err(refusal::limit(place(), "label_value", value.len(), most));
        }
    }
    Ok(())
}

pub(super) fn annotations_fit(
    pointer: &str,
    annotations: &BTreeMap<String, String>,
) -> Result<(), Status> {
    keys_fit(pointer, annotations, annotation_key_flaw)?;
    let bytes = annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    match bytes > ANNOTATION_BYTES {
        true => {
            let name = "annotation_bytes";
            Err(refusal::limit(pointer, name, bytes, ANNOTATION_BYTES))
        }
        false => Ok(()),
    }
}

/// What a request says of the object that it changes must be so; of one that is not there, nothing is.
fn etag_fits<M: Object>(wanted: &str, found: Option<&Row<M>>) -> Result<(), Status> {
    if wanted.is_empty() {
        return Ok(());
    }
    let Some(found) = found else {
        return Err(Status::aborted(format!(
            "the request has the etag {wanted:?}, and the object does not exist: somebody removed it, or nobody \
             has made it; leave the etag out to make it"
        )));
    };
    let etag = found.etag();
    match etag == wanted {
        true => Ok(()),
        false => Err(Status::aborted(format!(
            "the etag is {etag:?}, the request has {wanted:?}: somebody changed it meanwhile; read it \
             again"
        ))),
    }
}

fn metadata(name: &str, namespace: &str, meta: Option<StoredMeta>, etag: String) -> v1::Metadata {
    let meta = meta.unwrap_or_default();
    v1::Metadata {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        labels: meta.labels,
        annotations: meta.annotations,
        etag,
        created_ms: meta.created_ms,
        updated_ms: meta.updated_ms,
    }
}

/// The next state's metadata.
fn changed(
    was: Option<&StoredMeta>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    now: u64,
) -> StoredMeta {
    StoredMeta {
        labels,
        annotations,
        created_ms: was.map_or(now, |was| was.created_ms),
        updated_ms: now,
        change: was.map_or(1, |was| was.change + 1),
    }
}

/// A page token says of what it is: that of another listing is refused.
pub(super) fn page_token(of: &str, next: Option<String>) -> String {
    next.map(|next| format!("{of}/{next}")).unwrap_or_default()
}

pub(super) fn listing(
    of: &str,
    namespace: &str,
    options: Option<v1::ListOptions>,
) -> Result<ListObjects, Status> {
    let options = options.unwrap_or_default();
    if options.page_size > PAGE {
        return Err(refusal::limit(
            "/options/page_size",
            "page_size",
            options.page_size as usize,
            PAGE as usize,
        ));
    }
    labels_fit("/options/labels", &options.labels)?;
    let limit = if options.page_size == 0 {
        USUAL
    } else {
        options.page_size
    };
    let after = match options.page_token.as_str() {
        "" => None,
        token => {
            if token.len() > TOKEN_BYTES {
                let pointer = "/options/page_token";
                return Err(refusal::limit(
                    pointer,
                    "page_token",
                    token.len(),
                    TOKEN_BYTES,
                ));
            }
            let place = token
                .strip_prefix(of)
                .and_then(|rest| rest.strip_prefix('/'));
            let place = place.ok_or_else(|| {
                let why = format!(
                    "`page_token` is {token:?}: no answer of this listing had it as `next_page_token`"
                );
                refusal::value("/options/page_token", why).found(token).status()
            })?;
            Some(place.to_owned())
        }
    };
    Ok(ListObjects {
        prefix: String::new(),
        namespace: namespace.to_owned(),
        labels: options.labels,
        created_from: options.created_from_ms.map(Time),
        created_before: options.created_before_ms.map(Time),
        after,
        limit: limit as usize,
    })
}

/// Refuses a filter by instants for what has none.
pub(super) fn undated(list: &ListObjects, why: &str) -> Result<(), Status> {
    let named = match (list.created_from, list.created_before) {
        (None, None) => return Ok(()),
        (Some(_), _) => "created_from_ms",
        (None, Some(_)) => "created_before_ms",
    };
    let why = format!("{why}: leave the filter `{named}` out");
    Err(refusal::value(format!("/options/{named}"), why).status())
}

fn no_namespace(name: &str) -> Status {
    Status::not_found(format!("there is no namespace `{name}`; make it first"))
}

impl ControlHandlers {
    /// A namespace that is there, named by the request's field `namespace`.
    pub(super) async fn namespace(&self, name: &str) -> Result<String, Status> {
        self.namespace_at("/namespace", name).await
    }

    /// The same, named by the request's field at `pointer`.
    pub(super) async fn namespace_at(&self, pointer: &str, name: &str) -> Result<String, Status> {
        let name = self.named(name);
        self.caller.within(name)?;
        if name != super::DEFAULT_NAMESPACE {
            self::name(pointer, "namespace", name)?;
            let there = self.reader.object::<StoredNamespace>("", name).await;
            if there.map_err(refuse)?.is_none() {
                return Err(no_namespace(name));
            }
        }
        Ok(name.to_owned())
    }

    /// Has changes refused if their namespace goes meanwhile. To be called in one's turn.
    pub(super) async fn stands(
        &self,
        changes: &mut Changes,
        namespace: &str,
    ) -> Result<(), Status> {
        if namespace == super::DEFAULT_NAMESPACE {
            return Ok(());
        }
        let row = self.reader.object::<StoredNamespace>("", namespace).await;
        let row = row.map_err(refuse)?;
        changes.keep("", namespace, &row.ok_or_else(|| no_namespace(namespace))?);
        Ok(())
    }
}
