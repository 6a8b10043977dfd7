//! The first page of a memory file: what the file is, and whether it can be used.

use std::io;

use super::state::{Reader, Writer, checksum};
use crate::MemoryFileError;
use crate::index;
use crate::memory::file::MemoryFile;
use crate::space::segments::{LOGS, ROW_BYTES};
use crate::space::sizes::Sizes;

/// The first bytes of every memory file.
const MAGIC: u64 = u64::from_le_bytes(*b"memcore\x1a");
/// Changes whenever a file that was written before can't be read any more.
const FORMAT: u64 = 5;
/// Numbers of a superblock; the last one is the checksum of the others.
const NUMBERS: usize = 13;

/// The first page of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) sizes: Sizes,
    pub(crate) seed: u64,
    /// What was kept when the cache was closed; none while it is open.
    pub(crate) state: Option<State>,
}

/// Where the state is, and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) at: u64,
    pub(crate) len: u64,
    pub(crate) checksum: u64,
}

impl Superblock {
    /// Reads a file's superblock; none if the file is empty.
    ///
    /// # Errors
    /// The file can't be used.
    pub(crate) fn read(file: &MemoryFile) -> Result<Option<Self>, MemoryFileError> {
        if file.len()? == 0 {
            return Ok(None);
        }
        let mut bytes = [0; NUMBERS * 8];
        match file.read(0, &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(MemoryFileError::Foreign);
            }
            result => result?,
        }
        Self::decode(&bytes).map(Some)
    }

    fn decode(bytes: &[u8; NUMBERS * 8]) -> Result<Self, MemoryFileError> {
        const DAMAGED: MemoryFileError = MemoryFileError::Damaged { what: "superblock" };
        let mut numbers = [0; NUMBERS];
        let mut from = Reader::new(bytes);
        for number in &mut numbers {
            *number = from.take().map_err(|_| DAMAGED)?;
        }
        let [magic, format, layout, clean, most, segment, shards, huge, seed, at, len, of, sum] =
            numbers;
        if magic != MAGIC {
            return Err(MemoryFileError::Foreign);
        }
        if sum != checksum(&bytes[..(NUMBERS - 1) * 8]) {
            return Err(DAMAGED);
        }
        if format != FORMAT || layout != self::layout() {
            return Err(MemoryFileError::Format);
        }
        let size = |number: u64| usize::try_from(number).map_err(|_| DAMAGED);
        let sizes = Sizes {
            limit_most: size(most)?,
            segment_bytes: size(segment)?,
            shards: size(shards)?,
            huge_pages: huge != 0,
        };
        let state = (clean != 0).then_some(State { at, len, checksum: of });
        Ok(Self { sizes, seed, state })
    }

    /// Writes the superblock, and waits until it is where the file is kept.
    ///
    /// # Errors
    /// The system's refusal.
    pub(crate) fn write(&self, file: &MemoryFile) -> io::Result<()> {
        file.write(0, self.encode().bytes())?;
        file.sync()
    }

    fn encode(&self) -> Writer {
        let State { at, len, checksum: of } =
            self.state.unwrap_or(State { at: 0, len: 0, checksum: 0 });
        let sizes = &self.sizes;
        let mut out = Writer::default();
        for number in [MAGIC, FORMAT, layout(), self.state.is_some().into()] {
            out.put(number);
        }
        for size in [sizes.limit_most, sizes.segment_bytes, sizes.shards] {
            out.put(size as u64);
        }
        for number in [sizes.huge_pages.into(), self.seed, at, len, of] {
            out.put(number);
        }
        out.put(checksum(out.bytes()));
        out
    }
}

/// Differs between builds whose memory has another layout, or another order of bytes.
fn layout() -> u64 {
    let sizes = [ROW_BYTES, LOGS, index::GROUP_BYTES, size_of::<usize>()];
    let sizes = sizes.iter().fold(0_u64, |all, &size| all << 16 | size as u64);
    u64::from_ne_bytes(sizes.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes =
        Sizes { limit_most: 1 << 30, segment_bytes: 1 << 16, shards: 64, huge_pages: true };

    fn block(state: Option<State>) -> Superblock {
        Superblock { sizes: SIZES, seed: 7, state }
    }

    fn bytes_of(block: &Superblock) -> [u8; NUMBERS * 8] {
        block.encode().bytes().try_into().unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        for state in [None, Some(State { at: 1 << 40, len: 99, checksum: 3 })] {
            assert_eq!(Superblock::decode(&bytes_of(&block(state))), Ok(block(state)));
        }
    }

    #[test]
    fn no_byte_may_differ() {
        let bytes = bytes_of(&block(None));
        for at in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[at] ^= 0x40;
            let error = Superblock::decode(&damaged).unwrap_err();
            let foreign = matches!(error, MemoryFileError::Foreign);
            assert_eq!(foreign, at < 8, "{at}: {error}");
        }
    }

    #[test]
    fn other_formats_are_refused_as_such() {
        for format in [1, FORMAT - 1, FORMAT + 1] {
            let mut bytes = bytes_of(&block(None));
            bytes[8] = format as u8;
            let sum = checksum(&bytes[..(NUMBERS - 1) * 8]);
            bytes[(NUMBERS - 1) * 8..].copy_from_slice(&sum.to_le_bytes());
            assert_eq!(Superblock::decode(&bytes), Err(MemoryFileError::Format), "{format}");
        }
    }
}
