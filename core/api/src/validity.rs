//! From when until when certificates hold. `x509-cert` reads them: rustls does not tell the times, and
//! `x509-parser` would bring a framework of parsers and another calendar.

use rustls_pki_types::CertificateDer;
use std::fmt;
use std::time::SystemTime;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::time::Time;

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
        let at = |seconds: i64| {
            conveyor_engine::time::Time(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
        };
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

/// The times of a certificate.
fn times(der: &[u8]) -> Option<Validity> {
    let certificate = Certificate::from_der(der).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let seconds = |time: Time| i64::try_from(time.to_unix_duration().as_secs()).ok();
    Some(Validity {
        from_s: seconds(validity.not_before)?,
        until_s: seconds(validity.not_after)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that holds from the beginning of a day to that of another.
    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> CertificateDer<'static> {
        let day = |(year, month, day)| rcgen::date_time_ymd(year, month, day);
        let mut params = rcgen::CertificateParams::default();
        (params.not_before, params.not_after) = (day(from), day(until));
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = params.self_signed(&key).expect("a certificate");
        made.der().clone()
    }

    #[test]
    fn times_are_read_in_both_forms_and_what_is_no_certificate_has_none() {
        // Years up to 2049 have two digits, later ones four.
        let long = certificate((1970, 1, 2), (2050, 3, 1));
        let found = times(&long).expect("it has them");
        assert_eq!((found.from_s, found.until_s), (86_400, 2_529_705_600));
        let leap = certificate((2024, 2, 29), (2024, 3, 1));
        let found = times(&leap).expect("it has them");
        assert_eq!(
            (found.from_s, found.until_s),
            (1_709_164_800, 1_709_251_200)
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
        let ends = |until| certificate((2024, 1, 1), until);
        let chain = [ends((2030, 1, 1)), ends((2025, 1, 1))];
        let all = Validity::of(&chain).expect("both have");
        assert_eq!(all.until_s, 1_735_689_600);
    }
}
