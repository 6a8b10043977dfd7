//! A file or a block device that a path names.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::Device;
use crate::memory::file::made;

/// What was opened for a tier. Until the tier is set up nothing of it is changed, and unless it is
/// kept, a file that was made for it goes away with it.
#[derive(Debug)]
pub(super) struct Place {
    file: File,
    path: PathBuf,
    bytes: u64,
    is_new: bool,
    is_kept: AtomicBool,
}

/// Reads and writes. What is made is its owner's alone.
fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Opens a place; whether a file was made for it.
fn open(path: &Path) -> io::Result<(File, bool)> {
    #[cfg(all(target_os = "linux", not(any(miri, memcore_fallback))))]
    if path.metadata().is_ok_and(|it| is_block_device(&it)) {
        let opened = crate::memory::system::open_exclusive(&mut options(), path);
        return match opened {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "it is mounted, or another process uses it",
            )),
            opened => Ok((opened?, false)),
        };
    }
    made::open(&options(), path)
}

/// Whether what was opened can be a place for `bytes`.
fn check(mut file: &File, bytes: u64) -> io::Result<()> {
    let unfit = |reason: String| io::Error::new(io::ErrorKind::InvalidInput, reason);
    // A pipe, a socket or a terminal has no positions.
    let end = file.seek(SeekFrom::End(0));
    let end = end.map_err(|_| unfit("it is no file and no block device".to_owned()))?;
    if is_block_device(&file.metadata()?) && end < bytes {
        return Err(unfit(format!("the device has {end} bytes, not {bytes}")));
    }
    Ok(())
}

fn is_block_device(of: &Metadata) -> bool {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileTypeExt::is_block_device(&of.file_type())
    }
    #[cfg(not(unix))]
    {
        let _ = of;
        false
    }
}

impl Place {
    /// Opens a place for `bytes`: a file is made if there is none.
    ///
    /// # Errors
    /// It can't be opened or used, or another cache uses it.
    pub(super) fn open(path: &Path, bytes: u64) -> io::Result<Self> {
        let (file, is_new) = open(path)?;
        let is_kept = AtomicBool::new(false);
        let place = Self { file, path: path.to_owned(), bytes, is_new, is_kept };
        check(&place.file, bytes)?;
        place.lock()?;
        Ok(place)
    }

    /// What speaks against a place for `bytes`. Nothing is made, locked or changed.
    ///
    /// # Errors
    /// It can't be opened or used; there is none yet.
    pub(super) fn check(path: &Path, bytes: u64) -> io::Result<()> {
        check(&options().open(path)?, bytes)
    }

    fn lock(&self) -> io::Result<()> {
        #[cfg(all(target_os = "linux", not(any(miri, memcore_fallback))))]
        if self.can_be_locked()? && !crate::memory::system::try_lock(&self.file)? {
            // Who has it wants it, whoever made it.
            self.set_kept(true);
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another cache uses it"));
        }
        // Who had made it may have removed it before it was locked here.
        if !self.is_at(&self.path) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it went away meanwhile"));
        }
        Ok(())
    }

    /// Whether nobody else should use it meanwhile: not so `/dev/null` and its like.
    #[cfg(all(target_os = "linux", not(any(miri, memcore_fallback))))]
    fn can_be_locked(&self) -> io::Result<bool> {
        let metadata = self.file.metadata()?;
        Ok(metadata.is_file() || is_block_device(&metadata))
    }

    fn is_file(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.is_file())
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

    /// Whether it was made for the tier.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// From now on the file stays, or no longer does.
    pub(super) fn set_kept(&self, is_kept: bool) {
        self.is_kept.store(is_kept, Ordering::Relaxed);
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
        if self.is_new && !self.is_kept.load(Ordering::Relaxed) && self.is_at(&self.path) {
            made::remove(&self.file, &self.path);
        }
    }
}
