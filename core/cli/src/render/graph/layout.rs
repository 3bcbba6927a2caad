//! Where each step stands: ranks along one axis, places spread along the other.

use super::Edge;
use super::ranks::{Place, Ranks, rank};

/// Centres of nodes and the points that edges go through, in (along, across) coordinates: `along`
/// counts ranks, `across` is in pixels from 0.
#[derive(Debug)]
pub(super) struct Layout {
    /// For each node, its rank and the pixel of its centre.
    pub(super) nodes: Vec<(usize, f64)>,
    /// For each edge, the points from its first node to its last, both included.
    pub(super) routes: Vec<Vec<(usize, f64)>>,
    /// How many ranks there are.
    pub(super) ranks: usize,
    /// How many pixels they take across.
    pub(super) across: f64,
}

/// Rounds of drawing places to their neighbours.
const ROUNDS: usize = 40;

/// Lays out `count` nodes of `size` pixels across, `gap` pixels apart.
pub(super) fn layout(count: usize, edges: &[Edge], size: f64, gap: f64) -> Layout {
    let ranks = rank(count, edges);
    let extent = |place: usize| match ranks.places[place] {
        Place::Node(_) => size,
        // An edge that passes by needs a lane, not a box.
        Place::Pass(_) => gap * 0.5,
    };
    let mut across = vec![0.0; ranks.places.len()];
    for rank in &ranks.ranks {
        let mut at = 0.0;
        for place in rank {
            across[*place] = at + extent(*place) / 2.0;
            at += extent(*place) + gap;
        }
    }
    for round in 0..ROUNDS {
        let forth = round % 2 == 0;
        let order: Vec<usize> = match forth {
            true => (0..ranks.ranks.len()).collect(),
            false => (0..ranks.ranks.len()).rev().collect(),
        };
        for rank in order {
            // The last rounds look both ways, so that a lone child stands in the middle of its
            // parents and a lone parent in the middle of its children.
            settle(
                &ranks,
                rank,
                forth,
                round + 4 >= ROUNDS,
                &mut across,
                &extent,
                gap,
            );
        }
    }
    let low = ranks
        .ranks
        .iter()
        .flatten()
        .map(|p| across[*p] - extent(*p) / 2.0);
    let low = low.fold(f64::INFINITY, f64::min);
    let low = if low.is_finite() { low } else { 0.0 };
    let high = ranks
        .ranks
        .iter()
        .flatten()
        .map(|p| across[*p] + extent(*p) / 2.0);
    let high = high.fold(low, f64::max);
    let mut point = vec![(0, 0.0); ranks.places.len()];
    for (at, rank) in ranks.ranks.iter().enumerate() {
        rank.iter()
            .for_each(|place| point[*place] = (at, across[*place] - low));
    }
    Layout {
        nodes: point[..count].to_vec(),
        routes: ranks
            .routes
            .iter()
            .map(|r| r.iter().map(|p| point[*p]).collect())
            .collect(),
        ranks: ranks.ranks.len(),
        across: high - low,
    }
}

/// Draws the places of a rank to the middle of their neighbours, as near as their order and their
/// distances allow: least squares under an order is isotonic regression, solved by pooling.
fn settle(
    ranks: &Ranks,
    rank: usize,
    forth: bool,
    both: bool,
    across: &mut [f64],
    extent: &dyn Fn(usize) -> f64,
    gap: f64,
) {
    let places = &ranks.ranks[rank];
    // Blocks of places that move together: (sum of wishes × weight, weight, count).
    let mut blocks: Vec<(f64, f64, usize)> = Vec::with_capacity(places.len());
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(places.len());
    for (index, place) in places.iter().enumerate() {
        if index > 0 {
            offset += extent(places[index - 1]) / 2.0 + gap + extent(*place) / 2.0;
        }
        offsets.push(offset);
        let (back, on) = (&ranks.back[*place], &ranks.on[*place]);
        let near: Vec<usize> = match (both, forth) {
            (true, _) => back.iter().chain(on).copied().collect(),
            (false, true) => back.clone(),
            (false, false) => on.clone(),
        };
        // Straight lanes for long edges look best: they pull harder than boxes.
        let is_pass = |p: usize| matches!(ranks.places[p], Place::Pass(_));
        let pull = |other: usize| match (is_pass(*place), is_pass(other)) {
            (true, true) => 32.0,
            (true, false) | (false, true) => 1.5,
            (false, false) => 1.0,
        };
        let weight: f64 = near.iter().map(|other| pull(*other)).sum();
        let (wish, weight) = match weight > 0.0 {
            true => (
                near.iter().map(|o| across[*o] * pull(*o)).sum::<f64>() / weight,
                weight,
            ),
            false => (across[*place], 0.01),
        };
        blocks.push(((wish - offset) * weight, weight, 1));
        while let [.., (sum_a, weight_a, _), (sum_b, weight_b, _)] = blocks[..] {
            if sum_a / weight_a <= sum_b / weight_b {
                break;
            }
            let Some(last) = blocks.pop() else { break };
            if let Some(before) = blocks.last_mut() {
                *before = (before.0 + last.0, before.1 + last.1, before.2 + last.2);
            }
        }
    }
    let mut at = 0;
    for (sum, weight, count) in blocks {
        for _ in 0..count {
            across[places[at]] = sum / weight + offsets[at];
            at += 1;
        }
    }
}
