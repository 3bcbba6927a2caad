use super::Json;
use std::fmt::Write as _;

/// The canonical text of `json`: no white space, keys in the order of their UTF-16 code units,
/// RFC 8785 strings and doubles, 64-bit integers in full. Whole doubles beyond 64 bits have an
/// exponent: their digits would be an integer, which no reader of 64-bit integers takes.
#[must_use]
pub fn canonical_string(json: &Json) -> String {
    let mut out = String::new();
    write_value(json, Doubles::Short, &mut out);
    out
}

/// [`canonical_bytes`], but that a whole double within 64 bits has a `.0`, and so reads back as a
/// double: for what only the engine reads, to which a value declared `number` is one for good
/// (SEMANTICS 25).
pub(crate) fn typed_bytes(json: &Json) -> Vec<u8> {
    let mut out = String::new();
    write_value(json, Doubles::Marked, &mut out);
    out.into_bytes()
}

/// How whole doubles within 64 bits are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubles {
    /// As integers.
    Short,
    /// With a `.0`.
    Marked,
}

/// [`canonical_string`] as bytes.
#[must_use]
pub fn canonical_bytes(json: &Json) -> Vec<u8> {
    canonical_string(json).into_bytes()
}

fn write_value(json: &Json, doubles: Doubles, out: &mut String) {
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(number) => write_number(number, doubles, out),
        Json::String(text) => write_string(text, out),
        Json::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_value(item, doubles, out);
            }
            out.push(']');
        }
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            // UTF-8 order and UTF-16 order differ only above the basic plane.
            entries.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (position, (key, value)) in entries.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_value(value, doubles, out);
            }
            out.push('}');
        }
    }
}

fn write_number(number: &serde_json::Number, doubles: Doubles, out: &mut String) {
    if number.is_i64() || number.is_u64() {
        // Writing to a String cannot fail.
        let _ = write!(out, "{number}");
    } else if let Some(double) = number.as_f64() {
        write_double(double, out);
        // 2^63: what is beyond has an exponent already.
        let whole = double.fract() == 0.0 && double.abs() < 9_223_372_036_854_775_808.0;
        if whole && doubles == Doubles::Marked {
            out.push_str(".0");
        }
    }
}

/// ECMAScript's `Number::toString`, which RFC 8785 prescribes, but for whole doubles from 2^63.
fn write_double(double: f64, out: &mut String) {
    if double == 0.0 {
        out.push('0');
        return;
    }
    // Rust's `{:e}` prints the shortest digits that read back as the same double.
    let text = format!("{double:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let count = digits.len() as i32;
    let point = exponent + 1;
    out.push_str(sign);
    // 2^63: the shortest digits of what is below are an integer within 64 bits.
    let within = double.abs() < 9_223_372_036_854_775_808.0;
    if count <= point && within {
        out.push_str(&digits);
        out.extend(std::iter::repeat_n('0', (point - count) as usize));
    } else if 0 < point && point < count {
        out.push_str(&digits[..point as usize]);
        out.push('.');
        out.push_str(&digits[point as usize..]);
    } else if -6 < point && point <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', -point as usize));
        out.push_str(&digits);
    } else {
        out.push_str(&digits[..1]);
        if count > 1 {
            out.push('.');
            out.push_str(&digits[1..]);
        }
        let _ = write!(
            out,
            "e{}{}",
            if exponent < 0 { '-' } else { '+' },
            exponent.abs()
        );
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_in_utf16_order_and_integers_in_full() {
        let json = json!({"\u{fb33}": 1, "\u{1f600}": 2, "b": 9_007_199_254_740_993_i64, "a": [null, true]});
        assert_eq!(
            canonical_string(&json),
            "{\"a\":[null,true],\"b\":9007199254740993,\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }

    #[test]
    fn doubles_are_written_as_ecmascript_does() {
        for (double, text) in [
            (1e21, "1e+21"),
            (1e18, "1000000000000000000"),
            (-9_223_372_036_854_775_808.0, "-9.223372036854776e+18"),
            (9_223_372_036_854_775_808.0, "9.223372036854776e+18"),
            (1e20, "1e+20"),
            (0.000_001, "0.000001"),
            (1e-7, "1e-7"),
            (-1.5, "-1.5"),
            (333_333_333.333_333_3, "333333333.3333333"),
            (3.0, "3"),
            (-0.0, "0"),
        ] {
            assert_eq!(canonical_string(&json!(double)), text);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            canonical_string(&json!("\u{1}\n\"\\")),
            "\"\\u0001\\n\\\"\\\\\""
        );
    }
}
