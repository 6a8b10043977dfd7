//! The `memserver` binary.

fn main() {}
