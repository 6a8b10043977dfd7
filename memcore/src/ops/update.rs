//! Changes of what is there: numbers, expiry, removal.

use crate::engine::probe::Probe;
use crate::engine::{Engine, Found};
use crate::ops::write::{NewItem, PutError, expiry_field};
use crate::removal::Cause;
use crate::space::item::{Item, Part};
use crate::space::layout::{Header, State};
use crate::space::segments::Loc;
use crate::{Count, CountError, Counted, Expiry, Key, Meta, Remove, Removed, StoreError};

/// Longer values are not numbers, whatever they begin with: a change writes all of a value, under a
/// lock.
const NUMBER_MAX: usize = 512 << 10;
/// Bytes of a value that are read at once to see a number.
const CHUNK: usize = 64;

impl Engine {
    /// Gives an item another expiry; one that has another version than `expected` is let alone.
    pub(crate) fn touch(
        &self,
        key: &Key<'_>,
        expiry: Expiry,
        expected: Option<u64>,
    ) -> Result<Option<Meta>, StoreError> {
        loop {
            let mut at = self.probe(key);
            let version = at.item().map(|item| item.version);
            if expected.is_some() && version != expected {
                return Ok(None);
            }
            let touched = self.touch_found(&mut at, Some(expiry));
            let Some(item) = at.item() else { return Ok(None) };
            match touched {
                Ok(()) => {
                    self.mark_used(item.loc, at.now);
                    self.note_write(at.position, item.size(), Some(item.expiry));
                    return Ok(Some(item.meta(at.now)));
                }
                Err(error) => {
                    let header = self.copy_of(item).header;
                    drop(at);
                    self.recover(error, &header)?;
                }
            }
        }
    }

    /// Changes a decimal number.
    pub(crate) fn count(&self, key: &Key<'_>, how: &Count) -> Result<Counted, CountError> {
        self.check_key(key)?;
        loop {
            let mut at = self.probe(key);
            let value = match (at.item(), how.initial) {
                (None, None) => return Ok(Counted::NotFound),
                (None, Some((value, _))) => value,
                (Some(item), _) => {
                    if how.expected.is_some_and(|expected| expected != item.version) {
                        return Ok(Counted::VersionMismatch);
                    }
                    let old = self.number(item).ok_or(CountError::NotANumber)?;
                    match how.down {
                        true => old.saturating_sub(how.delta),
                        false => old.wrapping_add(how.delta),
                    }
                }
            };
            let mut digits = [0; 20];
            let new = self.new_number(&at, how, digits_of(value, &mut digits));
            let created = at.found.is_err();
            match self.put_number(&mut at, &new) {
                Ok(loc) => {
                    let meta = self.space.read_any(loc).meta(at.now);
                    drop(at);
                    self.assist();
                    return Ok(Counted::Done { value, meta, created });
                }
                Err(error) => {
                    drop(at);
                    self.recover(error, &new.header)?;
                }
            }
        }
    }

    /// Puts a number in the place of the old one if it fits there; its address.
    fn put_number(&self, at: &mut Probe<'_, '_>, new: &NewItem<'_>) -> Result<Loc, PutError> {
        if let Ok(Found { item: old, .. }) = &at.found {
            if self.change_in_place(old, new) {
                self.mark_changed(old.loc, at.now);
                self.note_write(at.position, old.size(), new.header.expiry);
                return Ok(old.loc);
            }
        }
        match at.found {
            Ok(found) => self.rewrite(at, &found, new),
            Err(_) => self.put(at, new),
        }
    }

