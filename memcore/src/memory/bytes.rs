//! Byte strings in word memory that others may be looking at.
//!
//! A reader may copy bytes that are being rewritten at the same moment; it finds out afterwards and
//! drops the copy. For that to be a race that the language allows, every access is atomic: words
//! here, or machine instructions that the compiler does not look into (each byte of a plain
//! load or store is atomic, on x86 and on ARM).

use crate::memory::region::Region;
use crate::memory::sync::AtomicU32;

/// Runs of bytes that can be filled with one call.
pub(crate) const RUNS_MAX: usize = 4;

/// Consecutive bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// The first one's address in the region.
    pub(crate) at: usize,
    /// How many.
    pub(crate) len: usize,
}

impl Region<AtomicU32> {
    /// Appends `len` bytes from byte `at` on to `out`.
    #[inline]
    pub(crate) fn append_to(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        out.reserve(len);
        self.check(at, len);
        // SAFETY: the source is in range (checked above), the target has `len` spare bytes, which
        // are initialised by the copy before the length says so.
        unsafe {
            imp::load(self, at, out.as_mut_ptr().add(out.len()), len);
            out.set_len(out.len() + len);
        }
    }

    /// Copies bytes from byte `at` on into all of `out`.
    #[inline]
    pub(crate) fn read(&self, at: usize, out: &mut [u8]) {
        self.check(at, out.len());
        // SAFETY: the source is in range (checked above), the target is `out` itself.
        unsafe { imp::load(self, at, out.as_mut_ptr(), out.len()) };
    }

    /// Writes `bytes` from byte `at` on. The caller is the only writer there.
    #[inline]
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) {
        self.check(at, bytes.len());
        // SAFETY: the target is in range (checked above).
        unsafe { imp::store(self, at, bytes) };
    }

    /// Calls `fill` with up to [`RUNS_MAX`] runs of bytes in place, to be written to.
    ///
    /// # Safety
    /// The runs do not overlap, and until `fill` returns nothing else writes to these bytes or
    /// holds a slice of them.
    pub(crate) unsafe fn fill<R>(
        &self,
        runs: &[Run],
        fill: impl FnOnce(&mut [&mut [u8]]) -> R,
    ) -> R {
        runs.iter().for_each(|run| self.check(run.at, run.len));
        // SAFETY: in range (checked above), the rest is the caller's word.
        unsafe { imp::fill(self, runs, fill) }
    }

    /// The bytes in place.
    ///
    /// # Safety
    /// Nothing may write to these bytes while the slice lives.
    pub(crate) unsafe fn slice(&self, at: usize, len: usize) -> &[u8] {
        self.check(at, len);
        // SAFETY: in range (checked above), initialised (fresh memory is zero), and by the caller's
        // word not written to for as long as the slice lives.
        unsafe { std::slice::from_raw_parts(self.address(0).cast::<u8>().add(at), len) }
    }

    #[inline(always)]
    fn check(&self, at: usize, len: usize) {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.len() * 4), "bytes out of range");
    }
}

#[cfg(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri),
    not(loom),
    not(memcore_fallback)
))]
mod imp {
    use std::arch::asm;

    use super::{AtomicU32, RUNS_MAX, Region, Run};

    /// From here on the processor's own copy loop is the fastest.
    #[cfg(target_arch = "x86_64")]
    const STRING_COPY_MIN: usize = 512;

    /// # Safety
    /// The source must be in range and `out` valid for `len` writes.
    #[inline]
    pub(super) unsafe fn load(region: &Region<AtomicU32>, at: usize, out: *mut u8, len: usize) {
        // SAFETY: by the caller's word.
        unsafe { copy(region.address(0).cast::<u8>().add(at), out, len) };
    }

    /// # Safety
    /// The target must be in range.
    #[inline]
    pub(super) unsafe fn store(region: &Region<AtomicU32>, at: usize, bytes: &[u8]) {
        // SAFETY: by the caller's word.
        unsafe { copy(bytes.as_ptr(), region.address(0).cast::<u8>().add(at), bytes.len()) };
    }

