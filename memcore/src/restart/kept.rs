//! What an open cache knows of its memory file.

use crate::memory::file::MemoryFile;
use crate::space::sizes::Sizes;

/// The file of a cache that is open.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) file: MemoryFile,
    pub(crate) sizes: Sizes,
    pub(crate) seed: u64,
}
