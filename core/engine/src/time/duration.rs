use serde::{Deserialize, Serialize};
use std::fmt;

/// A length of time in whole milliseconds. Written `300ms`, `2s`, `15m`, `1h30m`, `7d`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Duration(pub u64);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError;

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a duration such as 300ms, 2s, 15m, 1h30m or 7d, at most 3650d")
    }
}

impl std::error::Error for DurationError {}

const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration(0);
    /// The longest that a document may name: ten years.
    pub const MAX: Duration = Duration(3650 * 86_400_000);

    /// So many milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Duration {
        Duration(millis)
    }

    /// So many seconds.
    #[must_use]
    pub const fn secs(secs: u64) -> Duration {
        Duration(secs * 1000)
    }

    /// Reads a text such as `1h30m`: whole numbers with units, the larger unit first.
    ///
    /// # Errors
    /// When the text is anything else, or longer than [`Duration::MAX`].
    pub fn parse(text: &str) -> Result<Duration, DurationError> {
        let mut rest = text;
        let mut total: u64 = 0;
        let mut last = usize::MAX;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let count: u64 = rest[..digits].parse().map_err(|_| DurationError)?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let unit = UNITS.iter().position(|(name, _)| *name == &rest[..letters]);
            let unit = unit.ok_or(DurationError)?;
            if last != usize::MAX && unit <= last {
                return Err(DurationError);
            }
            last = unit;
            rest = &rest[letters..];
            total = count
                .checked_mul(UNITS[unit].1)
                .and_then(|part| total.checked_add(part))
                .ok_or(DurationError)?;
        }
        if last == usize::MAX || total > Duration::MAX.0 {
            return Err(DurationError);
        }
        Ok(Duration(total))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, size) in UNITS {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for (text, millis) in [
            ("300ms", 300),
            ("2s", 2_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("1s500ms", 1_500),
        ] {
            assert_eq!(Duration::parse(text), Ok(Duration(millis)));
            assert_eq!(Duration(millis).to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "",
            "1",
            "m",
            "1.5h",
            "-1s",
            "1s1h",
            "1s1s",
            "99999d",
            "1 s",
            "1w",
            "9999999999999999999d",
        ] {
            assert_eq!(Duration::parse(text), Err(DurationError), "{text}");
        }
    }
}
