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
    /// Attaches a tier that is empty.
    pub(crate) fn attach_flash(
        &mut self,
        builder: &Builder,
        source: &mut Source,
    ) -> Result<(), ConfigError> {
        let Some(flash) = &builder.flash else { return Ok(()) };
        let plan = self.plan_flash(flash)?;
        let contents = plan.empty(source)?;
        self.attach(flash, plan, contents)
    }

    /// Attaches a tier to an engine that goes on with its memory file: with what was kept of it, if
    /// something was and if it can be used; whether it was. Nothing in the file changes, so that
    /// the table of one that begins empty has to be cleared.
    ///
    /// # Errors
    /// The tier can't be set up like this, or what was kept can't be used and has to be.
    pub(crate) fn resume_flash(
        &mut self,
        builder: &Builder,
        from: &mut Reader<'_>,
        source: &mut Source,
    ) -> Result<bool, ConfigError> {
        let Some(flash) = &builder.flash else { return Ok(false) };
        let plan = self.plan_flash(flash)?;
        let contents = match from.is_empty() {
            true => plan.empty(source)?,
            false => plan.resume(from, source, builder.memory_file_strict)?,
        };
        let is_kept = matches!(contents.restored, Restored::Items(_));
        self.attach(flash, plan, contents).map(|()| is_kept)
    }

    fn plan_flash(&self, flash: &Flash) -> Result<Plan, ConfigError> {
        Plan::new(flash, &self.settings, self.index.shards(), self.space.pool.limit())
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
    /// The contents that were kept; unless `strict`, none if they can't be used.
    ///
    /// # Errors
    /// There is no memory, or they can't be used and have to be.
    fn resume(
        &self,
        from: &mut Reader<'_>,
        source: &mut Source,
        strict: bool,
    ) -> Result<Contents, ConfigError> {
        let end = match &*source {
            Source::File(file) => file.end(),
            Source::System => 0,
        };
        match self.restore(from, source) {
            Err(ConfigError::MemoryFile(error)) if !strict => {
                if let Source::File(file) = source {
                    file.forget_behind(end);
                }
                Ok(Contents { restored: Restored::Discarded(error), ..self.empty(source)? })
            }
            result => result,
        }
    }

    /// The contents that were kept.
    ///
    /// # Errors
    /// They can't be used with these devices, or are damaged; there is no memory.
    fn restore(&self, from: &mut Reader<'_>, source: &mut Source) -> Result<Contents, ConfigError> {
        let (head, names) = self.restore_log(from)?;
        let mut table = self.table(source)?;
        table.restore(from).map_err(MemoryFileError::from)?;
        let mut whole = Ok(());
        table.checksums(|sum| whole = whole.and(from.compare(sum)));
        whole.map_err(|_| MemoryFileError::from(Damaged("flash table")))?;
        if !from.is_empty() {
            return Err(MemoryFileError::from(Damaged("state")).into());
        }
        let restored = Restored::Items(table.items());
        Ok(Contents { head, names, table, restored })
    }

    /// How far the log has come, and under which names, if its devices are these.
    fn restore_log(&self, from: &mut Reader<'_>) -> Result<(u64, Names), MemoryFileError> {
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
        Ok((head, names))
    }
}
