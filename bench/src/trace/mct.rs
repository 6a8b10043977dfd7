//! The MCT1 trace file: zstd around a header and columns, all numbers little-endian.
//!
//! ```text
//! "MCT1" 0 0 0 0 | u32 keys | u32 requests
//! u32 value_size[keys] | u32 ttl[keys] | u16 key_size[keys]
//! u32 second[requests] | u32 key[requests] | u8 op[requests]
//! ```

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::{KeyInfo, Op, Request, Trace};

/// A trace can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file can't be read, or ends early.
    #[error("the trace can't be read: {0}")]
    Io(#[from] io::Error),
    /// It is not compressed by zstd.
    #[error("not a zstd file: {0}")]
    Zstd(String),
    /// It is something else.
    #[error("not an MCT1 trace")]
    Magic,
    /// A request has an operation that this program does not know.
    #[error("unknown operation {0}")]
    Op(u8),
    /// A request names a key that the table does not have.
    #[error("key {0} is not in the table")]
    Key(u32),
}

/// Reads a compressed trace.
///
/// # Errors
/// [`TraceError`] if it is not one.
pub fn read(path: &Path) -> Result<Trace, TraceError> {
    let file = BufReader::new(File::open(path)?);
    let decoder = ruzstd::decoding::StreamingDecoder::new(file);
    columns(decoder.map_err(|error| TraceError::Zstd(error.to_string()))?)
}

fn columns(mut input: impl Read) -> Result<Trace, TraceError> {
    let mut magic = [0; 8];
    input.read_exact(&mut magic)?;
    if magic != *b"MCT1\0\0\0\0" {
        return Err(TraceError::Magic);
    }
    let counts = column::<4>(&mut input, 2)?;
    let keys = u32::from_le_bytes(counts[0]) as usize;
    let requests = u32::from_le_bytes(counts[1]) as usize;
    let value_sizes = column::<4>(&mut input, keys)?;
    let ttls = column::<4>(&mut input, keys)?;
    let key_sizes = column::<2>(&mut input, keys)?;
    let seconds = column::<4>(&mut input, requests)?;
    let asked = column::<4>(&mut input, requests)?;
    let ops = column::<1>(&mut input, requests)?;
    let key = |i: usize| KeyInfo {
        value_size: u32::from_le_bytes(value_sizes[i]),
        ttl: u32::from_le_bytes(ttls[i]),
        key_size: u16::from_le_bytes(key_sizes[i]),
    };
    let request = |i: usize| {
        let key = u32::from_le_bytes(asked[i]);
        if key as usize >= keys {
            return Err(TraceError::Key(key));
        }
        Ok(Request { second: u32::from_le_bytes(seconds[i]), key, op: op(ops[i][0])? })
    };
    Ok(Trace {
        keys: (0..keys).map(key).collect(),
        requests: (0..requests).map(request).collect::<Result<_, _>>()?,
    })
}

/// Reads in pieces, so that a header that lies about its counts costs no memory.
fn column<const WIDTH: usize>(
    input: &mut impl Read,
    count: usize,
) -> Result<Vec<[u8; WIDTH]>, io::Error> {
    let mut column = Vec::new();
    while column.len() < count {
        let done = column.len();
        column.resize((done + PIECE).min(count), [0; WIDTH]);
        input.read_exact(column[done..].as_flattened_mut())?;
    }
    Ok(column)
}

fn op(byte: u8) -> Result<Op, TraceError> {
    match byte {
        0 => Ok(Op::Get),
        1 => Ok(Op::Set),
        2 => Ok(Op::Delete),
        other => Err(TraceError::Op(other)),
    }
}

const PIECE: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Vec<u8> {
        let mut bytes = b"MCT1\0\0\0\0".to_vec();
        let mut numbers = |numbers: &[u32]| {
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        };
        numbers(&[2, 3]); // Keys, requests.
        numbers(&[100, 70_000]); // Value sizes.
        numbers(&[0, 60]); // Times to live.
        numbers(&[20 | (31 << 16)]); // Key sizes, two bytes each.
        numbers(&[0, 5, 9]); // Seconds.
        numbers(&[1, 0, 1]); // Keys.
        bytes.extend([0, 1, 2]); // Operations.
        bytes
    }

    #[test]
    fn columns_become_rows() {
        let trace = columns(&tiny()[..]).unwrap();
        assert_eq!(
            trace.keys,
            [
                KeyInfo { value_size: 100, ttl: 0, key_size: 20 },
                KeyInfo { value_size: 70_000, ttl: 60, key_size: 31 },
            ]
        );
        assert_eq!(
            trace.requests,
            [
                Request { second: 0, key: 1, op: Op::Get },
                Request { second: 5, key: 0, op: Op::Set },
                Request { second: 9, key: 1, op: Op::Delete },
            ]
        );
    }

    #[test]
    fn a_compressed_file_is_read() {
        let path = std::env::temp_dir().join(format!("bench-mct-{}.zst", std::process::id()));
        std::fs::write(&path, raw_zstd_frame(&tiny())).unwrap();
        let result = read(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(result.unwrap(), columns(&tiny()[..]).unwrap());
    }

    /// A zstd frame of one uncompressed block (RFC 8878, 3.1.1).
    fn raw_zstd_frame(content: &[u8]) -> Vec<u8> {
        let mut frame = 0xFD2F_B528_u32.to_le_bytes().to_vec();
        frame.extend([0x20, content.len() as u8]); // One segment, a length of one byte.
        let block = ((content.len() as u32) << 3) | 1; // Raw, the last one.
        frame.extend(&block.to_le_bytes()[..3]);
        frame.extend(content);
        frame
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        let mut foreign = tiny();
        foreign[0] = b'X';
        assert!(matches!(columns(&foreign[..]), Err(TraceError::Magic)));
        for cut in 0..tiny().len() {
            assert!(matches!(columns(&tiny()[..cut]), Err(TraceError::Io(_))), "cut at {cut}");
        }
        let mut op = tiny();
        *op.last_mut().unwrap() = 3;
        assert!(matches!(columns(&op[..]), Err(TraceError::Op(3))));
        let mut key = tiny();
        let first_key = key.len() - 3 - 12;
        key[first_key] = 2;
        assert!(matches!(columns(&key[..]), Err(TraceError::Key(2))));
    }
}
