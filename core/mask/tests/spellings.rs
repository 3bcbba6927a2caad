//! What is hidden whichever way each of its letters is written, and what is not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conveyor_mask::{Mask, SHORTEST};
use numbers::Numbers;

mod numbers;

/// All spellings of a letter.
fn spellings(letter: char) -> Vec<String> {
    let mut buffer = [0; 4];
    let bytes = letter.encode_utf8(&mut buffer).as_bytes();
    let each = |write: fn(&u8) -> String| bytes.iter().map(write).collect::<String>();
    let units = letter.encode_utf16(&mut [0; 2]).to_vec();
    let number = letter as u32;
    let mut all = vec![
        letter.to_string(),
        each(|byte| format!("%{byte:02X}")),
        each(|byte| format!("%{byte:02x}")),
        each(|byte| format!("\\x{byte:02x}")),
        units.iter().map(|unit| format!("\\u{unit:04X}")).collect(),
        units.iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        format!("&#{number};"),
        format!("&#x{number:X};"),
    ];
    let more: &[&str] = match letter {
        ' ' => &["+"],
        '~' => &["~0"],
        '/' => &["\\/", "~1"],
        '"' => &["\\\"", "&quot;"],
        '\'' => &["\\'", "&apos;"],
        '\\' => &["\\\\"],
        '&' => &["&amp;"],
        '<' => &["&lt;"],
        '>' => &["&gt;"],
        '\n' => &["\\n"],
        '\r' => &["\\r"],
        '\t' => &["\\t"],
        '\u{8}' => &["\\b"],
        '\u{c}' => &["\\f"],
        _ => &[],
    };
    all.extend(more.iter().map(|more| (*more).to_owned()));
    all
}

fn letters() -> Vec<char> {
    "aZ09 +/&<>\"'\\%~=.-_\t\u{8}é\u{20AC}\u{1F511}"
        .chars()
        .collect()
}

#[test]
fn a_secret_is_hidden_however_each_of_its_letters_is_written() {
    let mut numbers = Numbers(11);
    // Escapes of escapes in the second; few letters in the third, so that beginnings overlap.
    let alphabets = [
        letters(),
        "%25+\\u~0".chars().collect(),
        "a+ %".chars().collect(),
    ];
    for round in 0..6000 {
        let alphabet = &alphabets[round % alphabets.len()];
        let len = SHORTEST + numbers.below(12);
        let secret: String = numbers.some(len, alphabet).into_iter().collect();
        let mask = Mask::new([("token", secret.as_bytes())]);
        let spelled: String = secret
            .chars()
            .map(|letter| numbers.one_of(&spellings(letter)))
            .collect();
        // What comes before may look like the beginning of an escape.
        let before = numbers.one_of(&[
            "", "x", "<", "%", "100%2", "\\", "\\\\", "\\u00", "&#", "&", "~", "+",
        ]);
        let after = numbers.one_of(&["", "x", ">", "%", "\\", "0", ";"]);
        let text = format!("{before}{spelled}{after}");
        let masked = mask.text(&text).into_owned();
        assert!(
            !masked.contains(&spelled),
            "{secret:?} in {text:?}: {masked:?}"
        );
        assert!(masked.contains("***"), "{secret:?} in {text:?}: {masked:?}");
        assert_eq!(mask.find(text.as_bytes()), Some("token"));
        assert_eq!(
            mask.find(masked.as_bytes()),
            None,
            "{secret:?} in {text:?}: {masked:?}"
        );
        let mut masker = mask.stream();
        let (mut given, mut rest) = (Vec::new(), text.as_bytes());
        while !rest.is_empty() {
            let (chunk, next) = rest.split_at(1 + numbers.below(rest.len()));
            given.extend(masker.push(chunk));
            rest = next;
        }
        given.extend(masker.finish());
        assert_eq!(
            String::from_utf8_lossy(&given),
            masked,
            "{secret:?} in {text:?}"
        );
    }
}

#[test]
fn a_text_without_the_secret_stays_as_it_is() {
    let mut numbers = Numbers(13);
    let (letters, lower) = (letters(), ('a'..='m').collect::<Vec<_>>());
    for _ in 0..2000 {
        // No letter of the text is one of the secret, in any form.
        let secret: String = numbers
            .some(12, &lower)
            .into_iter()
            .map(|l| l.to_ascii_uppercase())
            .collect();
        let mask = Mask::new([("token", secret.as_bytes())]);
        let text: String = (0..40)
            .map(|_| {
                let letter = numbers.one_of(&letters);
                numbers.one_of(&spellings(letter))
            })
            .collect();
        assert_eq!(mask.text(&text), text);
        assert_eq!(mask.find(text.as_bytes()), None);
    }
}

