//! Texts without the secrets that are in them.
//!
//! A [`Mask`] knows values in the forms in which they turn up in texts, and puts `***` in place of each;
//! a [`Masker`] does so with a stream, however it is cut. What is covered, and what is not, stands in
//! `docs/secrets.md`.
//!
//! ```
//! let mask = conveyor_mask::Mask::new([("token", b"s3cr3t".as_slice())]);
//! assert_eq!(mask.text("Bearer s3cr3t"), "Bearer ***");
//! assert_eq!(mask.text("Bearer czNjcjN0"), "Bearer ***");
//! assert_eq!(mask.find(b"s3cr3t!"), Some("token"));
//! ```

mod forms;
mod json;
mod mask;
mod stream;

pub use forms::SHORTEST;
pub use mask::{HIDDEN, Mask};
pub use stream::Masker;
