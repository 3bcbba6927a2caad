//! What every store must do, as one function: [`suite`]. Backends call it from their own tests.
