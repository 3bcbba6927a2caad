//! SEMANTICS.md, rule by rule, and its table of examples.

mod attempts;
mod bounds;
mod data;
mod examples;
mod fan;
mod fork;
mod lives;
mod order;
mod stopping;
