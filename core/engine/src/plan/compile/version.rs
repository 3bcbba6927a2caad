/// Whether `text` is a version requirement: comparisons such as `>=1.4`, `^2`, `~1.2.3`, `=1.0.0-rc.1`
/// or a bare version, joined by commas; or `*`.
pub(super) fn is_requirement(text: &str) -> bool {
    text == "*" || text.split(',').all(|part| is_comparison(part.trim()))
}

fn is_comparison(text: &str) -> bool {
    let operators = [">=", "<=", ">", "<", "=", "^", "~"];
    let version = operators
        .iter()
        .find_map(|operator| text.strip_prefix(operator))
        .unwrap_or(text);
    let version = version.trim_start();
    let (release, rest) = match version.split_once(['-', '+']) {
        Some((release, rest)) => (release, Some(rest)),
        None => (version, None),
    };
    let parts: Vec<&str> = release.split('.').collect();
    let number = |part: &&str| {
        !part.is_empty() && part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let tail = rest.is_none_or(|rest| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
        parts.len() == 3 && !rest.is_empty() && rest.bytes().all(legal)
    });
    (1..=3).contains(&parts.len()) && parts.iter().all(number) && tail
}

#[cfg(test)]
mod tests {
    use super::is_requirement;

    #[test]
    fn requirements_are_told_from_other_texts() {
        for text in [
            "1",
            ">=1.4",
            "^2.0",
            "~1.2.3",
            ">=1.0, <2",
            "=1.0.0-rc.1",
            "*",
        ] {
            assert!(is_requirement(text), "{text}");
        }
        for text in [
            "", ">=", "latest", "1.x", "1.2.3.4", ">=1,,<2", "v1", "1-rc",
        ] {
            assert!(!is_requirement(text), "{text}");
        }
    }
}
