//! What only the operating system can do, on Linux: memory that is taken where it is touched and
//! can be given back, and the cheap clock.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::time::Duration;

/// Maps `len` zeroed bytes, at least one, of which only those that are touched take memory.
///
/// # Errors
/// The system's refusal.
pub(crate) fn map(len: usize) -> io::Result<NonNull<u8>> {
    map_with(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
}

/// Maps `len` bytes of a file, at least one, from `offset` on. The file must be that long, and no
/// other process may write to it or shorten it meanwhile.
///
/// # Errors
/// The system's refusal.
pub(crate) fn map_file(file: &File, offset: u64, len: usize) -> io::Result<NonNull<u8>> {
    let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
    map_with(len, libc::MAP_SHARED, file.as_raw_fd(), offset)
}

fn map_with(len: usize, flags: i32, file: i32, offset: libc::off_t) -> io::Result<NonNull<u8>> {
    // SAFETY: a fresh mapping at an address of the kernel's choice aliases no memory of this
    // process.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            flags | libc::MAP_NORESERVE,
            file,
            offset,
        )
    };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // A core dump shows the program, not gigabytes of values. A refusal only makes it larger.
    // SAFETY: the mapping made above; this advice leaves the contents alone.
    unsafe { libc::madvise(base, len, libc::MADV_DONTDUMP) };
    NonNull::new(base.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// Ends a mapping.
///
/// # Safety
/// `base` and `len` must be those of a mapping to which no reference is left.
pub(crate) unsafe fn unmap(base: NonNull<u8>, len: usize) {
    // SAFETY: by the caller's word. It can't fail for a whole mapping.
    unsafe { libc::munmap(base.as_ptr().cast(), len) };
}

/// Gives whole pages back, those of a file to the file's system; they read as zero again. False if
/// the system refuses.
///
/// # Safety
/// The pages must be within a mapping, and there must be no plain reference into them.
pub(crate) unsafe fn discard(start: *mut u8, len: usize, of_file: bool) -> bool {
    let advice = if of_file { libc::MADV_REMOVE } else { libc::MADV_DONTNEED };
    // SAFETY: by the caller's word.
    unsafe { libc::madvise(start.cast(), len, advice) == 0 }
}

/// Has the system provide memory for whole pages, as if each was written without a change; false if
/// that would end the process, as the file that they belong to can't get any. A system that can't
/// say so is believed to have it.
///
/// # Safety
/// The pages must be within a mapping.
pub(crate) unsafe fn populate(start: *mut u8, len: usize) -> bool {
    // SAFETY: by the caller's word; this leaves the contents alone.
    let done = unsafe { libc::madvise(start.cast(), len, libc::MADV_POPULATE_WRITE) == 0 };
    done || !matches!(
        io::Error::last_os_error().raw_os_error(),
        Some(libc::EFAULT | libc::ENOMEM | libc::EHWPOISON)
    )
}

/// Bytes that the file system of a file has left; `None` if it has no bounds, or does not say.
pub(crate) fn free_space(file: &File) -> Option<u64> {
    let mut system = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the descriptor is open, and there is room for the answer.
    let done = unsafe { libc::fstatvfs(file.as_raw_fd(), system.as_mut_ptr()) } == 0;
    // SAFETY: zeroes are valid numbers, and so is an answer.
    let system = unsafe { system.assume_init() };
    #[allow(clippy::unnecessary_cast, reason = "other machines have other types")]
    let free = (system.f_bavail as u64).saturating_mul(system.f_frsize as u64);
    (done && system.f_blocks > 0).then_some(free)
}

/// Locks a file for as long as it is open; false if another one has it open and locked.
///
/// # Errors
/// The system's refusal.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: the descriptor is open.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) }
}

/// Opens a block device that nobody has mounted or opened like this, under whatever name.
///
/// # Errors
/// Somebody has, or the system refuses.
#[cfg(all(feature = "flash", not(loom)))]
pub(crate) fn open_exclusive(options: &mut fs::OpenOptions, path: &Path) -> io::Result<File> {
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_EXCL).open(path)
}

/// Whether a path leads to this file.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let id = |of: io::Result<fs::Metadata>| of.ok().map(|of| (of.dev(), of.ino()));
    id(file.metadata()).is_some_and(|own| id(fs::metadata(path)) == Some(own))
}

/// Asks for huge pages, or for none. A refusal changes nothing but speed and slack.
///
/// # Safety
/// The bytes must be within a mapping.
pub(crate) unsafe fn advise_huge(start: *mut u8, len: usize, on: bool) {
    let advice = if on { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
    // SAFETY: by the caller's word; this advice leaves the contents alone.
    unsafe { libc::madvise(start.cast(), len, advice) };
}

/// Bytes of a page; `unknown` if the system does not say.
pub(crate) fn page_size(unknown: usize) -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    // SAFETY: it only asks for a number.
    let ask = || unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    *SIZE.get_or_init(|| usize::try_from(ask()).unwrap_or(unknown))
}

/// The monotonic clock, good to a few milliseconds and four times cheaper than the exact one.
pub(crate) fn monotonic_coarse() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for writing. The clock is there since Linux 2.6.32.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
    // Neither is ever negative, and there are less than a billion nanoseconds.
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
