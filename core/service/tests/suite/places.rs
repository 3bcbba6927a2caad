//! Where readers go on: cursors, ids of events, page tokens. `fuzz/fuzz_targets/resume.rs` asks the same of
//! any text.

use conveyor_service::fuzzing::PLACES;

/// As they are written, each by one of the parsers.
const WRITTEN: [&str; 14] = [
    "",
    "17",
    "17.0",
    "18446744073709551615.4294967295",
    "0000a0b1;0;0-1;0:0",
    "0000a0b1;2.1.2;3-7;2:7",
    "0000a0b1;0.1.1.1.2;0-9;0:3",
    "0000a0b1;0;7-7;2:0",
    "0000a0b1;0;0-18446744073709551615;4294967295:18446744073709551615",
    "1.2.3.0a1b2c3d-7.00000001",
    "0.0.0.00000000-18446744073709551615.ffffffff",
    "17.3.4294967295",
    "0.0.0",
    "runs/00ff12ab00ff12ab/0197a2d0-0000-7000-8000-000000000000",
];

/// Numbers that are the same each time: xorshift.
fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    }
}

#[test]
fn what_was_written_is_read_by_one() {
    for text in WRITTEN {
        let read = |(_, place): &&(&str, fn(&str) -> Option<String>)| place(text).is_some();
        assert_eq!(PLACES.iter().filter(read).count(), 1, "{text}");
    }
}

#[test]
fn what_is_read_is_written_the_same() {
    let hostile = [
        "+1",
        "01",
        "-0",
        "1.",
        ".1",
        "1.2.3.4",
        "1.+2",
        "18446744073709551616",
        "0000a0b1;0;0-1;",
        "0000a0b1;0;0-1;1:2;",
        ";",
        ";;",
        "0000a0b1;0;5-4;0:0",
        "0000a0b1;0.1.0;0-1;0:0",
        "0000a0b1;0;0-1;0:+2",
        "0;0-1;0:0",
        "0000A0B1;0;0-1;0:0",
        "1.2.3.a1b2c3d-7.00000001",
        "1.2.3.0A1B2C3D-7.00000001",
        "1.2.3.0a1b2c3d-7",
        "1.2.0a1b2c3d-7.00000001",
        "1e3",
        "0x1",
        " 1",
        "1 ",
        "\u{0661}",
        "0197a2d0-0000-7000-8000-000000000000",
        "runs/0197a2d0-0000-7000-8000-000000000000",
        "runs/00FF12AB00FF12AB/0197a2d0-0000-7000-8000-000000000000",
        "runs/+0ff12ab00ff12ab/0197a2d0-0000-7000-8000-000000000000",
        "runs/00ff12ab00ff12ab/0197A2D0-0000-7000-8000-000000000000",
        "0197A2D0-0000-7000-8000-000000000000",
        "{0197a2d0-0000-7000-8000-000000000000}",
        "0197a2d0000070008000000000000000",
        "urn:uuid:0197a2d0-0000-7000-8000-000000000000",
    ];
    for text in hostile {
        for (name, place) in PLACES {
            assert_eq!(place(text), None, "{name}: {text}");
        }
    }
    // And what is nearly right.
    let mut below = numbers(42);
    let letters = b"0123456789.,:;-+ a\xc3";
    for _ in 0..50_000 {
        let mut text = WRITTEN[below(WRITTEN.len())].as_bytes().to_vec();
        for _ in 0..1 + below(3) {
            let letter = letters[below(letters.len())];
            let at = below(text.len() + 1);
            match below(3) {
                0 => text.insert(at, letter),
                1 => text.truncate(at),
                _ if at < text.len() => text[at] = letter,
                _ => {}
            }
        }
        let Ok(text) = String::from_utf8(text) else {
            continue;
        };
        for (name, place) in PLACES {
            if let Some(again) = place(&text) {
                assert_eq!(again, text, "{name}");
            }
        }
    }
}
