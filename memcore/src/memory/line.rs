//! Eight words at a time, which others may be changing: which of them have a given upper part.
//!
//! What is found is only where to look: the caller loads the words again, as atomics.

use crate::memory::sync::AtomicU64;

/// Words of a line.
pub(crate) const LINE: usize = 8;

/// Words whose upper halves, shifted right by `shift`, are `wanted`: a bit for each, the first
/// word's the lowest.
#[cfg(all(target_arch = "x86_64", not(miri), not(loom), not(memcore_fallback)))]
#[inline(always)]
pub(crate) fn upper_parts(line: &[AtomicU64; LINE], shift: u32, wanted: u32) -> u32 {
    let found: u32;
    // SAFETY: reads the eight words of the reference, in instructions that the compiler does not
    // look into: whatever others store meanwhile, each half of a word is atomic. Writes nothing.
    unsafe {
        std::arch::asm!(
            // The upper halves of four words each.
            "movups {a}, [{line}]",
            "movups {c}, [{line} + 16]",
            "shufps {a}, {c}, 0xdd",
            "movups {b}, [{line} + 32]",
            "movups {c}, [{line} + 48]",
            "shufps {b}, {c}, 0xdd",
            "movd {c}, {shift:e}",
            "psrld {a}, {c}",
            "psrld {b}, {c}",
            "movd {c}, {wanted:e}",
            "pshufd {c}, {c}, 0",
            "pcmpeqd {a}, {c}",
            "pcmpeqd {b}, {c}",
            // All ones or zeros, from 32 bits to 16, to 8, to one.
            "packssdw {a}, {b}",
            "packsswb {a}, {a}",
            "pmovmskb {found:e}, {a}",
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            line = in(reg) line.as_ptr(),
            shift = in(reg) shift,
            wanted = in(reg) wanted,
            found = lateout(reg) found,
            options(readonly, nostack, preserves_flags)
        );
    }
    // The upper eight bits repeat the lower ones.
    found & 0xff
}

/// Words whose upper halves, shifted right by `shift`, are `wanted`: a bit for each, the first
/// word's the lowest.
#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom), not(memcore_fallback))))]
#[inline(always)]
pub(crate) fn upper_parts(line: &[AtomicU64; LINE], shift: u32, wanted: u32) -> u32 {
    let is_it = |cell: &AtomicU64| {
        let word = cell.load(crate::memory::sync::Ordering::Relaxed);
        (word >> u32::BITS) as u32 >> shift == wanted
    };
    line.iter().rev().fold(0, |found, cell| found << 1 | u32::from(is_it(cell)))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_the_upper_part_alone() {
        let words = [
            0x1234_5678_0000_0000,
            0x1234_567f_ffff_ffff,
            0x1234_5668_0000_0000,
            0,
            0xffff_ffff_ffff_ffff,
            0x0000_0000_ffff_ffff,
            0x9234_5678_1234_5678,
            0x1234_5670_0000_0001,
        ];
        let line = words.map(AtomicU64::new);
        for shift in [0, 4, 11] {
            for wanted in words.map(|word: u64| (word >> 32) as u32 >> shift) {
                let is_it = |word: u64| (word >> 32) as u32 >> shift == wanted;
                let expected: u32 =
                    (0..).zip(words).map(|(i, word)| u32::from(is_it(word)) << i).sum();
                let found = upper_parts(&line, shift, wanted);
                assert_eq!(found, expected, "{wanted:x} after {shift} bits");
            }
        }
    }
}
