//! The bounds that a field's comment names: `At most 256 bytes.`, `1 to 256.`, `Default 1, at most 10,000.`

/// Bounds of a field, in what its comment counts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) least: Option<u64>,
    pub(super) most: Option<u64>,
    /// Whether `most` counts bytes.
    pub(super) bytes: bool,
}

/// Reads a comment. What is only promised, or only counted up to, is no bound.
pub(super) fn bounds(comment: &str) -> Bounds {
    let mut bounds = Bounds::default();
    let lower = comment.to_ascii_lowercase();
    if let Some((_, rest)) = lower.split_once("at most ")
        && let Some((number, rest)) = number(rest)
        && !rest.starts_with(" are promised")
        && !rest.starts_with(" count")
    {
        let (scale, bytes) = if rest.starts_with(" kib") {
            (1 << 10, true)
        } else if rest.starts_with(" mib") {
            (1 << 20, true)
        } else {
            (1, rest.starts_with(" bytes"))
        };
        bounds.most = Some(number * scale);
        bounds.bytes = bytes;
    }
    if lower.contains("at least one") || lower.contains("at least 1") {
        bounds.least = Some(1);
    }
    for sentence in lower.split(". ") {
        if let Some((least, rest)) = number(sentence)
            && let Some((most, rest)) = rest.strip_prefix(" to ").and_then(number)
            && rest.trim_matches('.').is_empty()
        {
            (bounds.least, bounds.most) = (Some(least), Some(most));
        }
    }
    bounds
}

/// A number that a text begins with, and what follows it.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != ',')
        .unwrap_or(text.len());
    let digits = text[..end].trim_end_matches(',');
    let value = digits.replace(',', "").parse().ok()?;
    Some((value, &text[digits.len()..]))
}

#[cfg(test)]
mod tests {
    use super::{Bounds, bounds};

    #[test]
    fn comments_name_their_bounds() {
        let most = |most, bytes| Bounds {
            most: Some(most),
            bytes,
            least: None,
        };
        for (comment, wanted) in [
            ("Why. At most 4 KiB.", most(4096, true)),
            (
                "The most objects. Default 100, at most 1,000.",
                most(1000, false),
            ),
            ("At most 64; 63 bytes a key, 256 a value.", most(64, false)),
            ("At most 10,000 are promised.", Bounds::default()),
            (
                "At most 3,600,000 count. Absent: no wish.",
                Bounds::default(),
            ),
            ("Default 1, at most the capacity.", Bounds::default()),
            (
                "Its actions. The first is the default one. 1 to 256.",
                Bounds {
                    least: Some(1),
                    ..most(256, false)
                },
            ),
        ] {
            assert_eq!(bounds(comment), wanted, "{comment}");
        }
    }
}
