/// Bounds on expressions. None is a time: the same input passes or fails everywhere, always.
///
/// [`Limits::DEFAULT`] is what the engine uses; there is no way to raise a bound from a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest source, in bytes.
    pub source_bytes: usize,
    /// The most tokens of a source.
    pub tokens: usize,
    /// How deep brackets of all kinds may nest.
    pub brackets: usize,
    /// The most binary and ternary operators in one bracket, commas starting anew: `1 + 1 + …`.
    pub operators: usize,
    /// The most unary operators in a row: `!!!!…`.
    pub unary: usize,
    /// The most members, calls and indexes in a row: `a.b.c[0]…`; `.f(x)` is two.
    pub members: usize,
    /// The deepest syntax tree.
    pub depth: usize,
    /// How deep `map`, `filter`, `all` and their like may nest.
    pub loops: usize,
    /// The most items that one of them may range over, and the longest list that one makes.
    pub range: u64,
    /// The most work of one evaluation: a unit for each node visited, item ranged over and value
    /// compared, and for each 16 bytes of text read.
    pub work: u64,
    /// The most memory that one evaluation may claim in all, in bytes.
    pub memory: u64,
    /// How deep a result may nest: readers of JSON, this engine's own included, stop at 128.
    pub result_depth: usize,
    /// The longest regular expression, in bytes.
    pub regex_bytes: usize,
    /// The largest compiled regular expression, in bytes.
    pub regex_size: usize,
}

impl Limits {
    /// The bounds of this engine.
    pub const DEFAULT: Limits = Limits {
        // Twice what the longest sane rule needs: 100 steps of 60 letters, each with a predicate.
        source_bytes: 8192,
        tokens: 2048,
        // The crate's parser stops at 96; each bracket may take two of its levels.
        brackets: 32,
        operators: 256,
        unary: 16,
        members: 96,
        // A frame of the evaluator is below 2 KiB in a debug build: 400 fit a 1 MiB stack.
        depth: 400,
        loops: 4,
        // Ten times the largest fan-out that a document may ask for.
        range: 100_000,
        // Half a second at worst: about 10 million simple nodes a second in a release build.
        work: 5_000_000,
        // Room for a few copies of the largest value that a step may give.
        memory: 64 << 20,
        result_depth: 100,
        regex_bytes: 1024,
        regex_size: 1 << 20,
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}
