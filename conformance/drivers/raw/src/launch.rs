//! How the suite starts a driver: one message on standard input, else the environment.

use crate::v1::Launch;
use prost::Message;
use std::io::{IsTerminal, Read};

/// The longest message that is read: far more than addresses, a token and names have.
const LONGEST: usize = 1 << 20;

/// What the driver is started with: what stands on standard input, which is a length as four bytes, the highest
/// first, and a [`Launch`]; or, where standard input is a terminal or has nothing, what the environment says.
///
/// # Errors
/// A sentence about what cannot be read, or is missing.
pub fn launched() -> Result<Launch, String> {
    let stdin = std::io::stdin();
    let mut bytes = Vec::new();
    if !stdin.is_terminal() {
        let read = stdin
            .lock()
            .take(LONGEST as u64 + 4)
            .read_to_end(&mut bytes);
        read.map_err(|error| format!("standard input cannot be read: {error}"))?;
    }
    let launch = match bytes.is_empty() {
        false => decoded(&bytes)?,
        true => from_environment(|name| std::env::var(name).ok())?,
    };
    checked(launch)
}

/// The message that stands behind its length.
fn decoded(bytes: &[u8]) -> Result<Launch, String> {
    let Some((length, message)) = bytes.split_first_chunk() else {
        return Err(format!(
            "standard input has {} bytes: no length and message",
            bytes.len()
        ));
    };
    let length = u32::from_be_bytes(*length) as usize;
    let Some(message) = message.get(..length).filter(|_| length <= LONGEST) else {
        return Err(format!(
            "standard input says that its message has {length} bytes; {} follow, and {LONGEST} are the most",
            message.len()
        ));
    };
    Launch::decode(message)
        .map_err(|error| format!("the message on standard input is no Launch: {error}"))
}

fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Launch, String> {
    let text = |name: &str| variable(name).unwrap_or_default();
    let number = |name: &str, default: u64| match variable(name).filter(|value| !value.is_empty()) {
        None => Ok(default),
        Some(value) => value
            .parse::<u64>()
            .map_err(|error| format!("{name}: `{value}`: {error}")),
    };
    let capacity = number("CONVEYOR_CONFORMANCE_CAPACITY", 0)?;
    Ok(Launch {
        url: text("CONVEYOR_URL"),
        token: text("CONVEYOR_TOKEN"),
        ca: text("CONVEYOR_CA"),
        transport: text("CONVEYOR_CONFORMANCE_TRANSPORT"),
        driver: text("CONVEYOR_CONFORMANCE_DRIVER"),
        version: text("CONVEYOR_CONFORMANCE_VERSION"),
        capacity: u32::try_from(capacity).map_err(|_| {
            format!(
                "CONVEYOR_CONFORMANCE_CAPACITY: {capacity} is more than {}",
                u32::MAX
            )
        })?,
        drain_ms: number("CONVEYOR_CONFORMANCE_DRAIN_MS", 2_000)?,
    })
}

/// What is not said is as usual; what cannot be is refused.
fn checked(mut launch: Launch) -> Result<Launch, String> {
    let or = |text: &mut String, usual: &str| {
        if text.is_empty() {
            usual.clone_into(text);
        }
    };
    or(&mut launch.url, "http://127.0.0.1:7420");
    or(&mut launch.transport, "stream");
    or(&mut launch.driver, "conformance");
    or(&mut launch.version, "1.0.0");
    launch.capacity = launch.capacity.max(1);
    match launch.transport.as_str() {
        "stream" | "unary" | "rest" => Ok(launch),
        other => Err(format!(
            "the transport `{other}` is none of this driver's: it has `stream`, `unary` and `rest`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stands_behind_its_length() {
        let launch = Launch {
            url: "unix:/tmp/x".to_owned(),
            capacity: 7,
            ..Launch::default()
        };
        let message = launch.encode_to_vec();
        let mut bytes = (message.len() as u32).to_be_bytes().to_vec();
        bytes.extend(&message);
        assert_eq!(decoded(&bytes).expect("a message"), launch);
        let short = decoded(&bytes[..bytes.len() - 1]).expect_err("a byte is missing");
        assert!(
            short.contains(&format!("has {} bytes", message.len())),
            "{short}"
        );
    }

    #[test]
    fn the_environment_stands_in_and_what_is_missing_is_as_usual() {
        let variable = |name: &str| match name {
            "CONVEYOR_CONFORMANCE_CAPACITY" => Some("64".to_owned()),
            "CONVEYOR_TOKEN" => Some("secret".to_owned()),
            _ => None,
        };
        let launch = checked(from_environment(variable).expect("numbers")).expect("a transport");
        assert_eq!((launch.capacity, launch.drain_ms), (64, 2_000));
        assert_eq!(
            (launch.transport.as_str(), launch.token.as_str()),
            ("stream", "secret")
        );
        let wrong = from_environment(|_| Some("many".to_owned())).expect_err("no number");
        assert!(
            wrong.contains("CONVEYOR_CONFORMANCE_CAPACITY: `many`"),
            "{wrong}"
        );
    }

    #[test]
    fn a_transport_that_is_not_there_is_refused_by_name() {
        let launch = Launch {
            transport: "pigeon".to_owned(),
            ..Launch::default()
        };
        let refused = checked(launch).expect_err("no such way");
        assert!(refused.contains("`pigeon`"), "{refused}");
    }
}
