//! Two servers, one stream: where they first differ, and whether that is excused.

use crate::excuse::{self, Excuse};
use crate::play::{End, Played};
use crate::stream::Unit;

/// What comes of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// What is wrong.
    pub(crate) difference: Option<Difference>,
    /// Units that were compared.
    pub(crate) compared: usize,
    /// Those of them that we have refused.
    pub(crate) errors: usize,
    /// What we have counted, also for what was not compared.
    pub(crate) counters: Vec<(&'static str, i64)>,
    /// What was right on purpose.
    pub(crate) excused: Vec<&'static Excuse>,
}

/// Where two servers differ without excuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// In what this unit is answered.
    Reply(usize),
    /// In what they have counted in the end.
    Counter(&'static str),
}

/// Compares `ours` with `theirs`; differences between versions and on purpose are excused only if
/// the other server is `foreign`.
pub(crate) fn compare(stream: &[Unit], ours: &Played, theirs: &Played, foreign: bool) -> Verdict {
    let mut verdict = Verdict { counters: ours.counters.clone(), ..Verdict::default() };
    let ends = ours.replies.iter().any(|reply| reply.end == End::Closed)
        || stream.iter().any(excuse::overflows);
    let replies = ours.replies.iter().zip(&theirs.replies);
    for (number, (mine, other)) in replies.enumerate() {
        verdict.compared += 1;
        verdict.errors += usize::from(mine.is_error(stream[number].protocol));
        if mine.pieces == other.pieces && mine.end == other.end {
            continue;
        }
        // Who is mute has yet to answer.
        let start = (0..number).rev().take_while(|at| ours.replies[*at].end == End::Mute).last();
        let mut units = start.unwrap_or(number)..=number;
        let excuse =
            units.find_map(|at| excuse::find(&stream[at], mine, other, ends, &stream[..at]));
        let excuse = excuse.filter(|_| foreign);
        let Some(excuse) = excuse else {
            verdict.difference = Some(Difference::Reply(number));
            return verdict;
        };
        verdict.excused.push(excuse);
        if excuse.diverges || mine.end != other.end {
            return verdict;
        }
    }
    if verdict.excused.is_empty() {
        let mut counters = ours.counters.iter().zip(&theirs.counters);
        // A sweep may have been there first: then what has expired is just missing.
        let unsure = |name| name == "get_expired" || foreign && excuse::COUNTERS.contains(&name);
        let differs = counters.find(|(mine, other)| mine != other && !unsure(mine.0));
        verdict.difference = differs.map(|(mine, _)| Difference::Counter(mine.0));
    }
    verdict
}
