//! The instances of a fan-out (SEMANTICS 6).

use crate::expr::{EvalError, Scope, Template, expected};
use crate::plan::{Fan, FanSource, MAX_INSTANCES};
use crate::run::items::Room;
use crate::value::{Json, canonical_bytes};
use serde_json::Map;

/// The instances' parameters in order: combinations of the matrix, or items.
///
/// # Errors
/// What has no value, is no list, or exceeds a limit. Its pointer is below the step's.
pub fn expand(fan: &Fan, scope: &dyn Scope) -> Result<Vec<Json>, EvalError> {
    match &fan.source {
        FanSource::Foreach {
            items, max_items, ..
        } => {
            let items = list(items, scope, "/foreach/items")?;
            if items.len() > *max_items as usize {
                let message = format!(
                    "{} items, `foreach.max_items` allows {max_items}",
                    items.len()
                );
                return Err(EvalError::new("/foreach/items", message));
            }
            Ok(items)
        }
        FanSource::Matrix {
            axes,
            include,
            exclude,
        } => {
            let mut values = Vec::with_capacity(axes.len());
            for (name, axis) in axes {
                values.push((&**name, list(axis, scope, &format!("/matrix/axes/{name}"))?));
            }
            let exclude = objects(exclude, scope, "/matrix/exclude")?;
            let include = objects(include, scope, "/matrix/include")?;
            combine(&values, &include, &exclude)
                .map_err(|message| EvalError::new("/matrix", message))
        }
    }
}

fn list(template: &Template, scope: &dyn Scope, place: &str) -> Result<Vec<Json>, EvalError> {
    template
        .evaluate_list(scope)
        .map_err(|error| error.under(place))
}

fn objects(
    template: &Template,
    scope: &dyn Scope,
    place: &str,
) -> Result<Vec<Map<String, Json>>, EvalError> {
    let entries = list(template, scope, place)?.into_iter().enumerate();
    entries
        .map(|(at, entry)| match entry {
            Json::Object(map) => Ok(map),
            other => Err(expected("an object", &other).under(&format!("{place}/{at}"))),
        })
        .collect()
}

/// The product of the axes minus `exclude`; then `include` in order: an entry extends every
/// combination of the product that it matches on the axes it names, or is added at the end.
pub(crate) fn combine(
    axes: &[(&str, Vec<Json>)],
    include: &[Map<String, Json>],
    exclude: &[Map<String, Json>],
) -> Result<Vec<Json>, String> {
    let size = axes
        .iter()
        .map(|(_, values)| values.len() as u64)
        .fold(1, u64::saturating_mul);
    let over = |size: u64| {
        format!("{size} combinations, `matrix instances` are limited to {MAX_INSTANCES}")
    };
    if size > u64::from(MAX_INSTANCES) {
        return Err(over(size));
    }
    // Many combinations share long values: what they have together is counted before it is made.
    let mut room = Room::new();
    for (name, values) in axes {
        let each = size.checked_div(values.len() as u64).unwrap_or(0);
        for value in values {
            room.take((name.len() + canonical_bytes(value).len()) as u64 * each)?;
        }
    }
    let mut product: Vec<Map<String, Json>> = vec![Map::new()];
    if axes.is_empty() {
        product.clear();
    }
    for (name, values) in axes {
        product = product
            .iter()
            .flat_map(|combination| {
                values.iter().map(|value| {
                    let mut next = combination.clone();
                    next.insert((*name).to_owned(), value.clone());
                    next
                })
            })
            .collect();
    }
    product.retain(|combination| {
        !exclude.iter().any(|entry| {
            entry
                .iter()
                .all(|(key, value)| combination.get(key) == Some(value))
        })
    });
    let is_axis = |key: &str| axes.iter().any(|(name, _)| *name == key);
    let mut added = Vec::new();
    let count = product.len();
    for entry in include {
        let mut matched = false;
        let named = entry.keys().any(|key| is_axis(key));
        let extra = entry.iter().filter(|(key, _)| !is_axis(key));
        let bytes: usize = extra
            .map(|(key, value)| key.len() + canonical_bytes(value).len())
            .sum();
        for combination in &mut product[..count] {
            let fits = named
                && entry
                    .iter()
                    .filter(|(key, _)| is_axis(key))
                    .all(|(key, value)| combination.get(key) == Some(value));
            if fits || !named {
                matched = true;
                room.take(bytes as u64)?;
                for (key, value) in entry.iter().filter(|(key, _)| !is_axis(key)) {
                    combination.insert(key.clone(), value.clone());
                }
            }
        }
        if !matched {
            added.push(entry.clone());
        }
    }
    product.append(&mut added);
    if product.len() > MAX_INSTANCES as usize {
        return Err(over(product.len() as u64));
    }
    Ok(product.into_iter().map(Json::Object).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn maps(json: Json) -> Vec<Map<String, Json>> {
        serde_json::from_value(json).expect("a list of objects")
    }

    #[test]
    fn combinations_come_in_the_axes_written_order() {
        let axes = [
            ("os", vec![json!("linux"), json!("mac")]),
            ("node", vec![json!(20), json!(22)]),
        ];
        let all = combine(&axes, &[], &[]).expect("small");
        assert_eq!(all[1], json!({"os": "linux", "node": 22}));
        assert_eq!(all[2], json!({"os": "mac", "node": 20}));
    }

    #[test]
    fn exclude_matches_partially_and_include_extends_or_adds() {
        let axes = [
            ("os", vec![json!("linux"), json!("mac")]),
            ("node", vec![json!(20), json!(22)]),
        ];
        let include = maps(json!([
            {"os": "linux", "fast": true},
            {"os": "linux", "node": 23, "experimental": true},
            {"everywhere": 1}
        ]));
        let exclude = maps(json!([{"os": "mac", "node": 20}]));
        assert_eq!(
            combine(&axes, &include, &exclude).expect("small"),
            [
                json!({"os": "linux", "node": 20, "fast": true, "everywhere": 1}),
                json!({"os": "linux", "node": 22, "fast": true, "everywhere": 1}),
                json!({"os": "mac", "node": 22, "everywhere": 1}),
                json!({"os": "linux", "node": 23, "experimental": true}),
            ]
        );
    }

    #[test]
    fn long_values_that_many_combinations_share_are_refused_before_they_are_copied() {
        let long: Vec<Json> = (0..100)
            .map(|n| json!(format!("{n}{}", "x".repeat(100 << 10))))
            .collect();
        let short: Vec<Json> = (0..100).map(|n| json!(n)).collect();
        let error = combine(&[("a", long), ("b", short)], &[], &[]).expect_err("too long");
        assert!(error.contains("`items_bytes` is 8388608"), "{error}");
    }

    #[test]
    fn a_product_over_the_limit_is_refused_with_its_size() {
        let values: Vec<Json> = (0..200).map(|n| json!(n)).collect();
        let axes = [("a", values.clone()), ("b", values)];
        assert!(combine(&axes, &[], &[]).is_err_and(|error| error.contains("40000")));
    }
}
