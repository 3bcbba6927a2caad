//! Enums of requests. One that a client sends may be any number: proto3's enums are open, and what a generated
//! accessor makes of a number that it does not know reads like a field that nobody set.

use super::{at, value};
use conveyor_engine::run::RunState;
use conveyor_proto::v1;
use tonic::Status;

/// Above the numbers of every enum in the contract.
const NUMBERS: i32 = 64;

/// The value of an enum that the field at `pointer` has. `name` is the enum's own `as_str_name`.
///
/// # Errors
/// INVALID_ARGUMENT with the number and the words that are known. 0 is known, as the enum's unspecified: what it
/// means is the call's own matter.
pub(crate) fn word<E: TryFrom<i32>>(
    pointer: &str,
    given: i32,
    name: fn(&E) -> &'static str,
) -> Result<E, Status> {
    E::try_from(given).map_err(|_| unknown(pointer, given, name))
}

/// States of runs that a filter has in its field `states`.
///
/// # Errors
/// INVALID_ARGUMENT for the first that is none, with its place.
pub(crate) fn states(given: &[i32]) -> Result<Vec<RunState>, Status> {
    let each = given.iter().enumerate();
    each.map(|(index, given)| {
        let code = u8::try_from(*given).ok();
        code.and_then(RunState::from_code).ok_or_else(|| {
            let pointer = at("/states", index);
            unknown(&pointer, *given, v1::RunState::as_str_name)
        })
    })
    .collect()
}

fn unknown<E: TryFrom<i32>>(pointer: &str, given: i32, name: fn(&E) -> &'static str) -> Status {
    let named = |number| E::try_from(number).ok().map(|one| name(&one));
    // What all names of an enum begin with: `RUN_STATE_`.
    let prefix = named(0).and_then(|zero| zero.strip_suffix("UNSPECIFIED"));
    let words = (1..NUMBERS).filter_map(named).map(|name| {
        let own = prefix.and_then(|prefix| name.strip_prefix(prefix));
        own.unwrap_or(name).to_ascii_lowercase()
    });
    let words: Vec<_> = words.collect();
    let field = pointer.trim_start_matches('/');
    let why = format!(
        "`{field}` is {given}, which is none of {}",
        words.join(", ")
    );
    let found = given.to_string();
    value(pointer, why).found(&found).allowed(words).status()
}
