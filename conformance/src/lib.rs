//! Conveyor's conformance suite: whether a driver keeps the contract, requirement by requirement.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`v1`] | cases and programs as messages |
//! | [`engine`] | the suite for engines |
//! | `backend` | the engines that cases are run against |
//! | `cases` | cases of files |
//! | `rules` | what they cite |
//! | `like` | whether JSON has at least what a case says |

mod backend;
mod cases;
pub mod engine;
mod like;
mod rules;

/// Cases, and what the suite and a driver say to each other: `proto/conveyor/conformance/v1`.
#[allow(
    clippy::all,
    rustdoc::all,
    missing_docs,
    unreachable_pub,
    reason = "generated; the comments come from the .proto files, where buf checks them"
)]
pub mod v1 {
    include!("gen/conveyor.conformance.v1.rs");
}

/// All of it as an encoded `FileDescriptorSet`, comments included, and what it imports.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");
