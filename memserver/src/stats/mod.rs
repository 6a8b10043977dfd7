//! What `stats` reports, as names and values; which protocol carries them is not known here.

mod classes;
mod cpu;
mod general;
mod settings;

use std::fmt::Display;
use std::io::Write;

use crate::shared::Shared;

/// How a request for statistics ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// All names and values were reported.
    Listed,
    /// The counters start anew.
    Reset,
    /// There is no such section.
    Unknown,
}

/// Takes one name and value.
pub(crate) type Sink<'s> = dyn FnMut(&[u8], &[u8]) + 's;

/// Reports one section; an empty one is the general one.
pub(crate) fn report(shared: &Shared, section: &[u8], sink: &mut Sink<'_>) -> Answer {
    let mut list = List { sink, value: Vec::new() };
    match section {
        b"" => general::report(shared, &mut list),
        b"settings" => settings::report(shared, &mut list),
        b"items" => classes::items(&shared.cache.stats(), &mut list),
        b"slabs" => classes::slabs(&shared.cache.stats(), &mut list),
        b"reset" => {
            shared.reset_counts();
            return Answer::Reset;
        }
        _ => return Answer::Unknown,
    }
    Answer::Listed
}

/// A list of statistics under way.
struct List<'l, 's> {
    sink: &'l mut Sink<'s>,
    value: Vec<u8>,
}

impl List<'_, '_> {
    /// Adds one line.
    fn add(&mut self, name: impl AsRef<[u8]>, value: impl Display) {
        self.value.clear();
        // Writing to a vector can't fail.
        let _ = write!(self.value, "{value}");
        (self.sink)(name.as_ref(), &self.value);
    }

    /// Adds lines for things that this server does not have.
    fn zeros(&mut self, names: &[&str]) {
        for name in names {
            self.add(name, 0);
        }
    }
}
