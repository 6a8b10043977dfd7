//! The tests in the example: `cargo test` builds examples as programs.

#[path = "../examples/query_cache.rs"]
#[allow(dead_code, reason = "nothing calls its main here")]
mod query_cache;
