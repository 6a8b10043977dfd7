//! What a storage request asks of the cache, whatever protocol it came in.

use memcore::{Attrs, Mode, StoreError, Stored};
use memproto::{Store, StoreVerb};

use super::Exec;
use crate::session::job::{StoreFrame, StoreRequest};

/// From here on an expiry is a negative number of 32 bits that a client has sent unsigned.
const NEGATIVE: i64 = NEGATIVE_ONE - (1 << 24) + 1;
const NEGATIVE_ONE: i64 = u32::MAX as i64;

/// What a storage request asks of the cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// What goes with the value.
    pub(super) attrs: Attrs,
    /// Under which conditions.
    pub(super) write: memcore::Store,
    /// A refused value must not leave its predecessor behind.
    pub(super) replaces: bool,
}

/// How the cache answered.
pub(super) type Outcome = Result<Stored, StoreError>;

impl Exec<'_> {
    /// What `request` asks of the cache.
    #[inline]
    pub(super) fn terms(&self, request: &StoreRequest<'_>) -> Terms {
        match request {
            StoreRequest::Text(store) => self.text_terms(store),
            StoreRequest::Meta(request) => self.meta_terms(request),
            StoreRequest::Binary(frame) => self.binary_terms(frame),
        }
    }

    #[inline]
    fn text_terms(&self, store: &Store<'_>) -> Terms {
        let exptime = match store.exptime {
            NEGATIVE..=NEGATIVE_ONE => -1,
            exptime => exptime,
        };
        let attrs = Attrs::new().flags(store.flags).expiry(self.expiry(exptime));
        let expected = self.expected((store.verb == StoreVerb::Cas).then_some(store.cas));
        let write = memcore::Store::mode(mode(store.verb)).expected(expected);
        Terms { attrs, write, replaces: store.verb == StoreVerb::Set }
    }

    fn binary_terms(&self, frame: &StoreFrame<'_>) -> Terms {
        let expiry = self.expiry(i64::from(frame.exptime));
        let attrs = Attrs::new().flags(frame.flags).expiry(expiry);
        let replaces = mode(frame.verb) == Mode::Set;
        // Items that have no version are stored whatever version is asked for.
        let expected = (frame.cas != 0 && self.shared.core.config.cas_enabled).then_some(frame.cas);
        // With a version, to add and to replace are to compare and swap.
        let mode = match mode(frame.verb) {
            // An item that is there is then compared, not refused.
            Mode::Add if expected.is_some() => Mode::Set,
            mode => mode,
        };
        Terms { attrs, write: memcore::Store::mode(mode).expected(expected), replaces }
    }
}

/// How the cache should treat what is there.
fn mode(verb: StoreVerb) -> Mode {
    match verb {
        StoreVerb::Set | StoreVerb::Cas => Mode::Set,
        StoreVerb::Add => Mode::Add,
        StoreVerb::Replace => Mode::Replace,
        StoreVerb::Append => Mode::Append,
        StoreVerb::Prepend => Mode::Prepend,
    }
}
