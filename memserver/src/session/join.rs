//! A large value that is made out of an old one and what is added to it, a piece at a time.

use memcore::{Handle, Reservation};

use crate::session::job::{OwnedRequest, StoreRequest};

/// Bytes of one piece.
pub(crate) const PIECE: usize = 256 << 10;

/// A value that is being made out of an old one and what is added to it.
#[derive(Debug)]
pub(crate) struct Join {
    request: OwnedRequest,
    added: Box<[u8]>,
    old: Handle,
    /// Bytes of the old value that were copied.
    copied: usize,
    place: Reservation,
}

impl Join {
    /// Nothing is copied yet; `place` is as large as `old` and `added`.
    pub(crate) fn new(
        request: OwnedRequest,
        added: &[u8],
        old: Handle,
        place: Reservation,
    ) -> Self {
        Self { request, added: added.into(), old, copied: 0, place }
    }

    /// The request.
    pub(crate) fn request(&self) -> StoreRequest<'_> {
        self.request.get()
    }

    /// The request, what is added, the old value and the place of the new one.
    pub(crate) fn into_parts(self) -> (OwnedRequest, Box<[u8]>, Handle, Reservation) {
        let Self { request, added, old, place, .. } = self;
        (request, added, old, place)
    }

    /// Copies another piece; false if all is there.
    pub(crate) fn step(&mut self, prepends: bool) -> bool {
        if prepends && self.copied == 0 {
            self.place.write(&self.added);
        }
        let mut skip = self.copied;
        let mut room = PIECE;
        for part in self.old.parts() {
            let begin = skip.min(part.len());
            let piece = &part[begin..part.len().min(begin + room)];
            skip -= begin;
            room -= piece.len();
            self.copied += self.place.write(piece);
            if room == 0 {
                break;
            }
        }
        let has_more = self.copied < self.old.len();
        if !has_more && !prepends {
            self.place.write(&self.added);
        }
        has_more
    }
}
