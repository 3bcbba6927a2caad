//! The type that an expression gives, as far as it is known before it is evaluated.

use super::ast::{LoopKind, Mode, Node};
use super::functions::{Function, Style};
use super::references::References;
use crate::value::Json;

/// The CEL type of whatever value a node gives; `None` where more than one is possible.
pub(super) fn type_of(
    node: &Node,
    references: &References,
    inputs: Option<&Json>,
) -> Option<&'static str> {
    let of = |node: &Node| type_of(node, references, inputs);
    match node {
        Node::Constant(value) => Some(value.type_name()),
        Node::Select {
            mode: Mode::Test, ..
        }
        | Node::Member {
            mode: Mode::Test, ..
        }
        | Node::And(_)
        | Node::Or(_) => Some("bool"),
        Node::List(_) => Some("list"),
        Node::Map(_) => Some("map"),
        Node::If(parts) => {
            let [_, yes, no] = &**parts;
            of(yes).filter(|yes| of(no) == Some(yes))
        }
        Node::Call {
            function,
            arguments,
        } => {
            let arguments: Vec<Option<&str>> = arguments.iter().map(of).collect();
            called(function, &arguments)
        }
        Node::Loop(each) => match each.kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Some("bool"),
            LoopKind::List | LoopKind::Sort => Some("list"),
            LoopKind::Map => Some("map"),
            LoopKind::Optional { .. } => Some("optional"),
        },
        Node::Select {
            mode: Mode::Optional,
            ..
        }
        | Node::Index { optional: true, .. } => Some("optional"),
        Node::Root(_) | Node::Select { .. } => declared(node, references, inputs?),
        Node::Member { .. } | Node::Local { .. } | Node::Index { .. } => None,
    }
}

/// What a function gives that takes these types.
fn called(function: &Function, arguments: &[Option<&'static str>]) -> Option<&'static str> {
    let first = arguments.first().copied().flatten();
    Some(match (function.name, function.style) {
        ("_+_", _) => return sum(arguments),
        ("_-_" | "_*_" | "_/_" | "_%_" | "-_", _) => return number(arguments),
        (
            "!_" | "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" | "@in" | "bool" | "hasValue"
            | "contains" | "startsWith" | "endsWith" | "matches" | "math.isNaN" | "math.isInf"
            | "math.isFinite",
            _,
        ) => "bool",
        ("size" | "int" | "indexOf" | "lastIndexOf", _) => "int",
        (
            "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getDayOfWeek"
            | "getDayOfYear" | "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds",
            Style::Member,
        ) => "int",
        (
            "string" | "base64.encode" | "charAt" | "join" | "lowerAscii" | "upperAscii" | "trim"
            | "replace" | "substring" | "format" | "strings.quote",
            _,
        ) => "string",
        ("uint", _) => "uint",
        ("double" | "math.sqrt", _) => "double",
        ("bytes" | "base64.decode", _) => "bytes",
        ("type", _) => "type",
        ("timestamp", Style::Global) => "timestamp",
        ("duration", Style::Global) => "duration",
        ("split" | "slice" | "flatten" | "distinct" | "sort" | "lists.range", _) => "list",
        ("optional.of" | "optional.ofNonZeroValue" | "optional.none" | "or", _) => "optional",
        ("reverse" | "dyn", _) => return first,
        _ => return None,
    })
}

/// `+` takes two of one type, and gives that; a time with a duration is a time.
fn sum(arguments: &[Option<&'static str>]) -> Option<&'static str> {
    let known = arguments.iter().flatten();
    let one = known
        .clone()
        .find(|name| !matches!(**name, "timestamp" | "duration"))?;
    Some(one)
}

/// As [`sum`], for what takes numbers alone. `-` of two times is a duration.
fn number(arguments: &[Option<&'static str>]) -> Option<&'static str> {
    let mut known = arguments.iter().flatten();
    known
        .find(|name| matches!(**name, "int" | "uint" | "double"))
        .copied()
}

/// What the schema of the inputs says of `inputs.x`: where it allows one type, and no other schema
/// is in play.
fn declared(node: &Node, references: &References, inputs: &Json) -> Option<&'static str> {
    let schema = schema_of(node, references, inputs)?;
    Some(match schema.get("type")?.as_str()? {
        "boolean" => "bool",
        "integer" => "int",
        "number" => "double",
        "string" => "string",
        "array" => "list",
        "object" => "map",
        "null" => "null",
        _ => return None,
    })
}

fn schema_of<'s>(node: &Node, references: &References, inputs: &'s Json) -> Option<&'s Json> {
    match node {
        Node::Root(index) => (&*references.roots[*index] == "inputs").then_some(inputs),
        Node::Select {
            operand,
            field,
            mode: Mode::Plain,
        } => schema_of(operand, references, inputs)?
            .get("properties")?
            .get(&**field),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::expr::{Condition, Template};
    use serde_json::json;

    #[test]
    fn a_type_is_known_where_every_value_has_it() {
        let inputs = json!({"properties": {
            "n": {"type": "integer"}, "b": {"type": "boolean"}, "s": {"type": "string"},
            "any": {}, "two": {"type": ["string", "null"]},
            "o": {"properties": {"r": {"type": "number"}}},
        }});
        for (source, expected) in [
            ("1 + inputs.any", Some("int")),
            ("inputs.any + 1", Some("int")),
            ("inputs.any + inputs.any", None),
            ("inputs.n", Some("int")),
            ("inputs.o.r * 2.0", Some("double")),
            ("inputs.two", None),
            ("inputs.b", None),
            ("inputs.b ? 1 : 2", Some("int")),
            ("inputs.b ? true : 2", None),
            ("inputs.any == 1 || inputs.any", None),
            ("inputs.s.matches('x')", None),
            ("inputs.s.split(',')", Some("list")),
            ("[inputs.any].exists(x, x)", None),
            ("[inputs.any].map(x, x)", Some("list")),
            ("steps.a.outputs.x", None),
            ("steps.a.outputs.?x", Some("optional")),
            ("steps.a.outputs.?x.orValue(false)", None),
            ("has(inputs.x)", None),
            ("size(inputs.any)", Some("int")),
            ("timestamp(inputs.any) + inputs.any", None),
            ("-inputs.any", None),
            ("'a' + string(inputs.n)", Some("string")),
        ] {
            let condition = Condition::parse(source).expect(source);
            assert_eq!(condition.not_boolean(Some(&inputs)), expected, "{source}");
        }
        let list = Template::parse(&json!("${{ inputs.n + 1 }}")).expect("a template");
        assert_eq!(list.whole_type(Some(&inputs)), Some("int"));
        let text = Template::parse(&json!("a ${{ inputs.n + 1 }}")).expect("a template");
        assert_eq!(text.whole_type(Some(&inputs)), None);
    }
}
