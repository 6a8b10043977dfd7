//! The tables.

use bench::inprocess::Kind;
use bench::ratio::{Ratio, median};

use crate::Args;
use crate::cases::World;
use crate::run::Row;

/// A line for each case: median times, and ratios with their spread.
pub(crate) fn plain(args: &Args, world: World, rows: &[Row]) {
    let title = match world {
        World::Warm => "items",
        World::Cold => "items, uniform",
        World::Full => "items offered before",
    };
    println!("{} {title}", world.keys(args));
    for row in rows {
        let threads = if row.case.threads == 1 { "1 thread" } else { "2 threads" };
        print!("  {:<18}{threads:<10}memcore {:.0} ns", row.case.name, median(&row.own));
        for other in &row.others {
            let Some(ratio) = Ratio::of(&other.own, &other.numbers) else { continue };
            print!("; {} {:.0} ns: {ratio}", other.name, median(&other.numbers));
            if let Some(goal) = row.case.goal
                && goal.against == other.name
            {
                let met = if ratio.median <= goal.share { "met" } else { "MISSED" };
                print!(" [goal {}: {met}]", goal.share);
            }
        }
        println!();
    }
    println!();
}

/// The ratios as a table in markdown, without the yardsticks and without single latencies, which
/// only a machine that nobody else uses can tell.
pub(crate) fn markdown(args: &Args, rows: &[Row]) {
    let rivals = bench::inprocess::rivals();
    let names: Vec<&str> =
        rivals.iter().map(|rival| rival.name).filter(|name| name.contains(&args.beside)).collect();
    let head: Vec<String> = names.iter().map(|name| format!(" {} |", escaped(name))).collect();
    println!("| operation | threads | memcore, ns |{}", head.concat());
    println!("|---|---|---|{}", "---|".repeat(names.len()));
    for row in rows {
        let is_yardstick_only = row.others.iter().all(|other| !names.contains(&other.name));
        if row.case.kind == Kind::TimedMix || is_yardstick_only {
            continue;
        }
        print!("| {} | {} | {:.0} |", row.case.name, row.case.threads, median(&row.own));
        for name in &names {
            let column = row.others.iter().find(|other| other.name == *name);
            let ratio = column.and_then(|column| Ratio::of(&column.own, &column.numbers));
            match ratio {
                Some(ratio) => print!(" {:.2} |", ratio.median),
                None => print!(" - |"),
            }
        }
        println!();
    }
}

fn escaped(name: &str) -> String {
    if name.contains('<') { format!("`{name}`") } else { name.to_owned() }
}
