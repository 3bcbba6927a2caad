//! Arrays in which each two values of two axes meet.

use crate::names::Axis;
use std::collections::BTreeSet;

/// A value of each axis, in the order in which the axes were given.
pub type Row = Vec<(Axis, String)>;

/// How many rows are tried for each that is taken. More makes arrays hardly smaller.
const CANDIDATES: usize = 32;

/// A value, by the place of its axis and its place there.
type Value = (usize, usize);

/// Rows in which each two values of two axes meet at least once; of one axis, each value once; of none, one
/// empty row. The first row has the first value of each axis, and none comes twice. The same seed gives the
/// same rows. An axis without values is left out.
///
/// Each further row is the best of some that are made of a pair that has not met, with values that meet
/// most others for the first time (the greedy way of AETG: Cohen and others, 1997).
#[must_use]
pub fn pairwise(axes: &[(Axis, Vec<String>)], seed: u64) -> Vec<Row> {
    let axes: Vec<(Axis, Vec<&str>)> = axes
        .iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(axis, values)| (*axis, different(values)))
        .collect();
    let sizes: Vec<usize> = axes.iter().map(|(_, values)| values.len()).collect();
    let rows = match sizes.as_slice() {
        [size] => (0..*size).map(|value| vec![value]).collect(),
        _ => array(&sizes, &mut Chance::new(seed)),
    };
    let named = |row: Vec<usize>| -> Row {
        let values = row.iter().zip(&axes);
        let value = |(index, (axis, values)): (&usize, &(Axis, Vec<&str>))| {
            (*axis, values[*index].to_owned())
        };
        values.map(value).collect()
    };
    rows.into_iter().map(named).collect()
}

fn different(values: &[String]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let values = values.iter().map(String::as_str);
    values.filter(|value| seen.insert(*value)).collect()
}

fn array(sizes: &[usize], chance: &mut Chance) -> Vec<Vec<usize>> {
    let mut open: BTreeSet<(Value, Value)> = BTreeSet::new();
    for (a, &size) in sizes.iter().enumerate() {
        for (b, &other) in sizes.iter().enumerate().skip(a + 1) {
            let pairs = (0..size).flat_map(|x| (0..other).map(move |y| ((a, x), (b, y))));
            open.extend(pairs);
        }
    }
    let mut rows = vec![vec![0; sizes.len()]];
    close(&mut open, &rows[0]);
    while !open.is_empty() {
        let mut best = (0, Vec::new());
        for _ in 0..CANDIDATES {
            let row = candidate(sizes, &open, chance);
            let meets = pairs(&row).filter(|pair| open.contains(pair)).count();
            if meets > best.0 {
                best = (meets, row);
            }
        }
        // Each candidate has at least the pair that it was made of: so that this ends, and no row comes twice.
        close(&mut open, &best.1);
        rows.push(best.1);
    }
    rows
}

/// A row around a pair that has not met.
fn candidate(sizes: &[usize], open: &BTreeSet<(Value, Value)>, chance: &mut Chance) -> Vec<usize> {
    let mut row: Vec<Option<usize>> = vec![None; sizes.len()];
    if let Some(((a, x), (b, y))) = open.iter().nth(chance.below(open.len())) {
        row[*a] = Some(*x);
        row[*b] = Some(*y);
    }
    let mut left: Vec<usize> = (0..sizes.len()).filter(|a| row[*a].is_none()).collect();
    while !left.is_empty() {
        let axis = left.swap_remove(chance.below(left.len()));
        let meets = |value: usize| {
            let others = row.iter().enumerate();
            let others = others.filter_map(|(other, at)| Some((other, (*at)?)));
            let new = others.filter(|other| open.contains(&ordered((axis, value), *other)));
            new.count()
        };
        // Where several are as good, from a place by chance on.
        let from = chance.below(sizes[axis]);
        let values = (0..sizes[axis]).map(|value| (value + from) % sizes[axis]);
        row[axis] = values.max_by_key(|value| meets(*value));
    }
    row.into_iter().map(Option::unwrap_or_default).collect()
}

