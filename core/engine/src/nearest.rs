/// The name among `known` that a person most likely meant by `given`, if one is near enough: at most
/// a third of the letters of the longer one wrong. Names of one and two letters are near to none:
/// half of all others would be.
#[must_use]
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody mistypes a name longer than this; and the table below is quadratic.
    if given.len() > 128 {
        return None;
    }
    let letters = given.chars().count();
    let allowed = |name: &str| letters.max(name.chars().count()) / 3;
    known
        .into_iter()
        // The longest text that one more letter makes, and the longest that a third less leaves.
        .filter(|name| name.len() <= given.len() * 6 + 4 && given.len() <= name.len() * 6 + 4)
        .map(|name| (distance(given, name), name))
        .filter(|(distance, name)| *distance <= allowed(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Edits between two names: insert, remove, replace, swap two neighbours. Case counts nothing.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_none() {
        let known = ["needs", "when", "matrix", "timeouts", "driver"];
        for (given, meant) in [
            ("need", Some("needs")),
            ("wehn", Some("when")),
            ("timeout", Some("timeouts")),
            ("Driver", Some("driver")),
            ("image", None),
            ("x", None),
            ("w", None),
        ] {
            assert_eq!(nearest(given, known), meant, "{given}");
        }
        assert_eq!(nearest("x", ["y", "z", "xy"]), None);
        assert_eq!(nearest("os", ["oss", "ox"]), Some("oss"));
        assert_eq!(nearest("größe", ["große", "grüße"]), Some("große"));
    }
}
