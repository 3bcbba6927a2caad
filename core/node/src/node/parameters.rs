//! What a driver is told beside its inputs: the parameters of a fan-out's instance, the run's Resource.

use super::judge;
use crate::id::RunId;
use crate::owner::StartTask;
use crate::reader::Reader;
use conveyor_engine::run::{Failure, Item, Values};
use conveyor_engine::value::{Hash, Value};
use std::sync::Arc;

/// The one page that has the item.
struct Page(Option<Arc<[u8]>>);

impl Values for Page {
    fn get(&self, _: &Hash) -> Option<Arc<[u8]>> {
        self.0.clone()
    }
}

/// The JSON text; `None` for a plain step.
pub(crate) async fn parameters(
    reader: &Reader,
    run: RunId,
    item: Option<&Item>,
) -> Result<Option<Arc<[u8]>>, Failure> {
    let Some(item) = item else { return Ok(None) };
    let page = match item.hash() {
        None => None,
        Some(hash) => {
            let text = reader.value(run, hash).await;
            Some(text.map_err(|error| judge::no_inputs(&error, true))?)
        }
    };
    Ok(item.text(&Page(page)))
}

/// The JSON text of the Resource that a task's run is for.
pub(crate) async fn resource(
    reader: &Reader,
    start: &StartTask,
) -> Result<Option<Arc<[u8]>>, Failure> {
    Ok(match &start.resource {
        None => None,
        Some(Value::Inline(text)) => Some(Arc::clone(text)),
        Some(Value::Stored { hash, .. }) => {
            let text = reader.value(start.claimed.run, *hash).await;
            Some(text.map_err(|error| judge::no_inputs(&error, true))?)
        }
    })
}
