//! The driver as a node uses it: tasks in, log lines and outcomes out, and no process left behind.

mod cancel;
mod input;
mod logs;
mod orphans;
mod outputs;
mod program;
mod support;
