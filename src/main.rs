//! The `pictor` binary.
fn main() {}
