//! Replies on their way to one client: copied bytes with pinned values in between. Neither sockets
//! nor protocols are known here.

use std::collections::VecDeque;
use std::io::IoSlice;

use memcore::{Handle, UpgradeError, WeakHandle};

use crate::state::budgets::{Budgets, Permit};

/// Beyond this many bytes replies are sent before more are made.
const BYTES_MAX: usize = 64 << 10;
/// The same while memory for unsent replies is scarce.
const BYTES_SCARCE: usize = 4 << 10;
/// Beyond this many pinned bytes likewise, because they stand in the way of eviction.
const PINNED_MAX: usize = 1 << 20;
/// Beyond this many pinned values likewise, because a vectored write takes few pieces.
const PINS_MAX: usize = 16;
/// Pieces that one write may have.
const PIECES_MAX: usize = 64;
/// An empty buffer keeps at most this much memory.
const KEPT_MAX: usize = 16 << 10;

/// Replies that were not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Copied bytes, of which the first `sent` are gone.
    bytes: Vec<u8>,
    sent: usize,
    pins: VecDeque<Pin>,
    /// Bytes of the first pin that are gone.
    pin_sent: usize,
    pinned: usize,
    /// What was taken out of the server's budgets, and must go back: for copies of values that
    /// could not be pinned, and for waiting until the client reads.
    copies: Option<Permit>,
    backlog: Option<Permit>,
    /// Whether memory for unsent replies is scarce.
    scarce: bool,
}

/// A value that follows the first `at` of the copied bytes.
#[derive(Debug)]
struct Pin {
    at: usize,
    value: Value,
}

/// A value in the cache that is to be sent.
#[derive(Debug)]
enum Value {
    Held(Handle),
    /// Others may take its memory.
    Loose(WeakHandle),
}

impl Value {
    fn len(&self) -> usize {
        match self {
            Self::Held(value) => value.len(),
            Self::Loose(value) => value.len(),
        }
    }

    /// Its pieces, if nobody can take its memory.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let held = match self {
            Self::Held(value) => Some(value),
            Self::Loose(_) => None,
        };
        held.into_iter().flat_map(Handle::parts)
    }
}

impl Output {
    /// Where replies are appended.
    #[inline(always)]
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends `bytes`.
    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Puts a pinned value behind the bytes so far.
    pub(crate) fn pin(&mut self, value: Handle) {
        if !value.is_empty() {
            self.pinned += value.len();
            let value = Value::Held(value);
            self.pins.push_back(Pin { at: self.bytes.len(), value });
        }
    }

    /// Gives up its pins for others, until [`Output::hold`] is called.
    pub(crate) fn loosen(&mut self) {
        for Pin { value, .. } in &mut self.pins {
            if let Value::Held(handle) = value
                && let Some(weak) = handle.downgrade()
            {
                *value = Value::Loose(weak);
            }
        }
    }

