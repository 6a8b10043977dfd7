//! The file that a cache's memory may lie in: regions one behind the other, behind a page that says
//! what the file is.

#[cfg(all(target_os = "linux", not(miri), not(loom), not(memcore_fallback)))]
pub(crate) use mapped::MemoryFile;
#[cfg(not(all(target_os = "linux", not(miri), not(loom), not(memcore_fallback))))]
pub(crate) use none::MemoryFile;

/// Whatever caches make where there is none.
#[cfg(any(
    all(target_os = "linux", not(miri), not(loom), not(memcore_fallback)),
    all(feature = "flash", not(loom))
))]
pub(crate) mod made {
    use std::fs::{self, File, OpenOptions};
    use std::io;
    use std::path::Path;

    /// Opens a file, which is made if there is none; whether it was.
    ///
    /// # Errors
    /// The system's refusal.
    pub(crate) fn open(options: &OpenOptions, path: &Path) -> io::Result<(File, bool)> {
        match options.clone().create_new(true).open(path) {
            Ok(file) => Ok((file, true)),
            // A link may lead to a file that is not there yet.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok((options.clone().create(true).truncate(false).open(path)?, false))
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a file that was made, and that nobody else has: it is locked.
    pub(crate) fn remove(file: &File, path: &Path) {
        // The rights to its folder may be gone. Empty, it is as good as none.
        let _ = fs::remove_file(path).or_else(|_| file.set_len(0));
    }
}

/// A file that is mapped.
#[cfg(all(target_os = "linux", not(miri), not(loom), not(memcore_fallback)))]
mod mapped {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::{FileExt, MetadataExt as _, OpenOptionsExt};
    use std::path::{Path, PathBuf};
    use std::ptr::NonNull;

    use super::made;
    use crate::memory::system;

    /// Where regions begin in the file: multiples of a huge page, so that one can serve them.
    const ALIGN: u64 = 2 << 20;

    /// A file that this process alone has open, and the end of its last region. Unless it is kept
    /// it is left as it was found: one that was made here goes away again.
    #[derive(Debug)]
    pub(crate) struct MemoryFile {
        file: File,
        path: PathBuf,
        end: u64,
        /// How long it was; `None` if there was none.
        found: Option<u64>,
        is_kept: bool,
    }

    impl MemoryFile {
        /// Opens or creates the file; `None` if another process has it open.
        ///
        /// # Errors
        /// The system's refusal.
        pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
            // What is in it is nobody else's business.
            let mut options = File::options();
            options.read(true).write(true).mode(0o600);
            loop {
                let (file, is_new) = made::open(&options, path)?;
                // A device or a pipe can't become as long as it has to be.
                if !file.metadata()?.is_file() {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
                }
                if !system::try_lock(&file)? {
                    return Ok(None);
                }
                // Who had made it may have removed it before it was locked here.
                if system::is_at(&file, path) {
                    let found = (!is_new).then(|| file.metadata()).transpose()?.map(|it| it.len());
                    let path = path.to_owned();
                    return Ok(Some(Self { file, path, end: 0, found, is_kept: false }));
                }
            }
        }

        /// Whether it was made here.
        pub(crate) fn is_new(&self) -> bool {
            self.found.is_none()
        }

        /// From now on the file stays as it becomes, or no longer does.
        pub(crate) fn set_kept(&mut self, is_kept: bool) {
            self.is_kept = is_kept;
        }

        /// Maps the next `bytes` of the file, which grows if it ends before. What was not written
        /// reads as zero and takes no memory.
        ///
        /// # Errors
        /// The system's refusal.
        pub(crate) fn map(&mut self, bytes: usize) -> io::Result<NonNull<u8>> {
            let start = (self.end + 1).next_multiple_of(ALIGN);
            let end = start + bytes as u64;
            if self.file.metadata()?.len() < end {
                self.file.set_len(end)?;
            }
            let base = system::map_file(&self.file, start, bytes)?;
            self.end = end;
            Ok(base)
        }

        /// The first byte behind all regions.
        pub(crate) fn end(&self) -> u64 {
            self.end
        }

        /// The regions behind `end` are no more.
        pub(crate) fn forget_behind(&mut self, end: u64) {
            self.end = end;
        }

        /// What lies behind `at` reads as zero from now on, and the file ends with its last region.
        ///
        /// # Errors
        /// The system's refusal.
        pub(crate) fn clear_behind(&self, at: u64) -> io::Result<()> {
            self.file.set_len(at)?;
            self.file.set_len(self.end)
        }

        /// How long the file is.
        ///
        /// # Errors
        /// The system's refusal.
        pub(crate) fn len(&self) -> io::Result<u64> {
            Ok(self.file.metadata()?.len())
        }

        /// Whether its file system has no room for `bytes` of it.
        pub(crate) fn is_cramped(&self, bytes: usize) -> bool {
            let taken = self.file.metadata().map_or(0, |it| it.blocks() * 512);
            system::free_space(&self.file).is_some_and(|free| taken + free < bytes as u64)
        }

        /// Writes the last byte as it is.
        ///
        /// # Errors
        /// The system's refusal, such as of a file that is longer than any may be.
        pub(crate) fn rewrite_end(&self) -> io::Result<()> {
            let Some(last) = self.len()?.checked_sub(1) else { return Ok(()) };
            let mut byte = [0];
            self.read(last, &mut byte)?;
            self.write(last, &byte)
        }

        /// Reads all of `into` from `at` on.
        ///
        /// # Errors
        /// The file ends before, or the system refuses.
        pub(crate) fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
            self.file.read_exact_at(into, at)
        }

        /// Writes `bytes` at `at`.
        ///
        /// # Errors
        /// The system's refusal.
        pub(crate) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
            self.file.write_all_at(bytes, at)
        }

        /// Waits until all that was written, to the regions as well, is where the file is kept.
        ///
        /// # Errors
        /// The system's refusal.
        pub(crate) fn sync(&self) -> io::Result<()> {
            self.file.sync_all()
        }
    }

    impl Drop for MemoryFile {
        fn drop(&mut self) {
            if self.is_kept {
                return;
            }
            match self.found {
                // Nobody else has it: it is locked.
                Some(len) if self.len().is_ok_and(|now| now > len) => {
                    let _ = self.file.set_len(len);
                }
                // Something else may have taken its place.
                None if system::is_at(&self.file, &self.path) => {
                    made::remove(&self.file, &self.path);
                }
                _ => {}
            }
        }
    }
}

/// There are none where memory is not mapped.
#[cfg(not(all(target_os = "linux", not(miri), not(loom), not(memcore_fallback))))]
mod none {
    use std::io;
    use std::path::Path;

    #[derive(Debug)]
    pub(crate) enum MemoryFile {}

    impl MemoryFile {
        pub(crate) fn open(_: &Path) -> io::Result<Option<Self>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn is_new(&self) -> bool {
            match *self {}
        }

        pub(crate) fn set_kept(&mut self, _: bool) {
            match *self {}
        }

        pub(crate) fn end(&self) -> u64 {
            match *self {}
        }

        pub(crate) fn forget_behind(&mut self, _: u64) {
            match *self {}
        }

        pub(crate) fn clear_behind(&self, _: u64) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn len(&self) -> io::Result<u64> {
            match *self {}
        }

        pub(crate) fn is_cramped(&self, _: usize) -> bool {
            match *self {}
        }

        pub(crate) fn rewrite_end(&self) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn read(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn sync(&self) -> io::Result<()> {
            match *self {}
        }
    }
}
