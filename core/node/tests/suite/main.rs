//! The node's tests: an owner by hand, and a whole node with drivers in process.

#![allow(unreachable_pub, reason = "a test program has no public interface")]

mod backup;
mod chaos;
mod checkpoints;
mod groups;
mod harness;
mod lines;
mod node;
mod pages;
mod polled;
mod progress;
mod recovery;
mod resent;
mod retention;
mod schemas;
mod sessions;
mod snapshots;
mod support;
mod unkept;
