//! The heap of a process: what is free in it goes back to the system, and an allocation for which
//! the system has no memory finds a reserve.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// The system's heap with a reserve. An allocation that fails would abort the process; with this
/// as the global allocator it takes from the reserve, and the program is told ([`is_short`]) to
/// make up for it.
///
/// ```
/// #[global_allocator]
/// static HEAP: memsys::heap::Heap = memsys::heap::Heap;
///
/// memsys::heap::keep_reserve();
/// let values = vec![1; 1_000];
/// assert!(!memsys::heap::is_short(), "{} numbers found no memory", values.len());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Heap;

/// Blocks of the reserve.
const BLOCKS: usize = 16;
/// A block: large enough that the heap maps it for itself, so that the system has it back at once.
const BLOCK: Layout = match Layout::from_size_align(256 << 10, 16) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two"),
};

static RESERVE: [AtomicPtr<u8>; BLOCKS] = [const { AtomicPtr::new(ptr::null_mut()) }; BLOCKS];
/// Whether there is a reserve to be kept full.
static KEPT: AtomicBool = AtomicBool::new(false);
/// Whether something was taken from it since [`take_shortage`].
static SHORT: AtomicBool = AtomicBool::new(false);

// SAFETY: every call goes to the system's heap, whose memory the reserve is as well.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the contract of `alloc`.
        or_from_reserve(|| unsafe { System.alloc(layout) })
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the contract of `alloc_zeroed`.
        or_from_reserve(|| unsafe { System.alloc_zeroed(layout) })
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from the system's heap, with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the block came from the system's heap, with this layout, and is still there if
        // an attempt has failed.
        or_from_reserve(|| unsafe { System.realloc(block, layout, size) })
    }
}

#[inline]
fn or_from_reserve(allocate: impl Fn() -> *mut u8) -> *mut u8 {
    let block = allocate();
    if block.is_null() { from_reserve(allocate) } else { block }
}

/// Gives one block after the other back, until there is room.
#[cold]
fn from_reserve(allocate: impl Fn() -> *mut u8) -> *mut u8 {
    SHORT.store(true, Ordering::Relaxed);
    for slot in &RESERVE {
        let spare = slot.swap(ptr::null_mut(), Ordering::Relaxed);
        if spare.is_null() {
            continue;
        }
        // SAFETY: a block in a slot came from the system's heap, with this layout, and is the
        // property of whoever has swapped it out.
        unsafe { System.dealloc(spare, BLOCK) };
        let block = allocate();
        if !block.is_null() {
            return block;
        }
    }
    ptr::null_mut()
}

/// Lays up the reserve. To be called once by a program whose global allocator is [`Heap`].
///
/// ```
/// memsys::heap::keep_reserve();
/// ```
pub fn keep_reserve() {
    // By itself the heap would keep large blocks once some were given back: with each login by a
    // hash it would grow by 19 MiB, and the reserve would be no use.
    #[cfg(target_env = "gnu")]
    // SAFETY: no other thread is running yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, BLOCK.size() as libc::c_int);
    }
    KEPT.store(true, Ordering::Relaxed);
    refill();
}

/// Lays up what was taken from the reserve, as far as there is memory.
///
/// ```
/// if memsys::heap::take_shortage() {
///     // Give memory up, then:
///     memsys::heap::refill();
/// }
/// ```
pub fn refill() {
    if !KEPT.load(Ordering::Relaxed) {
        return;
    }
    for slot in RESERVE.iter().filter(|slot| slot.load(Ordering::Relaxed).is_null()) {
        // SAFETY: the layout has a size.
        let block = unsafe { System.alloc(BLOCK) };
        if block.is_null() {
            return;
        }
        let old = slot.swap(block, Ordering::Relaxed);
        if !old.is_null() {
            // SAFETY: as in `from_reserve`.
            unsafe { System.dealloc(old, BLOCK) };
        }
    }
}

/// Whether an allocation has failed since [`take_shortage`].
///
/// ```
/// assert!(!memsys::heap::is_short());
/// ```
#[inline]
pub fn is_short() -> bool {
    SHORT.load(Ordering::Relaxed)
}

/// Whether an allocation has failed; the caller makes up for it.
///
/// ```
/// assert!(!memsys::heap::take_shortage());
/// ```
pub fn take_shortage() -> bool {
    SHORT.swap(false, Ordering::Relaxed)
}

/// Gives free memory back to the system, also between blocks that are in use.
///
/// ```
/// drop(vec![0; 1 << 20]);
/// memsys::heap::trim();
/// ```
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has all threads share one part of the heap: each part reserves much address space, which is
/// worth it only where that has no limit.
///
/// ```
/// memsys::heap::save_address_space();
/// ```
pub fn save_address_space() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no other thread is running yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
