//! What a setting may be.

use conveyor_api::Named;
use conveyor_api::Origin;
use conveyor_engine::time::Duration;
use conveyor_service::Scope;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How a setting stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A text in quotes.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Flag,
}

/// A kind of setting.
pub(crate) trait Kind {
    type Value;
    const FORM: Form;

    /// What is expected, as a sentence ends.
    fn expected() -> String;
    /// Reads it; `None` for anything else.
    fn read(text: &str) -> Option<Self::Value>;
}

/// `ADDRESS:PORT`.
pub(crate) struct Address;

impl Kind for Address {
    type Value = SocketAddr;
    const FORM: Form = Form::Text;

    fn expected() -> String {
        "an address and a port, such as 127.0.0.1:7420".to_owned()
    }

    fn read(text: &str) -> Option<SocketAddr> {
        text.parse().ok()
    }
}

/// A path; empty for none.
pub(crate) struct Place;

impl Kind for Place {
    type Value = Option<PathBuf>;
    const FORM: Form = Form::Text;

    fn expected() -> String {
        "a path".to_owned()
    }

    fn read(text: &str) -> Option<Option<PathBuf>> {
        Some((!text.is_empty()).then(|| PathBuf::from(text)))
    }
}

/// What names of variables begin with; empty for none.
pub(crate) struct Beginning;

impl Kind for Beginning {
    type Value = String;
    const FORM: Form = Form::Text;

    fn expected() -> String {
        "letters, digits and `_`, such as CI_, but not CONVEYOR_".to_owned()
    }

    fn read(text: &str) -> Option<String> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let own = text.starts_with("CONVEYOR_");
        (text.bytes().all(fits) && !own).then(|| text.to_owned())
    }
}

/// A whole number.
pub(crate) struct Whole<const LEAST: u64, const MOST: u64>;

impl<const LEAST: u64, const MOST: u64> Kind for Whole<LEAST, MOST> {
    type Value = u64;
    const FORM: Form = Form::Number;

    fn expected() -> String {
        format!("a whole number from {LEAST} to {MOST}")
    }

    fn read(text: &str) -> Option<u64> {
        let number = text.parse().ok()?;
        (LEAST..=MOST).contains(&number).then_some(number)
    }
}

/// A length of time, of at least and at most so many milliseconds.
pub(crate) struct Time<const LEAST: u64, const MOST: u64>;

impl<const LEAST: u64, const MOST: u64> Kind for Time<LEAST, MOST> {
    type Value = std::time::Duration;
    const FORM: Form = Form::Text;

    fn expected() -> String {
        format!(
            "a length of time from {} to {}, such as 90s or 1h30m",
            Duration(LEAST),
            Duration(MOST)
        )
    }

    fn read(text: &str) -> Option<std::time::Duration> {
        let millis = Duration::parse(text).ok()?.0;
        (LEAST..=MOST)
            .contains(&millis)
            .then(|| std::time::Duration::from_millis(millis))
    }
}

/// How long something is kept: so many milliseconds at least, or for ever.
pub(crate) struct Kept<const LEAST: u64>;

impl<const LEAST: u64> Kind for Kept<LEAST> {
    type Value = Option<Duration>;
    const FORM: Form = Form::Text;

    fn expected() -> String {
        let least = Duration(LEAST);
        format!("`never`, or a length of time of at least {least}, such as 30d")
    }

    fn read(text: &str) -> Option<Option<Duration>> {
        if text == "never" {
            return Some(None);
        }
        let kept = Duration::parse(text).ok()?;
        (kept.0 >= LEAST).then_some(Some(kept))
    }
}

/// `true` or `false`.
pub(crate) struct Flag;

impl Kind for Flag {
    type Value = bool;
    const FORM: Form = Form::Flag;

    fn expected() -> String {
        "true or false".to_owned()
    }

    fn read(text: &str) -> Option<bool> {
        text.parse().ok()
    }
}

/// Who client certificates stand for: `NAME=SCOPE`, or `NAME=SCOPE@NAMESPACE`, with commas between.
pub(crate) struct Certificates;

impl Kind for Certificates {
    type Value = BTreeMap<String, Named>;
    const FORM: Form = Form::Text;

    fn expected() -> String {
        "NAME=SCOPE or NAME=SCOPE@NAMESPACE, with commas between, such as \
         ci.example.com=client@team-a, worker.example.com=driver"
            .to_owned()
    }

    fn read(text: &str) -> Option<BTreeMap<String, Named>> {
        let each = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        each.map(|one| {
            let (name, allowed) = one.split_once('=')?;
            let (scope, namespace) = match allowed.split_once('@') {
                Some((scope, namespace)) => (scope, Some(namespace.trim())),
                None => (allowed, None),
            };
            let named = Named {
                scope: Scope::parse(scope.trim())?,
                namespace: namespace.map(Into::into),
            };
            let full = |text: &str| !text.is_empty();
            let good = full(name.trim()) && namespace.is_none_or(full);
            good.then(|| (name.trim().to_owned(), named))
        })
        .collect()
    }
}

/// Origins of pages, with commas between.
pub(crate) struct Origins;

impl Kind for Origins {
    type Value = Vec<Origin>;
    const FORM: Form = Form::Text;

    fn expected() -> String {
        "origins as browsers send them, SCHEME://HOST or SCHEME://HOST:PORT in lower case and without a path, \
         with commas between, such as https://portal.example.com, http://localhost:5173"
            .to_owned()
    }

    fn read(text: &str) -> Option<Vec<Origin>> {
        let each = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        each.map(Origin::parse).collect()
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Kind for LogFormat {
    type Value = LogFormat;
    const FORM: Form = Form::Text;

    fn expected() -> String {
        "`text` or `json`".to_owned()
    }

    fn read(text: &str) -> Option<LogFormat> {
        match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        }
    }
}

/// What of the log is written.
pub(crate) struct Level;

impl Kind for Level {
    type Value = String;
    const FORM: Form = Form::Text;

    fn expected() -> String {
        "error, warn, info, debug, trace or off, or a list such as info,conveyor_node=debug"
            .to_owned()
    }

    fn read(text: &str) -> Option<String> {
        // A filter takes any word for a module's name, so that a level that is mistyped would log nothing.
        let known = text.split(',').all(|one| {
            let level = one.rsplit_once('=').map_or(one, |(_, level)| level);
            let level = level.trim().to_ascii_lowercase();
            ["error", "warn", "info", "debug", "trace", "off"].contains(&level.as_str())
        });
        let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
        (known && parsed.is_ok()).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_of_the_six_words_for_all_or_for_a_module() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,conveyor_node=debug",
            "warn,hyper=off",
        ] {
            assert!(Level::read(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "warning",
            "inf",
            "blah",
            "info,conveyor_node",
            "info,conveyor_node=warning",
            "info,",
        ] {
            assert_eq!(Level::read(bad), None, "{bad}");
        }
    }
}
