//! A file or a block device that a path names.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::Device;

/// What was opened for a tier. Until the tier is set up nothing of it is changed, and a file that
/// was made for it goes away with it.
#[derive(Debug)]
pub(super) struct Place {
    file: File,
    path: PathBuf,
    bytes: u64,
    is_new: AtomicBool,
}

impl Place {
    /// Opens a place for `bytes`: a file is made if there is none.
    ///
    /// # Errors
    /// It can't be opened or used, or another cache uses it.
    pub(super) fn open(path: &Path, bytes: u64) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let (file, is_new) = match options.clone().create_new(true).open(path) {
            Ok(file) => (file, true),
            // A link may lead to a file that is not there yet.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.create(true).truncate(false).open(path)?, false)
            }
            Err(error) => return Err(error),
        };
        let is_new = AtomicBool::new(is_new);
        let place = Self { file, path: path.to_owned(), bytes, is_new };
        place.check()?;
        Ok(place)
    }

    fn check(&self) -> io::Result<()> {
        // A pipe, a socket or a terminal has no positions.
        let end = (&self.file).seek(SeekFrom::End(0)).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "it is no file and no block device")
        })?;
        if self.is_block_device()? && end < self.bytes {
            let reason = format!("the device has {end} bytes, not {}", self.bytes);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        #[cfg(all(target_os = "linux", not(any(miri, memcore_fallback))))]
        if (self.is_file()? || self.is_block_device()?)
            && !crate::memory::system::try_lock(&self.file)?
        {
            // Who has it wants it, whoever made it.
            self.keep();
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another cache uses it"));
        }
        // Who had made it may have removed it before it was locked here.
        if !self.is_at(&self.path) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it went away meanwhile"));
        }
        Ok(())
    }

    fn is_file(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.is_file())
    }

    fn is_block_device(&self) -> io::Result<bool> {
        #[cfg(unix)]
        {
            let kind = self.file.metadata()?.file_type();
            Ok(std::os::unix::fs::FileTypeExt::is_block_device(&kind))
        }
        #[cfg(not(unix))]
        Ok(false)
    }

    /// Whether a path leads here.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        #[cfg(all(target_os = "linux", not(any(miri, memcore_fallback))))]
        {
            crate::memory::system::is_at(&self.file, path)
        }
        #[cfg(not(all(target_os = "linux", not(any(miri, memcore_fallback)))))]
        {
            self.path == path
        }
    }

    /// Gives a file its size, now that nothing speaks against the tier any more.
    ///
    /// # Errors
    /// There is no room, or the system refuses.
    pub(super) fn size(&self) -> io::Result<()> {
        // A device has its size.
        if self.is_file()? { self.file.set_len(self.bytes) } else { Ok(()) }
    }

    /// From now on the file stays.
    pub(super) fn keep(&self) {
        self.is_new.store(false, Ordering::Relaxed);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Device for Place {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        Device::read_at(&self.file, at, into)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        Device::write_at(&self.file, at, bytes)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_new.load(Ordering::Relaxed) && self.is_at(&self.path) {
            // Nobody else has it: it is locked.
            let _ = fs::remove_file(&self.path);
        }
    }
}
