//! Where the outcomes of evaluations come from: expressions, live; the record, in a fold.

use super::record::{Evaluated, Evaluation, Site};
use crate::plan::StepIndex;
use crate::planted;
use crate::value::{Hash, Json, Value, canonical_bytes};
use std::sync::Arc;

/// Finds the text of values that are kept beside the journal.
pub trait Values {
    /// The text with that hash, if it is at hand.
    fn get(&self, hash: &Hash) -> Option<Arc<[u8]>>;
}

/// No stored values at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoValues;

impl Values for NoValues {
    fn get(&self, _hash: &Hash) -> Option<Arc<[u8]>> {
        None
    }
}

/// Texts up to this length are in the record; longer ones are stored by hash.
pub const INLINE_BYTES: usize = 64 << 10;

pub(crate) enum Oracle<'a> {
    Live {
        values: &'a dyn Values,
        evaluations: &'a mut Vec<Evaluation>,
        /// Texts that the record names by hash.
        stored: &'a mut Vec<(Hash, Arc<[u8]>)>,
        /// How many more units this turn may do.
        units: u32,
    },
    Fold {
        evaluations: std::slice::Iter<'a, Evaluation>,
        units: u32,
    },
}

/// What an evaluation gives: a value, or a sentence for people.
pub(crate) type Outcome = Result<Evaluated, Arc<str>>;

impl Oracle<'_> {
    /// The outcome for a place: `live` is called only when there is no record of it.
    /// `Err` outside: the record has something else here.
    pub(crate) fn ask(
        &mut self,
        site: Site,
        step: StepIndex,
        instance: u32,
        live: impl FnOnce(&dyn Values, &mut Vec<(Hash, Arc<[u8]>)>) -> Outcome,
    ) -> Result<Outcome, String> {
        match self {
            Oracle::Live {
                values,
                evaluations,
                stored,
                ..
            } => {
                let outcome = live(*values, stored);
                evaluations.push(Evaluation {
                    site,
                    step,
                    instance,
                    outcome: outcome.clone(),
                });
                Ok(outcome)
            }
            Oracle::Fold { evaluations, .. } if planted!(EvaluatedInFold) => {
                evaluations.next();
                Ok(live(&NoValues, &mut Vec::new()))
            }
            Oracle::Fold { evaluations, .. } => match evaluations.next() {
                Some(e) if (e.site, e.step, e.instance) == (site, step, instance) => {
                    Ok(e.outcome.clone())
                }
                other => Err(format!(
                    "the record has {other:?} where {site:?} of step {step}, instance {instance} is asked for"
                )),
            },
        }
    }

    /// Whether this is a fold: for planted faults, which are the only ones that may ask.
    pub(crate) fn folds(&self) -> bool {
        matches!(self, Oracle::Fold { .. })
    }

    /// Takes one unit of bounded work from the turn's budget.
    pub(crate) fn take_unit(&mut self) -> bool {
        let (Oracle::Live { units, .. } | Oracle::Fold { units, .. }) = self;
        if *units == 0 {
            return false;
        }
        *units -= 1;
        true
    }
}

/// A value for a record: inline, or stored beside it when it is long.
pub(crate) fn keep(json: &Json, stored: &mut Vec<(Hash, Arc<[u8]>)>) -> Value {
    let text: Arc<[u8]> = canonical_bytes(json).into();
    if text.len() <= INLINE_BYTES {
        return Value::Inline(text);
    }
    let hash = Hash::of(&text);
    let len = text.len() as u64;
    stored.push((hash, text));
    Value::Stored { hash, len }
}

/// The JSON of a value; `None` when its text is not at hand.
pub(crate) fn read(value: &Value, values: &dyn Values) -> Option<Json> {
    match value {
        Value::Inline(text) => serde_json::from_slice(text).ok(),
        Value::Stored { hash, .. } => serde_json::from_slice(&values.get(hash)?).ok(),
    }
}
