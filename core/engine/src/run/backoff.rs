//! How long to wait before the next try (SEMANTICS 10).

use crate::plan::{Backoff, BackoffKind};
use crate::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// The longest that a driver's `retry_after` may ask for.
const RETRY_AFTER_MAX: Duration = Duration::secs(3600);

/// The delay after try `n`, in whole milliseconds by repeated multiplication, so that every machine
/// computes the same. `seed` names the attempt that ended.
pub(crate) fn delay(backoff: &Backoff, n: u32, seed: &str, retry_after: Option<u64>) -> Duration {
    if let Some(millis) = retry_after {
        return Duration(millis).min(RETRY_AFTER_MAX);
    }
    let max = backoff.max.0;
    let base = match backoff.kind {
        BackoffKind::Fixed => backoff.initial.0,
        BackoffKind::Linear => backoff.initial.0.saturating_mul(n.into()),
        BackoffKind::Exponential => {
            let mut delay = backoff.initial.0.min(max);
            for _ in 1..n {
                delay = delay.saturating_mul(backoff.factor_milli) / 1000;
                if delay >= max || delay == 0 {
                    break;
                }
            }
            delay
        }
    };
    let base = base.min(max);
    let part = u128::from(xxh3_64(seed.as_bytes()) >> 32);
    let taken = (u128::from(base) * u128::from(backoff.jitter_micro) * part / 1_000_000) >> 32;
    Duration(base - taken as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(kind: BackoffKind, jitter_micro: u32) -> Backoff {
        Backoff {
            kind,
            initial: Duration::secs(2),
            factor_milli: 2000,
            max: Duration::secs(60),
            jitter_micro,
        }
    }

    #[test]
    fn delays_grow_as_their_kind_says_up_to_the_maximum() {
        let of = |kind| [1, 2, 3, 6].map(|n| delay(&backoff(kind, 0), n, "", None).0);
        assert_eq!(of(BackoffKind::Fixed), [2000, 2000, 2000, 2000]);
        assert_eq!(of(BackoffKind::Linear), [2000, 4000, 6000, 12_000]);
        assert_eq!(of(BackoffKind::Exponential), [2000, 4000, 8000, 60_000]);
    }

    #[test]
    fn jitter_takes_away_at_most_its_part_and_is_the_same_for_the_same_attempt() {
        let backoff = backoff(BackoffKind::Fixed, 500_000);
        let delays: Vec<u64> = (0..100)
            .map(|n| delay(&backoff, 1, &format!("run/{n}"), None).0)
            .collect();
        assert!(delays.iter().all(|delay| (1000..=2000).contains(delay)));
        assert!(delays.iter().any(|delay| *delay < 1300) && delays.iter().any(|d| *d > 1700));
        assert_eq!(delays[7], delay(&backoff, 1, "run/7", None).0);
    }

    #[test]
    fn what_a_driver_asks_for_replaces_the_delay_within_an_hour() {
        let backoff = backoff(BackoffKind::Fixed, 0);
        assert_eq!(delay(&backoff, 1, "", Some(5)).0, 5);
        assert_eq!(delay(&backoff, 1, "", Some(u64::MAX)).0, 3_600_000);
    }
}
