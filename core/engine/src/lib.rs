//! Conveyor's engine: what a pipeline means, and what a run does next.
//!
//! Everything here is a function of its arguments. There is no I/O, no clock, no randomness and no
//! thread: a fact carries the time it happened, and the caller decides where things are kept.
//! A run is its journal: [`run::Run::fold`] over the records gives its state, live, after a crash,
//! in the simulator and in `conveyor test` alike.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`value`] | user values: JSON, its canonical form, hashes |
//! | [`time`] | instants, durations and RFC 3339, as plain integers |
//! | [`expr`] | CEL: bounds, references, evaluation, `${{ }}` templates |
//! | [`document`] | YAML and JSON pipeline documents, with exact positions |
//! | [`plan`] | a checked document, compiled into what a run walks |
//! | [`run`] | facts in, decisions out: the state machine of one run |
//!
//! Evaluation recurses. Callers run the engine on stacks of [`STACK_BYTES`].

pub mod document;
pub mod expr;
mod nearest;
pub mod plan;
#[cfg(feature = "planted")]
pub mod planted;
pub mod run;
mod source;
pub mod time;
pub mod value;

/// Whether the simulator has planted a fault here. Constant without the feature `planted`.
#[cfg(not(feature = "planted"))]
#[macro_export]
#[doc(hidden)]
macro_rules! planted {
    ($fault:ident) => {
        false
    };
}

/// Whether the simulator has planted a fault here.
#[cfg(feature = "planted")]
#[macro_export]
macro_rules! planted {
    ($fault:ident) => {
        $crate::planted::is_planted($crate::planted::Fault::$fault)
    };
}

pub use nearest::nearest;

/// The stack a thread that calls this crate should have: 16 MiB.
///
/// The bounds on expressions and documents are set so that the deepest accepted input fits.
pub const STACK_BYTES: usize = 16 << 20;
