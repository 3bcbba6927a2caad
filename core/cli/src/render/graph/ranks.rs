//! Which step stands in which rank, and in which order within it: Sugiyama's method.

use super::Edge;

/// A place in a rank: a step, or the point where an edge passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Node(usize),
    /// On the way of the edge with this index.
    Pass(usize),
}

/// Places by rank, and the short edges between neighbouring ranks.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    /// Indexes into `places`, rank by rank, in order.
    pub(super) ranks: Vec<Vec<usize>>,
    pub(super) places: Vec<Place>,
    /// For each place, its neighbours one rank back.
    pub(super) back: Vec<Vec<usize>>,
    /// For each place, its neighbours one rank on.
    pub(super) on: Vec<Vec<usize>>,
    /// For each edge, the places that it goes through, its ends included.
    pub(super) routes: Vec<Vec<usize>>,
}

/// Passing points in all. Graphs with more have their long edges drawn straight.
const MOST_PASSES: usize = 20_000;

/// How often the order is swept over. Crossings hardly change after a dozen times.
const SWEEPS: usize = 16;

/// Ranks `count` nodes. Edges must lead from a node to another, without a cycle.
pub(super) fn rank(count: usize, edges: &[Edge]) -> Ranks {
    let rank = longest_paths(count, edges);
    let height = rank.iter().copied().max().map_or(0, |last| last + 1);
    let mut ranks = Ranks {
        ranks: vec![Vec::new(); height],
        ..Ranks::default()
    };
    for (node, rank) in rank.iter().enumerate() {
        ranks.place(Place::Node(node), *rank);
    }
    for (index, edge) in edges.iter().enumerate() {
        let mut route = vec![edge.from];
        if ranks.places.len() < count + MOST_PASSES {
            route.extend(
                (rank[edge.from] + 1..rank[edge.to]).map(|r| ranks.place(Place::Pass(index), r)),
            );
        }
        route.push(edge.to);
        for pair in route.windows(2) {
            ranks.on[pair[0]].push(pair[1]);
            ranks.back[pair[1]].push(pair[0]);
        }
        ranks.routes.push(route);
    }
    ranks.uncross();
    ranks
}

/// The longest path to each node. A root stands in the first rank: it starts at once.
fn longest_paths(count: usize, edges: &[Edge]) -> Vec<usize> {
    let mut on = vec![Vec::new(); count];
    let mut open = vec![0usize; count];
    for edge in edges {
        on[edge.from].push(edge.to);
        open[edge.to] += 1;
    }
    let roots: Vec<_> = (0..count).filter(|node| open[*node] == 0).collect();
    let mut rank = vec![0; count];
    let mut ready = roots;
    while let Some(node) = ready.pop() {
        for child in &on[node] {
            rank[*child] = rank[*child].max(rank[node] + 1);
            open[*child] -= 1;
            if open[*child] == 0 {
                ready.push(*child);
            }
        }
    }
    rank
}

impl Ranks {
    fn place(&mut self, place: Place, rank: usize) -> usize {
        let index = self.places.len();
        self.places.push(place);
        self.back.push(Vec::new());
        self.on.push(Vec::new());
        self.ranks[rank].push(index);
        index
    }

    /// Sorts each rank by the middle of its neighbours, forth and back, and keeps the best order.
    fn uncross(&mut self) {
        let mut position = vec![0usize; self.places.len()];
        self.number(&mut position);
        let mut best = (self.crossings(&position), self.ranks.clone());
        for sweep in 0..SWEEPS {
            let forth = sweep % 2 == 0;
            let count = self.ranks.len();
            for step in 1..count {
                let rank = if forth { step } else { count - 1 - step };
                let neighbours = if forth { &self.back } else { &self.on };
                let mut keyed: Vec<(f64, usize)> = self.ranks[rank]
                    .iter()
                    .enumerate()
                    .map(|(at, place)| (middle(&neighbours[*place], &position, at), *place))
                    .collect();
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                for (at, (_, place)) in keyed.iter().enumerate() {
                    position[*place] = at;
                }
                self.ranks[rank] = keyed.into_iter().map(|(_, place)| place).collect();
            }
            let crossings = self.crossings(&position);
            if crossings < best.0 {
                best = (crossings, self.ranks.clone());
            }
            if crossings == 0 {
                break;
            }
        }
        self.ranks = best.1;
    }

    fn number(&self, position: &mut [usize]) {
        for rank in &self.ranks {
            for (at, place) in rank.iter().enumerate() {
                position[*place] = at;
            }
        }
    }

    /// How many short edges cross: inversions, counted by a binary indexed tree.
    pub(super) fn crossings(&self, position: &[usize]) -> u64 {
        let mut total = 0;
        for rank in &self.ranks {
            let mut ends: Vec<(usize, usize)> = rank
                .iter()
                .flat_map(|from| {
                    self.on[*from]
                        .iter()
                        .map(|to| (position[*from], position[*to]))
                })
                .collect();
            ends.sort_unstable();
            let width = ends.iter().map(|(_, to)| to + 1).max().unwrap_or(0);
            let mut tree = vec![0u64; width + 1];
            for (seen, (_, to)) in ends.iter().enumerate() {
                let mut not_after = 0;
                let mut at = to + 1;
                while at > 0 {
                    not_after += tree[at];
                    at &= at - 1;
                }
                total += seen as u64 - not_after;
                let mut at = to + 1;
                while at <= width {
                    tree[at] += 1;
                    at += at & at.wrapping_neg();
                }
            }
        }
        total
    }

    #[cfg(test)]
    pub(super) fn count_crossings(&self) -> u64 {
        let mut position = vec![0; self.places.len()];
        self.number(&mut position);
        self.crossings(&position)
    }
}

/// The mean place of the neighbours; a place without any stays where it is.
fn middle(neighbours: &[usize], position: &[usize], own: usize) -> f64 {
    if neighbours.is_empty() {
        return own as f64;
    }
    neighbours.iter().map(|n| position[*n] as f64).sum::<f64>() / neighbours.len() as f64
}
