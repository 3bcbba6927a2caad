//! Texts without the secrets that are in them.
//!
//! A [`Mask`] knows values in the forms in which they turn up in texts, each letter as it is or escaped, and
//! puts `***` in place of each; a [`Masker`] does so with a stream, however it is cut, and [`CutLines`] with
//! lines that go on in the next. What is covered, and what is not, stands in
//! `docs/secrets.md`.
//!
//! ```
//! let mask = conveyor_mask::Mask::new([("token", b"s3cr3t".as_slice())]);
//! assert_eq!(mask.text("Bearer s3cr3t"), "Bearer ***");
//! assert_eq!(mask.text("Bearer czNjcjN0"), "Bearer ***");
//! assert_eq!(mask.find(b"s3cr3t!"), Some("token"));
//! ```

mod automaton;
mod escape;
mod forms;
mod json;
mod mask;
mod runs;
mod scan;
mod stream;

pub use forms::SHORTEST;
pub use mask::{HIDDEN, Mask};
pub use stream::{CutLines, Masker};
