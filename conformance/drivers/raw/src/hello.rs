//! Who the driver says that it is.

use crate::breaks::{Break, Breaks};
use crate::v1::Launch;
use conveyor_proto::v1;
use prost::bytes::Bytes;

/// What this runtime speaks.
pub(crate) const CONTRACT_VERSION: u32 = 1;
/// What no runtime speaks.
const OTHER_VERSION: u32 = 99;

/// What it has beyond the contract's base.
const CAPABILITIES: [&str; 16] = [
    "stream",
    "unary",
    "rest",
    "tls",
    "unix",
    "checkpoints",
    "detached",
    "adoption",
    "secrets",
    "cancel",
    "logs",
    "progress",
    "exit",
    "report-twice",
    "concurrency",
    "drain",
];

/// The schema of `with`; what a command may be is for the interpreter to say.
const INPUTS: &str = r#"{"type": "object", "required": ["program"], "properties": {"program": {"type": "array", "items": {"type": "object"}}}}"#;

/// The first message of a driver that goes on with these tokens: its capacity bounds them.
pub(crate) fn hello(launch: &Launch, breaks: Breaks, mut adopts: Vec<Bytes>) -> v1::Hello {
    adopts.truncate(launch.capacity as usize);
    v1::Hello {
        driver: launch.driver.clone(),
        version: launch.version.clone(),
        sdk: concat!("conveyor-conformance-raw ", env!("CARGO_PKG_VERSION")).to_owned(),
        contract_versions: contract_versions(breaks),
        actions: vec![v1::Action {
            name: "interpret".to_owned(),
            description: "Performs a program of the conformance suite.".to_owned(),
            inputs_schema: inputs_schema(breaks),
            outputs_schema: Bytes::new(),
        }],
        capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
        capacity: launch.capacity,
        adopts,
        instance: format!("process {}", std::process::id()),
        ..v1::Hello::default()
    }
}

/// What is spoken, best first (R3).
fn contract_versions(breaks: Breaks) -> Vec<u32> {
    match breaks.has(Break::OffersOther) {
        true => vec![OTHER_VERSION, CONTRACT_VERSION],
        false => vec![CONTRACT_VERSION],
    }
}

/// The same for ever for a name and version (R8).
fn inputs_schema(breaks: Breaks) -> Bytes {
    match breaks.has(Break::SchemaOfStart) {
        true => {
            let comment = format!(r#"{{"$comment": "process {}", "#, std::process::id());
            INPUTS.replacen('{', &comment, 1).into()
        }
        false => Bytes::from_static(INPUTS.as_bytes()),
    }
}