    /// Pins its values again, all or none, if it has given that up.
    ///
    /// # Errors
    /// A value is gone, so that the rest of the replies can't be sent, or others pin all that may
    /// be pinned.
    pub(crate) fn hold(&mut self) -> Result<(), UpgradeError> {
        for index in 0..self.pins.len() {
            let Value::Loose(weak) = &self.pins[index].value else { continue };
            match weak.upgrade() {
                Ok(handle) => self.pins[index].value = Value::Held(handle),
                Err(error) => {
                    self.loosen();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Whether it pins a value.
    pub(crate) fn is_holding(&self) -> bool {
        self.pins.iter().any(|pin| matches!(pin.value, Value::Held(_)))
    }

    /// Keeps the permit for a copy until all is sent.
    pub(crate) fn charge(&mut self, permit: Permit) {
        match &mut self.copies {
            Some(copies) => copies.merge(permit),
            None => self.copies = Some(permit),
        }
    }

    /// Takes note of how much memory there is for unsent replies.
    pub(crate) fn adapt(&mut self, budgets: &Budgets) {
        self.scarce = budgets.backlogs.is_exhausted() || budgets.copies.is_scarce();
    }

    /// Shrinks its buffer and charges it to the budget for replies that wait for their clients.
    pub(crate) fn settle(&mut self, budgets: &Budgets) {
        let sent = std::mem::take(&mut self.sent);
        self.bytes.drain(..sent);
        self.bytes.shrink_to_fit();
        self.pins.iter_mut().for_each(|pin| pin.at -= sent);
        self.backlog = Some(budgets.backlogs.take_anyway(self.bytes.capacity()));
    }

    /// Whether there is so much that it should be sent before more is added.
    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        let bytes_max = if self.scarce { BYTES_SCARCE } else { BYTES_MAX };
        self.bytes.len() >= bytes_max || self.pins.len() >= PINS_MAX || self.pinned >= PINNED_MAX
    }

    /// Bytes of memory that it takes outside the cache.
    pub(crate) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether it keeps memory from others that is scarce.
    pub(crate) fn is_burden(&self) -> bool {
        self.is_holding() || self.copies.is_some()
    }

    /// Bytes that are to be sent.
    #[cfg(any(feature = "udp", feature = "fuzzing"))]
    pub(crate) fn unsent(&self) -> usize {
        self.bytes.len() - self.sent + self.pinned - self.pin_sent
    }

    /// Whether everything is sent.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && self.pins.is_empty()
    }

    /// The bytes, if they are all there is.
    #[inline(always)]
    pub(crate) fn plain(&self) -> Option<&[u8]> {
        self.pins.is_empty().then(|| &self.bytes[self.sent..])
    }

    /// All bytes that were appended so far, pinned values left out.
    pub(crate) fn copied(&self) -> &[u8] {
        &self.bytes
    }

    /// Calls `write` with the pieces to send next.
    pub(crate) fn with_pieces<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(self.pieces().filter(|p| !p.is_empty())) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        write(&slices[..count])
    }

    /// Moves everything to the end of `to`.
    #[cfg(any(feature = "udp", feature = "fuzzing"))]
    pub(crate) fn drain_into(&mut self, to: &mut Vec<u8>) {
        self.pieces().for_each(|piece| to.extend_from_slice(piece));
        self.clear();
    }

    /// Notes that the next `count` bytes are sent.
    pub(crate) fn advance(&mut self, mut count: usize) {
        while let Some(pin) = self.pins.front() {
            let copied = count.min(pin.at - self.sent);
            let pinned = (count - copied).min(pin.value.len() - self.pin_sent);
            self.sent += copied;
            self.pin_sent += pinned;
            count -= copied + pinned;
            if self.sent < pin.at || self.pin_sent < pin.value.len() {
                return;
            }
            self.pinned -= pin.value.len();
            self.pin_sent = 0;
            self.pins.pop_front();
        }
        self.sent += count;
        debug_assert!(self.sent <= self.bytes.len(), "more was sent than there was");
        if self.sent == self.bytes.len() {
            self.forget();
        }
    }

    /// Forgets everything and keeps a little memory for next time.
    #[inline]
    pub(crate) fn clear(&mut self) {
        // What was sent is forgotten already.
        let is_clear = self.is_empty()
            && self.bytes.is_empty()
            && self.bytes.capacity() <= KEPT_MAX
            && self.copies.is_none()
            && self.backlog.is_none();
        if !is_clear {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_MAX);
        self.pins.clear();
        (self.copies, self.backlog) = (None, None);
        (self.sent, self.pin_sent, self.pinned) = (0, 0, 0);
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let is_loose = |pin: &Pin| matches!(pin.value, Value::Loose(_));
        debug_assert!(!self.pins.iter().any(is_loose), "its values are not pinned");
        let mut from = self.sent;
        let mut gone = self.pin_sent;
        let pins = self.pins.iter().flat_map(move |pin| {
            let head = &self.bytes[from..pin.at];
            from = pin.at;
            let mut skip = std::mem::take(&mut gone);
            let parts = pin.value.parts().map(move |part| {
                let here = skip.min(part.len());
                skip -= here;
                &part[here..]
            });
            std::iter::once(head).chain(parts)
        });
        let tail = self.pins.back().map_or(self.sent, |pin| pin.at);
        pins.chain(std::iter::once(&self.bytes[tail..]))
    }
}
