//! Stands in until the compiler of plans lands.
#![allow(missing_docs, clippy::unused_self)]
use super::{Plan, Step};
use crate::value::Json;
pub const MAX_INSTANCES: u32 = 10_000;
impl Plan {
    pub fn declare_inputs(&self, _: &mut Json) {}
}
impl Step {
    pub fn check_outputs(&self, _: &Json) -> Result<(), String> {
        Ok(())
    }
    pub fn declare_outputs(&self, _: &mut Json) {}
}
