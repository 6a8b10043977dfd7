//! A read buffer that keeps unread bytes in one piece. It knows nothing of what they mean.

use std::io::{self, Read};

/// Bytes between a reader and a parser.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { bytes: vec![0; INITIAL], start: 0, end: 0 }
    }
}

impl Buffer {
    /// What was read and not consumed.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Drops the first `count` unread bytes.
    pub fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once. True if the reader may have more: it filled the space it was given.
    ///
    /// # Errors
    /// What the reader says, and `UnexpectedEof` at its end.
    pub fn fill(&mut self, reader: &mut impl Read) -> io::Result<bool> {
        self.make_room();
        let space = self.bytes.len() - self.end;
        let count = reader.read(&mut self.bytes[self.end..])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.end += count;
        Ok(count == space)
    }

    fn make_room(&mut self) {
        if self.bytes.len() - self.end >= INITIAL / 4 {
            return;
        }
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.bytes.len() - self.end < INITIAL / 4 {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }
}

const INITIAL: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let source: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
        let mut reader = &source[..];
        let mut buffer = Buffer::default();
        let mut seen = Vec::new();
        let mut step = 1;
        while seen.len() < source.len() {
            if buffer.unread().len() < step {
                match buffer.fill(&mut reader) {
                    Ok(_) => continue,
                    Err(end) => assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof),
                }
            }
            let count = step.min(buffer.unread().len());
            seen.extend_from_slice(&buffer.unread()[..count]);
            buffer.consume(count);
            step = (step * 3) % 150_001 + 1;
        }
        assert_eq!(seen, source);
    }
}
