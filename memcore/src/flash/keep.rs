//! What a memory file keeps of the tier, so that a restart finds on flash what was there.
//!
//! The table lies in the file, behind the index. What is said about it, and about the log, stands
//! at the end of the file's state and is of no use before the file is marked as closed. Records are
//! not looked at: whatever the devices hold by now, a word leads to the record that was written for
//! it or to something that is no record.

use super::map::ALIGN;
use super::names::Names;
use super::table::Table;
use super::{Contents, Flash, Plan, Tier};
use crate::config::Builder;
use crate::engine::Engine;
use crate::memory::region::Source;
use crate::restart::state::{Damaged, Reader, Writer};
use crate::{ConfigError, MemoryFileError, Restored};

/// Begins what is kept, and says in which format.
const MAGIC: u64 = u64::from_le_bytes(*b"mcflash\x01");
/// What is said of a log whose devices are not those of the memory file.
const OTHER: MemoryFileError = MemoryFileError::OtherFlash;

impl Engine {
    /// Attaches a tier to an engine that was built empty.
    pub(crate) fn attach_flash(
        &mut self,
        builder: &Builder,
        source: &mut Source,
    ) -> Result<(), ConfigError> {
        let Some(flash) = &builder.flash else { return Ok(()) };
        let plan = Plan::new(flash, &self.settings, self.index.shards())?;
        plan.check(self.space.pool.limit())?;
        size_files(flash)?;
        let contents = plan.empty(source)?;
        self.attach(flash, plan, contents)
    }

    /// Attaches a tier to an engine that goes on with its memory file: with what was kept of it, if
    /// something was and if it can be used; why it can't. Nothing in the file changes.
    ///
    /// # Errors
    /// The tier can't be set up like this, or what was kept can't be used and has to be.
    pub(crate) fn resume_flash(
        &mut self,
        builder: &Builder,
        from: &mut Reader<'_>,
        source: &mut Source,
    ) -> Result<Option<MemoryFileError>, ConfigError> {
        let Some(flash) = &builder.flash else { return Ok(None) };
        let plan = Plan::new(flash, &self.settings, self.index.shards())?;
        plan.check(self.space.pool.limit())?;
        if from.is_empty() {
            size_files(flash)?;
            return Ok(None);
        }
        let Source::File(file) = &*source else { return Ok(None) };
        let end = file.end();
        match plan.resume(from, source) {
            Ok(contents) => {
                size_files(flash)?;
                self.attach(flash, plan, contents).map(|()| None)
            }
            Err(error) if builder.memory_file_strict => Err(error.into()),
            Err(error) => {
                size_files(flash)?;
                if let Source::File(file) = source {
                    file.forget_behind(end);
                }
                Ok(Some(error))
            }
        }
    }

    /// Attaches a tier that is empty to an engine that goes on with its memory file, which says now
    /// that it is open, unless the engine has one; `discarded` says why it has not.
    pub(crate) fn renew_flash(
        &mut self,
        builder: &Builder,
        discarded: Option<MemoryFileError>,
    ) -> Result<(), ConfigError> {
        if self.flash.is_none() {
            let Some(file) = self.memory_file.take() else { return Ok(()) };
            let mut source = Source::File(file);
            self.attach_flash(builder, &mut source)?;
            if let Source::File(file) = source {
                self.memory_file = Some(file);
            }
        }
        if let (Some(tier), Some(error)) = (&mut self.flash, discarded) {
            tier.restored = Restored::Discarded(error);
        }
        // The table may be larger than a lower limit allows.
        self.fit_flash(self.space.pool.limit());
        Ok(())
    }

    /// Writes what is in buffers, and keeps what is to be known about the tier; nothing of one that
    /// is off.
    pub(crate) fn save_flash(&mut self, out: &mut Writer) {
        if let Some(tier) = &mut self.flash {
            tier.write_all();
            if tier.is_on() {
                tier.save(out);
            }
        }
    }
}

/// Gives files their sizes. It comes last of what may be refused, and before a memory file says
/// that it is open.
fn size_files(flash: &Flash) -> Result<(), ConfigError> {
    flash.size_files().map_err(|reason| ConfigError::Flash { reason })
}

impl Tier {
    fn write_all(&self) {
        self.log.lock().finish();
        while let Some(load) = self.next_load(None) {
            self.write(load);
        }
    }

    fn save(&mut self, out: &mut Writer) {
        let head = self.log.lock().head();
        let Some(pages) = self.map.last_pages(head) else { return };
        out.put(MAGIC);
        self.map.shape().into_iter().for_each(|number| out.put(number));
        out.put(head);
        out.put(self.table.buckets_most().into());
        pages.into_iter().for_each(|page| out.put(page));
        self.names.save(self.tail(), head, out);
        self.table.save(out);
        self.table.checksums(|sum| out.put(sum));
    }
}

impl Plan {
    /// The contents that were kept.
    ///
    /// # Errors
    /// They can't be used with these devices, or are damaged.
    fn resume(
        &self,
        from: &mut Reader<'_>,
        source: &mut Source,
    ) -> Result<Contents, MemoryFileError> {
        if from.take()? != MAGIC {
            return Err(MemoryFileError::Format);
        }
        for number in self.map.shape() {
            if from.take()? != number {
                return Err(OTHER);
            }
        }
        let (head, most) = (from.take()?, from.take_u32()?);
        if head % ALIGN != 0 || most != Table::buckets_max(self.shards, self.table_most) {
            return Err(Damaged("flash table").into());
        }
        let pages = self.map.last_pages(head).ok_or(OTHER)?;
        for page in pages {
            if from.take()? != page {
                return Err(OTHER);
            }
        }
        let names = Names::restore(from, head, super::random())?;
        let mut table = Table::new(self.shards, self.table_most, source)?;
        table.restore(from)?;
        let mut whole = Ok(());
        table.checksums(|sum| whole = whole.and(from.compare(sum)));
        whole.map_err(|_| Damaged("flash table"))?;
        if !from.is_empty() {
            return Err(Damaged("state").into());
        }
        let restored = Restored::Items(table.items());
        Ok(Contents { head, names, table, restored })
    }
}
