//! The digest of decisions that a fold is checked against.

use super::Decision;
use super::identity::Identity;
use xxhash_rust::xxh3::Xxh3;

/// Sentences are left out: their wording may change between releases, what was decided may not.
pub(crate) fn add(hasher: &mut Xxh3, decision: &Decision) {
    let mut put = |numbers: &[u64]| {
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
    };
    match decision {
        Decision::Run { from, to, .. } => put(&[1, from.code().into(), to.code().into()]),
        Decision::Expanded { step, instances } => put(&[2, (*step).into(), (*instances).into()]),
        Decision::Instance {
            step,
            instance,
            attempt,
            from,
            to,
            allowed,
            due,
            ..
        } => put(&[
            3,
            (*step).into(),
            (*instance).into(),
            (*attempt).into(),
            from.code().into(),
            to.code().into(),
            (*allowed).into(),
            due.map_or(u64::MAX, |due| due.0),
        ]),
        Decision::Claimed { id, .. } => put(&[4, first(id), id.attempt.into()]),
        Decision::Cancel { id, grace, .. } => put(&[5, first(id), id.attempt.into(), grace.0]),
        Decision::Attempt { id, state, .. } => {
            put(&[6, first(id), id.attempt.into(), state.code().into()]);
        }
        Decision::Step {
            step,
            state,
            ok,
            warnings,
            ..
        } => {
            put(&[
                7,
                (*step).into(),
                state.code().into(),
                (*ok).into(),
                (*warnings).into(),
            ]);
        }
        Decision::Outputs { outputs } => put(&[8, outputs.len()]),
        Decision::NoEffect { .. } => put(&[9]),
    }
}

fn first(id: &Identity) -> u64 {
    u64::from(id.step) << 32 | u64::from(id.instance)
}
