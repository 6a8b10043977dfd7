//! Zeroed memory that is reserved at once and takes real memory only where it is touched.
//!
//! Everything in it is an atomic, so readers may look at any word at any time without a data race.
//! This file knows nothing of items.

use std::fmt;

use crate::memory::file::MemoryFile;
use crate::memory::sync::{AtomicU32, AtomicU64};

/// Bytes of the smallest page of any system. What is given back in multiples of this reads as zero
/// again, whatever the real size of a page is.
pub(crate) const OS_PAGE: usize = 4096;

/// Bytes of a huge page.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// Whether reserved memory is taken from the system only where it is touched, and can go back.
pub(crate) const ON_DEMAND: bool =
    cfg!(all(target_os = "linux", not(miri), not(loom), not(memcore_fallback)));

/// A type of which all-zero memory is a valid value and that may be shared between threads.
///
/// # Safety
/// Implementers must be valid when every byte is zero and must need no `Drop`.
pub(crate) unsafe trait Cell: Sync {
    /// A zero, for the model checker, whose atomics are more than their value.
    #[allow(dead_code, reason = "all other memory is zero already")]
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

/// A cell that can be written without a change, whoever uses it.
pub(crate) trait Word: Cell {
    /// Stores what is there already.
    fn touch(&self);
}

impl Word for AtomicU32 {
    fn touch(&self) {
        self.fetch_or(0, crate::memory::sync::Ordering::Relaxed);
    }
}

impl Word for AtomicU64 {
    fn touch(&self) {
        self.fetch_or(0, crate::memory::sync::Ordering::Relaxed);
    }
}

#[cfg(all(target_os = "linux", not(miri), not(loom), not(memcore_fallback)))]
pub(crate) use mapped::Region;
#[cfg(not(all(target_os = "linux", not(miri), not(loom), not(memcore_fallback))))]
pub(crate) use owned::Region;

impl<T> fmt::Debug for Region<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").finish_non_exhaustive()
    }
}

/// Where regions get their memory.
#[derive(Debug)]
pub(crate) enum Source {
    /// From the system, zeroed.
    System,
    /// From a file, one region behind the other.
    File(MemoryFile),
}

impl Source {
    /// The next region is the first one.
    pub(crate) fn rewind(&mut self) {
        if let Self::File(file) = self {
            file.forget_behind(0);
        }
    }
}

/// Memory mapped from the system.
#[cfg(all(target_os = "linux", not(miri), not(loom), not(memcore_fallback)))]
mod mapped {
    use std::ptr::NonNull;

    use super::{Cell, HUGE_PAGE, OS_PAGE, Source, prefetch};
    use crate::memory::system;

    /// A reserved run of `len` zeroed cells.
    pub(crate) struct Region<T> {
        base: NonNull<T>,
        len: usize,
        /// It lies in a file.
        of_file: bool,
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
        pub(crate) fn reserve(len: usize, source: &mut Source) -> std::io::Result<Self> {
            let bytes = len.max(1).checked_mul(size_of::<T>());
            let bytes = bytes.ok_or(std::io::ErrorKind::OutOfMemory)?;
            let (base, of_file) = match source {
                Source::System => (system::map(bytes)?, false),
                Source::File(file) => (file.map(bytes)?, true),
            };
            Ok(Self { base: base.cast(), len, of_file })
        }

