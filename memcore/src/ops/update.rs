//! Changes of what is there: numbers, expiry, removal.

use crate::engine::{Engine, Item, Part};
use crate::index::{Guard, Spot};
use crate::memory::sync::Ordering;
use crate::ops::write::{Draft, expiry_field};
use crate::removal::Cause;
use crate::space::append::NeedsRoom;
use crate::space::layout::{Header, State};
use crate::space::segments::Pieces;
use crate::{Count, CountError, Counted, Expiry, Key, Meta, Remove, Removed, StoreError};

/// Longer values are no numbers, whatever they begin with: a change writes all of a value, under a
/// lock.
const NUMBER_MAX: usize = 512 << 10;
/// Bytes of a value that are read at once to see a number.
const CHUNK: usize = 64;

impl Engine {
    /// Gives an item another expiry.
    pub(crate) fn touch(&self, key: &Key<'_>, expiry: Expiry) -> Result<Option<Meta>, StoreError> {
        loop {
            let now = self.now();
            let mut lock = self.index.lock(self.index.position(key.hash));
            let Ok((item, spot)) = self.find_visible(key, now, &mut lock) else { return Ok(None) };
            if let Some(item) = self.touched(key, item, spot, Some(expiry), now, &mut lock) {
                self.mark_used(item.loc, now);
                return Ok(Some(item.meta(now)));
            }
            drop(lock);
            self.make_room(&self.redraft(&item).header)?;
        }
    }

    /// Changes a decimal number.
    pub(crate) fn count(&self, key: &Key<'_>, how: &Count) -> Result<Counted, CountError> {
        self.check_key(key)?;
        loop {
            let now = self.now();
            let mut lock = self.index.lock(self.index.position(key.hash));
            let found = self.find_visible(key, now, &mut lock).ok();
            let (value, draft) = match (&found, how.initial) {
                (None, None) => return Ok(Counted::NotFound),
                (None, Some((value, attrs))) => (value, Change::Create(attrs)),
                (Some((item, _)), _) => {
                    if how.expected.is_some_and(|expected| expected != item.version) {
                        return Ok(Counted::VersionMismatch);
                    }
                    let old = self.number(item).ok_or(CountError::NotANumber)?;
                    let value = match how.down {
                        true => old.saturating_sub(how.delta),
                        false => old.wrapping_add(how.delta),
                    };
                    (value, Change::Update(*item))
                }
            };
            let mut digits = [0; 20];
            let digits = digits_of(value, &mut digits);
            let draft = self.number_draft(key, how, draft, digits, now);
            let created = found.is_none();
            let put = self.put_number(key, &draft, found, now, &mut lock);
            if put.is_ok() {
                let meta = self.find(key, &lock).map(|(item, _)| item.meta(now));
                drop(lock);
                self.assist();
                let meta = meta.ok_or(CountError::Store(StoreError::OutOfMemory))?;
                return Ok(Counted::Done { value, meta, created });
            }
            drop(lock);
            self.make_room(&draft.header)?;
        }
    }

    /// Puts a number in the place of the old one if it fits there.
    fn put_number(
        &self,
        key: &Key<'_>,
        draft: &Draft<'_>,
        found: Option<(Item, Spot)>,
        now: u32,
        lock: &mut Guard<'_>,
    ) -> Result<(), NeedsRoom> {
        if let Some((old, _)) = &found
            && draft.header.shape() == old.shape
        {
            let done = self.change_in_place(old, draft.version, || {
                let value = Pieces::new(&self.table, old.value_at(), old.value_len);
                self.copy(value, &draft.parts);
                if let Some(expiry) = draft.header.expiry {
                    self.set_expiry(old, expiry);
                }
            });
            if done {
                self.mark_changed(old.loc, now);
                return Ok(());
            }
        }
        match found {
            Some((old, spot)) => self.rewrite(key, old, spot, draft, now, lock),
            None => self.put(key, draft, None, now, lock),
        }
    }

