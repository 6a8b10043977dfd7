//! Zeroed memory that is reserved at once and takes real memory only where it is touched.
//!
//! Everything in it is an atomic, so readers may look at any word at any time without a data race.
//! This file knows nothing of items.

use std::fmt;

use crate::memory::sync::{AtomicU32, AtomicU64};

/// Bytes of a page of the operating system; memory is given back in multiples of it.
pub(crate) const OS_PAGE: usize = 4096;

/// A type of which all-zero memory is a valid value and that may be shared between threads.
///
/// # Safety
/// Implementers must be valid when every byte is zero and must need no `Drop`.
pub(crate) unsafe trait Cell: Sync {
    /// A zero, for memory that does not come from the system.
    #[allow(dead_code, reason = "mapped memory is zero already")]
    fn zero() -> Self;
    /// Stores zero.
    fn clear(&self);
}

// SAFETY: an atomic integer has its integer's representation, for which zero is valid.
unsafe impl Cell for AtomicU32 {
    fn zero() -> Self {
        Self::new(0)
    }
    fn clear(&self) {
        self.store(0, crate::memory::sync::Ordering::Relaxed);
    }
}

// SAFETY: as above.
unsafe impl Cell for AtomicU64 {
    fn zero() -> Self {
        Self::new(0)
    }
    fn clear(&self) {
        self.store(0, crate::memory::sync::Ordering::Relaxed);
    }
}

#[cfg(all(unix, not(miri), not(loom)))]
pub(crate) use mapped::Region;
#[cfg(not(all(unix, not(miri), not(loom))))]
pub(crate) use owned::Region;

impl<T> fmt::Debug for Region<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").finish_non_exhaustive()
    }
}

/// Memory mapped from the system.
#[cfg(all(unix, not(miri), not(loom)))]
mod mapped {
    use std::ptr::NonNull;

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    use super::{Cell, OS_PAGE};

    /// Bytes of a huge page.
    const HUGE_PAGE: usize = 2 << 20;

    /// A reserved run of `len` zeroed cells.
    pub(crate) struct Region<T> {
        base: NonNull<T>,
        len: usize,
    }

    // SAFETY: the region owns its mapping, and cells are `Sync` and hold no thread-bound state.
    unsafe impl<T: Cell> Send for Region<T> {}
    // SAFETY: shared access only hands out `&T`, and `T: Sync`.
    unsafe impl<T: Cell> Sync for Region<T> {}

    impl<T: Cell> Region<T> {
        /// Reserves address space for `len` cells.
        ///
        /// # Errors
        /// The system's refusal.
        pub(crate) fn reserve(len: usize) -> std::io::Result<Self> {
            let bytes = len.max(1).checked_mul(size_of::<T>()).ok_or(rustix::io::Errno::NOMEM)?;
            // SAFETY: a fresh anonymous mapping at an address of the kernel's choice aliases
            // nothing.
            let base = unsafe {
                mmap_anonymous(
                    std::ptr::null_mut(),
                    bytes,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::PRIVATE | MapFlags::NORESERVE,
                )?
            };
            let base = NonNull::new(base.cast()).ok_or(rustix::io::Errno::NOMEM)?;
            Ok(Self { base, len })
        }

        /// How many cells there are.
        pub(crate) fn len(&self) -> usize {
            self.len
        }

        /// The cell at `index`.
        #[inline(always)]
        pub(crate) fn at(&self, index: usize) -> &T {
            assert!(index < self.len, "cell out of range");
            // SAFETY: in range of the mapping, which lives as long as `self`; fresh and released
            // pages are zero, a valid `T`.
            unsafe { self.base.add(index).as_ref() }
        }

        /// `len` cells from `first` on.
        #[inline(always)]
        pub(crate) fn cells(&self, first: usize, len: usize) -> &[T] {
            assert!(first <= self.len && len <= self.len - first, "cells out of range");
            // SAFETY: in range of the mapping; see `at`.
            unsafe { std::slice::from_raw_parts(self.base.add(first).as_ptr(), len) }
        }

