//! What an item takes beyond key and value, by the memory of a process that holds many.

use std::error::Error;
use std::process::Command;
use std::{env, process};

use bench::inprocess::{Candidate, KEY_SIZE, Needs, VALUE_SIZE, fill, own, rivals};
use bench::process::memory;

use crate::Args;

/// Starts a process for each cache, as memory that is given back may stay with the process.
pub(crate) fn count_all(args: &Args) -> Result<(), Box<dyn Error>> {
    println!("bytes of an item beyond a key of {KEY_SIZE} and a value of {VALUE_SIZE}");
    for candidate in candidates() {
        let mut one = Command::new(env::current_exe()?);
        one.args(["--bytes-of", candidate.name, "--items", &args.items.to_string()]);
        if !one.status()?.success() {
            return Err(format!("{} can't be measured", candidate.name).into());
        }
    }
    Ok(())
}

/// Fills one cache and says what memory it takes.
pub(crate) fn count(args: &Args, name: &str) -> Result<(), Box<dyn Error>> {
    let candidate = candidates().find(|candidate| candidate.name == name);
    let candidate = candidate.ok_or("no such cache in this build")?;
    let before = memory(process::id())?.resident;
    let engine = candidate.build(Needs::Items(args.items));
    fill(&*engine, args.items);
    let after = memory(process::id())?.resident;
    let bytes = after.saturating_sub(before) as f64 / f64::from(args.items);
    println!("  {name:<16} {:>6.1}", bytes - (KEY_SIZE + VALUE_SIZE) as f64);
    drop(engine);
    Ok(())
}

/// Without huge pages, of which the last one is not full.
fn candidates() -> impl Iterator<Item = Candidate> {
    [own(false)].into_iter().chain(rivals())
}
