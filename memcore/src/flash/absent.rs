//! In the place of the flash tier where it is not compiled in.

use std::sync::Arc;

use crate::config::Builder;
use crate::engine::Engine;
use crate::index::{Guard, Position};
use crate::memory::region::Source;
use crate::restart::state::{Reader, Writer};
use crate::space::item::Item;
use crate::{ConfigError, Key};

/// The tier of an engine: none.
pub(crate) type Slot = Option<std::convert::Infallible>;

impl Engine {
    pub(crate) fn attach_flash(&mut self, _: &Builder, _: &mut Source) -> Result<(), ConfigError> {
        Ok(())
    }

    pub(crate) fn resume_flash(
        &mut self,
        _: &Builder,
        _: &mut Reader<'_>,
        _: &mut Source,
    ) -> Result<bool, ConfigError> {
        Ok(false)
    }

    pub(crate) fn secure_flash(&self) -> bool {
        true
    }

    pub(crate) fn keep_flash_files(&self) {}

    pub(crate) fn abandon_flash(&mut self) {}

    pub(crate) fn save_flash(&mut self, _: &mut Writer) {}

    #[inline(always)]
    pub(crate) fn forget_flash(&self, _: Position, _: &Guard<'_>) -> bool {
        debug_assert!(self.flash.is_none());
        false
    }

    #[inline(always)]
    pub(crate) fn may_be_on_flash(&self, _: Position) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn waits_for_flash(&self) -> bool {
        false
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn flash_bytes(&self) -> usize {
        0
    }

    #[inline(always)]
    pub(crate) fn fit_flash(&self, _: usize) {}

    #[inline(always)]
    pub(crate) fn tend_flash(&self) {}

    #[inline(always)]
    pub(crate) fn settle(self: &Arc<Self>, _: &Key<'_>) {}

    #[inline(always)]
    pub(crate) fn spill(&self, _: Position, _: &Item, _: u32, _: &Guard<'_>) {}
}
