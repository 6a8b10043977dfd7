//! Files that announce a running server.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file that exists as long as this value.
#[derive(Debug)]
pub(crate) struct TemporaryFile(PathBuf);

impl TemporaryFile {
    /// Writes the process number to `path`.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn with_pid(path: &Path) -> io::Result<Self> {
        replace(path, &format!("{}\n", std::process::id()))?;
        Ok(Self(path.to_owned()))
    }

    /// Takes over a file that something else has made.
    pub(crate) fn adopt(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // It may be gone already, or its folder may have become out of reach.
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes a file in one step: whoever looks sees the old content or the new one.
///
/// # Errors
/// The file or the one beside it can't be written.
pub(crate) fn replace(path: &Path, content: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    fs::write(&beside, content)?;
    fs::rename(&beside, path).inspect_err(|_| {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
    })
}
