//! The functions that exist. `docs/expressions.md` lists them all; a test compares the two.

mod convert;
mod format;
mod lists;
mod math;
mod operators;
mod text;
mod times;

pub(crate) use lists::{claim, sorted};

use super::budget::Budget;
use super::error::Failure;
use super::value::Value;
use std::ops::RangeInclusive;

type Outcome<'a> = Result<Value<'a>, Failure>;

type Call = for<'a> fn(&Budget, &[Value<'a>]) -> Outcome<'a>;

/// A function, with the bounds that it keeps by itself.
pub(crate) struct Function {
    /// The name with its namespace; an operator's as the crate's parser has it.
    pub(crate) name: &'static str,
    pub(crate) style: Style,
    /// How many arguments it takes, the value before the dot not counted.
    pub(crate) arguments: RangeInclusive<usize>,
    pub(crate) call: Call,
    /// Whether the argument is evaluated only if the optional before the dot has no value.
    pub(crate) lazy: bool,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// How a function is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `f(x)`
    Global,
    /// `x.f()`
    Member,
}

impl Style {
    pub(crate) fn other(self) -> Style {
        match self {
            Style::Global => Style::Member,
            Style::Member => Style::Global,
        }
    }
}

/// What stands before a function's dot without being a value.
pub(crate) const NAMESPACES: [&str; 5] = ["math", "strings", "lists", "optional", "base64"];

const fn global(name: &'static str, arguments: RangeInclusive<usize>, call: Call) -> Function {
    Function {
        name,
        style: Style::Global,
        arguments,
        call,
        lazy: false,
    }
}

const fn member(name: &'static str, arguments: RangeInclusive<usize>, call: Call) -> Function {
    Function {
        name,
        style: Style::Member,
        arguments,
        call,
        lazy: false,
    }
}

const fn lazy(name: &'static str, call: Call) -> Function {
    Function {
        name,
        style: Style::Member,
        arguments: 1..=1,
        call,
        lazy: true,
    }
}

