//! YAML 1.2, core schema, into [`Node`]s. The events are those of granit-parser, the parser below
//! serde-saphyr; they alone carry the position of every node and the written order of keys.

#![allow(clippy::result_large_err)] // one error ends the reading: its size is no cost

use super::Limits;
use super::node::{Content, Entry, Node, number, quote};
use super::report::Problem;
use super::scalar;
use crate::value::beyond;
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, Tag};
use std::borrow::Cow;
use std::collections::BTreeMap;

pub(super) fn read(text: &str, limits: &Limits) -> Result<Node, Problem> {
    // The parser's own limits on nesting stay above ours, so that ours is the one that is named.
    let options = granit_parser::options! {
        emit_comments: false,
        simple_key_max_lookahead: 8192,
        flow_nesting_limit: limits.depth + 8,
        block_nesting_limit: limits.depth + 8,
    };
    let mut builder = Builder {
        source: text,
        limits,
        stack: Vec::new(),
        root: None,
        anchors: BTreeMap::new(),
        nodes: 0,
        alias_nodes: 0,
        alias_bytes: 0,
    };
    let mut documents = 0;
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| {
            let at = error.marker().byte_offset().unwrap_or(0);
            if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
                return too_deep(limits.depth, at as u32);
            }
            Problem::new(at as u32, format!("invalid YAML: {}", error.info()))
        })?;
        let at = span.start.byte_offset().unwrap_or(0) as u32;
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
            if documents > 1 {
                let message = "a second document in one file; write each pipeline in its own file";
                return Err(Problem::new(at, message.to_owned()));
            }
        }
        builder.event(event, &span, at)?;
    }
    builder.root.ok_or_else(|| {
        Problem::new(0, "the document is empty".to_owned()).allowed("a pipeline document")
    })
}

pub(super) fn too_many(limit: &str, what: &str, most: usize, at: u32) -> Problem {
    Problem::new(
        at,
        format!(
            "the document has at least {} {what}; the limit `{limit}` is {most}",
            most + 1
        ),
    )
}

pub(super) fn too_deep(most: usize, at: u32) -> Problem {
    let message = format!(
        "lists and objects are nested at least {} deep; the limit `depth` is {most}",
        most + 1
    );
    Problem::new(at, message)
}

struct Frame {
    node: Node,
    anchor: usize,
    key: Option<(Box<str>, u32)>,
}

/// A node that aliases may repeat: itself, its values and its bytes of text.
struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
    depth: usize,
}

struct Builder<'a> {
    source: &'a str,
    limits: &'a Limits,
    stack: Vec<Frame>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Anchored>,
    nodes: usize,
    alias_nodes: usize,
    alias_bytes: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: &Span, at: u32) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = core_tag(tag.as_deref(), at)?;
                let is_key = self.expects_key();
                if is_key && style == ScalarStyle::Plain && &*text == "<<" {
                    let message = "merge keys (`<<`) are not part of YAML 1.2 and not supported";
                    return Err(Problem::new(at, message.to_owned())
                        .allowed("an alias for a whole value, or `spec.defaults`"));
                }
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let at = match block && !text.trim().is_empty() {
                    true => scalar::header(self.source, at as usize) as u32,
                    false => at,
                };
                let content = if is_key {
                    // Keys are names: `on`, `1` and `true` are what is written.
                    Content::Text(text.into())
                } else {
                    resolved(text, style, tag)
                };
                self.count(1, at)?;
                let node = Node { at, content };
                self.remember(anchor, &node, at)?;
                self.place(node, at)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open(Content::List(Vec::new()), anchor, tag.as_deref(), "seq", at)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.open(Content::Map(Vec::new()), anchor, tag.as_deref(), "map", at)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.stack.pop() else {
                    return Ok(());
                };
                let at = frame.node.at;
                self.remember(frame.anchor, &frame.node, at)?;
                self.place(frame.node, at)
            }
            Event::Alias(id) => {
                let Some(anchored) = self.anchors.get(&id) else {
                    // The parser resolves names; what is not finished yet contains itself.
                    return Err(Problem::new(
                        at,
                        "an alias inside its own anchor".to_owned(),
                    ));
                };
                let (node, nodes, bytes) = (anchored.node.clone(), anchored.nodes, anchored.bytes);
                if self.stack.len() + anchored.depth > self.limits.depth {
                    return Err(too_deep(self.limits.depth, at));
                }
                self.repeat(nodes, bytes, at)?;
                self.count(nodes, at)?;
                let _ = span;
                self.place(node, at)
            }
            Event::UnresolvedAlias(name) => Err(Problem::new(
                at,
                format!("no anchor {} before this alias", quote(&name)),
            )),
            _ => Ok(()),
        }
    }

    fn expects_key(&self) -> bool {
        self.stack.last().is_some_and(|frame| {
            matches!(frame.node.content, Content::Map(_)) && frame.key.is_none()
        })
    }

    fn count(&mut self, nodes: usize, at: u32) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > self.limits.nodes {
            return Err(too_many("nodes", "values", self.limits.nodes, at));
        }
        Ok(())
    }

    fn open(
        &mut self,
        content: Content,
        anchor: usize,
        tag: Option<&Tag>,
        suffix: &str,
        at: u32,
    ) -> Result<(), Problem> {
        if core_tag(tag, at)?.is_some_and(|given| given != suffix) {
            return Err(Problem::new(
                at,
                format!("this tag does not fit a `!!{suffix}`"),
            ));
        }
        self.count(1, at)?;
        if self.expects_key() {
            return Err(Problem::new(at, "a key must be a text".to_owned()));
        }
        if self.stack.len() >= self.limits.depth {
            return Err(too_deep(self.limits.depth, at));
        }
        self.stack.push(Frame {
            node: Node { at, content },
            anchor,
            key: None,
        });
        Ok(())
    }

    /// Counts what is there once more than it is written.
    fn repeat(&mut self, nodes: usize, bytes: usize, at: u32) -> Result<(), Problem> {
        self.alias_nodes += nodes;
        self.alias_bytes += bytes;
        for (limit, what, value, most) in [
            (
                "alias_nodes",
                "values repeated by aliases",
                self.alias_nodes,
                self.limits.alias_nodes,
            ),
            (
                "alias_bytes",
                "bytes repeated by aliases",
                self.alias_bytes,
                self.limits.alias_bytes,
            ),
        ] {
            if value > most {
                return Err(too_many(limit, what, most, at));
            }
        }
        Ok(())
    }

    fn remember(&mut self, anchor: usize, node: &Node, at: u32) -> Result<(), Problem> {
        if anchor == 0 {
            return Ok(());
        }
        let (nodes, bytes, depth) = measure(node);
        // The kept copy is memory too.
        self.repeat(nodes, 0, at)?;
        self.anchors.insert(
            anchor,
            Anchored {
                node: node.clone(),
                nodes,
                bytes,
                depth,
            },
        );
        Ok(())
    }

    fn place(&mut self, node: Node, at: u32) -> Result<(), Problem> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.node.content {
            Content::List(items) => items.push(node),
            Content::Map(entries) => match frame.key.take() {
                Some((key, at)) => entries.push(Entry {
                    key,
                    at,
                    value: node,
                }),
                None => match node.content {
                    Content::Text(key) => frame.key = Some((key, at)),
                    _ => return Err(Problem::new(at, "a key must be a text".to_owned())),
                },
            },
            _ => {}
        }
        Ok(())
    }
}

