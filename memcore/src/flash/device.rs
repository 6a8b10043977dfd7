//! What the log is written to.

use std::fs::File;
use std::io;

/// A place for bytes that keeps what was written to it: a file or a block device.
///
/// Reads and writes may come from several threads at once. What was written is read afterwards;
/// nothing else is expected of it, as whatever it gives back is checked.
///
/// # Examples
/// ```
/// use std::io;
/// use std::sync::Mutex;
///
/// use memcore::flash::Device;
///
/// /// Memory in the place of a disk.
/// struct Memory(Mutex<Vec<u8>>);
///
/// impl Device for Memory {
///     fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
///         let bytes = self.0.lock().unwrap();
///         let there = bytes.get(at as usize..).unwrap_or_default();
///         let len = there.len().min(into.len());
///         into[..len].copy_from_slice(&there[..len]);
///         Ok(len)
///     }
///
///     fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize> {
///         let mut all = self.0.lock().unwrap();
///         let end = at as usize + bytes.len();
///         if all.len() < end {
///             all.resize(end, 0);
///         }
///         all[at as usize..end].copy_from_slice(bytes);
///         Ok(bytes.len())
///     }
/// }
///
/// let memory = Memory(Mutex::new(Vec::new()));
/// assert_eq!(memory.write_at(5, b"value")?, 5);
/// let mut value = [0; 5];
/// assert_eq!(memory.read_at(5, &mut value)?, 5);
/// assert_eq!(&value, b"value");
/// # Ok::<(), io::Error>(())
/// ```
pub trait Device: Send + Sync {
    /// Reads bytes from `at` on; how many, 0 where there are no more.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes bytes at `at`; how many of them.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize>;
}

#[cfg(unix)]
impl Device for File {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, into, at)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(self, bytes, at)
    }
}

#[cfg(windows)]
impl Device for File {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, into, at)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_write(self, bytes, at)
    }
}

/// Reads until `into` is full or there are no more bytes; how many there were.
pub(super) fn read_up_to(device: &dyn Device, at: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match device.read_at(at + done as u64, &mut into[done..]) {
            Ok(0) => break,
            Ok(len) => done += len.min(into.len() - done),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all of `bytes`.
pub(super) fn write_all(device: &dyn Device, at: u64, bytes: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match device.write_at(at + done as u64, &bytes[done..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => done += len.min(bytes.len() - done),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
