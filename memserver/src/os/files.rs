//! Files that announce a running server, and those that it is told to read.

use std::fs;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// A file that exists as long as this value.
#[derive(Debug)]
pub(crate) struct TemporaryFile(PathBuf);

impl TemporaryFile {
    /// Writes the process ID to `path`.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn with_pid(path: &Path) -> io::Result<Self> {
        replace(path, &format!("{}\n", std::process::id()))?;
        Ok(Self::adopt(path))
    }

    /// Takes over a file that something else has made.
    pub(crate) fn adopt(path: &Path) -> Self {
        // The folder may be another one when the file is removed.
        Self(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // It may be gone already, or its folder may have become out of reach.
        let _ = fs::remove_file(&self.0);
    }
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// It can't be read, or is larger.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // A device has no length.
    fs::File::open(path)?.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "the file is too large"));
    }
    Ok(content)
}

/// Whether two paths lead to one file, which need not be there yet.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    match (id(one), id(other)) {
        (None, None) => place_of(one).is_some_and(|place| place_of(other) == Some(place)),
        (one, other) => one == other,
    }
}

/// Where a file that is not there would be.
fn place_of(path: &Path) -> Option<PathBuf> {
    Some(fs::canonicalize(folder_of(path)).ok()?.join(path.file_name()?))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    }
}

/// Whether a file can be made that could not be opened, as it is not there yet.
///
/// # Errors
/// It can't, or something else is wrong with it, as `error` says.
pub(crate) fn can_be_made(path: &Path, error: io::Error) -> io::Result<()> {
    if error.kind() != ErrorKind::NotFound {
        return Err(error);
    }
    // A link may lead to a file that is not there yet.
    let path = match fs::read_link(path) {
        Ok(to) => folder_of(path).join(to),
        Err(_) => path.to_owned(),
    };
    Ok(rustix::fs::access(folder_of(&path), Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Bytes that a file can have, those that it has included, before its file system is full; `None`
/// if that is not known.
pub(crate) fn room_for(path: &Path) -> Option<u64> {
    let (taken, system) =
        (fs::metadata(path).ok()?.blocks() * 512, rustix::fs::statvfs(path).ok()?);
    // One without bounds says that it has no blocks.
    (system.f_blocks > 0).then(|| taken + system.f_bavail * system.f_frsize)
}

/// Writes a file in one step: a reader sees the old content or the new one.
///
/// The new content is written to a file beside it, which must not exist before: where others may
/// write to the folder, a link that one of them put there under that name is removed, not followed.
///
/// # Errors
/// The file or the one beside it can't be written.
pub(crate) fn replace(path: &Path, content: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    // A run that was killed may have left one.
    let _ = fs::remove_file(&beside);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
    file.write_all(content.as_bytes())?;
    drop(file);
    fs::rename(&beside, path).inspect_err(|_| {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_link_is_not_followed() {
        let folder = std::env::temp_dir().join(format!("memserver-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let victim = folder.join("victim");
        fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, folder.join("pid.tmp")).unwrap();
        replace(&folder.join("pid"), "17\n").unwrap();
        assert_eq!(fs::read_to_string(folder.join("pid")).unwrap(), "17\n");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert!(!folder.join("pid.tmp").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
