//! The driver contract as files, and what both of its sides count with.

/// The `.proto` files of `conveyor.v1`, by the path that they import each other by.
pub const PROTOS: [(&str, &str); 4] = [
    (
        "conveyor/v1/options.proto",
        include_str!("gen/options.proto"),
    ),
    ("conveyor/v1/types.proto", include_str!("gen/types.proto")),
    ("conveyor/v1/driver.proto", include_str!("gen/driver.proto")),
    (
        "conveyor/v1/control.proto",
        include_str!("gen/control.proto"),
    ),
];

/// `docs/driver-contract.md`: the requirements, numbered.
pub const TEXT: &str = include_str!("gen/driver-contract.md");

/// The rules that comments of the `.proto` files cite, by the path that they have beside the contract's text.
pub const RULES: [(&str, &str); 2] = [
    ("docs/protocol.md", include_str!("gen/protocol.md")),
    ("docs/semantics.md", include_str!("gen/semantics.md")),
];

/// The longest message, in bytes, the limit `message_bytes`: a document of 64 MiB and what goes with it.
pub const MESSAGE_BYTES: usize = 68 << 20;

/// How long a driver has for the first message of a stream (R2): enough for a slow network, too short to
/// hold many half-open connections.
pub const FIRST_MESSAGE_MS: u64 = 10_000;

/// How often a report that is not answered is sent again over the same connection (R25).
pub const REPORT_AGAIN_MS: u64 = 5_000;

/// The part of a task's `heartbeat_timeout_ms` after which a driver that heard no answer stops it (R22): the
/// rest is for the stop itself, so that the engine gives the attempt up later.
pub const UNHEARD: (u32, u32) = (2, 3);

/// The most principals that a task may be handed over to, besides the one that claimed it (R57).
pub const PRINCIPALS: usize = 16;
