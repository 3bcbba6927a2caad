//! Edges, cycles, an order, and the question who is whose ancestor.

use super::Compiler;
use super::draft::Draft;
use crate::plan::types::{Ordering, StepIndex};
use crate::source::{Path, Problem};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The graph of a plan without cycles.
pub(super) struct Graph {
    pub(super) ordering: Ordering,
    pub(super) children: Vec<Vec<StepIndex>>,
    pub(super) topological: Vec<StepIndex>,
}

impl<'n> Compiler<'_, '_, 'n> {
    /// Draws the edges; `None` where there is a cycle, which is reported.
    pub(super) fn graph(&mut self, drafts: &mut [Draft<'n>]) -> Option<Graph> {
        let main = self.main as usize;
        let (steps, _) = drafts.split_at_mut(main);
        let ordering = if steps.iter().any(|draft| draft.has_needs) {
            Ordering::Graph
        } else {
            for (before, draft) in steps.iter_mut().skip(1).enumerate() {
                draft.parents = vec![before as StepIndex];
            }
            Ordering::Listed
        };
        let edges: usize = steps.iter().map(|draft| draft.parents.len()).sum();
        if edges > self.limits.edges {
            let most = self.limits.edges;
            let message =
                format!("the steps have {edges} parents in all; the limit `edges` is {most}");
            let mut sum = 0;
            let over = steps.iter().find(|draft| {
                sum += draft.parents.len();
                sum > most
            });
            let problem = match over {
                Some(draft) => at_needs(draft, message),
                None => Problem::new(0, message),
            };
            self.report.error(problem);
            return None;
        }
        let mut children = vec![Vec::new(); drafts.len()];
        for (index, draft) in drafts.iter_mut().enumerate() {
            for parent in &draft.parents {
                children[*parent as usize].push(index as StepIndex);
            }
            if let Some(step) = &mut draft.step {
                step.parents.clone_from(&draft.parents);
            }
        }
        let topological = order(drafts, &children, main);
        if topological.len() < main {
            self.cycles(drafts, &topological);
            return None;
        }
        Some(Graph {
            ordering,
            children,
            topological,
        })
    }

    /// Reports a cycle through each part of the graph that has one, as a path.
    fn cycles(&mut self, drafts: &[Draft<'n>], ordered: &[StepIndex]) {
        let mut done = vec![false; self.main as usize];
        for step in ordered {
            done[*step as usize] = true;
        }
        for start in 0..done.len() {
            let mut walk: Vec<usize> = Vec::new();
            let mut place = vec![];
            let mut at = start;
            while !done[at] {
                done[at] = true;
                walk.push(at);
                place.push(at);
                // Whatever is left has a parent that is left.
                let left = drafts[at].parents.iter().map(|parent| *parent as usize);
                let Some(next) = left
                    .clone()
                    .find(|parent| place.contains(parent))
                    .or_else(|| left.clone().find(|parent| !done[*parent]))
                else {
                    walk.clear();
                    break;
                };
                at = next;
            }
            let Some(first) = walk.iter().position(|step| *step == at) else {
                continue;
            };
            // The walk went from child to parent; people read the other way.
            let mut cycle: Vec<&str> = walk[first..].iter().map(|s| drafts[*s].id()).collect();
            cycle.push(drafts[at].id());
            cycle.reverse();
            let path = if cycle.len() > 20 {
                let (head, tail) = (
                    cycle[..10].join(" -> "),
                    cycle[cycle.len() - 9..].join(" -> "),
                );
                format!("{head} -> … ({} more) … -> {tail}", cycle.len() - 19)
            } else {
                cycle.join(" -> ")
            };
            let draft = &drafts[at];
            let message = format!("the steps wait in a cycle: {path}");
            self.report.error(at_needs(draft, message));
        }
    }
}

/// A problem of the parents of a step of `steps`.
fn at_needs(draft: &Draft<'_>, message: String) -> Problem {
    let spec = Path::ROOT.key("spec");
    let steps = spec.key("steps");
    let step = steps.index(draft.place);
    let node = draft.node.get("needs").unwrap_or(draft.node);
    Problem::on(node, &step.key("needs"), message)
}

/// Parents before children, ties in document order; short where there is a cycle.
fn order(drafts: &[Draft<'_>], children: &[Vec<StepIndex>], main: usize) -> Vec<StepIndex> {
    let mut waiting: Vec<usize> = drafts[..main]
        .iter()
        .map(|draft| draft.parents.len())
        .collect();
    let mut ready: BinaryHeap<Reverse<StepIndex>> = BinaryHeap::new();
    for (index, count) in waiting.iter().enumerate() {
        if *count == 0 {
            ready.push(Reverse(index as StepIndex));
        }
    }
    let mut out = Vec::with_capacity(main);
    while let Some(Reverse(step)) = ready.pop() {
        out.push(step);
        for child in &children[step as usize] {
            let count = &mut waiting[*child as usize];
            *count -= 1;
            if *count == 0 {
                ready.push(Reverse(*child));
            }
        }
    }
    out
}

/// For each step, whether it may have ancestors that nothing is known of, since some `needs` at or
/// above it has an error.
pub(super) fn open_above(drafts: &[Draft<'_>], graph: &Graph) -> Vec<bool> {
    let mut open: Vec<bool> = drafts.iter().map(|draft| !draft.parents_known).collect();
    for step in &graph.topological {
        let mut parents = drafts[*step as usize].parents.iter();
        if parents.any(|parent| open[*parent as usize]) {
            open[*step as usize] = true;
        }
    }
    open
}

/// How many ancestors are looked for in one pass over the graph.
const BATCH: usize = 256;

/// For each pair (ancestor, step): whether the first is an ancestor of the second.
///
/// One pass over the graph answers for [`BATCH`] distinct ancestors at once: a bit for each travels
/// from parents to children. A document of 100,000 steps that all name far ancestors takes 400
/// passes; a search for each name would take 100,000.
pub(super) fn ancestry(
    drafts: &[Draft<'_>],
    graph: &Graph,
    pairs: &[(StepIndex, StepIndex)],
) -> Vec<bool> {
    let mut out = vec![false; pairs.len()];
    if graph.ordering == Ordering::Listed {
        for (answer, (ancestor, step)) in out.iter_mut().zip(pairs) {
            *answer = ancestor < step;
        }
        return out;
    }
    // Most references name a parent.
    let mut open: Vec<usize> = Vec::new();
    for (place, (ancestor, step)) in pairs.iter().enumerate() {
        if drafts[*step as usize].parents.contains(ancestor) {
            out[place] = true;
        } else {
            open.push(place);
        }
    }
    let mut targets: Vec<StepIndex> = open.iter().map(|place| pairs[*place].0).collect();
    targets.sort_unstable();
    targets.dedup();
    for batch in targets.chunks(BATCH) {
        let mut bits = vec![[0_u64; BATCH / 64]; drafts.len()];
        for step in &graph.topological {
            let mut own = [0_u64; BATCH / 64];
            for parent in &drafts[*step as usize].parents {
                for (word, above) in own.iter_mut().zip(bits[*parent as usize]) {
                    *word |= above;
                }
                if let Ok(bit) = batch.binary_search(parent) {
                    own[bit / 64] |= 1 << (bit % 64);
                }
            }
            bits[*step as usize] = own;
        }
        for place in &open {
            let (ancestor, step) = pairs[*place];
            if let Ok(bit) = batch.binary_search(&ancestor) {
                out[*place] = bits[step as usize][bit / 64] >> (bit % 64) & 1 == 1;
            }
        }
    }
    out
}
