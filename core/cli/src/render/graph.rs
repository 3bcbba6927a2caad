//! The graph of a plan: as a picture, Mermaid and Graphviz.

mod layout;
mod notation;
mod picture;
mod ranks;

pub(crate) use notation::{dot, mermaid};

/// Steps that a picture has at most. Beyond it nobody sees anything, and the crossings take long.
pub(crate) const MOST_NODES: usize = 2_000;

/// A graph to draw. Nodes of `finally` come last and have no edges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    /// What stands above it.
    pub(crate) title: String,
    /// What stands under the title.
    pub(crate) note: String,
    /// The steps.
    pub(crate) nodes: Vec<Node>,
    /// What waits for what.
    pub(crate) edges: Vec<Edge>,
}

/// A step in a graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Its id.
    pub(crate) id: String,
    /// What it does, in a few words.
    pub(crate) note: String,
    /// What else matters: `matrix ×4`, `retry ×3`, `when`.
    pub(crate) badges: Vec<String>,
    /// What does it.
    pub(crate) kind: NodeKind,
    /// Whether it stands under `finally`.
    pub(crate) finally: bool,
    /// Whether it is a fan-out.
    pub(crate) fan: bool,
    /// Whether it is on the critical path.
    pub(crate) critical: bool,
    /// What is told when a pointer rests on it.
    pub(crate) title: String,
}

/// What does a step's work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// A driver.
    #[default]
    Driver,
    /// Expressions.
    Transform,
    /// Time.
    Wait,
}

/// An edge, from a step to one that waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Index of the parent.
    pub(crate) from: usize,
    /// Index of the child.
    pub(crate) to: usize,
    /// How the child waits.
    pub(crate) kind: EdgeKind,
    /// Whether it is on the critical path.
    pub(crate) critical: bool,
}

/// How a child waits for its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EdgeKind {
    /// It is to be ok.
    Ok,
    /// A rule decides.
    Rule,
    /// A rule decides, and the child handles its failure.
    Handles,
}

/// The graph as an SVG document.
///
/// # Errors
/// When it has more than [`MOST_NODES`] steps.
pub(crate) fn svg(graph: &Graph) -> Result<String, String> {
    let count = graph.nodes.len();
    if count > MOST_NODES {
        return Err(format!(
            "`-o svg` draws at most {MOST_NODES} steps, this document has {count}; `-o dot` and \
             `-o json` have no such limit"
        ));
    }
    Ok(picture::svg(graph))
}

#[cfg(test)]
mod tests;
