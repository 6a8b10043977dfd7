//! Programs that use the public interface of the crates; each is one file in `examples/examples`.
//! The program of the README is tested here.
#![doc = include_str!("../../README.md")]
