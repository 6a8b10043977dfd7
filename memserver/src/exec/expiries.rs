//! The expiries that a meta request gives an item: flags act in their order, so each sees what
//! those in front of it have set. It must never touch an item.

use memcore::Expiry;
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
}

impl Expiries {
    /// Those of `request`; `expiry` turns its numbers into moments.
    pub(super) fn new(request: &MetaRequest<'_>, expiry: impl Fn(i64) -> Expiry) -> Self {
        let (touch, vivify) = (request.ttl().map(&expiry), request.vivify().map(&expiry));
        let (mut created, mut late) = (vivify, false);
        if touch.is_some() {
            let mut letters = request.flags.into_iter().map(|flag| flag.letter);
            late = letters.find(|letter| b"tRT".contains(letter)) != Some(b'T');
            let last = request.flags.into_iter().map(|flag| flag.letter);
            if vivify.is_some() && last.filter(|letter| b"NT".contains(letter)).last() == Some(b'T')
            {
                created = touch;
            }
        }
        Self { touch, vivify, created, late }
    }

    /// The expiry to set while the item is looked up.
    pub(super) fn at_once(&self) -> Option<Expiry> {
        self.touch.filter(|_| !self.late)
    }

    /// The expiry to set when the item has been looked up.
    pub(super) fn afterwards(&self) -> Option<Expiry> {
        self.touch.filter(|_| self.late)
    }

    /// The expiry in front of the first flag, of an item that was found with `found`.
    pub(super) fn start(&self, found: Expiry, created: bool) -> Expiry {
        if created { Expiry::Never } else { found }
    }

    /// The expiry behind a flag.
    pub(super) fn pass(&self, letter: u8, before: Expiry, created: bool) -> Expiry {
        let set = match letter {
            b'T' => self.touch,
            b'N' if created => self.vivify,
            _ => None,
        };
        set.unwrap_or(before)
    }
}
