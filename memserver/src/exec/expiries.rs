//! The expiries that a meta request gives an item: flags act in their order, so each sees what
//! those in front of it have set. Items are not touched here.

use memcore::{Expiry, Moment};
use memproto::meta::MetaRequest;

/// What T and N of one request set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiries {
    touch: Option<Expiry>,
    vivify: Option<Expiry>,
    /// What a new item ends up with; none if none is to be created.
    pub(super) created: Option<Expiry>,
    /// Whether some flag in front of T wants to see the expiry that was there before.
    late: bool,
    /// That expiry, if it has to be known before T acts.
    before: Option<Option<Moment>>,
}

impl Expiries {
    /// Those of `request`; `expiry` turns its numbers into moments, `look` tells the item's.
    #[inline]
    pub(super) fn new(
        request: &MetaRequest<'_>,
        expiry: impl Fn(i64) -> Expiry,
        look: impl FnOnce() -> Option<Option<Moment>>,
    ) -> Self {
        let touch = request.ttl().map(&expiry);
        let vivify = request.vivify().map(&expiry);
        let expiries = Self { touch, vivify, created: vivify, late: false, before: None };
        if touch.is_some() { expiries.in_order(request, look) } else { expiries }
    }

    /// The same, with regard to where T stands among the other flags.
    fn in_order(
        mut self,
        request: &MetaRequest<'_>,
        look: impl FnOnce() -> Option<Option<Moment>>,
    ) -> Self {
        let place = |letter| request.flags.into_iter().position(|flag| flag.letter == letter);
        let Some(at) = place(b'T') else { return self };
        let is_in_front = |place: Option<usize>| place.is_some_and(|place| place < at);
        if is_in_front(place(b'N')) {
            // A new item gets the expiry of N, which T then replaces.
            self.created = self.touch;
        }
        self.late = is_in_front(place(b't')) || is_in_front(place(b'R'));
        if place(b'R').is_some_and(|place| place > at) && self.late {
            // As R wants to see what T has set, only the flag t is left to be told of the past.
            (self.late, self.before) = (false, look());
        }
        self
    }

    /// The expiry to set while the item is looked up.
    #[inline]
    pub(super) fn at_once(&self) -> Option<Expiry> {
        self.touch.filter(|_| !self.late)
    }

    /// The expiry to set when the item has been looked up.
    #[inline]
    pub(super) fn afterwards(&self) -> Option<Expiry> {
        self.touch.filter(|_| self.late)
    }

    /// The expiry in front of the first flag, of an item that was found with `found`.
    #[inline]
    pub(super) fn start(&self, found: Option<Moment>, created: bool) -> Expiry {
        if created { Expiry::Never } else { self.before.unwrap_or(found).into() }
    }

    /// The expiry behind a flag.
    #[inline]
    pub(super) fn pass(&self, letter: u8, before: Expiry, created: bool) -> Expiry {
        let set = match letter {
            b'T' => self.touch,
            b'N' if created => self.vivify,
            _ => None,
        };
        set.unwrap_or(before)
    }
}
