//! Any bytes are a stored record or an error: what is read is all that was there, and folds or is
//! refused where it belongs in a journal, without a panic.
#![no_main]

use conveyor_engine::plan::Plan;
use conveyor_engine::run::{Record, Run, decode_record, encode_record};
use conveyor_proto::storage::envelope::{SEMANTICS, unwrap, wrap};
use conveyor_proto::storage::v1::RecordKind;
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, OnceLock};

/// A recorded run with a rule, an error branch and a handler.
const RECORDED: &str = include_str!(
    "../../core/engine/tests/fixtures/journals/v1/semantics.order.rule_16_an_error_branch_and_what_follows_it_still_run.1.txt"
);

fn journal() -> &'static (Arc<Plan>, Vec<Record>) {
    static JOURNAL: OnceLock<(Arc<Plan>, Vec<Record>)> = OnceLock::new();
    JOURNAL.get_or_init(|| {
        let line = |line: &'static str, word: &str| line.strip_prefix(word);
        let document = RECORDED.lines().find_map(|text| line(text, "document "));
        let plan = Plan::from_canonical(document.expect("a document").as_bytes());
        let record = |hex: &str| {
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
            let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
            decode_record(&bytes).expect("a record")
        };
        let records = RECORDED.lines().filter_map(|text| line(text, "record "));
        (
            Arc::new(plan.expect("a plan")),
            records.map(record).collect(),
        )
    })
}

fuzz_target!(|bytes: &[u8]| {
    let kind = RecordKind::Journal;
    if let Ok(payload) = unwrap(kind, bytes) {
        let wrapped = (0..=SEMANTICS).any(|semantics| wrap(kind, semantics, payload) == bytes);
        assert!(wrapped, "an envelope is written otherwise than it was read");
    }
    let Ok(record) = decode_record(bytes) else {
        return;
    };
    // Another encoder may have put its fields in another order.
    let again = encode_record(&record);
    assert_eq!(again.len(), bytes.len(), "a field was dropped or added");
    assert_eq!(decode_record(&again).as_ref(), Ok(&record));
    let (plan, records) = journal();
    let mut run = Run::new(Arc::clone(plan));
    for before in records
        .iter()
        .take_while(|before| before.sequence < record.sequence)
    {
        run.fold(before).expect("the recorded journal folds");
    }
    // A digest that fits nothing is the usual answer.
    let _ = run.fold(&record);
});