static TABLE: &[Function] = &[
    global("_+_", 2..=2, operators::add),
    global("_-_", 2..=2, operators::subtract),
    global("_*_", 2..=2, operators::multiply),
    global("_/_", 2..=2, operators::divide),
    global("_%_", 2..=2, operators::modulo),
    global("-_", 1..=1, operators::negate),
    global("!_", 1..=1, operators::not),
    global("_==_", 2..=2, operators::equal),
    global("_!=_", 2..=2, operators::not_equal),
    global("_<_", 2..=2, operators::less),
    global("_<=_", 2..=2, operators::less_equal),
    global("_>_", 2..=2, operators::greater),
    global("_>=_", 2..=2, operators::greater_equal),
    global("@in", 2..=2, operators::contained),
    global("size", 1..=1, convert::size),
    member("size", 0..=0, convert::size),
    global("bool", 1..=1, convert::bool),
    global("bytes", 1..=1, convert::bytes),
    global("double", 1..=1, convert::double),
    global("dyn", 1..=1, convert::dynamic),
    global("int", 1..=1, convert::int),
    global("string", 1..=1, convert::string),
    global("type", 1..=1, convert::type_of),
    global("uint", 1..=1, convert::uint),
    global("base64.encode", 1..=1, convert::base64_encode),
    global("base64.decode", 1..=1, convert::base64_decode),
    global("optional.of", 1..=1, convert::optional_of),
    global(
        "optional.ofNonZeroValue",
        1..=1,
        convert::optional_of_non_zero,
    ),
    global("optional.none", 0..=0, convert::optional_none),
    member("hasValue", 0..=0, convert::has_value),
    member("value", 0..=0, convert::value),
    lazy("or", convert::or),
    lazy("orValue", convert::or_value),
    member("contains", 1..=1, text::contains),
    member("startsWith", 1..=1, text::starts_with),
    member("endsWith", 1..=1, text::ends_with),
    member("matches", 1..=1, text::matches),
    global("matches", 2..=2, text::matches),
    member("charAt", 1..=1, text::char_at),
    member("indexOf", 1..=2, text::index_of),
    member("lastIndexOf", 1..=2, text::last_index_of),
    member("join", 0..=1, text::join),
    member("lowerAscii", 0..=0, text::lower_ascii),
    member("upperAscii", 0..=0, text::upper_ascii),
    member("trim", 0..=0, text::trim),
    member("replace", 2..=3, text::replace),
    member("split", 1..=2, text::split),
    member("substring", 1..=2, text::substring),
    member("format", 1..=1, format::format),
    global("strings.quote", 1..=1, text::quote),
    member("reverse", 0..=0, lists::reverse),
    member("slice", 2..=2, lists::slice),
    member("flatten", 0..=1, lists::flatten),
    member("distinct", 0..=0, lists::distinct),
    member("sort", 0..=0, lists::sort),
    global("lists.range", 1..=1, lists::range),
    global("math.abs", 1..=1, math::abs),
    global("math.ceil", 1..=1, math::ceil),
    global("math.floor", 1..=1, math::floor),
    global("math.round", 1..=1, math::round),
    global("math.trunc", 1..=1, math::trunc),
    global("math.sign", 1..=1, math::sign),
    global("math.sqrt", 1..=1, math::sqrt),
    global("math.isNaN", 1..=1, math::is_nan),
    global("math.isInf", 1..=1, math::is_inf),
    global("math.isFinite", 1..=1, math::is_finite),
    global("math.greatest", 1..=64, math::greatest),
    global("math.least", 1..=64, math::least),
    global("math.bitAnd", 2..=2, math::bit_and),
    global("math.bitOr", 2..=2, math::bit_or),
    global("math.bitXor", 2..=2, math::bit_xor),
    global("math.bitNot", 1..=1, math::bit_not),
    global("math.bitShiftLeft", 2..=2, math::shift_left),
    global("math.bitShiftRight", 2..=2, math::shift_right),
    global("timestamp", 1..=1, times::timestamp),
    global("duration", 1..=1, times::duration),
    member("getFullYear", 0..=1, times::full_year),
    member("getMonth", 0..=1, times::month),
    member("getDate", 0..=1, times::date),
    member("getDayOfMonth", 0..=1, times::day_of_month),
    member("getDayOfWeek", 0..=1, times::day_of_week),
    member("getDayOfYear", 0..=1, times::day_of_year),
    member("getHours", 0..=1, times::hours),
    member("getMinutes", 0..=1, times::minutes),
    member("getSeconds", 0..=1, times::seconds),
    member("getMilliseconds", 0..=1, times::milliseconds),
];

pub(crate) fn find(name: &str, style: Style) -> Option<&'static Function> {
    TABLE
        .iter()
        .find(|function| function.style == style && function.name == name)
}

/// The names that a person can write, in the table's order.
pub(crate) fn names(style: Style) -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .filter(move |function| function.style == style && !function.is_operator())
        .map(|function| function.name)
}

/// Why a function that people know from elsewhere is not here.
pub(crate) fn refused(name: &str) -> Option<&'static str> {
    match name {
        "now" | "time.now" | "rand" | "random" | "uuid" => {
            Some("an expression gives the same value whenever it is evaluated")
        }
        "env" | "getenv" | "file" | "hashFiles" => Some("an expression sees its roots only"),
        _ => None,
    }
}

impl Function {
    fn is_operator(&self) -> bool {
        !self.name.starts_with(|c: char| c.is_ascii_alphabetic())
    }

    /// The function as a person writes it.
    pub(crate) fn shown(&self) -> String {
        if self.name == "@in" {
            return "`in`".to_owned();
        }
        if self.is_operator() {
            return format!("`{}`", self.name.trim_matches('_'));
        }
        match self.style {
            Style::Global => format!("`{}()`", self.name),
            Style::Member => format!("`.{}()`", self.name),
        }
    }
}
