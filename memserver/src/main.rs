//! The `memserver` binary.

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[global_allocator]
static HEAP: memserver::Heap = memserver::Heap;

fn main() -> ExitCode {
    memserver::main(std::env::args_os())
}
