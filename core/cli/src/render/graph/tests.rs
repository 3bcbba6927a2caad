use super::layout::layout;
use super::ranks::rank;
use super::*;

fn edge(from: usize, to: usize) -> Edge {
    Edge {
        from,
        to,
        kind: EdgeKind::Ok,
        critical: false,
    }
}

fn node(id: &str) -> Node {
    Node {
        id: id.to_owned(),
        note: "exec".to_owned(),
        ..Node::default()
    }
}

#[test]
fn every_edge_leads_to_a_later_rank_and_passes_each_between() {
    let edges = [edge(0, 1), edge(1, 2), edge(0, 2), edge(2, 3), edge(0, 3)];
    let ranks = rank(4, &edges);
    assert_eq!(ranks.ranks.len(), 4);
    assert_eq!(ranks.routes[4].len(), 4, "0 → 3 passes ranks 1 and 2");
}

#[test]
fn a_crossing_that_need_not_be_is_undone() {
    // Two parents, two children, crossed as listed.
    let ranks = rank(4, &[edge(0, 3), edge(1, 2)]);
    assert_eq!(ranks.count_crossings(), 0, "{:?}", ranks.ranks);
    // All to all cannot be drawn without: 1 of 2 × 2.
    let ranks = rank(4, &[edge(0, 2), edge(0, 3), edge(1, 2), edge(1, 3)]);
    assert_eq!(ranks.count_crossings(), 1);
}

#[test]
fn boxes_of_a_rank_never_touch() {
    let mut edges: Vec<_> = (1..8).map(|to| edge(0, to)).collect();
    edges.extend((1..8).map(|from| edge(from, 8)));
    edges.push(edge(0, 8));
    let layout = layout(9, &edges, 50.0, 10.0);
    let mut middle: Vec<_> = layout
        .nodes
        .iter()
        .filter(|(rank, _)| *rank == 1)
        .map(|(_, across)| *across)
        .collect();
    middle.sort_by(f64::total_cmp);
    assert_eq!(middle.len(), 7);
    for pair in middle.windows(2) {
        assert!(pair[1] - pair[0] >= 59.99, "{middle:?}");
    }
    // A fan is drawn around the line from its root to its join.
    assert!(
        (layout.nodes[0].1 - layout.nodes[8].1).abs() < 40.0,
        "{:?}",
        layout.nodes
    );
}

#[test]
fn notations_tell_rules_handlers_and_finally() {
    let mut graph = Graph {
        title: "a \"b\"".to_owned(),
        nodes: vec![node("deploy"), node("roll-back"), node("notify")],
        edges: vec![Edge {
            kind: EdgeKind::Handles,
            ..edge(0, 1)
        }],
        ..Graph::default()
    };
    graph.nodes[2].finally = true;
    let text = mermaid(&graph);
    assert!(text.contains("s0 -.->|handles| s1"), "{text}");
    assert!(
        text.contains("subgraph finally\n    s2[\"notify<br/>exec\"]"),
        "{text}"
    );
    let text = dot(&graph);
    assert!(text.contains("label=\"a \\\"b\\\"\""), "{text}");
    assert!(
        text.contains("\"deploy\" -> \"roll-back\" [style=dashed"),
        "{text}"
    );
    assert!(text.contains("subgraph cluster_finally"), "{text}");
}

#[test]
fn a_thousand_steps_are_drawn_and_all_of_them() {
    let nodes: Vec<_> = (0..1000).map(|index| node(&format!("s{index}"))).collect();
    let edges: Vec<_> = (10..1000)
        .flat_map(|to| {
            [
                edge(to - 10, to),
                edge((to * 7919) % (to - to % 10).max(1), to),
            ]
        })
        .filter(|edge| edge.from < edge.to)
        .collect();
    let graph = Graph {
        nodes,
        edges,
        ..Graph::default()
    };
    let text = svg(&graph).expect("few enough");
    assert_eq!(text.matches("font-size=\"13\"").count(), 1000);
    assert!(!text.contains("NaN") && !text.contains("inf"));
}
