mod attempt;
mod commits;
mod encoding;
mod key;
mod store;

pub use attempt::{AttemptLog, LINE_BYTES, LogState, Refused};
pub use commits::LogCommits;
pub use encoding::LOG_LINES;
pub use key::AttemptKey;
pub use store::{LogError, LogPage, LogStore, NumberedLine, StoreLogs};
