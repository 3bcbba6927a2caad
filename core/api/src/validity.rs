//! From when until when certificates hold.

use conveyor_engine::time::Time;
use rustls_pki_types::CertificateDer;
use std::fmt;
use std::time::SystemTime;

/// A certificate that ends so soon is told of: whoever has to renew it by hand has a working week and more.
const SOON_S: i64 = 14 * 86_400;

/// The time in which all certificates of a chain hold, in seconds since 1970, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    from_s: i64,
    until_s: i64,
}

/// How a chain stands at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds for more than 14 days.
    Good,
    /// It holds, and ends within 14 days.
    Ends,
    /// It has ended.
    Ended,
    /// It does not hold yet.
    NotYet,
}

impl Validity {
    /// Of a chain; `None` where a certificate's times cannot be read.
    pub(crate) fn of(chain: &[CertificateDer<'_>]) -> Option<Validity> {
        let each: Option<Vec<_>> = chain.iter().map(|one| times(one)).collect();
        each?.into_iter().reduce(|all, one| Validity {
            from_s: all.from_s.max(one.from_s),
            until_s: all.until_s.min(one.until_s),
        })
    }

    /// How it stands now, by this machine's clock.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.at(now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX)))
    }

    fn at(&self, now_s: i64) -> Standing {
        match self {
            _ if now_s > self.until_s => Standing::Ended,
            _ if now_s < self.from_s => Standing::NotYet,
            _ if self.until_s - now_s < SOON_S => Standing::Ends,
            _ => Standing::Good,
        }
    }
}

/// What a person has to know of it.
impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |seconds: i64| Time(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000));
        match self.standing() {
            Standing::Good => write!(f, "the certificate holds until {}", at(self.until_s)),
            Standing::Ends => write!(
                f,
                "the certificate ends within 14 days, at {}",
                at(self.until_s)
            ),
            Standing::Ended => write!(f, "the certificate ended at {}", at(self.until_s)),
            Standing::NotYet => {
                write!(
                    f,
                    "the certificate does not hold before {}",
                    at(self.from_s)
                )
            }
        }
    }
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, of the version.
const VERSION: u8 = 0xa0;

/// The times of a certificate (RFC 5280, 4.1): after its version, serial number, algorithm and issuer.
fn times(der: &[u8]) -> Option<Validity> {
    let (certificate, _) = value(der, SEQUENCE)?;
    let (mut rest, _) = value(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = value(rest, VERSION)?.1;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = value(rest, tag)?.1;
    }
    let (validity, _) = value(rest, SEQUENCE)?;
    let (from_s, rest) = time(validity)?;
    let (until_s, _) = time(rest)?;
    Some(Validity { from_s, until_s })
}

/// The value of a tag at the beginning, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // So many bytes of length follow; a certificate has fewer than 2^32.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0, |all, byte| all << 8 | usize::from(*byte));
            (length, rest)
        }
        0x80 | 0x85.. => return None,
    };
    (found == tag).then_some(())?;
    rest.split_at_checked(length)
}

/// `YYMMDDHHMMSSZ`, of 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (short, (text, rest)) = match der.first()? {
        &UTC_TIME => (true, value(der, UTC_TIME)?),
        _ => (false, value(der, GENERALIZED_TIME)?),
    };
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, text) = text.split_at_checked(if short { 2 } else { 4 })?;
    let number = |text: Option<&str>| text?.parse::<i64>().ok();
    let year = match (short, number(Some(year))?) {
        (true, year @ 0..50) => 2000 + year,
        (true, year) => 1900 + year,
        (false, year) => year,
    };
    let part = |at: usize| number(text.get(at..at + 2));
    let day = days(year, part(0)?, part(2)?);
    let seconds = day * 86_400 + part(4)? * 3_600 + part(6)? * 60 + part(8)?;
    Some((seconds, rest))
}

/// Days since 1970 of a day of the calendar: years begin in March, so that a leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, value: &[u8]) -> Vec<u8> {
        [&[tag, value.len() as u8][..], value].concat()
    }

    /// As much of a certificate as is read.
    fn certificate(from: &[u8], until: &[u8]) -> Vec<u8> {
        let head = [
            der(VERSION, &der(INTEGER, &[2])),
            der(INTEGER, &[1]),
            der(SEQUENCE, &[]),
            der(SEQUENCE, &[]),
        ];
        let validity = der(SEQUENCE, &[from, until].concat());
        der(
            SEQUENCE,
            &der(SEQUENCE, &[head.concat(), validity].concat()),
        )
    }

    #[test]
    fn times_are_read_in_both_forms_and_what_is_no_certificate_has_none() {
        let long = certificate(
            &der(UTC_TIME, b"700101000001Z"),
            &der(GENERALIZED_TIME, b"20500301000000Z"),
        );
        let found = times(&long).expect("it has them");
        assert_eq!((found.from_s, found.until_s), (1, 2_529_705_600));
        let leap = certificate(
            &der(UTC_TIME, b"240229235959Z"),
            &der(UTC_TIME, b"240301000000Z"),
        );
        let found = times(&leap).expect("it has them");
        assert_eq!(
            (found.from_s, found.until_s),
            (1_709_251_199, 1_709_251_200)
        );
        for cut in 0..long.len() {
            assert_eq!(times(&long[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn a_chain_stands_as_its_weakest_certificate() {
        let one = Validity {
            from_s: 1_000,
            until_s: 1_000 + 2 * SOON_S,
        };
        assert_eq!(one.at(999), Standing::NotYet);
        assert_eq!(one.at(1_000), Standing::Good);
        assert_eq!(one.at(1_001 + SOON_S), Standing::Ends);
        assert_eq!(one.at(one.until_s), Standing::Ends);
        assert_eq!(one.at(one.until_s + 1), Standing::Ended);
        let ends = |until: &[u8]| {
            let from = der(UTC_TIME, b"240101000000Z");
            CertificateDer::from(certificate(&from, &der(UTC_TIME, until)))
        };
        let chain = [ends(b"300101000000Z"), ends(b"250101000000Z")];
        let all = Validity::of(&chain).expect("both have");
        assert_eq!(all.until_s, days(2025, 1, 1) * 86_400);
    }
}
