//! Conveyor's api.
