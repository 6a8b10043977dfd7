//! Copying items from a source to a sink: rate, progress, and counts of what happened to them.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use memcore::snapshot::Entry;

/// Time between two looks at the progress.
const SHOWN: Duration = Duration::from_millis(500);

/// Where items come from.
pub(super) trait Source {
    /// Hands the next few items to `to`; false if there are no more.
    fn batch(&mut self, to: &mut impl Sink, tally: &mut Tally) -> io::Result<bool>;

    /// What was handed over has arrived, and need not be read again.
    fn arrived(&mut self) -> io::Result<()>;

    /// How much was read, and of how much, if that is known.
    fn position(&self) -> Option<(u64, u64)>;
}

/// Where items go.
pub(super) trait Sink {
    /// Begins an item; false if it does not want the item's value.
    fn item(&mut self, entry: &Entry, tally: &mut Tally) -> io::Result<bool>;

    /// The next bytes of its value.
    fn value(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The value is complete.
    fn end(&mut self) -> io::Result<()>;

    /// Waits until all items so far have arrived; false if no more are wanted.
    fn settle(&mut self, tally: &mut Tally) -> io::Result<bool>;
}

/// What became of items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) copied: u64,
    pub(super) bytes: u64,
    /// They were gone or had ended before they were read.
    pub(super) gone: u64,
    /// The target has their keys.
    pub(super) present: u64,
    /// They were declared out of date, or stand for a value that is being made.
    pub(super) outdated: u64,
    /// The target does not take them.
    pub(super) refused: u64,
    /// The copy ended because the target evicts.
    pub(super) full: bool,
}

impl Tally {
    fn seen(&self) -> u64 {
        self.copied + self.gone + self.present + self.outdated + self.refused
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items, {} bytes of values", self.copied, self.bytes)?;
        for (count, what) in [
            (self.present, "there already"),
            (self.gone, "gone or expired"),
            (self.outdated, "out of date"),
            (self.refused, "refused"),
        ] {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// Copies everything, at most `rate` items a second, and shows on a terminal how far it is.
pub(super) fn copy(
    from: &mut impl Source,
    to: &mut impl Sink,
    rate: Option<u32>,
) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let mut progress = Progress::new();
    let mut more = true;
    while more {
        more = from.batch(to, &mut tally)?;
        let wants_more = to.settle(&mut tally)?;
        from.arrived()?;
        if !wants_more && more {
            tally.full = true;
            break;
        }
        progress.pace(&tally, rate);
        progress.show(&tally, from.position());
    }
    progress.clear();
    Ok(tally)
}

/// The time that a copy takes, and the line that shows its progress.
struct Progress {
    start: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { start: Instant::now(), shown: None, is_terminal: io::stderr().is_terminal() }
    }

    /// Waits until `rate` allows the items so far.
    fn pace(&self, tally: &Tally, rate: Option<u32>) {
        let Some(rate) = rate else { return };
        let due = Duration::from_secs_f64(tally.seen() as f64 / f64::from(rate));
        thread::sleep(due.saturating_sub(self.start.elapsed()));
    }

    fn show(&mut self, tally: &Tally, position: Option<(u64, u64)>) {
        if !self.is_terminal || self.shown.is_some_and(|shown| shown.elapsed() < SHOWN) {
            return;
        }
        self.shown = Some(Instant::now());
        let speed = tally.seen() as f64 / self.start.elapsed().as_secs_f64().max(1e-3);
        let part = position.filter(|(_, all)| *all > 0).map_or(String::new(), |(done, all)| {
            format!("{:5.1}%  ", done as f64 * 100.0 / all as f64)
        });
        // Without a standard error there is nobody to tell.
        let _ = write!(io::stderr(), "\r\x1b[K{part}{tally}, {speed:.0}/s");
    }

    fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
