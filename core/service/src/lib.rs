//! Conveyor's service.