    /// Lends the memory itself. A lookup that came too late may still be reading it, as it may read
    /// what [`store`] writes. So the slices are made from addresses that came out of instructions
    /// the compiler does not look into: to it they are buffers of their own, whose contents those
    /// instructions move to the region's cells byte by byte.
    ///
    /// # Safety
    /// The runs must be in range and disjoint, and nothing else may write to them or hold a slice
    /// of them before this returns.
    pub(super) unsafe fn fill<R>(
        region: &Region<AtomicU32>,
        runs: &[Run],
        fill: impl FnOnce(&mut [&mut [u8]]) -> R,
    ) -> R {
        let mut pieces: [&mut [u8]; RUNS_MAX] = Default::default();
        let mut count = 0;
        for (piece, run) in pieces.iter_mut().zip(runs) {
            let mut address = region.address(0).cast::<u8>();
            // SAFETY: no instruction at all; see above for what it stands for.
            unsafe {
                asm!("/* {a} */", a = inout(reg) address, options(nostack, preserves_flags));
            }
            // SAFETY: in range and used by nothing else, by the caller's word; initialised, since
            // fresh memory is zero.
            *piece = unsafe { std::slice::from_raw_parts_mut(address.add(run.at), run.len) };
            count += 1;
        }
        let result = fill(&mut pieces[..count]);
        // SAFETY: no instruction at all. It may read any memory, so all that was written is there.
        unsafe { asm!("", options(nostack, preserves_flags)) };
        result
    }

    /// Copies without the compiler's knowledge of what is read or written.
    ///
    /// # Safety
    /// `from` must be valid for `len` reads, `to` for `len` writes, and they must not overlap.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: each branch touches exactly `len` bytes on both sides, some of them twice.
        unsafe {
            match len {
                0 => {}
                1..=3 => {
                    for i in 0..len {
                        asm!("mov {b}, [{f}]", "mov [{t}], {b}", b = out(reg_byte) _,
                            f = in(reg) from.add(i), t = in(reg) to.add(i),
                            options(nostack, preserves_flags));
                    }
                }
                // Two moves that overlap as needed cover every length without a loop.
                4..=7 => asm!(
                    "mov {a:e}, [{f}]", "mov {b:e}, [{f} + {l} - 4]",
                    "mov [{t}], {a:e}", "mov [{t} + {l} - 4], {b:e}",
                    a = out(reg) _, b = out(reg) _, f = in(reg) from, t = in(reg) to,
                    l = in(reg) len, options(nostack, preserves_flags)),
                8..=15 => asm!(
                    "mov {a}, [{f}]", "mov {b}, [{f} + {l} - 8]",
                    "mov [{t}], {a}", "mov [{t} + {l} - 8], {b}",
                    a = out(reg) _, b = out(reg) _, f = in(reg) from, t = in(reg) to,
                    l = in(reg) len, options(nostack, preserves_flags)),
                // Sixteen at a time; the last sixteen may overlap those before them.
                16..STRING_COPY_MIN => asm!(
                    "2:",
                    "movups {x}, [{f} + {i}]", "movups [{t} + {i}], {x}",
                    "add {i}, 16", "cmp {i}, {last}", "jb 2b",
                    "movups {x}, [{f} + {last}]", "movups [{t} + {last}], {x}",
                    x = out(xmm_reg) _, f = in(reg) from, t = in(reg) to,
                    i = inout(reg) 0usize => _, last = in(reg) len - 16, options(nostack)),
                _ => asm!("rep movsb", inout("rcx") len => _, inout("rsi") from => _,
                    inout("rdi") to => _, options(nostack, preserves_flags)),
            }
        }
    }

    /// Copies without the compiler's knowledge of what is read or written.
    ///
    /// # Safety
    /// `from` must be valid for `len` reads, `to` for `len` writes, and they must not overlap.
    #[cfg(target_arch = "aarch64")]
    #[inline]
    unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: each branch touches exactly `len` bytes on both sides, some of them twice.
        unsafe {
            match len {
                0 => {}
                1..=3 => {
                    for i in 0..len {
                        asm!("ldrb {b:w}, [{f}]", "strb {b:w}, [{t}]", b = out(reg) _,
                            f = in(reg) from.add(i), t = in(reg) to.add(i),
                            options(nostack, preserves_flags));
                    }
                }
                4..=7 => asm!(
                    "ldr {a:w}, [{f}]", "ldr {b:w}, [{f}, {l}]",
                    "str {a:w}, [{t}]", "str {b:w}, [{t}, {l}]",
                    a = out(reg) _, b = out(reg) _, f = in(reg) from, t = in(reg) to,
                    l = in(reg) len - 4, options(nostack, preserves_flags)),
                8..=15 => asm!(
                    "ldr {a}, [{f}]", "ldr {b}, [{f}, {l}]",
                    "str {a}, [{t}]", "str {b}, [{t}, {l}]",
                    a = out(reg) _, b = out(reg) _, f = in(reg) from, t = in(reg) to,
                    l = in(reg) len - 8, options(nostack, preserves_flags)),
                16..=32 => asm!(
                    "ldr {a:q}, [{f}]", "ldr {b:q}, [{f}, {l}]",
                    "str {a:q}, [{t}]", "str {b:q}, [{t}, {l}]",
                    a = out(vreg) _, b = out(vreg) _, f = in(reg) from, t = in(reg) to,
                    l = in(reg) len - 16, options(nostack, preserves_flags)),
                _ => asm!(
                    "2:",
                    "ldp {a:q}, {b:q}, [{f}], #32", "stp {a:q}, {b:q}, [{t}], #32",
                    "subs {n}, {n}, #32", "b.gt 2b",
                    "ldp {a:q}, {b:q}, [{f_last}]", "stp {a:q}, {b:q}, [{t_last}]",
                    a = out(vreg) _, b = out(vreg) _, f = inout(reg) from => _,
                    t = inout(reg) to => _, n = inout(reg) len - 32 => _,
                    f_last = in(reg) from.add(len - 32), t_last = in(reg) to.add(len - 32),
                    options(nostack)),
            }
        }
    }
}

