use std::fmt;

macro_rules! states {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal / $code:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// All of them, in the order of their codes.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word that documents, expressions and people use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// The number in stored records. Never reused.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $($name::$variant => $code),+ }
            }

            /// The state with that number.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<$name> {
                match code { $($code => Some($name::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

states! {
    /// The state of a step or of one of its instances.
    StepState {
        /// Its needs are not decided yet, or its turn has not come.
        Pending = "pending" / 1,
        /// Ready; waits for a driver.
        Queued = "queued" / 2,
        /// An attempt is claimed.
        Running = "running" / 3,
        /// Waits for a timer: a `wait`, or the delay before the next attempt.
        Waiting = "waiting" / 4,
        /// Done.
        Succeeded = "succeeded" / 5,
        /// The driver said no.
        Failed = "failed" / 6,
        /// Infrastructure: leases lost too often, invalid output, expression error.
        Errored = "errored" / 7,
        /// One of its timeouts passed.
        TimedOut = "timed_out" / 8,
        /// A stop, or a failing sibling, ended it.
        Cancelled = "cancelled" / 9,
        /// Its own `when` was false.
        Skipped = "skipped" / 10,
        /// Its `needs` were not met.
        Omitted = "omitted" / 11,
    }
}

states! {
    /// How an attempt ended (SEMANTICS 9).
    AttemptState {
        /// It gave its outputs.
        Succeeded = "succeeded" / 1,
        /// The driver said no.
        Failed = "failed" / 2,
        /// Output breaks its schema, no such action, and the like.
        Errored = "errored" / 3,
        /// Its time was over.
        TimedOut = "timed_out" / 4,
        /// Its lease was lost, or it was never delivered.
        Lost = "lost" / 5,
        /// It was told to stop.
        Cancelled = "cancelled" / 6,
    }
}

states! {
    /// The state of a run.
    RunState {
        /// Accepted, nothing begun.
        Queued = "queued" / 1,
        /// Its steps run.
        Running = "running" / 2,
        /// Nothing new is queued or claimed until it is resumed.
        Paused = "paused" / 3,
        /// A cancel is on its way.
        Cancelling = "cancelling" / 4,
        /// What runs may finish, nothing starts.
        Draining = "draining" / 5,
        /// `finally` runs.
        Finishing = "finishing" / 6,
        /// Its fold does not agree with its journal; untouched until released.
        Quarantined = "quarantined" / 7,
        /// Done.
        Succeeded = "succeeded" / 8,
        /// A cause was not handled.
        Failed = "failed" / 9,
        /// A stop ended it.
        Cancelled = "cancelled" / 10,
    }
}

impl StepState {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(
            self,
            StepState::Pending | StepState::Queued | StepState::Running | StepState::Waiting
        )
    }
}

impl RunState {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            RunState::Succeeded | RunState::Failed | RunState::Cancelled
        )
    }
}
