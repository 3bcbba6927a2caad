//! What is hidden, however it is written and however it is cut.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use conveyor_mask::Mask;
use numbers::Numbers;

mod numbers;

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|part| part == what)
}

fn stream(mask: &Mask, chunks: &[&[u8]]) -> Vec<u8> {
    let mut masker = mask.stream();
    let mut given = Vec::new();
    for chunk in chunks {
        given.extend(masker.push(chunk));
    }
    given.extend(masker.finish());
    given
}

#[test]
fn each_form_is_hidden_and_the_rest_stays() {
    let value = "s3cr3t/+?\"\\ é\u{1F511}&=end";
    let mask = Mask::new([("token", value.as_bytes())]);
    let url = |upper: bool| -> String {
        let each = value.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => (byte as char).to_string(),
            _ if upper => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        });
        each.collect()
    };
    let quoted = serde_json::to_string(value).expect("JSON");
    let texts = [
        value.to_owned(),
        url(true),
        url(false),
        url(true).replace("%20", "+"),
        quoted[1..quoted.len() - 1].to_owned(),
        // A key in a JSON pointer.
        value.replace('/', "~1"),
    ];
    for text in texts {
        assert_eq!(mask.text(&format!("<{text}>")), "<***>", "{text}");
        assert_eq!(mask.find(text.as_bytes()), Some("token"));
    }
}

#[test]
fn base64_is_hidden_wherever_the_value_stands_in_it() {
    let mut numbers = Numbers(7);
    let all: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    for _ in 0..500 {
        let len = 6 + numbers.below(60);
        let value = numbers.some(len, &all);
        let mask = Mask::new([("token", &value[..])]);
        for before in 0..7 {
            let after = numbers.below(4);
            let text = [
                numbers.some(before, &all),
                value.clone(),
                numbers.some(after, &all),
            ]
            .concat();
            for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                let masked = mask.text(&encoded);
                assert!(masked.contains("***"), "{encoded}");
                // At most two letters of each end are of more than the value.
                let left = masked.len() - 3;
                let foreign = 4 * (before + after).div_ceil(3) + 8;
                assert!(left <= foreign, "{encoded}: {masked}");
            }
        }
    }
}

#[test]
fn wrapped_base64_is_hidden_line_by_line() {
    let value: Vec<u8> = (0..200u8).map(|byte| byte.wrapping_mul(37)).collect();
    let mask = Mask::new([("key", &value[..])]);
    for width in [64, 76] {
        for line in STANDARD.encode(&value).as_bytes().chunks(width) {
            let line = std::str::from_utf8(line)
                .expect("letters")
                .trim_end_matches('=');
            assert_eq!(mask.text(line), "***");
        }
    }
}

#[test]
fn lines_of_a_value_are_hidden_by_themselves() {
    let value = b"first line\r\nab\n  seven77\n  eight888\nlast line\n";
    let mask = Mask::new([("key", value.as_slice())]);
    for line in ["first line", "  eight888", "last line"] {
        assert_eq!(mask.text(&format!("[{line}]")), "[***]");
    }
    // Shorter ones would be found in everything.
    for line in ["ab", "  seven77"] {
        assert_eq!(mask.text(line), line);
    }
}

/// A key as tools write it; its text is no key's.
fn pem(label: &str) -> String {
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n\
                MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n\
                uDmrmMZQ\n";
    format!("-----BEGIN {label}-----\n{body}-----END {label}-----\n")
}

#[test]
fn what_everybody_knows_of_a_key_is_no_secret() {
    for label in [
        "RSA PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "CERTIFICATE",
        "X509 CRL",
    ] {
        for value in [
            pem(label),
            pem(label).replace('\n', "\r\n"),
            pem(label).trim_end().to_owned(),
        ] {
            let mask = Mask::new([("key", value.as_bytes())]);
            let lines: Vec<_> = value.lines().collect();
            let (last, first) = (lines.len() - 1, 0);
            for (at, line) in lines.into_iter().enumerate() {
                let expected = if at == first || at == last {
                    line
                } else {
                    "***"
                };
                assert_eq!(mask.text(line), expected);
            }
            // Another's, and one that is no secret.
            let other = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
            assert_eq!(mask.text(&other), other);
            for width in [64, 76] {
                for line in STANDARD.encode(&other).as_bytes().chunks(width) {
                    let line = std::str::from_utf8(line).expect("letters");
                    assert_eq!(mask.text(line), line);
                }
            }
            // The whole is one, its armour too.
            assert_eq!(mask.text(&format!("<{value}>")), "<***>");
        }
    }
}

