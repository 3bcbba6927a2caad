use super::node::{Content, Entry, Node, quote};
use super::path::Path;
use super::report::{Problem, Report};
use std::collections::{BTreeMap, BTreeSet};

/// Reports every key that stands twice in its object, naming both places, and leaves the first; and
/// every scalar that has no value.
pub(crate) fn unique(root: &mut Node, report: &mut Report<'_>) {
    // What an alias repeats is wrong once.
    let mut told = BTreeSet::new();
    walk(root, &Path::ROOT, &mut told, report);
}

fn walk(node: &mut Node, path: &Path<'_>, told: &mut BTreeSet<u32>, report: &mut Report<'_>) {
    match &mut node.content {
        Content::List(items) => {
            for (place, item) in items.iter_mut().enumerate() {
                walk(item, &path.index(place), told, report);
            }
        }
        Content::Map(entries) => {
            let mut later = clashes(entries).into_iter().peekable();
            let mut place = 0;
            entries.retain(|entry| {
                let clash = later.next_if(|(_, second)| *second == place);
                place += 1;
                let Some((first, _)) = clash else {
                    return true;
                };
                if told.insert(entry.at) {
                    let message = format!("the key {} stands twice", quote(&entry.key));
                    let problem = Problem {
                        pointer: path.key(&entry.key).to_string(),
                        ..Problem::new(entry.at, message)
                    };
                    report.error(problem.related(first, "it stands here first"));
                }
                false
            });
            for entry in entries {
                walk(&mut entry.value, &path.key(&entry.key), told, report);
            }
        }
        Content::Refused(message) => {
            if told.insert(node.at) {
                let pointer = path.to_string();
                let problem = Problem::new(node.at, message.to_string());
                report.error(Problem { pointer, ..problem });
            }
        }
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => {}
    }
}

/// Where the first of a key stands, and the index of each later one, in their order.
fn clashes(entries: &[Entry]) -> Vec<(u32, usize)> {
    // Most objects are small; a table is for the large ones.
    if entries.len() <= 16 {
        let later = entries.iter().enumerate().filter_map(|(place, entry)| {
            let first = entries[..place]
                .iter()
                .find(|other| other.key == entry.key)?;
            Some((first.at, place))
        });
        return later.collect();
    }
    let mut firsts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut later = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        match firsts.get(&*entry.key) {
            Some(first) => later.push((*first, place)),
            None => {
                firsts.insert(&entry.key, entry.at);
            }
        }
    }
    later
}
