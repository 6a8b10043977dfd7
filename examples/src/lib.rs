//! Programs that use the crates as a stranger would; each is one file in `examples/examples`.
//! The README's program is tested here.
#![doc = include_str!("../../README.md")]
