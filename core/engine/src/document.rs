//! Pipeline documents: YAML and JSON, with exact positions.
