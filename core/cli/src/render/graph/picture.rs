//! The graph as a picture: own layout, no program of another's needed.

use super::layout::{Layout, layout};
use super::{Edge, EdgeKind, Graph, Node, NodeKind};
use crate::render::human::cut;
use crate::render::svg::{FAINT, INK, Picture, Rect, number, text_width};

const HEIGHT: f64 = 58.0;
const GAP: f64 = 26.0;
const MARGIN: f64 = 28.0;
const TOP: f64 = 84.0;
const ACCENT: &str = "#0969da";
const ALARM: &str = "#cf222e";
const EDGE: &str = "#8c959f";

/// Whether ranks go from left to right or from top to bottom.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Right,
    Down,
}

/// What is known when boxes and edges are drawn.
struct Drawing {
    direction: Direction,
    /// Width of every box.
    width: f64,
    /// Pixels between ranks.
    step: f64,
}

/// The graph as an SVG document.
pub(super) fn svg(graph: &Graph) -> String {
    let main = graph.nodes.iter().filter(|node| !node.finally).count();
    let widest = graph.nodes.iter().map(box_width).fold(150.0, f64::max);
    let width = widest.min(250.0);
    let right = layout(main, &graph.edges, HEIGHT, GAP);
    let down = layout(main, &graph.edges, width, GAP);
    // The way that comes nearest to a page of 3 : 2.
    let shape = |width: f64, height: f64| (width / height.max(1.0) / 1.5).ln().abs();
    let rightwards = shape(right.ranks as f64 * (width + 64.0), right.across);
    let downwards = shape(down.across, down.ranks as f64 * (HEIGHT + 44.0));
    let (drawing, layout) = if rightwards <= downwards {
        (
            Drawing {
                direction: Direction::Right,
                width,
                step: width + 64.0,
            },
            right,
        )
    } else {
        (
            Drawing {
                direction: Direction::Down,
                width,
                step: HEIGHT + 44.0,
            },
            down,
        )
    };
    draw(graph, main, &drawing, &layout)
}

fn box_width(node: &Node) -> f64 {
    let badges: f64 = node
        .badges
        .iter()
        .map(|badge| badge_width(badge) + 5.0)
        .sum();
    let note = text_width(&cut(&node.note, 30), 11.0);
    text_width(&cut(&node.id, 28), 13.0).max(note + if badges > 0.0 { badges + 8.0 } else { 0.0 })
        + 34.0
}

fn badge_width(badge: &str) -> f64 {
    text_width(badge, 9.5) + 10.0
}

fn draw(graph: &Graph, main: usize, drawing: &Drawing, layout: &Layout) -> String {
    let along = (layout.ranks as f64 - 1.0).max(0.0) * drawing.step;
    let (width, height) = match drawing.direction {
        Direction::Right => (along + drawing.width, layout.across),
        Direction::Down => (layout.across, along + HEIGHT),
    };
    let finally = &graph.nodes[main..];
    let columns = ((width.max(drawing.width * 2.0 + GAP) + GAP) / (drawing.width + GAP)).max(1.0);
    let columns = (columns as usize).min(finally.len().max(1));
    let band = finally.len().div_ceil(columns) as f64 * (HEIGHT + 14.0);
    let band = if finally.is_empty() { 0.0 } else { band + 46.0 };
    let band_width = columns as f64 * (drawing.width + GAP) - GAP;
    let title = text_width(&graph.title, 17.0).max(text_width(&graph.note, 11.5));
    let inner = width.max(title);
    let inner = if finally.is_empty() {
        inner
    } else {
        inner.max(band_width + 28.0)
    };
    let left = MARGIN + (inner - width).max(0.0) * 0.5;
    let mut picture = Picture::new(inner + 2.0 * MARGIN, TOP + height + band + MARGIN);
    picture.text(MARGIN, 36.0, 17.0, "600", INK, &graph.title);
    picture.text(MARGIN, 56.0, 11.5, "400", FAINT, &graph.note);
    markers(&mut picture);
    let centre = |(rank, across): (usize, f64)| match drawing.direction {
        Direction::Right => (
            left + rank as f64 * drawing.step + drawing.width / 2.0,
            TOP + across,
        ),
        Direction::Down => (
            left + across,
            TOP + rank as f64 * drawing.step + HEIGHT / 2.0,
        ),
    };
    // Edges first, those of the critical path last among them: boxes and it lie on top.
    let mut order: Vec<usize> = (0..graph.edges.len()).collect();
    order.sort_by_key(|index| graph.edges[*index].critical);
    for index in order {
        let points: Vec<_> = layout.routes[index]
            .iter()
            .map(|point| centre(*point))
            .collect();
        edge(&mut picture, graph.edges[index], &points, drawing);
    }
    for (node, point) in graph.nodes.iter().zip(&layout.nodes) {
        let (x, y) = centre(*point);
        node_box(
            &mut picture,
            node,
            x - drawing.width / 2.0,
            y - HEIGHT / 2.0,
            drawing.width,
        );
    }
    if !finally.is_empty() {
        let y = TOP + height + 24.0;
        picture.rect(&Rect {
            x: MARGIN,
            y,
            width: inner,
            height: band - 24.0 + 6.0,
            radius: 10.0,
            fill: "#f6f8fa",
            stroke: "#d0d7de",
            more: " stroke-dasharray=\"5 4\"",
            ..Rect::default()
        });
        picture.text(MARGIN + 14.0, y + 18.0, 11.0, "600", FAINT, "finally");
        for (index, node) in finally.iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let x = MARGIN + 14.0 + column as f64 * (drawing.width + GAP);
            let y = y + 28.0 + row as f64 * (HEIGHT + 14.0);
            node_box(&mut picture, node, x, y, drawing.width);
        }
    }
    picture.finish(&graph.title)
}

