//! The search for stalls in process: a table on standard output, and the longest operations with
//! their causes.

use std::hint::black_box;
use std::process::ExitCode;

use argh::FromArgs;
use bench::stalls::{Scenario, Size, Stall, Times, run};

/// Reports the longest operations of the cache in process, and what they did.
#[derive(Debug, FromArgs)]
struct Args {
    /// limits of the cache in MiB (default 64 and 1024)
    #[argh(option)]
    mib: Vec<usize>,
    /// threads that use the cache (default 1 and 2)
    #[argh(option)]
    threads: Vec<usize>,
    /// operations of all scenarios together, for each limit and number of threads (default
    /// 100000000)
    #[argh(option, default = "100_000_000")]
    operations: u64,
    /// memory in MiB to touch and give back at the beginning: memory that a virtual machine
    /// has yet to get from its host costs ten times as much (default 0)
    #[argh(option, default = "0")]
    warm: usize,
    /// let the cache do without huge pages
    #[argh(switch)]
    no_huge_pages: bool,
    /// only this scenario
    #[argh(option)]
    scenario: Option<String>,
}

fn main() -> ExitCode {
    let args: Args = argh::from_env();
    let scenarios: Vec<Scenario> = Scenario::ALL
        .into_iter()
        .filter(|scenario| args.scenario.as_deref().is_none_or(|name| name == scenario.name()))
        .collect();
    let or = |given: &[usize], default: [usize; 2]| match given {
        [] => default.to_vec(),
        given => given.to_vec(),
    };
    let (limits, threads) = (or(&args.mib, [64, 1024]), or(&args.threads, [1, 2]));
    if scenarios.is_empty() || limits.contains(&0) || threads.contains(&0) || args.operations == 0 {
        eprintln!("stalls: no such scenario, or a number that is zero");
        return ExitCode::from(2);
    }
    let huge_pages = !args.no_huge_pages;
    black_box(vec![1_u8; args.warm << 20]);
    for &mib in &limits {
        for &threads in &threads {
            println!("{mib} MiB, threads: {threads}");
            println!("{HEAD}");
            for &scenario in &scenarios {
                let operations = args.operations / scenarios.len() as u64;
                let outcome =
                    run(scenario, Size { limit: mib << 20, threads, operations, huge_pages });
                print(scenario.name(), &outcome.users);
                print("  maintain", &outcome.host);
            }
        }
    }
    ExitCode::SUCCESS
}

const HEAD: &str =
    "                operations   p50 ns   p99 ns p99.9 ns   x p99 | longest, us: wall, cpu";

fn print(name: &str, times: &Times) {
    let (wall, cpu) = (times.wall(), times.cpu());
    let (p99, p999) = (cpu.quantile(0.99), cpu.quantile(0.999));
    println!(
        "{name:<12}{:>14}{:>9}{p99:>9}{p999:>9}{:>8.1} |{:>10}{:>10}",
        wall.total(),
        cpu.quantile(0.5),
        p999 as f64 / p99 as f64,
        wall.max() / 1000,
        cpu.max() / 1000,
    );
    times.worst.iter().chain(&times.waited).for_each(print_cause);
}

fn print_cause(stall: &Stall) {
    let Stall { op, wall_ns, cpu_ns, faults, waits, preempted, work } = stall;
    let mut causes = String::new();
    for (name, count) in [
        ("times waited", *waits),
        ("times preempted", *preempted),
        ("pages of the kernel", *faults),
        ("groups of the index moved", work.groups_moved),
        ("resizes begun", work.resizes),
        ("segments opened", work.opened),
        ("victims", work.victims),
        ("items weighed", work.weighed),
        ("rows", work.rows),
        ("items of victims", work.disposed),
        ("items swept", work.swept),
        ("releases", work.releases),
    ] {
        if count > 0 {
            causes.push_str(&format!(", {count} {name}"));
        }
    }
    if causes.is_empty() {
        causes.push_str(", nothing was done");
    }
    let (cpu, wall) = (cpu_ns / 1000, wall_ns / 1000);
    println!("      {op:?}: {cpu} us of processor time, {wall} us of the wall's{causes}");
}
