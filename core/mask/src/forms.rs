//! The forms in which a value turns up in texts.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::ops::{Range, RangeInclusive};

/// The shortest text that is masked, in bytes: a shorter one would be found in everything.
pub const SHORTEST: usize = 4;

/// Where programs break the lines of base64: MIME's 76, and PEM's 64 letters.
const WRAPPED: [usize; 2] = [76, 64];
/// The shortest piece of wrapped base64 that is masked, in letters: a shorter one says little, and
/// would be found by chance.
const PIECE: usize = 8;

/// The shortest line of a value of several that is masked by itself, in bytes without the white space
/// around it: brackets, `true`, or a key of JSON say nothing of the value, and would be found in everything.
const LINE: usize = 8;

/// How long the label of an armour is, in bytes: `ENCRYPTED PRIVATE KEY` has 21.
const LABELS: RangeInclusive<usize> = 1..=32;

/// All forms of a value, and of each of its lines that says something of it: escapes of their letters are
/// not among them, but read where they stand.
pub(crate) fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    of(value, &mut found);
    let whole = value.strip_suffix(b"\n").unwrap_or(value);
    // A value of one line is a secret, whatever it is.
    let several = whole.contains(&b'\n');
    for line in whole.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let public = several && (line.trim_ascii().len() < LINE || is_armour(line));
        if line.len() != value.len() && !public {
            of(line, &mut found);
        }
    }
    found.retain(|form| form.len() >= SHORTEST);
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether a line is one around the text of PEM (RFC 7468), such as `-----BEGIN PRIVATE KEY-----`: public
/// knowledge. Labels are upper case; whatever else stands between the dashes may be a secret.
fn is_armour(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let label = line
        .strip_prefix(b"-----BEGIN ")
        .or_else(|| line.strip_prefix(b"-----END "))
        .and_then(|rest| rest.strip_suffix(b"-----"));
    let letter = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b' ' | b'0'..=b'9');
    label.is_some_and(|label| LABELS.contains(&label.len()) && label.iter().all(letter))
}

/// Whether a part of a value is of one armour line and its line end alone.
fn is_of_armour(value: &[u8], part: Range<usize>) -> bool {
    let before = value[..part.start].iter().rposition(|byte| *byte == b'\n');
    let from = before.map_or(0, |at| at + 1);
    let after = value[from..].iter().position(|byte| *byte == b'\n');
    let to = after.map_or(value.len(), |at| from + at);
    part.end <= to + 1 && is_armour(&value[from..to])
}

fn of(value: &[u8], found: &mut Vec<Vec<u8>>) {
    if value.len() < SHORTEST {
        return;
    }
    found.push(value.to_vec());
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        for before in 0..3 {
            found.push(base64(&engine, before, value));
        }
        let text = engine.encode(value).into_bytes();
        for width in WRAPPED.into_iter().filter(|width| text.len() > *width) {
            // Four letters are three bytes.
            let each = text.chunks(width).zip((0..).step_by(width / 4 * 3));
            let pieces = each.filter(|(piece, at)| {
                let part = *at..value.len().min(at + width / 4 * 3);
                piece.len() >= PIECE && !is_of_armour(value, part)
            });
            found.extend(pieces.map(|(piece, _)| piece.to_vec()));
        }
    }
}

/// The letters that the value alone decides where so many bytes stand before it.
fn base64(engine: &impl base64::Engine, before: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(value);
    let text = engine.encode(&bytes).into_bytes();
    let (first, last) = ((8 * before).div_ceil(6), 8 * bytes.len() / 6);
    text[first..last].to_vec()
}
