//! Where the outcomes of evaluations come from: expressions, live; the record, in a fold.

use super::items::Items;
use super::record::{Evaluated, Evaluation, Site};
use super::values::{AtHand, NoValues, Values};
use crate::expr::EvalError;
use crate::plan::{Plan, StepIndex};
use crate::planted;
use crate::value::{Hash, Json, Texts, VALUE_BYTES, Value};
use std::sync::Arc;

/// A turn ends after the unit with which the open record has so many bytes. A store takes records
/// of a few MiB, and one that a large fan-out makes should not hold up the commits of other runs.
pub(crate) const TURN_BYTES: usize = 1 << 20;

/// The same for texts that are stored beside the record. With one more of the longest value (8 MiB),
/// the record and a part's log lines, they are still less than a store takes in one transaction.
pub(crate) const TURN_STORED: usize = 2 << 20;

/// What the open record holds so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Open {
    /// Bytes in the record itself, about.
    pub(crate) bytes: usize,
    /// Bytes stored beside it.
    pub(crate) stored: usize,
}

impl Open {
    pub(crate) fn is_full(self) -> bool {
        self.bytes >= TURN_BYTES || self.stored >= TURN_STORED
    }
}

pub(crate) enum Oracle<'a> {
    Live {
        values: &'a dyn Values,
        evaluations: &'a mut Vec<Evaluation>,
        /// Texts that the record names by hash.
        stored: &'a mut Texts,
        /// How many more units this turn may do.
        units: u32,
        /// How much it may still record.
        open: &'a mut Open,
    },
    Fold {
        evaluations: std::slice::Iter<'a, Evaluation>,
        units: u32,
    },
}

/// What an expression gives, before it is kept.
pub(crate) enum Fresh {
    Bool(bool),
    Value(Json),
    /// A value that expressions alone read: its doubles stay doubles.
    Root(Json),
    Items(Vec<Json>),
}

/// What an evaluation gives: a value, or a sentence for people.
pub(crate) type Outcome = Result<Evaluated, Arc<str>>;

impl Oracle<'_> {
    /// The outcome for a place: `live` is called only when there is no record of it.
    /// `Err` outside: the record has something else here.
    pub(crate) fn ask(
        &mut self,
        plan: &Plan,
        site: Site,
        step: StepIndex,
        instance: u32,
        live: impl FnOnce(&dyn Values) -> Result<Fresh, EvalError>,
    ) -> Result<Outcome, String> {
        match self {
            Oracle::Live {
                values,
                evaluations,
                stored,
                open,
                ..
            } => {
                let at_hand = AtHand {
                    values: *values,
                    stored,
                };
                let outcome = live(&at_hand)
                    .and_then(|fresh| keep(fresh, stored, open))
                    .map_err(|error| site.complaint(plan, step, &error));
                open.bytes += recorded(&outcome);
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
                let (mut stored, mut open) = (Texts::new(), Open::default());
                Ok(live(&NoValues)
                    .and_then(|fresh| keep(fresh, &mut stored, &mut open))
                    .map_err(|error| site.complaint(plan, step, &error)))
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
        let units = match self {
            Oracle::Live { open, .. } if open.is_full() => return false,
            Oracle::Live { units, .. } | Oracle::Fold { units, .. } => units,
        };
        if *units == 0 {
            return false;
        }
        *units -= 1;
        true
    }

    /// Whether all of these values can be read now. A fold reads none.
    pub(crate) fn has(&self, hashes: &[Hash]) -> bool {
        match self {
            Oracle::Fold { .. } => true,
            Oracle::Live { values, stored, .. } => hashes
                .iter()
                .all(|hash| stored.contains_key(hash) || values.get(hash).is_some()),
        }
    }
}

/// A fresh outcome as a record has it.
fn keep(fresh: Fresh, stored: &mut Texts, open: &mut Open) -> Result<Evaluated, EvalError> {
    let mut made = Texts::new();
    let kept = match fresh {
        Fresh::Bool(truth) => Evaluated::Bool(truth),
        Fresh::Value(json) => within(Value::keep(&json, &mut made))?,
        Fresh::Root(json) => within(Value::keep_typed(&json, &mut made))?,
        Fresh::Items(items) => {
            let kept = Items::keep(&items, &mut made);
            Evaluated::Items(Arc::new(
                kept.map_err(|message| EvalError::new("", message))?,
            ))
        }
    };
    open.stored += made.values().map(|text| text.len()).sum::<usize>();
    stored.append(&mut made);
    Ok(kept)
}

fn within(value: Value) -> Result<Evaluated, EvalError> {
    let len = value.len();
    if len > VALUE_BYTES {
        let message =
            format!("the value has {len} bytes; the limit `value_bytes` is {VALUE_BYTES}");
        return Err(EvalError::new("", message));
    }
    Ok(Evaluated::Value(value))
}

/// How many bytes of a record an outcome takes, about.
fn recorded(outcome: &Outcome) -> usize {
    // Site, step, instance and tags.
    16 + match outcome {
        Ok(Evaluated::Bool(_)) => 0,
        Ok(Evaluated::Value(value)) => value.recorded(),
        Ok(Evaluated::Items(items)) => items.recorded(),
        Err(message) => message.len(),
    }
}
