//! The files of TLS: reading them, whether they have changed, and who else may read a key.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::TlsError;
use crate::config::tls::TlsSettings;
use crate::os::files;

/// Bytes that a file may have. Bundles of authorities have some hundred KiB.
const BYTES_MAX: u64 = 8 << 20;

/// Reads a file.
///
/// # Errors
/// It can't be read, or is far too large.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let fail = |source| TlsError::Unreadable { path: path.to_owned(), source };
    files::read(path, BYTES_MAX).map_err(fail)
}

/// What is wrong with the permissions of a key's file: a line for the user.
pub(super) fn exposure(path: &Path) -> Option<String> {
    let mode = fs::metadata(path).ok()?.mode();
    let path = path.display();
    if mode & 0o022 != 0 {
        return Some(format!("others may change the key {path} (mode {:o})", mode & 0o777));
    }
    (mode & 0o004 != 0).then(|| {
        format!("every user of this machine may read the key {path} (mode {:o})", mode & 0o777)
    })
}

/// What the files of TLS look like from outside, with links followed: a mounted secret is
/// exchanged by pointing a link to another folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<FileStamp>>);

/// A file, and a content that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// How they look now.
    pub(super) fn of(settings: &TlsSettings) -> Self {
        Self(settings.files().map(|path| stamp(path)).collect())
    }
}

fn stamp(path: &Path) -> Option<FileStamp> {
    let meta = fs::metadata(path).ok()?;
    Some(FileStamp {
        device: meta.dev(),
        inode: meta.ino(),
        length: meta.len(),
        changed: (meta.mtime(), meta.mtime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_link_that_points_elsewhere_is_a_change() {
        let folder = std::env::temp_dir().join(format!("memserver-tls-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in ["old", "new"] {
            fs::create_dir_all(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("tls.crt"), "same length").unwrap();
        }
        let data = folder.join("..data");
        symlink(folder.join("old"), &data).unwrap();
        let chain_cert = data.join("tls.crt");
        let settings = TlsSettings { chain_cert: chain_cert.clone(), ..TlsSettings::default() };
        let before = Stamp::of(&settings);
        assert_eq!(before, Stamp::of(&settings));
        symlink(folder.join("new"), folder.join("swap")).unwrap();
        fs::rename(folder.join("swap"), &data).unwrap();
        let after = Stamp::of(&settings);
        assert_ne!(before, after);
        fs::remove_file(&chain_cert).unwrap();
        assert_ne!(after, Stamp::of(&settings));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn keys_that_others_can_read_are_told() {
        let path = std::env::temp_dir().join(format!("memserver-key-{}", std::process::id()));
        fs::write(&path, "key").unwrap();
        for (mode, expected) in
            [(0o400, None), (0o440, None), (0o644, Some("read")), (0o660, Some("change"))]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let found = exposure(&path);
            assert_eq!(found.is_some(), expected.is_some(), "{mode:o}");
            assert!(found.is_none_or(|line| line.contains(expected.unwrap())), "{mode:o}");
        }
        fs::remove_file(&path).unwrap();
    }
}
