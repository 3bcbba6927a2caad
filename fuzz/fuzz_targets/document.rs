//! Any bytes are a document or a list of errors; a document's canonical text is one again, with the
//! same digest.
#![no_main]

use conveyor_engine::document::{Limits, load, load_with};
use conveyor_engine::plan::Plan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        bytes: 64 << 10,
        alias_nodes: 10_000,
        ..Limits::default()
    };
    for name in ["fuzz.yaml", "fuzz.json"] {
        match load_with(name, bytes, &limits) {
            Ok(document) => {
                let again = load("again.json", &document.canonical).expect("canonical JSON loads");
                assert_eq!(again.digest, document.digest);
                Plan::from_canonical(&document.canonical).expect("and compiles");
            }
            Err(errors) => {
                assert!(!errors.is_empty());
                for error in errors {
                    assert!(error.line > 0 && error.column > 0);
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
});
