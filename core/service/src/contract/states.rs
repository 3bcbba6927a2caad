use crate::RESUME_WINDOW_MS;
use std::fmt;

/// Where a driver's session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionState {
    /// Nobody has said hello.
    New,
    /// A connection, or calls without a stream, have it.
    Connected,
    /// As connected, and nothing new is sent.
    Draining,
    /// It has no connection, and can be resumed.
    Away,
    /// It is not known any more.
    Over,
}

/// What moves a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// `hello`, or Register.
    Hello,
    /// A heartbeat, or anything else that is no other cause.
    Heartbeat,
    /// `drain`.
    Drain,
    /// `leaving`, or Leave.
    Leaving,
    /// The connection breaks.
    Break,
    /// It holds nothing, and nothing comes for so many milliseconds.
    Silence(u64),
    /// `resume` with its secret and a higher generation.
    Resume,
    /// `resume` with its secret and a generation that is not higher.
    OldResume,
}

/// One change of a session's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Before.
    pub from: SessionState,
    /// What happens.
    pub on: Cause,
    /// After.
    pub to: SessionState,
    /// What else happens.
    pub effect: &'static str,
}

const fn row(from: SessionState, on: Cause, to: SessionState, effect: &'static str) -> Row {
    Row {
        from,
        on,
        to,
        effect,
    }
}

use Cause as C;
use SessionState as S;

/// Every change of a session's state. What is not here changes nothing.
pub const SESSION: &[Row] = &[
    row(
        S::New,
        C::Hello,
        S::Connected,
        "`welcome`; the session is a row of the store",
    ),
    row(
        S::Connected,
        C::Heartbeat,
        S::Connected,
        "`acknowledgement`; its claims are held for another timeout",
    ),
    row(
        S::Connected,
        C::Drain,
        S::Draining,
        "no task is sent any more",
    ),
    row(
        S::Connected,
        C::Break,
        S::Away,
        "its claims last as long as their leases",
    ),
    row(
        S::Connected,
        C::Silence(RESUME_WINDOW_MS),
        S::Away,
        "the connection is closed",
    ),
    row(
        S::Connected,
        C::Resume,
        S::Connected,
        "`welcome`; the older connection is told `goodbye`, REPLACED",
    ),
    row(
        S::Connected,
        C::OldResume,
        S::Connected,
        "the newer connection stays; the other is told `goodbye`, REPLACED",
    ),
    row(
        S::Connected,
        C::Leaving,
        S::Over,
        "its claims end at once, uncharged",
    ),
    row(S::Draining, C::Heartbeat, S::Draining, "`acknowledgement`"),
    row(
        S::Draining,
        C::Break,
        S::Away,
        "its claims last as long as their leases",
    ),
    row(
        S::Draining,
        C::Resume,
        S::Connected,
        "`welcome`; it takes tasks again once it gives credits",
    ),
    row(
        S::Draining,
        C::Leaving,
        S::Over,
        "its claims end at once, uncharged",
    ),
    row(
        S::Away,
        C::Resume,
        S::Connected,
        "`welcome`; claims that it does not name end, uncharged",
    ),
    row(
        S::Away,
        C::Silence(2 * RESUME_WINDOW_MS),
        S::Over,
        "its row is removed",
    ),
    row(
        S::Over,
        C::Resume,
        S::Over,
        "`goodbye`, UNKNOWN_SESSION; a `hello` may adopt what it held",
    ),
];

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SessionState::New => "new",
            SessionState::Connected => "connected",
            SessionState::Draining => "draining",
            SessionState::Away => "away",
            SessionState::Over => "over",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Hello => f.write_str("hello"),
            Cause::Heartbeat => f.write_str("heartbeat"),
            Cause::Drain => f.write_str("drain"),
            Cause::Leaving => f.write_str("leaving"),
            Cause::Break => f.write_str("the connection breaks"),
            Cause::Silence(millis) => {
                write!(f, "silent for {} s without a claim", millis / 1000)
            }
            Cause::Resume => f.write_str("resume, with a higher generation"),
            Cause::OldResume => f.write_str("resume, with no higher generation"),
        }
    }
}