        /// The address of the cell at `index`, which may be one past the end.
        #[inline(always)]
        pub(crate) fn address(&self, index: usize) -> *mut T {
            assert!(index <= self.len, "cell out of range");
            // SAFETY: in range or one past the end of one mapping.
            unsafe { self.base.add(index).as_ptr() }
        }

        /// Brings the line of the cell at `index` towards the processor.
        #[inline(always)]
        pub(crate) fn prefetch(&self, index: usize) {
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                let address = self.base.as_ptr().wrapping_add(index);
                // SAFETY: a prefetch of any address is a hint that can't fault.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = index;
        }

        /// Gives the whole pages within these cells back to the system; they read as zero again.
        pub(crate) fn release(&self, first: usize, count: usize) {
            let start = (first * size_of::<T>()).next_multiple_of(OS_PAGE);
            let end = (first + count) * size_of::<T>() / OS_PAGE * OS_PAGE;
            assert!(first + count <= self.len, "cells out of range");
            if start >= end {
                return;
            }
            self.keep_holes(start, end);
            // SAFETY: page-aligned and within the mapping; cells are atomics for which the zeroes
            // that appear are valid, and nobody holds a plain reference into released memory.
            let refused = unsafe {
                let address = self.base.as_ptr().cast::<u8>().add(start);
                madvise(address.cast(), end - start, Advice::LinuxDontNeed)
            };
            // A kernel that refuses leaves the pages as they are: the caller must still find zeroes.
            if refused.is_err() {
                (first..first + count).for_each(|index| self.at(index).clear());
            }
        }

        /// Asks for huge pages, or for none; a refusal changes nothing but speed and slack.
        pub(crate) fn advise_huge(&self, on: bool) {
            self.advise_huge_for(0, self.len * size_of::<T>(), on);
        }

        /// No huge pages any more where bytes `start..end` are about to be given back: the system
        /// makes new ones of whatever is left around a hole, and would fill it.
        fn keep_holes(&self, start: usize, end: usize) {
            let base = self.base.as_ptr().addr();
            let first = ((base + start) / HUGE_PAGE * HUGE_PAGE).saturating_sub(base);
            let behind = (base + end).next_multiple_of(HUGE_PAGE) - base;
            self.advise_huge_for(first, behind.min(self.len * size_of::<T>()), false);
        }

        fn advise_huge_for(&self, start: usize, end: usize, on: bool) {
            #[cfg(target_os = "linux")]
            // SAFETY: advice on a part of the region's own mapping that leaves its contents alone.
            unsafe {
                let advice = if on { Advice::LinuxHugepage } else { Advice::LinuxNoHugepage };
                let address = self.base.as_ptr().cast::<u8>().add(start);
                let _ = madvise(address.cast(), end - start, advice);
            }
            #[cfg(not(target_os = "linux"))]
            let _ = (start, end, on);
        }
    }

    impl<T> Drop for Region<T> {
        fn drop(&mut self) {
            // SAFETY: the mapping made in `reserve`, to which no reference is left.
            let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len.max(1) * size_of::<T>()) };
        }
    }
}

/// Memory from the allocator, where there is no mapping to be had.
#[cfg(not(all(unix, not(miri), not(loom))))]
mod owned {
    use super::Cell;

    /// A run of `len` zeroed cells.
    pub(crate) struct Region<T>(Box<[T]>);

    impl<T: Cell> Region<T> {
        pub(crate) fn reserve(len: usize) -> std::io::Result<Self> {
            Ok(Self((0..len).map(|_| T::zero()).collect()))
        }

        pub(crate) fn len(&self) -> usize {
            self.0.len()
        }

        pub(crate) fn at(&self, index: usize) -> &T {
            &self.0[index]
        }

        pub(crate) fn address(&self, index: usize) -> *mut T {
            self.0.as_ptr().wrapping_add(index).cast_mut()
        }

        pub(crate) fn prefetch(&self, _index: usize) {}

        pub(crate) fn release(&self, first: usize, count: usize) {
            (first..first + count).for_each(|index| self.at(index).clear());
        }

        pub(crate) fn cells(&self, first: usize, len: usize) -> &[T] {
            &self.0[first..first + len]
        }

        pub(crate) fn advise_huge(&self, _on: bool) {}
    }
}
