//! Writing a cache's items.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use super::format::Writer;
use super::order::Order;
use super::{Entry, Saved, SnapshotError};
use crate::engine::Engine;
use crate::ops::handle::Pin;
use crate::space::item::Item;
use crate::{Cursor, Fetch, Fetched, Handle, Key, Moment};

/// Keys that are collected before their items are written.
const KEYS: usize = 64;
/// Values of up to this many bytes are copied while their shard is locked; larger ones are pinned.
const COPY_MAX: usize = 16 << 10;

/// Attempts to read an item that changes meanwhile.
const ATTEMPTS: usize = 8;
/// Items that are remembered, so that they are not written twice.
const WRITTEN_MAX: usize = 1 << 18;

/// What is written, and to where.
struct Save<'e, W> {
    engine: &'e Arc<Engine>,
    order: Order,
    writer: Writer<W>,
    /// The version that was written of items that the last part may have again, by their key's
    /// hash.
    written: HashMap<u64, u64>,
    /// A value.
    buffer: Vec<u8>,
}

/// An item at one moment. Its value is in the buffer, or in a handle.
struct Copied {
    entry: Entry,
    version: u64,
    may_have_risen: bool,
    handle: Option<Handle>,
}

/// Keys, one behind the other, and where each ends.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Writes the items of a cache.
pub(super) fn save(engine: &Arc<Engine>, out: impl Write) -> Result<Saved, SnapshotError> {
    let created = Moment::from_secs(engine.now());
    let writer = Writer::of_cache(out, created, engine.hot.last_version())?;
    let (order, written) = (Order::new(engine), HashMap::new());
    let mut save = Save { engine, order, writer, written, buffer: Vec::new() };
    for part in Order::parts() {
        save.part(part)?;
    }
    let (items, value_bytes) = save.writer.written();
    save.writer.finish()?;
    Ok(Saved { items, value_bytes })
}

impl<W: Write> Save<'_, W> {
    fn part(&mut self, part: u8) -> Result<(), SnapshotError> {
        let mut keys = Keys::default();
        let mut cursor = Cursor::default();
        let mut more = true;
        while more {
            keys.clear();
            let (order, now) = (&self.order, self.engine.now());
            let is_wanted = |loc| order.is_in(self.engine, loc, part, now);
            more = self.engine.scan_where(&mut cursor, KEYS, is_wanted, |key, _| keys.push(key));
            for key in keys.iter() {
                self.item(key, Order::is_last(part))?;
            }
        }
        Ok(())
    }

    /// Writes the item of a key, if it is still there.
    fn item(&mut self, key: &[u8], is_last: bool) -> Result<(), SnapshotError> {
        let hot = &self.engine.hot;
        let key = Key { bytes: key, hash: hot.hash(key), tag: hot.tag() };
        let Some(copied) = self.copy(&key) else { return Ok(()) };
        let Copied { entry, version, may_have_risen, handle } = copied;
        if is_last && self.written.get(&key.hash) == Some(&version) {
            return Ok(());
        }
        if !is_last && may_have_risen && self.written.len() < WRITTEN_MAX {
            self.written.insert(key.hash, version);
        }
        self.writer.item(&entry)?;
        match handle {
            Some(handle) => handle.parts().try_for_each(|part| self.writer.value(part)),
            None => self.writer.value(&self.buffer),
        }
    }

    /// Copies or pins an item as it is at some moment.
    fn copy(&mut self, key: &Key<'_>) -> Option<Copied> {
        for _ in 0..ATTEMPTS {
            let (copied, has_value) = self.look(key)?;
            if has_value || self.copy_value(key, copied.version) {
                return Some(copied);
            }
        }
        // It is changed all the time; an item that changes meanwhile may be left out.
        None
    }

    /// An item as it is at this moment, and whether there is its value, too.
    fn look(&mut self, key: &Key<'_>) -> Option<(Copied, bool)> {
        let engine = self.engine;
        let now = engine.now();
        let lock = engine.index.lock(engine.position(key));
        let found = engine.find(key, &lock)?;
        let item = &found.item;
        if engine.hidden(item, now).is_some() || is_placeholder(item) {
            return None;
        }
        self.buffer.clear();
        let (mut handle, is_small) = (None, item.value_len <= COPY_MAX);
        if is_small {
            engine.space.append_value(item, &mut self.buffer);
        } else if let Pin::Done(pinned) = engine.pin(&found, item.meta(now), Some(&lock)) {
            handle = Some(pinned);
        }
        let has_value = is_small || handle.is_some();
        let may_have_risen = self.order.may_have_risen(item.state, now);
        let entry = entry_of(engine, key, item);
        Some((Copied { entry, version: item.version, may_have_risen, handle }, has_value))
    }

    /// Copies a large value without a lock, as handles hold all that they may: whether that is the
    /// value of this version.
    fn copy_value(&mut self, key: &Key<'_>, version: u64) -> bool {
        let peek = Fetch::new().peek(true);
        match self.engine.fetch(key, &peek, &mut self.buffer, |_, _| {}) {
            Fetched::Copied(hit) => hit.meta.version == version,
            _ => false,
        }
    }
}

/// An item whose shard is locked, as it is written.
fn entry_of(engine: &Engine, key: &Key<'_>, item: &Item) -> Entry {
    Entry {
        key: key.bytes.to_vec(),
        value_len: item.value_len,
        flags: item.flags,
        expiry: item.expiry(),
        version: Some(item.version),
        stale: item.state.is_stale(),
        marked: item.state.is_marked(),
        fetched: item.state.is_fetched(),
        hit: item.state.is_hit(),
        uses: item.state.uses() as u8,
        tags: engine.tags.words(engine.space.group_of(item)),
    }
}

/// Whether an item only stands for the value that a reader has been asked to make. Whoever loads
/// it has not been asked.
fn is_placeholder(item: &Item) -> bool {
    item.value_len == 0 && item.state.is_taken()
}

impl Keys {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}
