//! Loading a snapshot into a cache.

use std::io::Read;
use std::sync::Arc;

use super::format::Reader;
use super::{Entry, Loaded, SnapshotError};
use crate::engine::Engine;
use crate::ops::write::header_of;
use crate::space::layout::State;
use crate::tags::{Group, Refused};
use crate::{Attrs, Cache, Reservation, StoreError};

/// Why an item is not stored.
enum Omitted {
    Expired,
    Present,
    /// There is no room for it, and for no smaller one either if the cache is full.
    LeftOut {
        full: bool,
    },
    Refused,
}

/// An item whose value is being read.
struct Arrival {
    place: Reservation,
    state: State,
    version: u64,
}

/// Loads what there is room for, and counts it.
pub(super) fn load(
    cache: &Cache,
    from: impl Read,
    loaded: &mut Loaded,
) -> Result<(), SnapshotError> {
    let mut reader = Reader::new(from)?;
    cache.engine().hot.raise_version(reader.last_version());
    let mut is_full = false;
    while let Some(entry) = reader.item()? {
        let begun = match is_full {
            true => Err(Omitted::LeftOut { full: true }),
            false => begin(cache, &entry),
        };
        match begun {
            Err(Omitted::Expired) => loaded.expired += 1,
            Err(Omitted::Present) => loaded.present += 1,
            Err(Omitted::Refused) => loaded.refused += 1,
            Err(Omitted::LeftOut { full }) => {
                is_full = full;
                loaded.left_out += 1;
            }
            Ok(Arrival { mut place, state, version }) => {
                while let Some(part) = reader.value()? {
                    place.write(part);
                }
                match place.commit_loaded(state, version) {
                    Ok(true) => {
                        loaded.items += 1;
                        loaded.value_bytes += entry.value_len as u64;
                    }
                    Ok(false) => loaded.present += 1,
                    Err(_) => loaded.left_out += 1,
                }
            }
        }
    }
    Ok(())
}

/// Looks for a place for an item.
fn begin(cache: &Cache, entry: &Entry) -> Result<Arrival, Omitted> {
    let engine = cache.engine();
    let now = engine.now();
    if entry.expiry.is_some_and(|end| end.as_secs() <= now) {
        return Err(Omitted::Expired);
    }
    let is_on_flash = || engine.may_be_on_flash(engine.position(&cache.key(&entry.key)));
    if cache.contains(&entry.key) || is_on_flash() {
        return Err(Omitted::Present);
    }
    let group = group_of(engine, &entry.tags).ok_or(Omitted::LeftOut { full: false })?;
    let begun = begin_in(cache, entry, group, now);
    // The reservation has a reference of its own.
    engine.release_group(group);
    begun
}

fn begin_in(cache: &Cache, entry: &Entry, group: Group, now: u32) -> Result<Arrival, Omitted> {
    let engine = cache.engine();
    let version = entry.version.unwrap_or_else(|| engine.hot.next_version());
    let is_far = engine.is_far(version);
    if !is_far {
        // Given out while the snapshot was written. Versions far from the counter were chosen by a
        // writer.
        engine.hot.raise_version(version);
    }
    let attrs = Attrs::new().flags(entry.flags).expiry(entry.expiry.into());
    let mut header = header_of(entry.key.len(), entry.value_len, &attrs, group);
    header.version = is_far.then_some(version);
    let uses = entry.uses.into();
    match engine.reserve_loaded(&cache.key(&entry.key), header, attrs, uses) {
        Ok(place) => {
            let state = State::default()
                .with_access(now)
                .with_uses(uses)
                .with_hit(entry.hit)
                .with_fetched(entry.fetched)
                .with_marked(entry.marked)
                .with_lease(entry.stale, false);
            Ok(Arrival { place, state, version })
        }
        Err(StoreError::OutOfMemory) => Err(Omitted::LeftOut { full: engine.is_short() }),
        Err(StoreError::Crowded) => Err(Omitted::LeftOut { full: false }),
        Err(_) => Err(Omitted::Refused),
    }
}

/// The group of these tags, with a reference; `None` if there is no memory for them.
fn group_of(engine: &Arc<Engine>, tags: &[Vec<u8>]) -> Option<Group> {
    let words: Vec<&[u8]> = tags.iter().map(Vec::as_slice).collect();
    match engine.tags.acquire(&words, |bytes| engine.space.pool.take_bytes(bytes)) {
        Ok(group) => Some(group),
        Err(Refused(bytes)) => {
            engine.space.pool.free_bytes(bytes);
            None
        }
    }
}