        /// The bytes of `len` cells from `first` on, while nobody else uses the region.
        pub(crate) fn bytes(&mut self, first: usize, len: usize) -> &[u8] {
            assert!(first <= self.len && len <= self.len - first, "cells out of range");
            // SAFETY: in range of the mapping, whose bytes are all initialized. Nobody changes them
            // while the region is borrowed exclusively.
            unsafe {
                let start = self.base.add(first).as_ptr().cast::<u8>();
                std::slice::from_raw_parts(start, len * size_of::<T>())
            }
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

        /// Prefetches the line of the cell at `index`.
        #[inline(always)]
        pub(crate) fn prefetch(&self, index: usize) {
            prefetch(self.base.as_ptr().wrapping_add(index));
        }

        /// Whether these cells can be used: where a file has no memory for them, touching them
        /// would end the process. Otherwise they have it from then on.
        pub(crate) fn secure(&self, first: usize, count: usize) -> bool {
            assert!(first <= self.len && count <= self.len - first, "cells out of range");
            if !self.of_file {
                return true;
            }
            let page = system::page_size(OS_PAGE);
            let start = first * size_of::<T>() / page * page;
            let end = ((first + count) * size_of::<T>()).next_multiple_of(page);
            // SAFETY: page-aligned, and within the pages of the mapping.
            unsafe { system::populate(self.base.as_ptr().cast::<u8>().add(start), end - start) }
        }

        /// Gives the whole pages within these cells back to the system. Everything in them that is
        /// a multiple of [`OS_PAGE`] reads as zero afterwards.
        pub(crate) fn release(&self, first: usize, count: usize) {
            self.release_pages(first, count, system::page_size(OS_PAGE));
        }

        /// The same on a system with pages of `page` bytes, at least [`OS_PAGE`].
        pub(super) fn release_pages(&self, first: usize, count: usize, page: usize) {
            assert!(first + count <= self.len, "cells out of range");
            let (from, to) = (first * size_of::<T>(), (first + count) * size_of::<T>());
            // The system's pages may be larger than `OS_PAGE`: what is left around them is zeroed
            // by hand, so that the outcome is the same everywhere.
            let start = from.next_multiple_of(page);
            let end = to / page * page;
            let given = start < end && self.give_back(start, end);
            let clear = |from: usize, to: usize| {
                (from / size_of::<T>()..to / size_of::<T>()).for_each(|i| self.at(i).clear());
            };
            let (from, to) = (from.next_multiple_of(OS_PAGE), to / OS_PAGE * OS_PAGE);
            if given {
                clear(from, start);
                clear(end, to);
            } else {
                clear(from, to);
            }
        }

        /// Gives bytes `start..end` back, which are whole pages; false if the system refuses.
        fn give_back(&self, start: usize, end: usize) -> bool {
            self.keep_holes(start, end);
            // SAFETY: page-aligned and within the mapping; cells are atomics for which the zeroes
            // that appear are valid, and no plain reference leads into released memory.
            unsafe {
                let start_at = self.base.as_ptr().cast::<u8>().add(start);
                system::discard(start_at, end - start, self.of_file)
            }
        }

        /// Asks for huge pages, or for none; a refusal changes nothing but speed and slack.
        ///
        /// Never for the beginning, which is used first: a cache that holds next to nothing would
        /// take a whole huge page for it.
        pub(crate) fn advise_huge(&self, on: bool) {
            let bytes = self.len * size_of::<T>();
            let head = HUGE_PAGE.min(bytes);
            self.advise_huge_for(0, head, false);
            self.advise_huge_for(head, bytes, on);
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
            // SAFETY: a part of the region's own mapping.
            unsafe {
                let address = self.base.as_ptr().cast::<u8>().add(start);
                system::advise_huge(address, end - start, on);
            }
        }
    }

    impl<T> Drop for Region<T> {
        fn drop(&mut self) {
            // SAFETY: the mapping made in `reserve`, to which no reference is left.
            unsafe { system::unmap(self.base.cast(), self.len.max(1) * size_of::<T>()) };
        }
    }
}

/// Memory from the allocator, where none is mapped. It is zeroed and stays until the region ends.
#[cfg(not(all(target_os = "linux", not(miri), not(loom), not(memcore_fallback))))]
mod owned {
    use super::{Cell, Source, prefetch};

    /// A run of zeroed cells.
    pub(crate) struct Region<T>(Box<[T]>);

    impl<T: Cell> Region<T> {
        /// Allocates `len` cells.
        ///
        /// # Errors
        /// There is no memory.
        #[cfg(not(loom))]
        pub(crate) fn reserve(len: usize, source: &mut Source) -> std::io::Result<Self> {
            use std::alloc::{Layout, alloc_zeroed};
            match source {
                Source::System => {}
                // There are no files to take it from here.
                Source::File(file) => match *file {},
            }
            let len = len.max(1);
            let refused = || std::io::Error::from(std::io::ErrorKind::OutOfMemory);
            let layout = Layout::array::<T>(len).map_err(|_| refused())?;
            // SAFETY: at least one cell, which is not of size zero, so the layout isn't either.
            let cells = unsafe { alloc_zeroed(layout) }.cast::<T>();
            if cells.is_null() {
                return Err(refused());
            }
            // SAFETY: allocated above for `len` cells as a box has them, and zeroes are valid ones.
            Ok(Self(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(cells, len)) }))
        }

        #[cfg(loom)]
        pub(crate) fn reserve(len: usize, _: &mut Source) -> std::io::Result<Self> {
            Ok(Self((0..len).map(|_| T::zero()).collect()))
        }

        /// How many cells there are.
        pub(crate) fn len(&self) -> usize {
            self.0.len()
        }

