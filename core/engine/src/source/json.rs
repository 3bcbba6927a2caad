//! JSON documents, by the reader of values.

#![allow(clippy::result_large_err)] // one error ends the reading: its size is no cost

use super::node::{Content, Entry, Node, number};
use super::report::Problem;
use super::{Limits, yaml};
use crate::value::{self, Build, Fault};

pub(super) fn read(text: &str, limits: &Limits) -> Result<Node, Problem> {
    let mut refused = None;
    let nodes = Nodes {
        limits,
        nodes: 0,
        refused: &mut refused,
    };
    value::read(text, nodes).map_err(|fault| {
        refused.unwrap_or_else(|| {
            let mut problem = Problem::new(fault.at as u32, fault.message);
            problem.found = fault.found;
            problem
        })
    })
}

/// Makes the nodes of a document.
struct Nodes<'a> {
    limits: &'a Limits,
    nodes: usize,
    /// A limit that was exceeded.
    refused: &'a mut Option<Problem>,
}

impl Nodes<'_> {
    fn refuse(&mut self, problem: Problem) -> Fault {
        let fault = Fault::new(problem.at as usize, problem.message.clone());
        *self.refused = Some(problem);
        fault
    }
}

fn node(at: usize, content: Content) -> Node {
    Node {
        at: at as u32,
        content,
    }
}

impl Build for Nodes<'_> {
    type Value = Node;
    type Map = Vec<Entry>;

    fn null(&mut self, at: usize) -> Node {
        node(at, Content::Null)
    }

    fn boolean(&mut self, at: usize, value: bool) -> Node {
        node(at, Content::Bool(value))
    }

    fn number(&mut self, at: usize, literal: &str) -> Result<Node, Fault> {
        Ok(node(at, number(literal)))
    }

    fn text(&mut self, at: usize, text: String) -> Node {
        node(at, Content::Text(text.into()))
    }

    fn list(&mut self, at: usize, items: Vec<Node>) -> Node {
        node(at, Content::List(items))
    }

    fn map(&mut self, at: usize, map: Vec<Entry>) -> Node {
        node(at, Content::Map(map))
    }

    /// Equal keys are for [`unique`](super::unique) to tell: all of them.
    fn entry(
        &mut self,
        map: &mut Vec<Entry>,
        at: usize,
        key: String,
        value: Node,
    ) -> Result<(), Fault> {
        map.push(Entry {
            key: key.into(),
            at: at as u32,
            value,
        });
        Ok(())
    }

    fn enter(&mut self, at: usize, depth: usize) -> Result<(), Fault> {
        self.nodes += 1;
        let at = at as u32;
        if self.nodes > self.limits.nodes {
            let problem = yaml::too_many("nodes", "values", self.limits.nodes, at);
            return Err(self.refuse(problem));
        }
        if depth > self.limits.depth {
            return Err(self.refuse(yaml::too_deep(self.limits.depth, at)));
        }
        Ok(())
    }
}
