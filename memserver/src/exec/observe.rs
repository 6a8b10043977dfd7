//! Requests as somebody who looks on sees them: prefixes counted. Nobody does
//! so most of the time, hence all of this is off the paths that matter.

use memcore::{Removed, StoreError};

use super::Exec;
use super::get::Delivered;
use crate::prefixes::Use;
use crate::shared::attention;

impl Exec<'_> {
    /// A lookup.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_get(&self, key: &[u8], delivered: &Delivered) {
        if self.attends(attention::DETAIL) {
            let hit = !matches!(delivered, Delivered::Miss(_));
            self.shared.prefixes.count(key, if hit { Use::Hit } else { Use::Miss });
        }
    }

    /// A storage request.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_store(&self, key: &[u8]) {
        if self.attends(attention::DETAIL) {
            self.shared.prefixes.count(key, Use::Set);
        }
    }

    /// A deletion.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_delete(&self, key: &[u8], _removed: &Result<Removed, StoreError>) {
        if self.attends(attention::DETAIL) {
            self.shared.prefixes.count(key, Use::Delete);
        }
    }
}
