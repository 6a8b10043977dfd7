//! Finding the ends of lines and words, and the memory of how far that search has come. The
//! only file that knows byte positions; it must never know a command.

/// How far the front of a buffer has been searched without success, so that no byte is searched
/// twice while a line or frame arrives in pieces.
///
/// It belongs to one connection. The caller may move the bytes, but not drop or change any
/// before a step consumes them; every step other than `Partial` resets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scan {
    /// Text: bytes known to hold no line feed. Binary: bytes to wait for.
    pub(crate) seen: usize,
}

impl Scan {
    /// Nothing searched yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { seen: 0 }
    }
}

/// Splits the next word off `line`: its bytes, and what follows the spaces behind it.
pub(crate) fn split_token(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = line.iter().position(|&b| b != b' ')?;
    let line = line.get(start..)?;
    let end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
    let (token, rest) = line.split_at_checked(end)?;
    Some((token, trim_start(rest)))
}

/// `bytes` without the spaces in front.
pub(crate) fn trim_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&b| b != b' ').unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}
