//! A cache whose memory lies in a file, and which goes on where it was closed.
//!
//! ```text
//!   file   [ superblock ][ segment table ][ segments ][ index ] [ state ]
//! ```
//!
//! While a cache is open its superblock says so, and its file is of no use to anybody else: after a
//! crash nobody knows what is whole. Closing brings everything to rest, writes down what is not in
//! the regions, with checksums of what is, and only then marks the file as closed.

mod front;
pub(crate) mod state;
pub(crate) mod sums;
mod superblock;
mod verify;

use std::path::Path;

use self::state::{Damaged, Reader, Writer, checksum};
use self::sums::Unverified;
use self::superblock::{State, Superblock};
use crate::config::Builder;
use crate::engine::Engine;
use crate::memory::file::MemoryFile;
use crate::memory::region::Source;
use crate::memory::sync::Ordering;
use crate::space::pool::Freed;
use crate::space::segments::Phase;
use crate::space::sizes::Sizes;
use crate::{ConfigError, MemoryFileError, Restored};

/// Bytes of a full file system for what is kept beside the memory, at least.
const STATE_ROOM: usize = 256 << 10;

/// An engine that can go on with what its memory file holds, in which nothing was changed yet.
struct Resumed {
    engine: Box<Engine>,
    /// What the file says of itself.
    closed: Superblock,
    /// Whether it goes on with what is on flash as well.
    keeps_flash: bool,
    /// Where the regions end that it goes on with.
    end: u64,
}

impl Engine {
    /// Builds an engine in a file: with what is in it, or an empty one. If that fails, the file is
    /// what it was.
    #[inline(never)]
    pub(crate) fn open(builder: Builder, path: &Path) -> Result<Box<Self>, ConfigError> {
        let strict = builder.memory_file_strict;
        #[cfg(all(feature = "flash", not(loom)))]
        if builder.flash.as_ref().is_some_and(|flash| flash.uses(path)) {
            let reason = format!("{} is the memory file", path.display());
            return Err(ConfigError::Flash { reason });
        }
        // Whatever the file says, an engine like this must be possible.
        Sizes::choose(&builder)?;
        let file = MemoryFile::open(path).map_err(MemoryFileError::from)?;
        let Some(file) = file else {
            if strict {
                return Err(MemoryFileError::InUse.into());
            }
            let mut engine = Self::build_empty(builder, &mut Source::System)?;
            engine.restored = Some(Restored::Discarded(MemoryFileError::InUse));
            return Ok(engine);
        };
        // Closing writes at the end, which is late to learn that it may not be written.
        file.rewrite_end().map_err(|error| ConfigError::System {
            what: "a write to the memory file",
            reason: error.to_string(),
        })?;
        let mut source = Source::File(file);
        let restored = match Self::resume(&builder, &mut source) {
            Ok(Some(resumed)) => return resumed.go_on(source),
            Ok(None) => Restored::Nothing,
            Err(ConfigError::MemoryFile(error)) if !strict => Restored::Discarded(error),
            Err(error) => return Err(error),
        };
        let mut engine = Self::build_empty(builder, &mut source)?;
        engine.restored = Some(restored);
        engine.begin_in(source)
    }

    /// Makes the file the engine's own, and empties it.
    fn begin_in(mut self: Box<Self>, source: Source) -> Result<Box<Self>, ConfigError> {
        if let Source::File(mut file) = source {
            let block = Superblock { sizes: self.sizes, seed: self.seed, state: None };
            file.clear_behind(0).map_err(MemoryFileError::from)?;
            self.secure_least()?;
            block.write(&file).map_err(MemoryFileError::from)?;
            file.set_kept(true);
            self.memory_file = Some(file);
        }
        Ok(self)
    }

    /// Makes sure that the file can have what a cache needs at least.
    fn secure_least(&self) -> Result<(), ConfigError> {
        if self.space.pool.secure_least() && self.index.secure_least() && self.secure_flash() {
            return Ok(());
        }
        let reason = "its file system is full".to_owned();
        Err(ConfigError::System { what: "memory for the memory file", reason })
    }

