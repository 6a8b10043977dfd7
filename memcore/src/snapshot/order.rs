//! In which order items are written: by the score that decides about their eviction.

use crate::engine::Engine;
use crate::index::Position;
use crate::space::layout::State;
use crate::space::logs::Extent;
use crate::space::segments::{Loc, Stamp};
use crate::upkeep::evict::sample;
use crate::upkeep::policy::{Scores, Setting};

/// Parts of the cache, from the most valuable one on, each of which a walk over the index writes.
const PARTS: u8 = 8;
/// Places of the index whose items are looked at to find out which scores there are.
const SAMPLES: u32 = 512;
/// A use may be noted with a second that was read a little earlier.
const SLACK_SECS: i32 = 2;

/// Which part each item belongs to: one of [`PARTS`] by its score, or a last one.
///
/// What is stored or moved after this was made comes to where nothing was then, and belongs to the
/// last part. An item that stays where it is changes its score only when it is used, and whatever
/// was used since is written with the last part as well. So no item is missed because it got from a
/// part that is to come into one that was written.
pub(super) struct Order {
    /// By number.
    segments: Vec<Option<Known>>,
    scores: Scores,
    /// The lowest scores of all parts but the lowest one.
    bounds: [f32; PARTS as usize - 1],
    /// The second in which this was made.
    made: u32,
}

/// A segment as it was.
#[derive(Clone, Copy)]
struct Known {
    stamp: Stamp,
    end: Loc,
    setting: Setting,
}

impl Order {
    pub(super) fn new(engine: &Engine) -> Self {
        // All of them are read anyway.
        engine.verify_all();
        let made = engine.now();
        let extents = engine.space.extents();
        let (scores, settings) = engine.appraise(extents.iter().map(|extent| extent.id));
        let bound = extents.iter().map(|extent| extent.id as usize + 1).max();
        let mut segments = vec![None; bound.unwrap_or(0)];
        for (Extent { id, stamp, end }, setting) in extents.into_iter().zip(settings) {
            segments[id as usize] = Some(Known { stamp, end, setting });
        }
        let mut order = Self { segments, scores, bounds: Default::default(), made };
        order.find_bounds(engine);
        order
    }

    /// The parts in order.
    pub(super) fn parts() -> impl Iterator<Item = u8> {
        0..=PARTS
    }

    /// Whether a part is the last one.
    pub(super) fn is_last(part: u8) -> bool {
        part == PARTS
    }

    /// Whether an item at `loc`, whose shard is locked, is to be written with a part.
    pub(super) fn is_in(&self, engine: &Engine, loc: Loc, part: u8, now: u32) -> bool {
        let Some(score) = self.score_of(engine, loc) else { return part == PARTS };
        match part {
            PARTS => self.may_have_risen(engine.space.outline(loc).state, now),
            _ => part == self.part_of(score),
        }
    }

    /// Whether an item in this state may have been worth less when this was made.
    pub(super) fn may_have_risen(&self, state: State, now: u32) -> bool {
        let since = now.saturating_sub(self.made) as i32 + SLACK_SECS;
        state.is_hit() && state.idle(now) <= since
    }

    /// The part of a score.
    fn part_of(&self, score: f32) -> u8 {
        self.bounds.iter().take_while(|&&bound| score < bound).count() as u8
    }

    /// The score of an item that was where it is when this was made.
    fn score_of(&self, engine: &Engine, loc: Loc) -> Option<f32> {
        let table = engine.space.table();
        let id = table.segment_of(loc);
        let known = self.segments.get(id as usize).copied().flatten();
        let known = known.filter(|known| loc < known.end && known.stamp == table.stamp(id))?;
        let outline = engine.space.outline(loc);
        Some(self.scores.of(&known.setting, &sample(outline.state, outline.words * 4)))
    }

    /// Finds scores that divide the cache into parts of about as many bytes each.
    fn find_bounds(&mut self, engine: &Engine) {
        let mut found: Vec<(f32, usize)> = Vec::new();
        for n in 0..SAMPLES {
            let at = (n / engine.index.shards()).wrapping_mul(0x9e37_79b9);
            let position = Position { shard: n % engine.index.shards(), at };
            let lock = engine.index.lock(position);
            engine.index.visit_group(position, &lock, |_, loc| {
                let bytes = engine.space.outline(loc).words * 4;
                found.extend(self.score_of(engine, loc).map(|score| (score, bytes)));
            });
        }
        found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let all: usize = found.iter().map(|(_, bytes)| bytes).sum();
        let mut sum = 0;
        let mut bounds = self.bounds.iter_mut().zip(1..).peekable();
        for (score, bytes) in found {
            sum += bytes;
            while let Some((bound, _)) = bounds.next_if(|(_, n)| sum * PARTS as usize >= all * n) {
                *bound = score;
            }
        }
    }
}