#[cfg(not(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri),
    not(loom),
    not(memcore_fallback)
)))]
mod imp {
    use super::{AtomicU32, Region, Run};
    use crate::memory::sync::Ordering::Relaxed;

    /// Lends other memory and copies it, as every access to the region is one to an atomic.
    ///
    /// # Safety
    /// None; the fast path shares this signature.
    pub(super) unsafe fn fill<R>(
        region: &Region<AtomicU32>,
        runs: &[Run],
        fill: impl FnOnce(&mut [&mut [u8]]) -> R,
    ) -> R {
        let mut buffers: Vec<Vec<u8>> = runs.iter().map(|run| vec![0; run.len]).collect();
        let mut pieces: Vec<&mut [u8]> = buffers.iter_mut().map(Vec::as_mut_slice).collect();
        let result = fill(&mut pieces);
        for (buffer, run) in buffers.iter().zip(runs) {
            // SAFETY: of this `store` nothing is asked.
            unsafe { store(region, run.at, buffer) };
        }
        result
    }

    /// # Safety
    /// `out` must be valid for `len` writes.
    pub(super) unsafe fn load(region: &Region<AtomicU32>, at: usize, out: *mut u8, len: usize) {
        let mut done = 0;
        while done < len {
            // Up to the end of the word that this byte is in.
            let byte = (at + done) % 4;
            let count = (4 - byte).min(len - done);
            let word = region.at((at + done) / 4).load(Relaxed).to_ne_bytes();
            // SAFETY: `done + count` is at most `len`.
            unsafe {
                std::ptr::copy_nonoverlapping(word.as_ptr().add(byte), out.add(done), count);
            }
            done += count;
        }
    }

    /// # Safety
    /// None; the fast path shares this signature.
    pub(super) unsafe fn store(region: &Region<AtomicU32>, at: usize, bytes: &[u8]) {
        let mut rest = bytes;
        let mut at = at;
        while !rest.is_empty() {
            let byte = at % 4;
            let (now, later) = rest.split_at((4 - byte).min(rest.len()));
            let cell = region.at(at / 4);
            let mut word = cell.load(Relaxed).to_ne_bytes();
            word[byte..byte + now.len()].copy_from_slice(now);
            cell.store(u32::from_ne_bytes(word), Relaxed);
            at += now.len();
            rest = later;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::memory::region::Source;

    #[test]
    fn bytes_of_any_length_and_place_are_copied_and_no_others() {
        let region = Region::<AtomicU32>::reserve(1024, &mut Source::System).unwrap();
        let lens = (0..140).chain([255, 256, 511, 512, 513, 1000, 2000]);
        let lens: Vec<usize> = if cfg!(miri) { lens.step_by(7).collect() } else { lens.collect() };
        for len in lens {
            for at in [0, 1, 2, 3, 4, 7, 16, 31, 4096 - 16 - len] {
                let blank = [0xee; 4096];
                region.write(0, &blank);
                let value: Vec<u8> = (0..len).map(|i| (i * 7 + len) as u8).collect();
                region.write(at, &value);
                let mut whole = [0; 4096];
                region.read(0, &mut whole);
                assert_eq!(whole[at..at + len], value, "{len} bytes at {at}");
                let outside = whole[..at].iter().chain(&whole[at + len..]);
                assert!(outside.into_iter().all(|byte| *byte == 0xee), "{len} bytes at {at}");
                let mut out = b"head".to_vec();
                region.append_to(at, len, &mut out);
                assert_eq!(out, [b"head", &value[..]].concat(), "{len} bytes at {at}");
            }
        }
    }
}