#[test]
fn what_only_looks_like_armour_is_a_secret() {
    // A value of one line is one, whatever it says, with or without the line feed of an editor.
    for value in [
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n",
        "short",
        "short\n",
    ] {
        let mask = Mask::new([("odd", value.as_bytes())]);
        assert_eq!(mask.text(value.trim_end()), "***");
    }
    for line in [
        "-----BEGIN hunter22-----",
        "-----BEGIN -----",
        "-----BEGIN A-B-----",
        "----BEGIN PRIVATE KEY----",
        "-----BEGIN PRIVATE KEY----- x",
        "-----BEGIN AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-----",
    ] {
        let value = format!("{line}\nanother line\n");
        let mask = Mask::new([("odd", value.as_bytes())]);
        assert_eq!(mask.text(line), "***", "{line}");
    }
}

#[test]
fn wrapped_base64_of_a_key_is_hidden_where_it_has_something_of_the_key() {
    let value = pem("PRIVATE KEY");
    let mask = Mask::new([("key", value.as_bytes())]);
    for width in [64, 76] {
        let text = STANDARD.encode(&value);
        for (at, line) in (0..).zip(text.as_bytes().chunks(width)) {
            let line = std::str::from_utf8(line).expect("letters");
            let end = value.len() - "-----END PRIVATE KEY-----\n".len();
            let line = line.trim_end_matches('=');
            // Lines of the armour alone are left.
            let of_armour = at * width / 4 * 3 >= end;
            let expected = if of_armour { line } else { "***" };
            assert_eq!(mask.text(line), expected, "{at} of {width}");
        }
    }
}

#[test]
fn short_values_hide_nothing() {
    assert!(Mask::is_short(b"abc"));
    assert!(Mask::new([("pin", b"123".as_slice())]).is_empty());
    assert!(!Mask::new([("pin", b"1234".as_slice())]).is_empty());
}

#[test]
fn however_a_stream_is_cut_it_is_masked_as_the_whole() {
    let mut numbers = Numbers(42);
    // Few letters, so that secrets overlap each other and themselves.
    let letters = b"abc";
    for round in 0..3000 {
        let values: Vec<Vec<u8>> = (0..1 + numbers.below(3))
            .map(|_| {
                let len = 4 + numbers.below(6);
                numbers.some(len, letters)
            })
            .collect();
        let mask = Mask::new(values.iter().map(|value| ("s", &value[..])));
        let len = numbers.below(60);
        let text = numbers.some(len, letters);
        let whole = mask.mask(&text).into_owned();
        for value in &values {
            assert!(!contains(&whole, value), "{round}");
        }
        for cut in 0..=text.len() {
            assert_eq!(
                stream(&mask, &[&text[..cut], &text[cut..]]),
                whole,
                "{round}, {cut}"
            );
        }
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(stream(&mask, &single), whole, "{round}");
    }
}

#[test]
fn what_overlaps_is_hidden_as_one() {
    let mask = Mask::new([("a", b"abcd".as_slice()), ("b", b"cdefgh")]);
    assert_eq!(mask.text("xabcdefghx"), "x***x");
}

#[test]
fn a_stream_holds_back_only_what_may_be_a_secret() {
    let mask = Mask::new([("a", b"secret-value".as_slice())]);
    let mut masker = mask.stream();
    assert_eq!(masker.push(b"plain text\n"), b"plain text\n");
    assert_eq!(masker.push(b"a secr"), b"a ");
    assert_eq!(masker.push(b"etary"), b"secretary");
    assert_eq!(masker.push(b" secret-"), b" ");
    assert_eq!(masker.push(b"value."), b"***.");
    assert_eq!(masker.finish(), b"");
}

#[test]
fn json_is_masked_inside_and_stays_json() {
    let mask = Mask::new([
        ("a", b"hunter22".as_slice()),
        ("n", b"123456"),
        ("j", b"[1,2]"),
    ]);
    let value = serde_json::json!({"hunter22": ["x hunter22 y", 5, 123456], "ok": true});
    assert_eq!(mask.find_in_json(&value), Some("a"));
    let masked = serde_json::json!({"***": ["x *** y", 5, "***"], "ok": true});
    assert_eq!(mask.json(&value), masked);
    // A secret that is JSON itself: its parts say nothing, so that nothing is left.
    assert_eq!(mask.json(&serde_json::json!({"x": [1, 2]})), "***");
}

#[test]
fn json_within_json_is_looked_into() {
    let mask = Mask::new([("a", br#"say "hunter22""#.as_slice())]);
    for text in [r#"say "hunter22""#, r#"{"x": "say \"hunter22\""}"#] {
        let value = serde_json::json!({"body": [text], text: 1});
        assert_eq!(mask.find_in_json(&value), Some("a"));
        let masked = mask.json(&value).to_string();
        assert!(
            !masked.contains("hunter22") && masked.contains("***"),
            "{masked}"
        );
        assert_eq!(mask.find_in_json(&serde_json::json!({text: 1})), Some("a"));
    }
}

#[test]
fn nothing_shows_what_it_hides() {
    let mask = Mask::new([("token", b"hunter22".as_slice())]);
    let mut masker = mask.stream();
    assert!(masker.push(b"hunter2").is_empty());
    assert_eq!(format!("{mask:?} {masker:?}"), "Mask(..) Masker(..)");
}