/// Values, bytes of text, and levels of a node.
fn measure(node: &Node) -> (usize, usize, usize) {
    let below = |total: (usize, usize, usize), (nodes, bytes, depth): (usize, usize, usize)| {
        (total.0 + nodes, total.1 + bytes, total.2.max(depth + 1))
    };
    match &node.content {
        Content::Text(text) => (1, text.len(), 0),
        Content::List(items) => items.iter().map(measure).fold((1, 0, 1), below),
        Content::Map(entries) => entries.iter().fold((1, 0, 1), |total, entry| {
            let (nodes, bytes, depth) = measure(&entry.value);
            below(total, (nodes, bytes + entry.key.len(), depth))
        }),
        _ => (1, 0, 0),
    }
}

fn core_tag(tag: Option<&Tag>, at: u32) -> Result<Option<&'static str>, Problem> {
    let Some(tag) = tag else { return Ok(None) };
    let text = tag.to_string();
    let known = ["str", "int", "float", "bool", "null", "map", "seq"];
    known
        .into_iter()
        .find(|name| text == format!("!!{name}") || text == format!("tag:yaml.org,2002:{name}"))
        .map(Some)
        .ok_or_else(|| {
            Problem::new(at, format!("the tag {} is not supported", quote(&text)))
                .allowed("!!str, !!int, !!float, !!bool, !!null, !!map, !!seq")
        })
}

fn resolved(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&'static str>) -> Content {
    let plain = style == ScalarStyle::Plain;
    if tag == Some("str") || (tag.is_none() && !plain) {
        return Content::Text(text.into());
    }
    let content = resolve(&text);
    let fits = match tag {
        None => true,
        Some("null") => matches!(content, Content::Null),
        Some("bool") => matches!(content, Content::Bool(_)),
        Some("int") => matches!(&content, Content::Number(number) if !number.is_f64()),
        Some("float") => matches!(content, Content::Number(_)),
        Some(_) => false,
    };
    match (fits, tag, content) {
        (_, _, refused @ Content::Refused(_)) => refused,
        (false, Some(tag), _) => {
            Content::Refused(format!("{} is not a `!!{tag}`", quote(&text)).into())
        }
        (_, _, content) => content,
    }
}

/// A plain scalar under the core schema (YAML 1.2.2, 10.3.2): `yes`, `on` and `0777` are not what
/// YAML 1.1 made of them.
fn resolve(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        ".nan" | ".NaN" | ".NAN" => not_json(text),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
            number_or_text(text)
        }
        _ => Content::Text(text.into()),
    }
}

fn not_json(text: &str) -> Content {
    Content::Refused(format!("{text} has no place in JSON; write it as a text").into())
}

fn number_or_text(text: &str) -> Content {
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_digit(radix))
        {
            return match i64::from_str_radix(digits, radix) {
                Ok(int) => Content::Number(int.into()),
                Err(_) => Content::Refused(beyond(text).into()),
            };
        }
    }
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(body, ".inf" | ".Inf" | ".INF") {
        return not_json(text);
    }
    if !is_decimal(body) {
        return Content::Text(text.into());
    }
    // The reader of numbers knows neither `+1` nor `.5` nor `1.`; integers may have leading zeros.
    number(text.strip_prefix('+').unwrap_or(text))
}

fn is_decimal(body: &str) -> bool {
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    exponent && digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty())
}
