//! The parameters of a fan-out's instances: one list, kept in pages.
//!
//! A list may have ten thousand items and megabytes. Its pages are short, so that an instance reads
//! no more than one of them, and the record of an expansion names each page once: what is kept grows
//! with the list, whatever number of instances share it.

use super::values::Values;
use crate::value::{Hash, INLINE_BYTES, Json, Texts, VALUE_BYTES, Value, typed_bytes};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A page is closed when the next item would make it longer: 16 KiB are read and scanned in
/// microseconds. An item that is longer by itself is a page of its own.
const PAGE_BYTES: usize = 16 << 10;

/// All parameters of one fan-out together, as JSON text. They are committed with the record of the
/// expansion, so they may have what one value may.
const ITEMS_BYTES: u64 = VALUE_BYTES;

/// The parameters of a fan-out's instances in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items {
    pages: Vec<Page>,
}

/// Some of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Page {
    /// The position after its last item.
    end: u32,
    /// A JSON list.
    list: Value,
}

/// The parameters of one instance: an element of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    list: Value,
    at: u32,
}

/// What tells a list that grows whether it still fits.
pub(crate) struct Room(u64);

impl Room {
    pub(crate) fn new() -> Room {
        Room(0)
    }

    /// Takes what `bytes` more need.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), String> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 <= ITEMS_BYTES {
            return Ok(());
        }
        Err(format!(
            "the instances' parameters have {} bytes or more together; the limit `items_bytes` is {ITEMS_BYTES}",
            self.0
        ))
    }
}

impl Items {
    /// Keeps a list: inline while it is short, else page by page among `stored`.
    ///
    /// # Errors
    /// A sentence with limit and value, when an item or the list is too long.
    pub(crate) fn keep(items: &[Json], stored: &mut Texts) -> Result<Items, String> {
        let (mut pages, mut room) = (Vec::new(), Room::new());
        let mut page = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let text = typed_bytes(item);
            let len = text.len() as u64;
            if len > VALUE_BYTES {
                return Err(format!(
                    "item {at} has {len} bytes; the limit `value_bytes` is {VALUE_BYTES}"
                ));
            }
            room.take(len)?;
            if !page.is_empty() && page.len() + text.len() > PAGE_BYTES {
                pages.push(close(at as u32, &mut page));
            }
            page.push(if page.is_empty() { b'[' } else { b',' });
            page.extend_from_slice(&text);
        }
        if !page.is_empty() {
            pages.push(close(items.len() as u32, &mut page));
        }
        let total: usize = pages.iter().map(|(_, text)| text.len()).sum();
        let inline = if total <= INLINE_BYTES {
            INLINE_BYTES
        } else {
            0
        };
        let page = |(end, text)| Page {
            end,
            list: Value::keep_text(text, inline, stored),
        };
        Ok(Items {
            pages: pages.into_iter().map(page).collect(),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.pages.last().map_or(0, |page| page.end)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// The parameters of an instance.
    #[must_use]
    pub fn get(&self, instance: u32) -> Option<Item> {
        let at = self.pages.partition_point(|page| page.end <= instance);
        let page = self.pages.get(at)?;
        let first = at.checked_sub(1).map_or(0, |before| self.pages[before].end);
        Some(Item {
            list: page.list.clone(),
            at: instance - first,
        })
    }

    /// Pages as records have them: how many items each has, and the list.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (u32, &Value)> {
        let mut first = 0;
        self.pages.iter().map(move |page| {
            let count = page.end - first;
            first = page.end;
            (count, &page.list)
        })
    }

    /// The same the other way; `None` when a page has no items, or all together too many.
    pub(crate) fn from_pages(pages: impl Iterator<Item = (u32, Value)>) -> Option<Items> {
        let mut end = 0_u32;
        let pages = pages.map(|(count, list)| {
            end = end.checked_add(count).filter(|_| count > 0)?;
            Some(Page { end, list })
        });
        pages.collect::<Option<_>>().map(|pages| Items { pages })
    }

    /// How many bytes of a record they take, about.
    pub(crate) fn recorded(&self) -> usize {
        self.pages.iter().map(|page| page.list.recorded() + 8).sum()
    }
}

impl Item {
    /// The page to be loaded first, where it is stored.
    #[must_use]
    pub fn hash(&self) -> Option<Hash> {
        self.list.hash()
    }

    /// The JSON text; `None` when its page is not at hand.
    #[must_use]
    pub fn text(&self, values: &dyn Values) -> Option<Arc<[u8]>> {
        let page = match &self.list {
            Value::Inline(text) => Arc::clone(text),
            Value::Stored { hash, .. } => values.get(hash)?,
        };
        element(&page, self.at).map(Arc::from)
    }

    /// The JSON; `None` when its page is not at hand.
    #[must_use]
    pub fn read(&self, values: &dyn Values) -> Option<Json> {
        serde_json::from_slice(&self.text(values)?).ok()
    }
}

fn close(end: u32, page: &mut Vec<u8>) -> (u32, Arc<[u8]>) {
    page.push(b']');
    (end, std::mem::take(page).into())
}

/// The text of an element of a canonical list, found without reading the others.
fn element(list: &[u8], at: u32) -> Option<&[u8]> {
    let inner = list.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    let (mut start, mut passed) = (0, 0);
    for (place, byte) in inner.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                if passed == at {
                    return Some(&inner[start..place]);
                }
                passed += 1;
                start = place + 1;
            }
            _ => {}
        }
    }
    (passed == at && start < inner.len()).then(|| &inner[start..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_item_is_found_in_its_page() {
        let odd = [
            json!("a,b]\\\"[{"),
            json!({"x": [1, {"y": "}"}], "": null}),
            json!([]),
            json!(-1.5),
            json!("\\"),
        ];
        let long: Vec<Json> = (0..3000)
            .map(|n| json!({"n": n, "odd": odd[n % 5]}))
            .collect();
        for items in [&odd[..], &long[..], &[json!("x".repeat(PAGE_BYTES))], &[]] {
            let mut stored = Texts::new();
            let kept = Items::keep(items, &mut stored).expect("short enough");
            assert_eq!(kept.len() as usize, items.len());
            for (at, item) in items.iter().enumerate() {
                let found = kept.get(at as u32).and_then(|item| item.read(&stored));
                assert_eq!(found.as_ref(), Some(item), "item {at}");
            }
            assert_eq!(kept.get(items.len() as u32), None);
            let again = Items::from_pages(kept.pages().map(|(n, list)| (n, list.clone())));
            assert_eq!(again, Some(kept));
        }
    }

    #[test]
    fn what_is_recorded_of_a_long_list_is_short() {
        let items: Vec<Json> = (0..10_000).map(|n| json!(format!("{n:0800}"))).collect();
        let mut stored = Texts::new();
        let kept = Items::keep(&items, &mut stored).expect("8 MB are within the limit");
        assert!(kept.recorded() < 50_000, "{}", kept.recorded());
        assert!(stored.values().all(|page| page.len() <= PAGE_BYTES + 2));
    }

    #[test]
    fn too_long_an_item_and_too_long_a_list_are_refused_with_limit_and_value() {
        let text = json!("x".repeat(9 << 20));
        let error = Items::keep(&[json!(1), text], &mut Texts::new()).expect_err("too long");
        assert!(
            error.contains("item 1 has 9437186 bytes") && error.contains("8388608"),
            "{error}"
        );
        let many = vec![json!("x".repeat(7 << 20)); 2];
        let error = Items::keep(&many, &mut Texts::new()).expect_err("too long");
        assert!(error.contains("`items_bytes` is 8388608"), "{error}");
    }
}
