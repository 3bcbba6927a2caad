//! Conveyor's contract as Rust: the messages of `proto/`, and behind the feature `grpc` the services.
//!
//! Everything below [`storage`] is generated (`make generate`) and committed; each message
//! and field is documented in its `.proto` file, and so here.

/// What stores hold.
pub mod storage {
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

/// An encoded `google.protobuf.FileDescriptorSet` of all of `proto/`, comments included: for server
/// reflection, and for tools that have no copy of the files.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.binpb");
