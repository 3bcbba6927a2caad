use std::cmp::Ordering;

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

/// Whether a driver's version satisfies a requirement as documents write it after `@`.
///
/// Parts that are left out are free: `1.4` and `=1.4` are satisfied by each `1.4.x`, `>1.4` begins
/// at 1.5, `<=1.4` ends before it. `^1.4` is up to the next number that may break (`^0.3` up to 0.4),
/// `~1.4` up to the next minor one. A pre-release comes before its release.
#[must_use]
pub fn version_satisfies(requirement: &str, version: &str) -> bool {
    let Some(version) = Version::parse(version) else {
        return false;
    };
    requirement == "*"
        || requirement
            .split(',')
            .all(|part| version.satisfies(part.trim()))
}

/// What orders versions, newest last: their numbers, and a release after what leads to it. One that
/// is no version comes first.
#[must_use]
pub fn version_order(version: &str) -> (Vec<u64>, bool, Vec<Identifier<String>>) {
    let of = |pre| {
        let each = identifiers(pre).into_iter();
        each.map(|(word, number, text)| (word, number, text.to_owned()))
            .collect()
    };
    match Version::parse(version) {
        Some(version) => (
            version.numbers,
            version.pre.is_none(),
            version.pre.map_or_else(Vec::new, of),
        ),
        None => (Vec::new(), false, of(version)),
    }
}

/// A part of a pre-release: whether it is none but a number, that number, else its text.
type Identifier<T> = (bool, u64, T);

/// Numbers in their order, those that are there, and the pre-release.
struct Version<'a> {
    numbers: Vec<u64>,
    pre: Option<&'a str>,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Option<Version<'a>> {
        let text = text.trim().split('+').next()?;
        let (release, pre) = match text.split_once('-') {
            Some((release, pre)) => (release, Some(pre)),
            None => (text, None),
        };
        let numbers: Result<Vec<u64>, _> = release.split('.').map(str::parse).collect();
        Some(Version {
            numbers: numbers.ok()?,
            pre,
        })
    }

    fn number(&self, at: usize) -> u64 {
        self.numbers.get(at).copied().unwrap_or(0)
    }

    /// The numbers that `wanted` gives, compared; then the pre-release, where it gives all three.
    fn compare(&self, wanted: &Version<'_>) -> Ordering {
        for (at, number) in wanted.numbers.iter().enumerate() {
            match self.number(at).cmp(number) {
                Ordering::Equal => {}
                other => return other,
            }
        }
        if wanted.numbers.len() < 3 {
            return Ordering::Equal;
        }
        match (self.pre, wanted.pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(own), Some(wanted)) => identifiers(own).cmp(&identifiers(wanted)),
        }
    }

    fn satisfies(&self, comparison: &str) -> bool {
        let operators = [">=", "<=", ">", "<", "=", "^", "~"];
        let operator = operators
            .into_iter()
            .find(|operator| comparison.starts_with(operator))
            .unwrap_or("=");
        let rest = comparison.strip_prefix(operator).unwrap_or(comparison);
        let Some(wanted) = Version::parse(rest) else {
            return false;
        };
        let order = self.compare(&wanted);
        let same = |count: usize| (0..count).all(|at| self.number(at) == wanted.number(at));
        match operator {
            ">=" => order.is_ge(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            "<" => order.is_lt(),
            "~" => order.is_ge() && same(wanted.numbers.len().min(2)),
            "^" => {
                let first = wanted.numbers.iter().position(|number| *number > 0);
                let fixed = first.map_or(wanted.numbers.len(), |at| at + 1);
                order.is_ge() && same(fixed)
            }
            _ => order.is_eq(),
        }
    }
}

/// Numeric identifiers come before others, and in the order of their numbers.
fn identifiers(pre: &str) -> Vec<Identifier<&str>> {
    let one = |part| match str::parse(part) {
        Ok(number) => (false, number, ""),
        Err(_) => (true, 0, part),
    };
    pre.split('.').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::{is_requirement, version_order, version_satisfies};

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (requirement, version, satisfied) in [
            ("*", "0.1.0", true),
            ("1", "1.4.2", true),
            ("1.4", "1.4.2", true),
            ("1.4", "1.40.0", false),
            ("=1.4.2", "1.4.2", true),
            ("=1.4.2", "1.4.3", false),
            (">=1.4", "1.4.0", true),
            (">=1.4", "1.10.0", true),
            (">=1.4", "1.3.9", false),
            (">1.4", "1.4.9", false),
            (">1.4", "1.5.0", true),
            ("<=1.4", "1.4.9", true),
            ("<2", "1.9.9", true),
            ("<2", "2.0.0", false),
            (">=1.0, <2", "1.2.0", true),
            (">=1.0, <2", "2.2.0", false),
            ("^1.2", "1.9.0", true),
            ("^1.2", "1.1.0", false),
            ("^1.2", "2.0.0", false),
            ("^0.3", "0.3.7", true),
            ("^0.3", "0.4.0", false),
            ("~1.2.3", "1.2.9", true),
            ("~1.2.3", "1.3.0", false),
            ("~1", "1.9.0", true),
            ("=1.0.0-rc.1", "1.0.0-rc.1", true),
            (">=1.0.0-rc.2", "1.0.0-rc.10", true),
            (">=1.0.0", "1.0.0-rc.1", false),
            ("1", "not a version", false),
        ] {
            let found = version_satisfies(requirement, version);
            assert_eq!(found, satisfied, "{requirement} and {version}");
        }
    }

    #[test]
    fn versions_are_ordered_as_semantic_versioning_says() {
        let versions = [
            "not a version",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-rc.2",
            "1.0.0-rc.10",
            "1.0.0",
            "1.2.0",
            "1.10.0",
        ];
        for pair in versions.windows(2) {
            assert!(version_order(pair[0]) < version_order(pair[1]), "{pair:?}");
        }
    }

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
