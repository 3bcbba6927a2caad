//! The files of the contract.

use conveyor_proto::contract::{PROTOS, RULES, TEXT};
use conveyor_service::CONTRACT_VERSIONS;
use conveyor_service::contract::{Cause, SESSION, timings};
use prost::Message as _;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The list of what there is: by it a directory is known for ours.
pub(super) const MANIFEST: &str = "contract.json";
/// What the list says of itself.
pub(super) const WHAT: &str = "conveyor driver contract";

/// Whole sessions; a test records them anew and compares.
const TRANSCRIPTS: [(&str, &str); 4] = [
    ("session", include_str!("transcripts/session.jsonl")),
    ("cancel", include_str!("transcripts/cancel.jsonl")),
    ("resume", include_str!("transcripts/resume.jsonl")),
    ("poll", include_str!("transcripts/poll.jsonl")),
];

/// A file to be written.
pub(super) struct File {
    /// Its path in the directory, with slashes.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

fn file(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> File {
    File {
        name: name.into(),
        bytes: bytes.into(),
    }
}

/// All of them.
///
/// # Errors
/// When the program's own descriptors cannot be read.
pub(super) fn files() -> Result<Vec<File>, prost::DecodeError> {
    let mut files: Vec<_> = PROTOS
        .iter()
        .map(|(name, text)| file(format!("proto/{name}"), *text))
        .collect();
    files.push(file("docs/driver-contract.md", TEXT));
    files.extend(RULES.map(|(name, text)| file(name, text)));
    files.push(file("descriptors.binpb", descriptors()?));
    files.push(file("timings.json", pretty(&timings_json())));
    files.push(file("timings.md", timings_text()));
    files.push(file("states.json", pretty(&states_json())));
    files.push(file("states.md", states_text()));
    for (name, text) in TRANSCRIPTS {
        files.push(file(format!("transcripts/{name}.jsonl"), text));
    }
    let names: Vec<_> = files.iter().map(|file| file.name.clone()).collect();
    let manifest = json!({
        "what": WHAT,
        "release": env!("CARGO_PKG_VERSION"),
        "contract_versions": CONTRACT_VERSIONS,
        "files": names,
    });
    files.push(file(MANIFEST, pretty(&manifest)));
    Ok(files)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A `FileDescriptorSet`, of which the files alone matter.
#[derive(Clone, PartialEq, prost::Message)]
struct DescriptorSet {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

/// A `FileDescriptorProto`, of which the name alone matters.
#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

/// The contract's descriptors, without those of what stores hold.
fn descriptors() -> Result<Vec<u8>, prost::DecodeError> {
    let all = DescriptorSet::decode(conveyor_proto::DESCRIPTORS)?;
    let mut own = DescriptorSet::default();
    for file in all.file {
        let named = Named::decode(&file[..])?;
        if !named.name.starts_with("conveyor/storage/") {
            own.file.push(file);
        }
    }
    Ok(own.encode_to_vec())
}

fn timings_json() -> Value {
    let each = timings().into_iter().map(|timing| {
        json!({
            "name": timing.name,
            "ms": timing.ms,
            "who": timing.who,
            "rule": timing.rule,
            "what": timing.what,
            "set_by": (!timing.set_by.is_empty()).then_some(timing.set_by),
        })
    });
    json!({ "timings": each.collect::<Vec<_>>() })
}

fn timings_text() -> String {
    let mut text = "# Timings\n\n| name | ms | who | rule | what | set by |\n\
                    | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for timing in timings() {
        let set_by = match timing.set_by {
            "" => "always this",
            set_by => set_by,
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {set_by} |",
            timing.name, timing.ms, timing.who, timing.rule, timing.what
        );
    }
    text
}

fn states_json() -> Value {
    let each = SESSION.iter().map(|row| {
        let on = match row.on {
            Cause::Hello => "hello",
            Cause::Heartbeat => "heartbeat",
            Cause::Drain => "drain",
            Cause::Leaving => "leaving",
            Cause::Break => "break",
            Cause::Silence(_) => "silence",
            Cause::Resume => "resume",
            Cause::OldResume => "old_resume",
        };
        let mut json = json!({
            "from": row.from.to_string(),
            "on": on,
            "to": row.to.to_string(),
            "effect": row.effect,
        });
        if let Cause::Silence(millis) = row.on {
            json["silence_ms"] = millis.into();
        }
        json
    });
    json!({ "initial": "new", "transitions": each.collect::<Vec<_>>() })
}

fn states_text() -> String {
    let mut text = "# The session's states\n\nA session begins as `new`. What is not here changes nothing.\n\n\
                    | state | on | to | and |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for row in SESSION {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            row.from, row.on, row.to, row.effect
        );
    }
    text
}
