//! What people see: pure functions from views to text and pictures.