    fn new_number<'a>(&self, at: &Probe<'_, '_>, how: &Count, digits: &'a [u8]) -> NewItem<'a> {
        let attrs = how.initial.map(|(_, attrs)| attrs).unwrap_or_default();
        let (flags, group, expiry, state, old_len) = match at.item() {
            None => {
                let state = State::default().with_access(at.now).with_marked(attrs.marked);
                (attrs.flags, how.group, expiry_field(attrs.expiry, at.now), state, 0)
            }
            Some(old) => {
                let kept = old.shape.has_expiry().then_some(old.expiry);
                let expiry = how.touch.map_or(kept, |expiry| expiry_field(expiry, at.now));
                let group = self.space.group_of(old);
                (old.flags, group, expiry, old.state.with_access(at.now), old.value_len)
            }
        };
        // A shorter number leaves the rest of the old one blank.
        let blanks = old_len.saturating_sub(digits.len());
        let header = Header {
            key_len: at.key.bytes.len(),
            value_len: digits.len() + blanks,
            flags,
            group,
            expiry: expiry.or(self.settings.never),
            version: how.version,
        };
        let parts = [Part::Bytes(digits), Part::Blanks(blanks)];
        let version = self.hot.version_or_next(how.version);
        NewItem { header, state, parts, version }
    }

    /// The number that the item's value is.
    fn number(&self, item: &Item) -> Option<u64> {
        match item.value_len {
            // Nearly all of them, in one go.
            0..=CHUNK => {
                let (mut value, mut len) = ([0; CHUNK], 0);
                for (at, piece) in self.space.value_pieces(item) {
                    self.space.memory().read(at, &mut value[len..len + piece]);
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
        self.space.value_pieces(item).flat_map(move |(at, len)| {
            (0..len).step_by(CHUNK).flat_map(move |from| {
                let mut chunk = [0; CHUNK];
                let now = CHUNK.min(len - from);
                self.space.memory().read(at + from, &mut chunk[..now]);
                chunk.into_iter().take(now)
            })
        })
    }

    /// Removes or invalidates an item.
    pub(crate) fn remove(&self, key: &Key<'_>, how: &Remove) -> Result<Removed, StoreError> {
        loop {
            let mut at = self.probe(key);
            let Ok(found) = at.found else {
                // A rival may have it.
                self.note_end(at.position);
                return Ok(Removed::NotFound);
            };
            let item = &found.item;
            if how.expected.is_some_and(|expected| expected != item.version) {
                return Ok(Removed::VersionMismatch);
            }
            let meta = item.meta(at.now);
            if !how.invalidate && !how.clear {
                self.delete(&mut at, &found);
                return Ok(Removed::Done(meta));
            }
            let new = self.new_invalid(&found.item, how, at.now);
            let done = self.invalidate(&mut at, &found, &new);
            drop(at);
            match done {
                Ok(_) => return Ok(Removed::Done(meta)),
                Err(error) => self.recover(error, &new.header)?,
            }
        }
    }

    /// Removes an item; the value that it had.
    pub(crate) fn take(&self, key: &Key<'_>) -> Option<Vec<u8>> {
        let mut at = self.probe(key);
        let Ok(found) = at.found else {
            // A rival may have it.
            self.note_end(at.position);
            return None;
        };
        let mut value = Vec::with_capacity(found.item.value_len);
        self.space.append_value(&found.item, &mut value);
        self.delete(&mut at, &found);
        Some(value)
    }

    fn delete(&self, at: &mut Probe<'_, '_>, found: &Found) {
        self.index.remove(at.position, found.slot, &mut at.lock);
        self.retire(&found.item, Cause::Deleted, at.now);
        self.note_end(at.position);
    }

    /// The item that is left when a value is invalidated or cleared.
    // Inlined, what it reads of `how` would be read before every removal.
    #[inline(never)]
    fn new_invalid(&self, item: &Item, how: &Remove, now: u32) -> NewItem<'static> {
        let mut new = self.copy_of(item);
        // What is only cleared keeps its version.
        let kept = (how.version.is_none() && !how.invalidate).then_some(item.version);
        new.header.version = how.version.or(kept);
        new.version = kept.unwrap_or_else(|| self.hot.version_or_next(how.version));
        if item.shape.has_expiry() {
            new.header.expiry = Some(item.expiry);
        }
        if let Some(expiry) = how.touch {
            new.header.expiry = expiry_field(expiry, now).or(self.settings.never);
        }
        new.state = new.state.with_lease(how.invalidate, false);
        if how.clear {
            new.header.value_len = 0;
            new.header.flags = how.flags;
            new.parts = [Part::Bytes(&[]); 2];
        }
        new
    }

    fn invalidate(
        &self,
        at: &mut Probe<'_, '_>,
        found: &Found,
        new: &NewItem<'_>,
    ) -> Result<Loc, PutError> {
        match self.change_in_place(&found.item, new) {
            true => Ok(found.item.loc),
            false => self.rewrite(at, found, new),
        }
    }
}

/// The decimal digits of `value`.
fn digits_of(value: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    let mut rest = value;
    // Two at a time: a division takes longer than all the rest.
    while rest >= 10 {
        let pair = (rest % 100) as u32;
        rest /= 100;
        at -= 2;
        buffer[at] = b'0' + (pair / 10) as u8;
        buffer[at + 1] = b'0' + (pair % 10) as u8;
    }
    if rest > 0 || value == 0 {
        at -= 1;
        buffer[at] = b'0' + rest as u8;
    }
    &buffer[at..]
}

/// Blanks, perhaps a plus, digits, perhaps more behind a blank.
pub(crate) fn parse_number(mut value: impl Iterator<Item = u8>) -> Option<u64> {
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
    fn numbers_have_all_their_digits_and_no_more() {
        for value in [0, 7, 10, 99, 100, 101, 999, 1000, 123_456_789, u64::MAX / 10, u64::MAX] {
            assert_eq!(digits_of(value, &mut [0; 20]), value.to_string().as_bytes());
        }
    }

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