#[test]
fn what_libraries_write_is_hidden() {
    let secret = "p/a&s+w<o>r\"d \u{e4}";
    let mask = Mask::new([("token", secret.as_bytes())]);
    for text in [
        // Python: quote, quote_plus, json.dumps, html.escape.
        r"p/a%26s%2Bw%3Co%3Er%22d%20%C3%A4",
        r"p%2Fa%26s%2Bw%3Co%3Er%22d+%C3%A4",
        r#"p/a&s+w<o>r\"d \u00e4"#,
        "p/a&amp;s+w&lt;o&gt;r&quot;d \u{e4}",
        // JavaScript: encodeURI, encodeURIComponent.
        "p/a&s+w%3Co%3Er%22d%20%C3%A4",
        "p%2Fa%26s%2Bw%3Co%3Er%22d%20%C3%A4",
        // Go: url.PathEscape, json.Marshal, html.EscapeString.
        "p%2Fa&s+w%3Co%3Er%22d%20%C3%A4",
        "p/a\\u0026s+w\\u003co\\u003er\\\"d \u{e4}",
        "p/a&amp;s+w&lt;o&gt;r&#34;d \u{e4}",
        // PHP: json_encode.
        r#"p\/a&s+w<o>r\"d \u00e4"#,
        // .NET: JsonSerializer.
        r"p/a\u0026s\u002Bw\u003Co\u003Er\u0022d \u00E4",
    ] {
        assert_eq!(mask.text(&format!("[{text}]")), "[***]", "{text}");
    }
    // Its base64 is escaped as any text: it has a slash here.
    let secret = b"\xff\xff\xff\xffsecre";
    let mask = Mask::new([("token", secret.as_slice())]);
    let encoded = STANDARD.encode(secret);
    let url = encoded.trim_end_matches('=').replace('/', "%2F");
    assert_eq!(mask.text(&url), "***");
}

#[test]
fn a_secret_that_goes_on_in_the_next_line_is_hidden_in_both() {
    let mask = Mask::new([("token", br#"hunter2-"q"-end"#.as_slice())]);
    let lines = |lines: &[(&str, bool)]| -> Vec<String> {
        let mut cut = mask.cut_lines();
        let each = lines
            .iter()
            .map(|(line, goes_on)| cut.line(line.as_bytes(), *goes_on));
        each.map(|line| String::from_utf8(line).expect("UTF-8"))
            .collect()
    };
    assert_eq!(
        lines(&[("half hunter2-\"q", true), ("\"-end.", false)]),
        ["half ***", "***."]
    );
    // Escaped, and cut within an escape, over three lines.
    assert_eq!(
        lines(&[("half hunter2-%2", true), ("2q%22", true), ("-end.", false)]),
        ["half ***", "***", "***."]
    );
    // The end of a line that may be one is hidden, whatever comes: it is told before.
    assert_eq!(
        lines(&[("a hunter", true), ("s hut", false)]),
        ["a ***", "s hut"]
    );
    // Under 4 bytes say little, but the rest is hidden.
    assert_eq!(
        lines(&[("a hun", true), ("ter2-\"q\"-end", false)]),
        ["a hun", "***"]
    );
    // The next line does not go on, nor the one after an end.
    assert_eq!(
        lines(&[("a hunter2-", false), ("\"q\"-end", false)]),
        ["a hunter2-", "\"q\"-end"]
    );
    // Whole ones, in lines that go on.
    assert_eq!(
        lines(&[("hunter2-\"q\"-end", true), ("hunter2-\"q\"-end", true)]),
        ["***", "***"]
    );
}

#[test]
fn what_is_kept_of_escapes_has_an_end() {
    // Each blank is a beginning, and none is the end of it.
    let mask = Mask::new([("token", b"    ....".as_slice())]);
    let text = "+".repeat(20_000);
    assert_eq!(mask.text(&text), text);
    let mut masker = mask.stream();
    let mut given = 0;
    for _ in 0..2000 {
        given += masker.push(&[b'+'; 100]).len();
    }
    assert_eq!(given, 200_000 - 4);
    assert_eq!(masker.push(b"%2e\\u002e.."), b"***");
}