fn markers(picture: &mut Picture) {
    picture.raw("<defs>");
    for (id, fill) in [("ok", EDGE), ("critical", ACCENT), ("handles", ALARM)] {
        picture.raw(&format!(
            "<marker id=\"{id}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0.5 0.5 L7.5 4 L0.5 7.5 Z\" fill=\"{fill}\"/></marker>"
        ));
    }
    picture.raw("</defs>");
}

/// A smooth line through the points, leaving and entering boxes square.
fn edge(picture: &mut Picture, edge: Edge, points: &[(f64, f64)], drawing: &Drawing) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return;
    };
    let half = match drawing.direction {
        Direction::Right => drawing.width / 2.0,
        Direction::Down => HEIGHT / 2.0,
    };
    let shift = |(x, y): (f64, f64), by: f64| match drawing.direction {
        Direction::Right => (x + by, y),
        Direction::Down => (x, y + by),
    };
    // Lanes run straight past the boxes of their rank, and bend between ranks only.
    let mut stops = vec![shift(*first, half)];
    for point in &points[1..points.len() - 1] {
        stops.push(shift(*point, -half));
        stops.push(shift(*point, half));
    }
    stops.push(shift(*last, -half - 1.0));
    let pair = |(x, y): (f64, f64)| format!("{} {}", number(x), number(y));
    let mut path = format!("M{}", pair(stops[0]));
    for (index, ends) in stops.windows(2).enumerate() {
        let (from, to) = (ends[0], ends[1]);
        if index % 2 == 1 {
            path.push_str(&format!(" L{}", pair(to)));
            continue;
        }
        let reach = match drawing.direction {
            Direction::Right => (to.0 - from.0) / 2.0,
            Direction::Down => (to.1 - from.1) / 2.0,
        };
        let (a, b) = (pair(shift(from, reach)), pair(shift(to, -reach)));
        path.push_str(&format!(" C{a}, {b}, {}", pair(to)));
    }
    let (stroke, marker) = match (edge.kind, edge.critical) {
        (EdgeKind::Handles, _) => (ALARM, "handles"),
        (_, true) => (ACCENT, "critical"),
        (_, false) => (EDGE, "ok"),
    };
    let width = if edge.critical { 2.2 } else { 1.4 };
    let dash = if edge.kind == EdgeKind::Ok {
        ""
    } else {
        " stroke-dasharray=\"5 4\""
    };
    picture.raw(&format!(
        "<path d=\"{path}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{width}\"{dash} marker-end=\"url(#{marker})\"/>"
    ));
}

fn node_box(picture: &mut Picture, node: &Node, x: f64, y: f64, width: f64) {
    let (accent, fill) = match node.kind {
        NodeKind::Driver => ("#0969da", "#ffffff"),
        NodeKind::Transform => ("#8250df", "#fbf8ff"),
        NodeKind::Wait => ("#bf8700", "#fffbf0"),
    };
    let stroke = if node.critical { ACCENT } else { "#d0d7de" };
    let card = Rect {
        x,
        y,
        width,
        height: HEIGHT,
        radius: 8.0,
        fill,
        stroke,
        ..Rect::default()
    };
    if node.fan {
        // A stack of cards: there are several of it.
        for by in [8.0, 4.0] {
            picture.rect(&Rect {
                x: x + by,
                y: y + by,
                ..card
            });
        }
    }
    let more = if node.critical {
        " stroke-width=\"2\""
    } else {
        ""
    };
    picture.rect(&Rect {
        more,
        title: Some(&node.title),
        ..card
    });
    picture.rect(&Rect {
        x: x + 7.0,
        y: y + 11.0,
        width: 4.0,
        height: HEIGHT - 22.0,
        radius: 2.0,
        fill: accent,
        ..Rect::default()
    });
    let room = |size: f64, pixels: f64, text: &str| {
        let mut shown = text.to_owned();
        let mut length = text.chars().count();
        while text_width(&shown, size) > pixels && length > 1 {
            length -= 1;
            shown = cut(text, length);
        }
        shown
    };
    let id = room(13.0, width - 30.0, &node.id);
    picture.text(x + 19.0, y + 25.0, 13.0, "600", INK, &id);
    let mut end = x + width - 9.0;
    for badge in node.badges.iter().rev() {
        let size = badge_width(badge);
        if end - size < x + 60.0 {
            break;
        }
        end -= size;
        let rect = Rect {
            x: end,
            y: y + 34.0,
            width: size,
            height: 15.0,
            radius: 7.5,
            ..card
        };
        picture.rect(&Rect {
            fill: "#eaeef2",
            stroke: "none",
            ..rect
        });
        picture.text_middle(end + size / 2.0, y + 44.7, 9.5, "500", FAINT, badge);
        end -= 5.0;
    }
    let note = room(11.0, end - x - 22.0, &node.note);
    picture.text(x + 19.0, y + 45.0, 11.0, "400", FAINT, &note);
}
