//! The flash tier under random sequences of all operations, on a device that does what devices do.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use memcore::flash::{Device, Flash};
use proptest::prelude::*;

use super::common::pair::Pair;
use super::model::{cases, op};

/// Memory that is read and written in parts, that loses some of what is written, and that gives
/// back some bytes as they were not.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Inner>);

#[derive(Default)]
struct Inner {
    bytes: Mutex<Vec<u8>>,
    /// Of so many operations one goes wrong; 0 for none.
    faults: u64,
    operations: AtomicU64,
}

impl Disk {
    pub(super) fn with_faults(faults: u64) -> Self {
        Self(Arc::new(Inner { faults, ..Inner::default() }))
    }

    fn is_faulty(&self) -> bool {
        let operations = self.0.operations.fetch_add(1, Relaxed);
        self.0.faults != 0 && operations % self.0.faults == self.0.faults - 1
    }
}

impl Device for Disk {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.bytes.lock().unwrap();
        let there = bytes.get(at as usize..).unwrap_or_default();
        let len = there.len().min(into.len().div_ceil(2));
        into[..len].copy_from_slice(&there[..len]);
        if len > 0 && self.is_faulty() {
            into[(at as usize * 31) % len] ^= 4;
        }
        Ok(len)
    }

    fn write_at(&self, at: u64, from: &[u8]) -> io::Result<usize> {
        let mut bytes = self.0.bytes.lock().unwrap();
        let len = from.len().div_ceil(3);
        let end = at as usize + len;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        if !self.is_faulty() {
            bytes[at as usize..end].copy_from_slice(&from[..len]);
        }
        Ok(len)
    }
}

/// A small tier, so that a test goes round it.
pub(super) fn flash(disk: &Disk, bytes: u64) -> Flash {
    let flash = Flash::new().device(disk.clone(), bytes).device(Disk::default(), bytes / 2);
    flash.region_size(bytes / 4).buffer_size(64 << 10).reads(2)
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn with_flash_answers_are_right_or_misses(
        seed in any::<u64>(),
        faults in prop_oneof![2 => Just(0_u64), 1 => 3..60_u64],
        ops in proptest::collection::vec(op(96, 60 << 10), 400..600),
    ) {
        let disk = Disk::with_faults(faults);
        let mut pair = Pair::with_flash(1 << 20, 96, seed, flash(&disk, 1 << 20));
        for (i, op) in ops.iter().enumerate() {
            pair.run(op);
            if i % 8 == 0 {
                pair.check();
            }
        }
        pair.finish();
    }
}

#[cfg(all(target_os = "linux", not(any(miri, memcore_fallback))))]
proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn with_flash_answers_after_each_restart_are_right_or_misses(
        seed in any::<u64>(),
        faults in prop_oneof![2 => Just(0_u64), 1 => 3..60_u64],
        every in 20..200_usize,
        ops in proptest::collection::vec(op(96, 60 << 10), 400..600),
    ) {
        let disk = Disk::with_faults(faults);
        let pair = Pair::with_flash(1 << 20, 96, seed, flash(&disk, 1 << 20));
        super::restart::run(pair, &ops, every, "flash");
    }
}