    /// An engine with what the file holds; none if it is empty.
    fn resume(builder: &Builder, source: &mut Source) -> Result<Option<Resumed>, ConfigError> {
        let Source::File(file) = &*source else { return Ok(None) };
        let Some(closed) = Superblock::read(file)? else { return Ok(None) };
        let sizes = closed.sizes;
        let state = closed.state.ok_or(MemoryFileError::NotClosed)?;
        let (least, most) = (sizes.least(), sizes.limit_most);
        if !(least..=most).contains(&builder.limit) {
            return Err(MemoryFileError::Limit { least, most }.into());
        }
        let bytes = read_state(file, state)?;
        let whole = file.len().map_err(MemoryFileError::from)?;
        let strict = builder.memory_file_strict;
        let mut engine = Self::assemble(builder.clone().seed(closed.seed), sizes, source)?;
        // A region that the file does not have would read as zero, not as what was kept.
        let Source::File(file) = &*source else { return Ok(None) };
        let end = file.end();
        if file.len().map_err(MemoryFileError::from)? != whole || end > state.at {
            return Err(MemoryFileError::from(Damaged("length")).into());
        }
        let mut from = Reader::new(&bytes);
        engine.restore(&mut from, strict).map_err(MemoryFileError::from)?;
        let Source::File(file) = &*source else { return Ok(None) };
        // A write to a page that is there may need room for its neighbours.
        let is_cramped = file.is_cramped(builder.limit);
        if is_cramped && !(engine.space.pool.secure_all() && engine.index.secure_all()) {
            let reason = "its file system is full".to_owned();
            return Err(MemoryFileError::System { reason }.into());
        }
        let items = engine.stats().total.items;
        engine.restored = Some(Restored::Items(items));
        let keeps_flash = engine.resume_flash(builder, &mut from, source)?;
        let end = match source {
            Source::File(file) if keeps_flash => file.end(),
            _ => end,
        };
        Ok(Some(Resumed { engine, closed, keeps_flash, end }))
    }

    /// Sets what was kept, but for what concerns the flash tier, which comes last. Nothing in the
    /// file is changed until all of it was found whole, but for the bytes of items: unless
    /// `strict`, those are compared later.
    fn restore(&mut self, from: &mut Reader<'_>, strict: bool) -> Result<(), Damaged> {
        self.hot.restore(from)?;
        self.counters.restore(from)?;
        self.index.restore(from)?;
        self.tags.restore(from)?;
        let grown = self.index.bytes_grown(self.sizes.huge_pages);
        let pool = &mut self.space.pool;
        pool.restore(from, grown + self.tags.bytes())?;
        let mut whole = Ok(());
        pool.table_checksums(|sum| whole = whole.and(from.compare(sum)));
        self.index.checksums(|sum| whole = whole.and(from.compare(sum)));
        // Which segments there are sums of is known from the table.
        whole?;
        if strict {
            pool.segment_checksums(|_| None, |sum| whole = whole.and(from.compare(sum)));
            whole?;
        } else {
            self.unverified = Some(Box::new(Unverified::new(pool, || from.take())?));
        }
        Ok(())
    }

    /// Ends the engine. If its memory lies in a file, the next one can go on with it.
    pub(crate) fn close(mut self) -> Result<(), MemoryFileError> {
        let Some(file) = self.memory_file.take() else { return Ok(()) };
        let known = self.verify_all();
        if self.space.pool.refused() > 0 {
            self.make_room_for_state();
        }
        self.come_to_rest();
        if !self.space.pool.is_at_rest() {
            // A defect, since nobody else has the cache. The file stays marked as open.
            return Err(Damaged("segments").into());
        }
        let mut out = Writer::default();
        self.hot.save(&mut out);
        self.counters.save(&mut out);
        self.index.save(&mut out);
        self.tags.save(&mut out);
        self.space.pool.save(&mut out);
        self.space.pool.table_checksums(|sum| out.put(sum));
        self.index.checksums(|sum| out.put(sum));
        self.space.pool.segment_checksums(|id| known.get(&id).copied(), |sum| out.put(sum));
        self.save_flash(&mut out);
        let at = file.end().next_multiple_of(1 << 16);
        let bytes = out.bytes();
        file.write(at, bytes)?;
        // All of it has to be there before the file says so.
        file.sync()?;
        let state = State { at, len: bytes.len() as u64, checksum: checksum(bytes) };
        Superblock { sizes: self.sizes, seed: self.seed, state: Some(state) }.write(&file)?;
        Ok(())
    }

