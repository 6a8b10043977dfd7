//! What all streams of a run come to: how much was compared, and how much of it meant something.

use std::collections::BTreeMap;
use std::fmt;

use crate::compare::Verdict;
use crate::stream::Unit;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) streams: u64,
    sent: usize,
    compared: usize,
    errors: usize,
    counters: BTreeMap<&'static str, i64>,
    excused: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub(crate) fn add(&mut self, stream: &[Unit], verdict: &Verdict) {
        self.streams += 1;
        self.sent += stream.len();
        self.compared += verdict.compared;
        self.errors += verdict.errors;
        for &(name, count) in &verdict.counters {
            // A reset takes back what was counted before.
            *self.counters.entry(name).or_default() += count.max(0);
        }
        for excuse in &verdict.excused {
            *self.excused.entry(excuse.reason).or_default() += 1;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { streams, sent, compared, errors, .. } = self;
        writeln!(f, "{streams} streams, {compared} of {sent} requests compared, {errors} errors")?;
        for (name, count) in &self.counters {
            writeln!(f, "{count:9} {name}")?;
        }
        for (reason, count) in &self.excused {
            writeln!(f, "{count:9} excused {reason}")?;
        }
        Ok(())
    }
}
