use conveyor_engine::time::Time;
use std::time::{Instant, SystemTime};

/// Where instants come from.
pub trait Clock: Send + Sync {
    /// The present. Never earlier than an answer before.
    fn now(&self) -> Time;
}

/// The system's time when it was made, and the monotonic clock from there (PROTOCOL P9): a clock
/// that is set while the node lives changes no duration.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    wall: Time,
    since: Instant,
}

impl SystemClock {
    /// Reads the system's time, this once.
    #[must_use]
    pub fn new() -> SystemClock {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        SystemClock {
            wall: Time(wall.as_millis() as u64),
            since: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time(
            self.wall
                .0
                .saturating_add(self.since.elapsed().as_millis() as u64),
        )
    }
}
