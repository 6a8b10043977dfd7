//! The young end of the log: buffers in memory in which records are put one behind the other, and
//! which are written when they are full.

use std::sync::Arc;

use super::map::{ALIGN, Map};

/// The log as far as it is in memory.
#[derive(Debug)]
pub(super) struct Log {
    buffers: Box<[Buffer]>,
    /// Where the next record begins, unless it does not fit there.
    head: u64,
    /// Where the part ends that is overwritten or is about to be.
    frontier: u64,
}

#[derive(Debug)]
struct Buffer {
    phase: Phase,
    /// Its place in the log.
    start: u64,
    /// Bytes that it may take there, and those that it has.
    room: usize,
    used: usize,
    /// Shared with those who write it, and then not changed.
    bytes: Arc<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Free,
    Open,
    Full,
    /// Somebody is writing it.
    Leaving,
}

/// A full buffer that is to be written.
#[derive(Debug)]
pub(super) struct Load {
    index: usize,
    pub(super) start: u64,
    pub(super) len: usize,
    pub(super) bytes: Arc<[u8]>,
}

impl Log {
    /// A log that begins at `head`, a multiple of [`ALIGN`], with `count` buffers of `size` bytes.
    pub(super) fn new(head: u64, count: usize, size: usize) -> Self {
        let buffer = || Buffer {
            phase: Phase::Free,
            start: 0,
            room: 0,
            used: 0,
            bytes: std::iter::repeat_n(0, size).collect(),
        };
        Self { buffers: (0..count).map(|_| buffer()).collect(), head, frontier: head }
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Where the part ends that is overwritten or is about to be.
    pub(super) fn frontier(&self) -> u64 {
        self.frontier
    }

    /// Puts a record of `len` bytes, which `write` writes, at the end, and says where that is;
    /// `None` if there is no room before a buffer has been written.
    pub(super) fn append(
        &mut self,
        map: &Map,
        len: usize,
        write: impl FnOnce(u64, &mut [u8]),
    ) -> Option<u64> {
        let whole = len.next_multiple_of(map.unit() as usize);
        let open = self.buffers.iter().position(|buffer| buffer.phase == Phase::Open);
        let index = match open {
            Some(index) if self.buffers[index].used + whole <= self.buffers[index].room => index,
            open => {
                if let Some(index) = open {
                    self.close(index);
                }
                self.open(map, whole)?
            }
        };
        let buffer = &mut self.buffers[index];
        let (start, used) = (buffer.start, buffer.used);
        // Those who wrote it have given it back before it became free.
        let bytes = Arc::get_mut(&mut buffer.bytes)?;
        let pos = start + used as u64;
        write(pos, &mut bytes[used..used + len]);
        bytes[used + len..used + whole].fill(0);
        buffer.used += whole;
        self.head = pos + whole as u64;
        Some(pos)
    }

    /// Opens a free buffer where the next `len` bytes fit.
    fn open(&mut self, map: &Map, len: usize) -> Option<usize> {
        let index = self.buffers.iter().position(|buffer| buffer.phase == Phase::Free)?;
        let buffer = &mut self.buffers[index];
        let mut start = self.head.next_multiple_of(map.unit());
        if map.region_end(start) - start < len as u64 {
            start = map.region_end(start);
        }
        let room = (map.region_end(start) - start).min(buffer.bytes.len() as u64) as usize;
        if room < len {
            return None;
        }
        (buffer.phase, buffer.start, buffer.room, buffer.used) = (Phase::Open, start, room, 0);
        self.head = start;
        self.frontier = start + room as u64;
        Some(index)
    }

    fn close(&mut self, index: usize) {
        let buffer = &mut self.buffers[index];
        let end = buffer.used.next_multiple_of(ALIGN as usize);
        if let Some(bytes) = Arc::get_mut(&mut buffer.bytes) {
            bytes[buffer.used..end].fill(0);
        }
        buffer.used = end;
        buffer.phase = Phase::Full;
        self.head = buffer.start + end as u64;
    }

    /// Closes the open buffer, if there is one, though it is not full.
    pub(super) fn finish(&mut self) {
        if let Some(open) = self.buffers.iter().position(|buffer| buffer.phase == Phase::Open) {
            self.close(open);
        }
    }

    /// Whether a buffer is to be written.
    pub(super) fn has_load(&self) -> bool {
        self.buffers.iter().any(|buffer| buffer.phase == Phase::Full)
    }

    /// The buffer that has waited longest to be written.
    pub(super) fn take_load(&mut self) -> Option<Load> {
        let full = self.buffers.iter_mut().enumerate();
        let full = full.filter(|(_, buffer)| buffer.phase == Phase::Full);
        let (index, buffer) = full.min_by_key(|(_, buffer)| buffer.start)?;
        buffer.phase = Phase::Leaving;
        let Buffer { start, used: len, .. } = *buffer;
        Some(Load { index, start, len, bytes: Arc::clone(&buffer.bytes) })
    }

    /// Takes a buffer back that was written, or was not after all.
    pub(super) fn give_back(&mut self, load: Load, written: bool) {
        let Load { index, bytes, .. } = load;
        drop(bytes);
        self.buffers[index].phase = if written { Phase::Free } else { Phase::Full };
    }

    /// Copies what is in memory of the log from `pos` on; how many bytes, `None` if it is not in
    /// memory.
    pub(super) fn read(&self, pos: u64, into: &mut [u8]) -> Option<usize> {
        let has = |buffer: &&Buffer| {
            let end = buffer.start + buffer.used as u64;
            buffer.phase != Phase::Free && (buffer.start..end).contains(&pos)
        };
        let buffer = self.buffers.iter().find(has)?;
        let there = &buffer.bytes[(pos - buffer.start) as usize..buffer.used];
        let len = there.len().min(into.len());
        into[..len].copy_from_slice(&there[..len]);
        Some(len)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Device;
    use super::super::map::Lap;
    use super::super::tests::Memory;
    use super::*;

    fn map() -> Map {
        let device = Arc::new(Memory::default()) as Arc<dyn Device>;
        let devices = [(device, 256 << 10)];
        Map::new(&devices, Lap::new(&devices, 64 << 10))
    }

    fn put(log: &mut Log, map: &Map, len: usize) -> Option<u64> {
        log.append(map, len, |pos, into| into.fill(pos as u8))
    }

    #[test]
    fn records_lie_behind_each_other_and_in_one_region() {
        let (map, mut log) = (map(), Log::new(ALIGN, 3, 32 << 10));
        let first = put(&mut log, &map, 1_000).unwrap();
        assert_eq!(first, 4096);
        assert_eq!(put(&mut log, &map, 100), Some(4096 + 1024));
        assert!(!log.has_load());
        // A buffer that is closed ends where something can be written from.
        assert_eq!(put(&mut log, &map, 31 << 10), Some(8192));
        assert!(log.has_load());
        // What is left of the region is too short for the next one.
        assert_eq!(put(&mut log, &map, 30 << 10), Some(64 << 10));
        assert_eq!((log.head(), log.frontier()), (94 << 10, 96 << 10));
    }

    #[test]
    fn a_buffer_is_read_until_it_was_written() {
        let (map, mut log) = (map(), Log::new(ALIGN, 2, 32 << 10));
        let first = put(&mut log, &map, 20 << 10).unwrap();
        assert!(!log.has_load() && log.take_load().is_none());
        let second = put(&mut log, &map, 20 << 10).unwrap();
        assert!(put(&mut log, &map, 20 << 10).is_none(), "no buffer is free");
        let load = log.take_load().unwrap();
        assert_eq!((load.start, load.len), (first, 20 << 10));
        assert_eq!(log.read(first, &mut [0; 100]), Some(100));
        log.give_back(load, false);
        let load = log.take_load().unwrap();
        log.give_back(load, true);
        assert_eq!(log.read(first, &mut [0; 100]), None);
        assert_eq!(log.read(second + 1, &mut [0; 100 << 10]), Some((20 << 10) - 1));
        assert!(put(&mut log, &map, 20 << 10).is_some());
    }

    #[test]
    fn what_is_larger_than_a_buffer_has_no_place() {
        let (map, mut log) = (map(), Log::new(ALIGN, 2, 32 << 10));
        assert!(put(&mut log, &map, (32 << 10) + 1).is_none());
        assert!(put(&mut log, &map, 32 << 10).is_some());
    }
}
