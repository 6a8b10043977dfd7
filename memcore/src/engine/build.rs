//! Turning settings into an engine: sizes of segments and tables, and the address space for them.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;

use crate::ConfigError;
use crate::config::Builder;
use crate::counters::Counters;
use crate::engine::{Engine, Settings};
use crate::index::{Index, LOC_MAX};
use crate::memory::region::{ON_DEMAND, Region, Source};
use crate::memory::sync::AtomicU32;
use crate::ops::read::CERTIFY_FROM;
use crate::space::Space;
use crate::space::layout::{HEADER_MAX, KEY_MAX, KEY_SHORT};
use crate::space::logs::logs_bytes;
use crate::space::pool::{Pool, RESERVE};
use crate::space::segments::{Loc, ROW_BYTES, Segments};
use crate::space::sizes::Sizes;
use crate::upkeep::score::Weights;
use crate::upkeep::state::Upkeep;

/// Number of segments that the limit is cut into, as far as their size permits.
const SEGMENTS: usize = 512;
/// Bytes of a segment, at least and at most; tiny for the model checker.
const SEGMENT_BYTES: (usize, usize) = if cfg!(loom) { (128, 128) } else { (8 << 10, 64 << 10) };
/// Below this limit a cache is small: its segments are 1/SEGMENTS_SMALL of the limit, and it has
/// one shard and one set of counters.
const SMALL: usize = if cfg!(loom) { 0 } else { 1 << 20 };
const SEGMENTS_SMALL: usize = 128;
/// Bytes of a segment of a small cache, at least: the longest header and short key lie in one
/// piece.
const SEGMENT_BYTES_SMALL: usize = 512;
const _: () = assert!(4 * HEADER_MAX + KEY_SHORT < SEGMENT_BYTES_SMALL);
/// Bytes of the limit for each shard of the index.
const SHARD_BYTES: usize = 2 << 20;
/// Shards, at least and at most.
const SHARDS: (usize, usize) = if cfg!(loom) { (1, 1) } else { (4, 256) };
/// Bytes of the limit for each shard where that makes more of them: a shard's stash is a list.
const SHARD_BYTES_MAX: usize = 256 << 20;
/// The fewest segments that a cache works with.
const SEGMENTS_MIN: usize = if cfg!(loom) { 4 } else { 48 };
/// Bytes that the smallest item and its slot take: no more items than that can exist.
const ITEM_MIN: usize = 20;
/// The least that the largest item may have: a header and a short key.
const ITEM_LEAST: usize = 16;
/// The largest item of all.
const ITEM_MAX: usize = 1 << 30;
/// Bytes that an address in the index can reach, and the machine can address.
const ADDRESSABLE: usize = {
    let (reach, machine) = (LOC_MAX * 4, isize::MAX as u64);
    (if reach < machine { reach } else { machine }) as usize
};
/// Words behind the last segment, so that a look at garbage stays within the memory: the longest
/// header and key, and as much of a value as is copied before it is certified.
const MARGIN: usize = 128 + CERTIFY_FROM / 4;
/// Unless told otherwise, a cache with this limit or more asks for huge pages: they take more than
/// is filled, which should not matter.
const HUGE_PAGES_FROM: usize = 64 << 20;
/// Unless told otherwise, a cache can grow to this many times its limit.
const GROWTH: usize = 4;

impl Engine {
    /// Builds the engine.
    pub(crate) fn build(builder: Builder) -> Result<Box<Self>, ConfigError> {
        let engine = match builder.memory_file.clone() {
            None => Self::build_empty(builder, &mut Source::System),
            Some(path) => Self::open(builder, &path),
        }?;
        engine.keep_flash_files();
        Ok(engine)
    }

    /// Builds an engine without items.
    // Not inlined, nor what it calls, and boxed: an engine is large, and threads may have small
    // stacks.
    #[inline(never)]
    pub(crate) fn build_empty(
        builder: Builder,
        source: &mut Source,
    ) -> Result<Box<Self>, ConfigError> {
        let sizes = Sizes::choose(&builder)?;
        let (most, limit) = (sizes.limit_most, builder.limit);
        let build = |sizes: Sizes, source: &mut Source| {
            source.rewind();
            let mut engine = Self::assemble(builder.clone(), sizes, source)?;
            engine.attach_flash(&builder, source)?;
            Ok(engine)
        };
        match build(sizes, source) {
            // A system that counts reservations may refuse room to grow, but not the limit itself.
            Err(ConfigError::System { .. }) if most > limit => {
                build(Sizes { limit_most: limit, ..sizes }, source)
            }
            result => result,
        }
    }

