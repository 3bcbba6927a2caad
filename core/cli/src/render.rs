//! What people see: pure functions from views to text and pictures.
//!
//! Nothing here reads a clock, a file or a terminal, apart from [`progress::Live`], which draws.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`view`] | a run as readers see it, and how events change it |
//! | [`progress`] | the tree that `run` draws, and its plain lines |
//! | [`summary`] | what a person reads after a run, and in `runs show` |
//! | [`timeline`] | the Gantt chart of attempts, as text and as a picture |
//! | [`graph`] | the graph of a plan, as a picture, Mermaid and Graphviz |
//! | [`table`] | lists |
//! | [`data`] | JSON and YAML |
//! | [`human`] | durations and instants for people |
//! | [`style`] | colours and the marks of states |
//! | [`svg`] | what both pictures share |

pub(crate) mod data;
pub(crate) mod graph;
pub(crate) mod human;
pub(crate) mod progress;
pub(crate) mod style;
pub(crate) mod summary;
mod svg;
pub(crate) mod table;
pub(crate) mod timeline;
pub(crate) mod view;
