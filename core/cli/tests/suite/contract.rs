//! `conveyor contract export`.

use crate::program::{conveyor, files, root};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The files of a directory, by their paths in it.
fn tree(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![path.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("it is readable") {
            let entry = entry.expect("it is there").path();
            if entry.is_dir() {
                open.push(entry);
                continue;
            }
            let name = entry
                .strip_prefix(path)
                .expect("it is within")
                .display()
                .to_string();
            files.insert(name, std::fs::read(entry).expect("it is readable"));
        }
    }
    files
}

#[test]
fn the_contract_is_exported_whole_and_twice_is_once() {
    let dir = files(&[]);
    let exported = conveyor(dir.path(), &["contract", "export", "made/contract"]);
    assert_eq!(exported.status, 0, "{}", exported.err);
    let place = dir.path().join("made/contract");
    let first = tree(&place);
    for proto in ["options", "types", "driver", "control"] {
        let name = format!("conveyor/v1/{proto}.proto");
        let own = std::fs::read(root().join("proto").join(&name)).expect("it is there");
        assert_eq!(first[&format!("proto/{name}")], own, "{name}");
    }
    for name in ["driver-contract", "protocol", "semantics"] {
        let name = format!("docs/{name}.md");
        let text = std::fs::read(root().join(&name)).expect("it is there");
        assert_eq!(first[&name], text, "{name}");
    }
    let manifest: Value = serde_json::from_slice(&first["contract.json"]).expect("JSON");
    let listed = manifest["files"].as_array().expect("a list");
    assert_eq!(listed.len() + 1, first.len(), "{manifest:#}");
    let timings: Value = serde_json::from_slice(&first["timings.json"]).expect("JSON");
    let heartbeat = &timings["timings"][1];
    assert_eq!(
        (&heartbeat["name"], &heartbeat["ms"]),
        (&json!("heartbeat_interval"), &json!(5000))
    );
    let states: Value = serde_json::from_slice(&first["states.json"]).expect("JSON");
    assert!(
        states["transitions"]
            .as_array()
            .is_some_and(|rows| rows.len() > 10)
    );
    for name in ["session", "cancel", "resume", "poll"] {
        let text = &first[&format!("transcripts/{name}.jsonl")];
        let lines = String::from_utf8_lossy(text);
        assert!(lines.lines().count() > 8, "{name}");
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(
                line.as_object().map(serde_json::Map::len),
                Some(1),
                "{line}"
            );
        }
    }
    // What is gone from a later release's contract goes from its directory.
    let mut older = manifest;
    let list = older["files"].as_array_mut().expect("a list");
    list.push(json!("proto/conveyor/v1/old.proto"));
    std::fs::write(place.join("contract.json"), older.to_string()).expect("it is writable");
    std::fs::write(place.join("proto/conveyor/v1/old.proto"), "").expect("it is writable");
    std::fs::write(place.join("mine.txt"), "").expect("it is writable");
    let again = conveyor(dir.path(), &["contract", "export", "made/contract"]);
    assert_eq!(again.status, 0, "{}", again.err);
    let mut second = tree(&place);
    assert!(
        second.remove("mine.txt").is_some(),
        "what is not its own stays"
    );
    assert_eq!(second, first);
}

#[test]
fn the_contracts_descriptors_are_whole_and_its_own() {
    let dir = files(&[]);
    let exported = conveyor(dir.path(), &["contract", "export", "contract"]);
    assert_eq!(exported.status, 0, "{}", exported.err);
    let bytes = std::fs::read(dir.path().join("contract/descriptors.binpb")).expect("it is there");
    let pool = prost_reflect::DescriptorPool::decode(&bytes[..]).expect("nothing is missing");
    let service = pool.get_service_by_name("conveyor.v1.DriverService");
    assert!(service.is_some_and(|service| service.methods().len() >= 11));
    assert!(pool.files().all(|file| !file.name().contains("storage")));
}

#[test]
fn a_directory_that_has_something_else_is_not_written_into() {
    let dir = files(&[("notes.txt", "mine")]);
    for manifest in [
        None,
        Some("{}"),
        Some("{\"what\": \"conveyor driver contract\", \"files\": [\"../x\"]}"),
    ] {
        if let Some(text) = manifest {
            std::fs::write(dir.path().join("contract.json"), text).expect("it is writable");
        }
        let before = tree(dir.path());
        let refused = conveyor(dir.path(), &["contract", "export", "."]);
        assert_eq!(refused.status, 2, "{}", refused.out);
        assert!(refused.err.contains("no export wrote"), "{}", refused.err);
        assert_eq!(tree(dir.path()), before);
    }
}
