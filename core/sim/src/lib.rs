//! Conveyor's sim.
