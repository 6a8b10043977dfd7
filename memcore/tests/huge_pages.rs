//! Holes in huge pages stay holes: a file of its own, as it looks at all memory of its process.

#![cfg(target_os = "linux")]

use memcore::{Attrs, Cache};

const MIB: usize = 1 << 20;

/// Bytes of all mappings with this flag in `/proc/PID/smaps`.
fn mapped_with(flag: &str) -> usize {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut size = 0;
    let mut sum = 0;
    for line in maps.lines() {
        if let Some(kib) = line.strip_prefix("Size:") {
            size = kib.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10;
        }
        if line.strip_prefix("VmFlags:").is_some_and(|flags| flags.split(' ').any(|f| f == flag)) {
            sum += size;
        }
    }
    sum
}

/// The system makes huge pages of whatever is left around a hole, and fills it.
#[test]
fn what_a_smaller_limit_gives_back_is_not_filled_by_huge_pages() {
    let cache = Cache::builder(64 * MIB).huge_pages(true).build().unwrap();
    if mapped_with("hg") == 0 {
        // A system without huge pages.
        return;
    }
    for key in 0..60_000_u32 {
        cache.set(key.to_le_bytes(), &[1; 1000], Attrs::new()).unwrap();
    }
    let before = mapped_with("nh");
    cache.set_limit(16 * MIB).unwrap();
    let without = mapped_with("nh") - before;
    assert!(without >= 40 * MIB, "huge pages are wanted but for {without} bytes");
}
