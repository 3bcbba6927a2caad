//! Any text that a reader comes back with (`Last-Event-ID`, a cursor, a page token): it is refused, or is
//! what an answer had, to the letter.
#![no_main]

use conveyor_service::fuzzing::PLACES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for (name, place) in PLACES {
        if let Some(again) = place(text) {
            assert_eq!(again, text, "{name}");
        }
    }
});
