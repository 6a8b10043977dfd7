//! Target `snapshot`: bytes become a snapshot, which a cache and a reader then read.

use memcore::snapshot::{Entry, Reader, SnapshotError, framed};
use memcore::{Cache, ManualClock, Moment};

const NOW: Moment = Moment::from_secs(1_700_000_000);

/// The first byte says whether the rest is a file, or the payloads of blocks whose checksums are
/// right. A cache that loads it has what a reader finds, no more, and can be copied itself.
///
/// # Panics
/// If it has something else.
pub(crate) fn fuzz_snapshot(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else { return };
    let bytes = match mode % 3 {
        0 => rest.to_vec(),
        // One block, or pieces of them in which values go on.
        1 => framed(&[rest]),
        _ => framed(&rest.chunks(1 + usize::from(mode)).collect::<Vec<_>>()),
    };
    let clock = ManualClock::new(NOW);
    let build = || Cache::builder(4 << 20).clock(clock.clone()).seed(1).build().expect("a cache");
    let (cache, copy) = (build(), build());
    let loaded = cache.restore(&bytes[..]).unwrap_or_else(|broken| broken.loaded);
    cache.validate();
    let stats = cache.stats();
    assert!(stats.total.items == loaded.items && stats.used <= stats.limit);
    let mut found = 0;
    let end = each(&bytes, |entry, value| {
        found += 1;
        // The first of several items of one key is kept.
        let Some(meta) = cache.peek(&entry.key) else { return };
        if entry.version == Some(meta.version) && entry.value_len == meta.value_len {
            assert_eq!(cache.get(&entry.key).as_deref(), Some(value));
        }
    });
    let counts = [loaded.items, loaded.expired, loaded.present, loaded.left_out, loaded.refused];
    // Of one that is not stored it does not matter whether its value is whole.
    let missing = counts.iter().sum::<u64>() - found;
    assert!(missing == 0 || missing == 1 && end.is_err());
    assert!(end.is_err() || cache.restore(&bytes[..]).is_ok_and(|again| again.items == 0));
    let mut again = Vec::new();
    let saved = cache.snapshot(&mut again).expect("a vector takes everything");
    let copied = copy.restore(&again[..]).expect("what was written is whole");
    assert_eq!(copied.items + copied.present, saved.items);
    each(&again, |entry, value| assert_eq!(copy.get(&entry.key).as_deref(), Some(value)))
        .expect("what was written is whole");
}

/// Calls `see` with each item and its value, as far as they are whole.
fn each(bytes: &[u8], mut see: impl FnMut(&Entry, &[u8])) -> Result<(), SnapshotError> {
    let mut reader = Reader::new(bytes)?;
    while let Some(entry) = reader.item()? {
        let mut value = Vec::new();
        while let Some(part) = reader.value()? {
            value.extend_from_slice(part);
        }
        see(&entry, &value);
    }
    Ok(())
}