        /// Only memory in files is looked at byte by byte.
        pub(crate) fn bytes(&mut self, _first: usize, _len: usize) -> &[u8] {
            &[]
        }

        /// The cell at `index`.
        #[inline(always)]
        pub(crate) fn at(&self, index: usize) -> &T {
            &self.0[index]
        }

        /// `len` cells from `first` on.
        #[inline(always)]
        pub(crate) fn cells(&self, first: usize, len: usize) -> &[T] {
            &self.0[first..first + len]
        }

        /// The address of the cell at `index`, which may be one past the end.
        #[inline(always)]
        pub(crate) fn address(&self, index: usize) -> *mut T {
            assert!(index <= self.0.len(), "cell out of range");
            self.0.as_ptr().wrapping_add(index).cast_mut()
        }

        /// Prefetches the line of the cell at `index`.
        #[inline(always)]
        pub(crate) fn prefetch(&self, index: usize) {
            prefetch(self.0.as_ptr().wrapping_add(index));
        }

        /// They have their memory.
        pub(crate) fn secure(&self, _first: usize, _count: usize) -> bool {
            true
        }

        /// Zeroes these cells; their memory can't go back alone.
        pub(crate) fn release(&self, first: usize, count: usize) {
            self.cells(first, count).iter().for_each(Cell::clear);
        }

        /// There are no pages to ask for.
        pub(crate) fn advise_huge(&self, _on: bool) {}
    }
}

impl<T: Word> Region<T> {
    /// `N` cells from `first` on.
    #[inline(always)]
    pub(crate) fn array<const N: usize>(&self, first: usize) -> &[T; N] {
        self.cells(first, N).try_into().expect("as many cells as were asked for")
    }

    /// Has the system provide memory for these cells now, if it has not yet: it zeroes it then, and
    /// that of a huge page takes it longer than any operation of the cache.
    pub(crate) fn provide(&self, first: usize, count: usize) {
        if ON_DEMAND {
            self.cells(first, count).iter().step_by(OS_PAGE / size_of::<T>()).for_each(T::touch);
        }
    }
}

/// Prefetches the line at `address`, which may be anything.
#[inline(always)]
fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address is a hint that can't fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: a prefetch of any address is a hint that can't fault.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{a}]", a = in(reg) address,
            options(nostack, preserves_flags, readonly));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = address;
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::memory::sync::Ordering::Relaxed;

    fn region_of_ones(len: usize) -> Region<AtomicU32> {
        let region = Region::<AtomicU32>::reserve(len, &mut Source::System).unwrap();
        (0..len).for_each(|index| region.at(index).store(1, Relaxed));
        region
    }

    /// The cells that are zero, as one range.
    fn zeroes(region: &Region<AtomicU32>) -> std::ops::Range<usize> {
        let is_zero = |index: &usize| region.at(*index).load(Relaxed) == 0;
        let zeroes: Vec<usize> = (0..region.len()).filter(is_zero).collect();
        let Some(&first) = zeroes.first() else { return 0..0 };
        assert!(zeroes.windows(2).all(|pair| pair[0] + 1 == pair[1]), "one range");
        first..first + zeroes.len()
    }

    #[test]
    fn fresh_and_released_memory_reads_as_zero() {
        const PAGE: usize = OS_PAGE / 4;
        let region = Region::<AtomicU32>::reserve(8 * PAGE, &mut Source::System).unwrap();
        assert_eq!(zeroes(&region), 0..8 * PAGE);
        let region = region_of_ones(8 * PAGE);
        region.release(2 * PAGE, 3 * PAGE);
        assert_eq!(zeroes(&region), 2 * PAGE..5 * PAGE);
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri), not(memcore_fallback)))]
    fn memory_goes_back_in_pages_of_any_size() {
        const PAGE: usize = OS_PAGE / 4;
        for bytes in [OS_PAGE, 16 << 10, 64 << 10] {
            for (first, count) in [(0, 64), (16, 32), (3, 40), (5, 2), (17, 1), (16, 15)] {
                let region = region_of_ones(64 * PAGE);
                region.release_pages(first * PAGE, count * PAGE, bytes);
                assert_eq!(zeroes(&region), first * PAGE..(first + count) * PAGE, "{bytes}");
            }
        }
        let region = region_of_ones(4 * PAGE);
        region.release_pages(PAGE - 1, 2 * PAGE, OS_PAGE);
        assert_eq!(zeroes(&region), PAGE..2 * PAGE, "parts of pages stay as they are");
    }
}
