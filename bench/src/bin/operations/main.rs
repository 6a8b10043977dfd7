//! The cost of one operation: of the cache in process, of typed caches, and of the server from
//! socket to reply, for each protocol.
//!
//! Without arguments it prints nanoseconds. `bench/instructions.sh` counts instructions, which
//! repeat on any machine: it lists the cases (`--list`) and runs them one by one (`CASE COUNT`).

mod local;
mod typed;
mod wire;

use std::time::Instant;

/// Operations per timed round.
const ROUND: usize = 100_000;
/// Timed rounds. The fastest counts, because the others were disturbed.
const ROUNDS: usize = 10;

/// A case that is ready to run: performs at least the given number of operations.
type Run = Box<dyn FnMut(usize)>;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        [] => names().for_each(|name| println!("{name:<24} {:>9.1} ns", fastest(&mut open(name)))),
        ["--list"] => names().for_each(|name| println!("{name}")),
        [name, count] => open(name)(count.parse().expect("a number of operations")),
        _ => panic!("usage: [--list | CASE COUNT]"),
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    let local = local::CASES.iter().map(|case| case.name);
    let typed = typed::CASES.iter().map(|case| case.name);
    local.chain(typed).chain(wire::CASES.iter().map(|case| case.name))
}

/// Brings the case into its steady state.
fn open(name: &str) -> Run {
    if let Some(case) = local::CASES.iter().find(|case| case.name == name) {
        return case.open();
    }
    if let Some(case) = typed::CASES.iter().find(|case| case.name == name) {
        return (case.open)();
    }
    let case = wire::CASES.iter().find(|case| case.name == name);
    case.unwrap_or_else(|| panic!("no case {name}")).open()
}

fn fastest(run: &mut Run) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        run(ROUND);
        start.elapsed()
    });
    rounds.min().unwrap_or_default().as_secs_f64() * 1e9 / ROUND as f64
}
