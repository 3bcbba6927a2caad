//! The real program, by its real command line.

mod check;
mod help;
mod plan;
mod program;
mod test_cases;
