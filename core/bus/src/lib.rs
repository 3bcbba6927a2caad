//! Conveyor's bus.
