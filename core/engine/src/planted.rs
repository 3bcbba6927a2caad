//! Faults that the simulator plants in the product's own code, to see that it catches them. Behind
//! the feature `planted`, which nothing but `conveyor-sim` turns on: without it [`crate::planted!`]
//! is the constant `false`, and neither names nor code of any of this are in a program.
//!
//! It lies in the lowest crate, so that every crate above can ask.

use std::cell::Cell;

/// Names the faults: the variant, the word that people type, and what it breaks.
macro_rules! faults {
    ($($name:ident $word:literal $breaks:literal,)*) => {
        /// A mistake that a programmer could have made.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $breaks] $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Fault] = &[$(Fault::$name),*];

            /// The name that people type.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Fault::$name => $word,)* }
            }

            /// What it breaks, in one sentence.
            #[must_use]
            pub const fn breaks(self) -> &'static str {
                match self { $(Fault::$name => $breaks,)* }
            }
        }
    };
}

faults! {
    // The run's machine.
    AttemptNumberReused "attempt-number-reused" "An attempt that is lost without charge gives its number to the next one.",
    AttemptNumberUnchecked "attempt-number-unchecked" "A claim is taken from an offer of an earlier attempt.",
    ClaimInPause "claim-in-pause" "A claim is taken although the run is paused.",
    DigestUnchecked "digest-unchecked" "A fold that decides something else than its record goes on.",
    EvaluatedInFold "evaluated-in-fold" "A fold evaluates again what its record holds.",
    FailedOutputsKept "failed-outputs-kept" "Other steps see outputs of an attempt that failed.",
    FinallyTooEarly "finally-too-early" "`finally` begins while one step still runs.",
    FinallySkipped "finally-skipped" "A run ends without its `finally`.",
    GraceLostInFold "grace-lost-in-fold" "After a fold, the grace of a cancel never ends.",
    InterruptionCharged "interruption-charged" "An attempt that is lost counts as one of `retry.attempts`.",
    NeedsIgnored "needs-ignored" "A step begins although one that it needs failed.",
    ParentCountedTwice "parent-counted-twice" "A step that ends counts for two parents of its children.",
    RepeatForgotten "repeat-forgotten" "An exact repeat of a taken report is answered as stale.",
    RetriesMiscounted "retries-miscounted" "A step is tried once more than `retry.attempts` says.",
    SkippedParentUncounted "skipped-parent-uncounted" "A skipped step does not count as ended for its children.",
    SnapshotWithoutTimers "snapshot-without-timers" "A run that is taken up from a snapshot has none of its timers.",
    StaleReportTaken "stale-report-taken" "A report of an earlier attempt ends the current one.",
    TimerFiredTwice "timer-fired-twice" "A timer that was due is due again.",
    TimersLostInFold "timers-lost-in-fold" "After a fold, timers that were armed before are gone.",
    WorkLostBetweenTurns "work-lost-between-turns" "The unit at which a bounded turn stops is never done.",
    // The owner.
    AbortForgotten "abort-forgotten" "The place of a task whose time is over is given away while the task still runs.",
    AnswerBeforeDurable "answer-before-durable" "Callers are answered before what they are told is durable.",
    CancelUnsent "cancel-unsent" "A task is never told to stop.",
    ClaimsForgottenAfterFailure "claims-forgotten-after-failure" "After the pause that follows a failed commit, nobody finds out whether the store works again, and claims what waited.",
    CommitKeyReadOnce "commit-key-read-once" "A commit key that could not be read is not read again.",
    CommitNumberKept "commit-number-kept" "A commit does not advance the number in the commit key.",
    CommitNumberSkipped "commit-number-skipped" "A commit that failed advances the number all the same.",
    DeadClaimsKept "dead-claims-kept" "Claims of a process that died are left to their timeouts.",
    DetachedForgotten "detached-forgotten" "A new owner asks for the session of an attempt that goes on without one.",
    DocumentBelieved "document-believed" "A document counts as stored before its commit is durable.",
    DueRowStale "due-row-stale" "A run's row among live work keeps the instant of an old timer.",
    EndedRunKept "ended-run-kept" "A run that has ended stays among live work.",
    FlightForgotten "flight-forgotten" "A run is let go and read again while a group of it is in flight.",
    LateCopyForgotten "late-copy-forgotten" "A failure after an unknown outcome is believed, though the first copy may still arrive.",
    LaterFactsKept "later-facts-kept" "Facts that followed those of a failed commit are committed without them.",
    LeaseForgotten "lease-forgotten" "A session that is silent beyond its lease keeps its claims.",
    ListingStale "listing-stale" "The row of listings keeps a state that has changed.",
    LostTaskForgotten "lost-task-forgotten" "A task that its session never names is not sent again.",
    OffersLostInFold "offers-lost-in-fold" "Attempts that wait for a driver are not queued again after a fold.",
    PlaceGivenBackTwice "place-given-back-twice" "A session's place is given back with the report and again with the commit.",
    PlaceLeaked "place-leaked" "A claim that was not committed keeps its place at the session.",
    ReloadForgotten "reload-forgotten" "A run that could not be read is not read again.",
    RestoredClaimsLost "restored-claims-lost" "A new owner ends the claims of sessions that may come back.",
    RunLostWhileFinishing "run-lost-while-finishing" "A run leaves live work when its `finally` begins.",
    SnapshotBeforeDurable "snapshot-before-durable" "A snapshot is kept before the record that it follows is durable.",
    SplitDropped "split-dropped" "When a group is refused for its content, half of it is dropped.",
    StartBeforeDurable "start-before-durable" "A task is started before its claim is durable.",
    StartUnchecked "start-unchecked" "A start is acknowledged although nobody looked whether the run is there.",
    StopUnstored "stop-unstored" "A stop of a run that drains already is acknowledged and not stored.",
    TimersUnwatchedAfterFold "timers-unwatched-after-fold" "The owner does not wait for the timers of a run that it has folded.",
    TurnsForgottenAfterFold "turns-forgotten-after-fold" "Bounded work that was left over is not taken up after a fold.",
    UnnamedClaimsKept "unnamed-claims-kept" "A session that comes back keeps claims that it does not name.",
    UnknownTakenAsFailure "unknown-taken-as-failure" "A commit whose outcome is unknown counts as failed.",
    UnknownTakenAsSuccess "unknown-taken-as-success" "A commit whose outcome is unknown counts as made.",
    ValueUnstored "value-unstored" "A value is not stored with the report that names it.",
    // Resources, and the runs that their changes start; secrets.
    AnswerUnkept "answer-unkept" "What a request with a key came to is not written with what it made.",
    FiringCountsAsNew "firing-counts-as-new" "A run of a change that is started again is not looked for.",
    FiringsUnstored "firings-unstored" "The commit of a change does not name its runs.",
    PipelinesUnguarded "pipelines-unguarded" "A change starts no pipeline that was published after it was decided.",
    RunIdWithoutTrigger "run-id-without-trigger" "Two triggers of a pipeline give the run of a change one id.",
    TriggersUnguarded "triggers-unguarded" "A change is made by pipelines that are others meanwhile.",
    UnstartedStruckOff "unstarted-struck-off" "A run that could not be started is struck off its change.",
    SecretsUnmasked "secrets-unmasked" "What a driver tells of its secrets is kept as it is.",
    // Its terms with the store.
    CommitUnguarded "commit-unguarded" "A commit does not compare the commit key.",
    EpochKept "epoch-kept" "A new owner goes on under the epoch of the one before.",
}

// A thread's own, because seeds are lived through on several at once: an argument would have to go
// through every function of the product, which must have no trace of this.
thread_local! {
    static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Plants a fault on this thread, or none.
pub fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}

/// Whether the fault is planted on this thread.
#[must_use]
pub fn is_planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}
