//! The graph in notations that other programs draw.

use super::{EdgeKind, Graph, Node, NodeKind};
use crate::render::human;
use std::fmt::Write;

/// A Mermaid flowchart.
pub(crate) fn mermaid(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    let line = |text: &mut String, index: usize, node: &Node, indent: &str| {
        let (open, close) = match node.kind {
            NodeKind::Driver if node.fan => ("[[", "]]"),
            NodeKind::Driver => ("[", "]"),
            NodeKind::Transform => ("{{", "}}"),
            NodeKind::Wait => ("([", "])"),
        };
        let label = label(node, "<br/>", mermaid_escape);
        let _ = writeln!(text, "{indent}s{index}{open}\"{label}\"{close}");
    };
    for (index, node) in graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| !node.finally)
    {
        line(&mut text, index, node, "  ");
    }
    if graph.nodes.iter().any(|node| node.finally) {
        text.push_str("  subgraph finally\n");
        for (index, node) in graph
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.finally)
        {
            line(&mut text, index, node, "    ");
        }
        text.push_str("  end\n");
    }
    for edge in &graph.edges {
        let arrow = match edge.kind {
            EdgeKind::Ok if edge.critical => "==>",
            EdgeKind::Ok => "-->",
            EdgeKind::Rule => "-.->|rule|",
            EdgeKind::Handles => "-.->|handles|",
        };
        let _ = writeln!(text, "  s{} {arrow} s{}", edge.from, edge.to);
    }
    let critical = graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.critical);
    let critical: Vec<_> = critical.map(|(index, _)| format!("s{index}")).collect();
    if !critical.is_empty() {
        text.push_str("  classDef critical stroke:#0969da,stroke-width:2px\n");
        let _ = writeln!(text, "  class {} critical", critical.join(","));
    }
    text
}

/// A Graphviz digraph.
pub(crate) fn dot(graph: &Graph) -> String {
    let mut text = String::from("digraph pipeline {\n");
    let _ = writeln!(
        text,
        "  label=\"{}\"; labelloc=t; rankdir=LR;",
        dot_escape(&graph.title)
    );
    text.push_str("  node [shape=box style=rounded fontname=\"Helvetica\" fontsize=11];\n");
    text.push_str("  edge [color=\"#8c959f\" fontname=\"Helvetica\" fontsize=9];\n");
    let line = |text: &mut String, node: &Node, indent: &str| {
        let mut more = String::new();
        match node.kind {
            NodeKind::Driver => {}
            NodeKind::Transform => more.push_str(" shape=hexagon style=\"\""),
            NodeKind::Wait => more.push_str(" shape=ellipse style=\"\""),
        }
        if node.fan {
            more.push_str(" peripheries=2");
        }
        if node.critical {
            more.push_str(" color=\"#0969da\" penwidth=2");
        }
        let label = label(node, "\\n", dot_escape);
        let _ = writeln!(
            text,
            "{indent}\"{}\" [label=\"{label}\"{more}];",
            dot_escape(&node.id)
        );
    };
    for node in graph.nodes.iter().filter(|node| !node.finally) {
        line(&mut text, node, "  ");
    }
    if graph.nodes.iter().any(|node| node.finally) {
        text.push_str("  subgraph cluster_finally {\n    label=\"finally\"; style=dashed;\n");
        for node in graph.nodes.iter().filter(|node| node.finally) {
            line(&mut text, node, "    ");
        }
        text.push_str("  }\n");
    }
    for edge in &graph.edges {
        let more = match edge.kind {
            EdgeKind::Ok if edge.critical => " [color=\"#0969da\" penwidth=2]",
            EdgeKind::Ok => "",
            EdgeKind::Rule => " [style=dashed label=\"rule\"]",
            EdgeKind::Handles => " [style=dashed color=\"#cf222e\" label=\"handles\"]",
        };
        let (from, to) = (&graph.nodes[edge.from].id, &graph.nodes[edge.to].id);
        let _ = writeln!(
            text,
            "  \"{}\" -> \"{}\"{more};",
            dot_escape(from),
            dot_escape(to)
        );
    }
    text.push_str("}\n");
    text
}

fn label(node: &Node, feed: &str, escape: fn(&str) -> String) -> String {
    let mut lines = vec![escape(&node.id)];
    lines.extend((!node.note.is_empty()).then(|| escape(&node.note)));
    lines.extend((!node.badges.is_empty()).then(|| escape(&node.badges.join(" · "))));
    lines.join(feed)
}

fn mermaid_escape(text: &str) -> String {
    let text = human::printable(text)
        .replace('&', "&amp;")
        .replace('#', "#35;");
    text.replace('"', "#quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn dot_escape(text: &str) -> String {
    human::printable(text)
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
}
