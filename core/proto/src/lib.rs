//! Conveyor's contract as Rust: the messages of `proto/`, and behind the feature `grpc` the services.
//!
//! Everything below [`v1`] and [`storage`] is generated (`make generate`) and committed; each message
//! and field is documented in its `.proto` file, and so here.

/// The contract between engine, drivers and clients: `proto/conveyor/v1`.
#[allow(
    clippy::all,
    clippy::needless_pass_by_value,
    rustdoc::all,
    missing_docs,
    unreachable_pub,
    rust_2018_idioms,
    reason = "generated; the comments come from the .proto files, where buf checks them"
)]
pub mod v1 {
    include!("gen/conveyor.v1.rs");
}

pub mod contract;
mod hidden;
pub mod line;

/// What stores hold.
pub mod storage {
    pub mod envelope;

    /// The records of a run's journal and what lies beside them: `proto/conveyor/storage/v1`.
    #[allow(
        clippy::all,
        rustdoc::all,
        missing_docs,
        unreachable_pub,
        reason = "generated; the comments come from the .proto files, where buf checks them"
    )]
    pub mod v1 {
        include!("gen/conveyor.storage.v1.rs");
    }
}

/// All of it as an encoded `FileDescriptorSet`, comments included: for what works on any message.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");