    /// Ends an engine that nobody has used: its files are what they were.
    pub(crate) fn abandon(mut self) -> Result<(), MemoryFileError> {
        self.abandon_flash();
        match &mut self.memory_file {
            Some(file) if file.is_new() => {
                file.set_kept(false);
                Ok(())
            }
            _ => self.close(),
        }
    }

    /// Gives memory back to the file's system, which is full, so that what is kept beside the
    /// memory finds room.
    #[cold]
    fn make_room_for_state(&self) {
        let used = self.space.pool.gauge().used;
        self.reclaim_to(used.saturating_sub(used / 64 + self.tags.bytes() + STATE_ROOM));
    }

    /// Nothing is open or on its way any more.
    fn come_to_rest(&mut self) {
        let mut reclaim = self.upkeep.reclaim.lock();
        if let Some(victim) = reclaim.victim.take() {
            let pool = &self.space.pool;
            if pool.free(victim.id, Phase::Victim) == Freed::No {
                pool.requeue(victim.id, victim.log.level);
            }
        }
        if let Some(visit) = reclaim.sweep.current.take() {
            // Looked into again, from the beginning.
            self.space.table().due(visit.id).store(0, Ordering::Relaxed);
        }
        self.space.seal_logs();
    }
}

impl Resumed {
    /// Makes the file the engine's own, which says from here on that it is open.
    fn go_on(self, source: Source) -> Result<Box<Engine>, ConfigError> {
        let Self { mut engine, closed, keeps_flash, end } = self;
        if let Source::File(mut file) = source {
            let opened = Superblock { state: None, ..closed }.write(&file);
            if let Err(error) = opened.and_then(|()| file.clear_behind(end)) {
                // It is as it was, but for what it may say of itself.
                let _ = closed.write(&file);
                return Err(MemoryFileError::from(error).into());
            }
            file.set_kept(true);
            engine.memory_file = Some(file);
        }
        if !keeps_flash {
            // What had them outside of memory is not there any more.
            engine.keep_groups(0);
        }
        let pool = &engine.space.pool;
        pool.recount();
        if engine.unverified.is_some() {
            pool.filled().for_each(|id| engine.space.table().set_unverified(id));
        }
        if let Err(error) = engine.secure_least() {
            // What the file held would be lost otherwise.
            (*engine).close()?;
            return Err(error);
        }
        // The table of the tier may be larger than a lower limit allows, and so may the items.
        engine.fit_flash(engine.space.pool.limit());
        engine.fit_limit();
        Ok(engine)
    }
}

fn read_state(file: &MemoryFile, state: State) -> Result<Vec<u8>, ConfigError> {
    let damaged = |what| MemoryFileError::from(Damaged(what));
    let end = state.at.checked_add(state.len);
    if end.is_none_or(|end| end > file.len().unwrap_or(0)) {
        return Err(damaged("length").into());
    }
    let mut bytes = Vec::new();
    let len = usize::try_from(state.len).map_err(|_| damaged("length"))?;
    bytes
        .try_reserve_exact(len)
        .map_err(|error| ConfigError::System { what: "memory", reason: error.to_string() })?;
    bytes.resize(len, 0);
    file.read(state.at, &mut bytes).map_err(MemoryFileError::from)?;
    if checksum(&bytes) != state.checksum {
        return Err(damaged("state").into());
    }
    Ok(bytes)
}

impl From<Damaged> for MemoryFileError {
    fn from(Damaged(what): Damaged) -> Self {
        Self::Damaged { what }
    }
}

impl From<std::io::Error> for MemoryFileError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::Unsupported {
            return Self::Unsupported;
        }
        Self::System { reason: error.to_string() }
    }
}
