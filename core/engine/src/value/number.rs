use serde_json::Number;

/// Reads a number as JSON and YAML write it. An integer within 64 bits is kept exactly, and one
/// beyond is refused: as a double it would be another number, with another text. A whole double
/// within 64 bits becomes an integer, as its canonical text reads back as one.
///
/// # Errors
/// One sentence with the limit, its bound and the value.
pub(crate) fn number(literal: &str) -> Result<Number, String> {
    let body = literal.strip_prefix(['+', '-']).unwrap_or(literal);
    if body.bytes().all(|byte| byte.is_ascii_digit()) {
        return literal
            .parse::<i64>()
            .map(Number::from)
            .map_err(|_| beyond(literal));
    }
    let double: f64 = literal
        .parse()
        .map_err(|_| format!("{literal} is not a number"))?;
    // 2^63: the first double that no i64 holds.
    if double.fract() == 0.0 && double.abs() < 9_223_372_036_854_775_808.0 {
        return Ok(Number::from(double as i64));
    }
    Number::from_f64(double).ok_or_else(|| {
        format!(
            "the number {} is out of range: the limit `double` is {:e}; write it as a text",
            shown(literal),
            f64::MAX
        )
    })
}

/// Says that an integer does not fit.
pub(crate) fn beyond(literal: &str) -> String {
    format!(
        "the integer {} does not fit in 64 bits: the limit `int64` is {} to {}; write it as a text",
        shown(literal),
        i64::MIN,
        i64::MAX
    )
}

/// A literal may be as long as its document.
fn shown(literal: &str) -> String {
    const MOST: usize = 40;
    match literal.get(..MOST) {
        Some(head) if literal.len() > MOST => format!("{head}… ({} characters)", literal.len()),
        _ => literal.to_owned(),
    }
}
