//! The memory into which a worker reads, all connections of a turn behind each other, so that small
//! requests of many connections lie close together.

/// Bytes of the arena.
const BYTES: usize = 256 << 10;
/// Bytes that a read asks for, unless a larger value is known to be on its way.
pub(crate) const READ_MIN: usize = 16 << 10;
/// Reads begin at a multiple of this.
const ALIGN: usize = 64;

/// The arena.
#[derive(Debug)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
    used: usize,
}

/// Where a read put its bytes.
#[derive(Debug)]
pub(crate) enum Input {
    /// In the arena.
    Arena { start: usize, len: usize },
    /// In a buffer of their own, behind what was left over before.
    Own(Vec<u8>),
}

impl Arena {
    /// An empty arena.
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; BYTES], used: 0 }
    }

    /// Whether there is room for a read.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() - self.used >= READ_MIN
    }

    /// Up to `most` bytes to read into.
    pub(crate) fn room(&mut self, most: usize) -> &mut [u8] {
        let end = self.bytes.len().min(self.used + most);
        &mut self.bytes[self.used..end]
    }

    /// Keeps the first `len` bytes of that room.
    pub(crate) fn keep(&mut self, len: usize) -> Input {
        let start = self.used;
        self.used = (start + len).next_multiple_of(ALIGN);
        Input::Arena { start, len }
    }

    /// The bytes of `input`.
    #[inline]
    pub(crate) fn get<'a>(&'a self, input: &'a Input) -> &'a [u8] {
        match input {
            Input::Arena { start, len } => &self.bytes[*start..*start + *len],
            Input::Own(bytes) => bytes,
        }
    }

    /// Forgets all reads.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }
}
