/// What a document may not exceed. Every error about one says its name, the value and the maximum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a document. Default 64 MiB.
    pub bytes: usize,
    /// Values in a document, counting what aliases repeat. Default 8,000,000: 100,000 steps of 80.
    pub nodes: usize,
    /// Values that aliases repeat. Default 1,000,000: enough to share real blocks, too little for a
    /// bomb.
    pub alias_nodes: usize,
    /// Bytes of text that aliases repeat. Default 64 MiB, as if they were written out.
    pub alias_bytes: usize,
    /// Nesting of lists and objects. Default 100; the pipeline format itself needs 12.
    pub depth: usize,
    /// Steps, `finally` included. Default 100,000.
    pub steps: usize,
    /// Parents of all steps together. Default 1,000,000.
    pub edges: usize,
    /// Combinations of a `matrix`, before `exclude` and after `include`. Default 10,000.
    pub matrix_instances: u64,
    /// The largest `foreach.max_items`, and its default. Default 10,000.
    pub foreach_items: u32,
    /// The largest `max_parallel`. Default 10,000.
    pub max_parallel: u32,
    /// The largest `retry.attempts`. Default 1,000.
    pub retry_attempts: u32,
    /// The largest `retry.lost`. Default 1,000.
    pub retry_lost: u32,
    /// Bytes of a step id. Default 128.
    pub id_bytes: usize,
    /// Bytes of a driver's or an action's name. Default 128.
    pub driver_bytes: usize,
    /// Bytes of `name` of a step. Default 1,024.
    pub name_bytes: usize,
    /// Bytes of `description`. Default 65,536.
    pub description_bytes: usize,
    /// Bytes of an annotation's value. Default 65,536.
    pub annotation_bytes: usize,
    /// Labels, and annotations, of a pipeline. Default 64.
    pub labels: usize,
    /// Bytes of a label's key or value. Default 256.
    pub label_bytes: usize,
    /// Diagnostics that are kept; the rest are counted. Default 100.
    pub diagnostics: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            bytes: 64 << 20,
            nodes: 8_000_000,
            alias_nodes: 1_000_000,
            alias_bytes: 64 << 20,
            depth: 100,
            steps: 100_000,
            edges: 1_000_000,
            matrix_instances: crate::plan::MAX_INSTANCES as u64,
            foreach_items: crate::plan::MAX_INSTANCES,
            max_parallel: 10_000,
            retry_attempts: 1_000,
            retry_lost: 1_000,
            id_bytes: 128,
            driver_bytes: 128,
            name_bytes: 1_024,
            description_bytes: 65_536,
            annotation_bytes: 65_536,
            labels: 64,
            label_bytes: 256,
            diagnostics: 100,
        }
    }
}
