//! What every store must do, as one function: [`suite`]. Each backend's tests call it.
//!
//! It panics at the first thing that is not so, naming the scenario.

mod commits;
mod concurrency;
mod model;
mod reads;
mod refusals;

use crate::{Bytes, CommitError, Direction, KeyRange, Page, Store, Transaction};

/// Runs every scenario, each on an empty store that `make` gives.
///
/// # Panics
///
/// When the store does what it must not.
pub fn suite(mut make: impl FnMut() -> Box<dyn Store>) {
    for (name, scenario) in SCENARIOS {
        let store = make();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scenario(&*store)));
        if let Err(panic) = outcome {
            let message = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            panic!("scenario {name}: {}", message.unwrap_or_default());
        }
    }
}

type Scenario = fn(&dyn Store);

const SCENARIOS: &[(&str, Scenario)] = &[
    ("commits/put_then_get", commits::put_then_get),
    (
        "commits/a_later_put_replaces",
        commits::a_later_put_replaces,
    ),
    ("commits/delete_removes", commits::delete_removes),
    ("commits/a_range_is_emptied", commits::a_range_is_emptied),
    (
        "commits/an_empty_value_is_a_value",
        commits::an_empty_value_is_a_value,
    ),
    (
        "commits/a_compare_that_holds",
        commits::a_compare_that_holds,
    ),
    (
        "commits/a_conflict_writes_nothing",
        commits::a_conflict_writes_nothing,
    ),
    ("commits/a_late_copy_fails", commits::a_late_copy_fails),
    (
        "commits/compares_alone_write_nothing",
        commits::compares_alone_write_nothing,
    ),
    ("reads/byte_order_both_ways", reads::byte_order_both_ways),
    (
        "reads/pages_by_key_both_ways",
        reads::pages_by_key_both_ways,
    ),
    ("reads/bounds_of_a_range", reads::bounds_of_a_range),
    ("reads/prefixes", reads::prefixes),
    (
        "reads/a_page_is_bounded_in_bytes",
        reads::a_page_is_bounded_in_bytes,
    ),
    ("refusals/a_key_twice", refusals::a_key_twice),
    (
        "refusals/a_put_in_a_deleted_range",
        refusals::a_put_in_a_deleted_range,
    ),
    ("refusals/an_empty_key", refusals::an_empty_key),
    ("refusals/each_limit", refusals::each_limit),
    (
        "concurrency/one_winner_for_each_number",
        concurrency::one_winner_for_each_number,
    ),
    (
        "concurrency/a_page_never_shows_half",
        concurrency::a_page_never_shows_half,
    ),
    ("model/random_transactions", model::random_transactions),
];

/// Commits `build`'s transaction, which must succeed.
fn commit(store: &dyn Store, build: impl FnOnce(&mut Transaction)) {
    try_commit(store, build).expect("the commit succeeds");
}

fn try_commit(store: &dyn Store, build: impl FnOnce(&mut Transaction)) -> Result<(), CommitError> {
    let mut transaction = Transaction::new();
    build(&mut transaction);
    store.commit(&transaction)
}

fn get(store: &dyn Store, key: &[u8]) -> Option<Bytes> {
    store.get(key).expect("the read succeeds")
}

fn scan(store: &dyn Store, range: &KeyRange, direction: Direction, limit: usize) -> Page {
    store
        .scan(range, direction, limit)
        .expect("the scan succeeds")
}

/// Every entry of `range`, read in pages of `limit`.
fn scan_all(
    store: &dyn Store,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
) -> Vec<(Bytes, Bytes)> {
    let mut entries = Vec::new();
    let mut rest = Some(range.clone());
    while let Some(range) = rest {
        let page = scan(store, &range, direction, limit);
        rest = page.rest(&range, direction);
        entries.extend(page.entries);
    }
    entries
}