    fn number_draft<'a>(
        &self,
        key: &Key<'_>,
        how: &Count,
        change: Change,
        digits: &'a [u8],
        now: u32,
    ) -> Draft<'a> {
        let (flags, expiry, state, old_len) = match change {
            Change::Create(attrs) => {
                let state = State::default().with_access(now).with_marked(attrs.marked);
                (attrs.flags, expiry_field(attrs.expiry, now), state, 0)
            }
            Change::Update(old) => {
                let kept = if old.shape.has_expiry() { Some(old.expiry) } else { None };
                let expiry = how.touch.map_or(kept, |expiry| expiry_field(expiry, now));
                (old.flags, expiry, old.state.with_access(now), old.value_len)
            }
        };
        // A shorter number leaves the rest of the old one blank.
        let blanks = old_len.saturating_sub(digits.len());
        let header = Header {
            key_len: key.bytes.len(),
            value_len: digits.len() + blanks,
            flags,
            expiry,
            version: how.version,
        };
        let parts = [Part::Bytes(digits), Part::Blanks(blanks)];
        Draft { header, state, parts, version: how.version.unwrap_or_else(|| self.next_version()) }
    }

    /// The number that the item's value is.
    fn number(&self, item: &Item) -> Option<u64> {
        match item.value_len {
            // Nearly all of them, in one go.
            0..=CHUNK => {
                let (mut value, mut len) = ([0; CHUNK], 0);
                for (at, piece) in Pieces::new(&self.table, item.value_at(), item.value_len) {
                    self.memory.read(at, &mut value[len..len + piece]);
                    len += piece;
                }
                parse_number(value[..len].iter().copied())
            }
            len if len <= NUMBER_MAX => parse_number(self.value_bytes(item)),
            _ => None,
        }
    }

    /// The value, no more of it than is asked for.
    fn value_bytes(&self, item: &Item) -> impl Iterator<Item = u8> {
        let pieces = Pieces::new(&self.table, item.value_at(), item.value_len);
        pieces.flat_map(move |(at, len)| {
            (0..len).step_by(CHUNK).flat_map(move |from| {
                let mut chunk = [0; CHUNK];
                let now = CHUNK.min(len - from);
                self.memory.read(at + from, &mut chunk[..now]);
                chunk.into_iter().take(now)
            })
        })
    }

    /// Removes or invalidates an item.
    pub(crate) fn remove(&self, key: &Key<'_>, how: &Remove) -> Result<Removed, StoreError> {
        loop {
            let now = self.now();
            let mut lock = self.index.lock(self.index.position(key.hash));
            let Ok((item, spot)) = self.find_visible(key, now, &mut lock) else {
                return Ok(Removed::NotFound);
            };
            if how.expected.is_some_and(|expected| expected != item.version) {
                return Ok(Removed::VersionMismatch);
            }
            let meta = item.meta(now);
            if !how.invalidate && !how.clear {
                self.index.remove(self.index.position(key.hash), spot, &mut lock);
                self.retire(&item, Cause::Deleted, now);
                return Ok(Removed::Done(meta));
            }
            let draft = self.invalid_draft(&item, how, now);
            let done = self.invalidate(key, item, spot, &draft, now, &mut lock);
            drop(lock);
            match done {
                Ok(()) => return Ok(Removed::Done(meta)),
                Err(NeedsRoom) => self.make_room(&draft.header)?,
            }
        }
    }

    /// The item that is left when a value is invalidated or cleared.
    fn invalid_draft(&self, item: &Item, how: &Remove, now: u32) -> Draft<'static> {
        let mut draft = self.redraft(item);
        draft.header.version = how.version;
        draft.version = how.version.unwrap_or_else(|| self.next_version());
        if item.shape.has_expiry() {
            draft.header.expiry = Some(item.expiry);
        }
        if let Some(expiry) = how.touch {
            draft.header.expiry = expiry_field(expiry, now);
        }
        if how.invalidate {
            draft.state = draft.state.with_lease(true, false);
        }
        if how.clear {
            draft.header.value_len = 0;
            draft.header.flags = 0;
            draft.parts = [Part::Bytes(&[]); 2];
        }
        draft
    }

    fn invalidate(
        &self,
        key: &Key<'_>,
        item: Item,
        spot: Spot,
        draft: &Draft<'_>,
        now: u32,
        lock: &mut Guard<'_>,
    ) -> Result<(), NeedsRoom> {
        let changed = draft.header.shape() == item.shape
            && self.change_in_place(&item, draft.version, || {
                self.word(item.loc + 2).store(draft.state.0, Ordering::Relaxed);
                if let Some(expiry) = draft.header.expiry {
                    self.set_expiry(&item, expiry);
                }
            });
        if changed { Ok(()) } else { self.rewrite(key, item, spot, draft, now, lock) }
    }
}

/// Whether a number is new or takes the place of an old one.
enum Change {
    Create(crate::Attrs),
    Update(Item),
}

/// The decimal digits of `value`.
fn digits_of(value: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    let mut rest = value;
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &buffer[at..];
        }
    }
}

/// Blanks, perhaps a plus, digits, perhaps more behind a blank.
fn parse_number(mut value: impl Iterator<Item = u8>) -> Option<u64> {
    let is_blank = |byte: u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let mut next = value.find(|byte| !is_blank(*byte))?;
    if next == b'+' {
        next = value.next()?;
    }
    let mut number = 0_u64;
    loop {
        let digit = char::from(next).to_digit(10)?;
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        match value.next() {
            Some(byte) if !is_blank(byte) => next = byte,
            _ => return Some(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_c_library_does() {
        for (text, number) in [
            ("0", Some(0)),
            ("  7", Some(7)),
            ("+5", Some(5)),
            ("12   ", Some(12)),
            ("12 x", Some(12)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("12x", None),
            ("-12", None),
            ("", None),
            ("   ", None),
            ("+", None),
        ] {
            assert_eq!(parse_number(text.bytes()), number, "{text:?}");
        }
    }
}
