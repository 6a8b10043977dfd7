//! The `memserver` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    memserver::main(std::env::args_os())
}