    /// An engine of these sizes. Its memory may hold items already; then what lies beside it has
    /// yet to be set.
    #[inline(never)]
    pub(crate) fn assemble(
        builder: Builder,
        sizes: Sizes,
        source: &mut Source,
    ) -> Result<Box<Self>, ConfigError> {
        // The standard library's hasher starts from the system's randomness.
        let seed = builder.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let parts = sizes.reserve(source).map_err(|error| system("address space", &error))?;
        let (memory, table, index) = parts;
        let upkeep = Upkeep::new(seed, &builder, builder.limit.saturating_sub(sizes.least()));
        let fixed = sizes.fixed() + upkeep.rivals.bytes();
        let pool = Pool::new(memory, table, sizes.segments(), builder.limit, fixed);
        let space = Space::new(pool, builder.pin_limit, builder.evictions);
        let settings = Settings {
            hit_worth: Weights::new(builder.evict_size_weight).hits(),
            max_item_size: builder.max_item_size,
            max_key_len: builder.max_key_len,
            evictions: builder.evictions,
            never: (!builder.evictions).then_some(0),
            limit_most: sizes.limit_most,
            limit_least: sizes.least() + upkeep.rivals.bytes(),
        };
        Ok(Box::new(Self::new(builder, settings, upkeep, seed, sizes, space, index)))
    }
}

impl Sizes {
    /// Those of an empty cache.
    ///
    /// # Errors
    /// There is no cache like this.
    pub(crate) fn choose(builder: &Builder) -> Result<Self, ConfigError> {
        let limit = builder.limit;
        let (least, most) = SEGMENT_BYTES;
        // A power of two: the segment of an address is found by a shift.
        let segment_bytes = match limit < SMALL {
            true => (limit / SEGMENTS_SMALL).clamp(SEGMENT_BYTES_SMALL, least),
            false => (limit / SEGMENTS).clamp(least, most),
        };
        let segment_bytes = 1 << segment_bytes.ilog2();
        let shards = (limit / SHARD_BYTES).clamp(SHARDS.0, SHARDS.1).max(limit / SHARD_BYTES_MAX);
        let shards = if limit < SMALL { 1 } else { 1 << shards.ilog2() };
        let wanted = builder.limit_most.unwrap_or_else(|| default_most(limit));
        // Segment 0 and the margin behind the last one must be addressable, too.
        let limit_most = wanted.max(limit).min(ADDRESSABLE - 2 * most);
        let huge_pages = builder.huge_pages.unwrap_or(limit >= HUGE_PAGES_FROM);
        let sizes = Self { limit_most, segment_bytes, shards, huge_pages };
        if limit < sizes.least() {
            return Err(ConfigError::LimitTooSmall { limit, least: sizes.least() });
        }
        if limit > limit_most {
            return Err(ConfigError::LimitTooLarge { limit, most: limit_most });
        }
        let most = (limit / 2).min(ITEM_MAX);
        if builder.max_item_size > most {
            return Err(ConfigError::ItemTooLarge { max: builder.max_item_size, most });
        }
        if builder.max_item_size < ITEM_LEAST {
            return Err(ConfigError::ItemTooSmall {
                max: builder.max_item_size,
                least: ITEM_LEAST,
            });
        }
        if builder.max_key_len == 0 {
            return Err(ConfigError::KeyTooShort);
        }
        if builder.max_key_len > KEY_MAX {
            return Err(ConfigError::KeyTooLong { max: builder.max_key_len, most: KEY_MAX });
        }
        Ok(sizes)
    }

    /// Segments for which there is address space, number 0 included.
    fn segments(&self) -> usize {
        self.limit_most / self.segment_bytes + 1
    }

    /// Bytes that are taken for good.
    fn fixed(&self) -> usize {
        Index::bytes_min(self.shards, self.words() as Loc, self.huge_pages) + self.overhead()
    }

    /// Whether they are those of a small cache.
    pub(crate) fn is_small(&self) -> bool {
        self.segment_bytes < SEGMENT_BYTES.0
    }

    /// Bytes that a cache takes besides index and segments.
    pub(crate) fn overhead(&self) -> usize {
        let small = self.is_small();
        Counters::bytes(small) + logs_bytes(small) + size_of::<Engine>()
    }

    /// The least limit that works.
    pub(crate) fn least(&self) -> usize {
        self.fixed() + (SEGMENTS_MIN + RESERVE) * (self.segment_bytes + ROW_BYTES)
    }

    /// Words of all segments.
    fn words(&self) -> usize {
        self.segments() * (self.segment_bytes / 4)
    }

    fn reserve(&self, source: &mut Source) -> io::Result<(Region<AtomicU32>, Segments, Index)> {
        let words = self.segment_bytes / 4;
        let memory = Region::reserve(self.words() + MARGIN, source)?;
        memory.advise_huge(self.huge_pages);
        let table = Segments::new(self.segments(), words.ilog2(), source)?;
        let (slots, end) = (self.limit_most / ITEM_MIN, self.words() as Loc);
        let index = Index::new(self.shards, slots, end, self.huge_pages, source)?;
        Ok((memory, table, index))
    }
}

/// How far a cache can grow by default. Where memory is not mapped on demand, not at all.
fn default_most(limit: usize) -> usize {
    if ON_DEMAND { limit.saturating_mul(GROWTH) } else { limit }
}

fn system(what: &'static str, error: &io::Error) -> ConfigError {
    ConfigError::System { what, reason: error.to_string() }
}
