/// What one transaction may hold (PROTOCOL P14). What is larger goes elsewhere by its hash
/// (PROTOCOL P32) or into a further transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a user's value that are kept inside a record. Larger ones are offloaded by the
    /// caller; the store itself cannot tell and does not check.
    pub value_inline_bytes: u64,
    /// Bytes of one key.
    pub key_bytes: u64,
    /// Bytes of one value.
    pub record_bytes: u64,
    /// Compares, puts, deletes and the keys that deleted ranges hold, together.
    pub operations: u64,
    /// Bytes of all keys and values together.
    pub transaction_bytes: u64,
}

impl Limits {
    /// Those of the embedded and the memory store.
    ///
    /// 256 KiB inline is PROTOCOL P14's number. A record may be larger than one value, since it
    /// holds the facts of a whole commit of its run. 16 MiB a transaction is a quarter of the
    /// journal file into which the embedded store writes it.
    pub const LOCAL: Self = Self {
        value_inline_bytes: 256 << 10,
        key_bytes: 1 << 10,
        record_bytes: 4 << 20,
        operations: 100_000,
        transaction_bytes: 16 << 20,
    };
}