fn ordered(a: Value, b: Value) -> (Value, Value) {
    (a.min(b), a.max(b))
}

fn pairs(row: &[usize]) -> impl Iterator<Item = (Value, Value)> {
    let values = row.iter().copied().enumerate();
    values.flat_map(move |a| {
        let others = row.iter().copied().enumerate().skip(a.0 + 1);
        others.map(move |b| (a, b))
    })
}

fn close(open: &mut BTreeSet<(Value, Value)>, row: &[usize]) {
    for pair in pairs(row) {
        open.remove(&pair);
    }
}

/// Numbers from a seed: SplitMix64 (Steele and others, 2014). The same on each machine and in each version.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// Another order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let other = self.below(at + 1);
            items.swap(at, other);
        }
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^= number >> 31;
        // Of a few values: that some are likelier by 2⁻⁶⁰ is no matter.
        usize::try_from(number % end.max(1) as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(sizes: &[usize]) -> Vec<(Axis, Vec<String>)> {
        let values = |size: usize| (0..size).map(|value| format!("v{value}")).collect();
        let sizes = sizes.iter().zip(Axis::ALL);
        sizes.map(|(size, axis)| (axis, values(*size))).collect()
    }

    /// All there is to hold of an array.
    fn holds(sizes: &[usize], rows: &[Row]) {
        let all: BTreeSet<&Row> = rows.iter().collect();
        assert_eq!(all.len(), rows.len(), "a row comes twice: {sizes:?}");
        let axes = axes(sizes);
        assert!(rows[0].iter().all(|(_, value)| value == "v0"), "{sizes:?}");
        assert!(rows.iter().all(|row| row.len() == axes.len()));
        for (a, (_, values)) in axes.iter().enumerate() {
            for (b, (_, others)) in axes.iter().enumerate().filter(|(b, _)| *b != a) {
                for x in values {
                    for y in others {
                        let met = rows.iter().any(|row| row[a].1 == *x && row[b].1 == *y);
                        assert!(met, "{sizes:?}: {x} of axis {a} never meets {y} of {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn each_two_values_meet_in_few_rows_whatever_the_seed() {
        // The most rows that these seeds come to: where the best candidate is not taken, or values are not those
        // that meet most, it is more.
        for (sizes, most) in [
            (vec![2, 2], 4),
            (vec![5, 2], 10),
            (vec![5, 1, 3], 15),
            (vec![5, 2, 8], 40),
            (vec![2, 2, 2, 2], 6),
            (vec![5, 2, 12, 3], 60),
            (vec![7, 7, 7, 7], 60),
            (vec![1, 1, 1, 1], 1),
        ] {
            for seed in [0, 1, 2, 3, 4, 5, 6, 7, u64::MAX] {
                let rows = pairwise(&axes(&sizes), seed);
                holds(&sizes, &rows);
                assert!(
                    rows.len() <= most,
                    "{sizes:?} by {seed}: {} rows",
                    rows.len()
                );
                assert_eq!(rows, pairwise(&axes(&sizes), seed), "{sizes:?} by {seed}");
            }
        }
    }

    #[test]
    fn another_seed_gives_other_rows() {
        let rows = |seed| -> BTreeSet<Row> {
            let rows = pairwise(&axes(&[5, 2, 8, 3]), seed);
            rows.into_iter().collect()
        };
        assert_ne!(rows(1), rows(2));
    }

    #[test]
    fn one_axis_has_each_value_once_and_none_has_one_row() {
        let rows = pairwise(&axes(&[4]), 1);
        let values: Vec<&str> = rows.iter().map(|row| row[0].1.as_str()).collect();
        assert_eq!(values, ["v0", "v1", "v2", "v3"]);
        assert_eq!(pairwise(&[], 1), [Row::new()]);
        let empty = (Axis::Fault, Vec::new());
        assert_eq!(pairwise(&[empty], 1), [Row::new()]);
        let twice = (Axis::Fault, vec!["a".to_owned(), "a".to_owned()]);
        assert_eq!(pairwise(&[twice], 1).len(), 1);
    }
}
