//! The Rust SDK's driver under the conformance suite: one action, which performs a program.
//!
//! `proto/conveyor/conformance/v1/interpreter.proto` says what the commands mean.

mod program;

use conveyor_sdk::{Action, Driver, Error};
use serde_json::json;
use std::env;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

/// What it can be tested for: the interpreter's commands and the SDK's ways to talk.
const FEATURES: &[&str] = &[
    "adoption",
    "cancel",
    "checkpoints",
    "concurrency",
    "detached",
    "drain",
    "exit",
    "logs",
    "progress",
    "secrets",
    "stream",
    "tls",
    "unix",
];

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a program for people")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conveyor-conformance-rust: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let action = Action::new("interpret")
        .description("Performs a program of the conformance suite")
        .inputs(json!({
            "type": "object",
            "required": ["program"],
            "properties": { "program": { "type": "array", "items": { "type": "object" } } },
        }));
    let driver = Driver::new(word("DRIVER").unwrap_or_else(|| "conformance".to_owned()))
        .version(word("VERSION").unwrap_or_else(|| "1.0.0".to_owned()))
        .action(action, program::perform)
        .options(|options| {
            options.capacity = number("CAPACITY").unwrap_or(1);
            options.capabilities = FEATURES.iter().map(|name| (*name).to_owned()).collect();
            if let Some(drain) = number("DRAIN_MS") {
                options.drain = Duration::from_millis(drain);
            }
        });
    driver.run().await
}

/// What the suite says in the environment.
fn word(name: &str) -> Option<String> {
    let value = env::var(format!("CONVEYOR_CONFORMANCE_{name}"));
    value.ok().filter(|value| !value.is_empty())
}

fn number<T: FromStr>(name: &str) -> Option<T> {
    word(name)?.parse().ok()
}
