//! Base64 (standard alphabet, padded) for binary keys on meta lines. It must never allocate.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value of a byte that is not in the alphabet; it has bits no digit has.
const INVALID: u8 = 0xff;

fn digit(byte: u8) -> u32 {
    u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => INVALID,
    })
}

/// Decodes `text` into the front of `out`. `None` when it is empty, not base64, lacks its
/// padding, or does not fit. Unused bits of the last digit are ignored, as memcached does.
#[must_use]
pub fn decode<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let (head, tail) = text.split_last_chunk::<4>()?;
    let (groups, odd) = head.as_chunks::<4>();
    if !odd.is_empty() {
        return None;
    }
    let mut length = 0;
    for group in groups {
        let bytes = decode_group(*group)?;
        out.get_mut(length..length + 3)?.copy_from_slice(&bytes);
        length += 3;
    }
    let (group, count) = match *tail {
        [a, b, b'=', b'='] => ([a, b, b'A', b'A'], 1),
        [a, b, c, b'='] => ([a, b, c, b'A'], 2),
        full => (full, 3),
    };
    let bytes = decode_group(group)?;
    out.get_mut(length..length + count)?.copy_from_slice(bytes.get(..count)?);
    out.get(..length + count)
}

fn decode_group(group: [u8; 4]) -> Option<[u8; 3]> {
    let [a, b, c, d] = group.map(digit);
    if a | b | c | d > 63 {
        return None;
    }
    let [_, x, y, z] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
    Some([x, y, z])
}

/// Appends `bytes` as base64.
pub fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    let (groups, rest) = bytes.as_chunks::<3>();
    out.reserve(bytes.len().div_ceil(3) * 4);
    for group in groups {
        out.extend_from_slice(&encode_group(*group));
    }
    match *rest {
        [x] => {
            let [a, b, ..] = encode_group([x, 0, 0]);
            out.extend_from_slice(&[a, b, b'=', b'=']);
        }
        [x, y] => {
            let [a, b, c, _] = encode_group([x, y, 0]);
            out.extend_from_slice(&[a, b, c, b'=']);
        }
        _ => {}
    }
}

fn encode_group([x, y, z]: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_be_bytes([0, x, y, z]);
    [18, 12, 6, 0].map(|shift| {
        let digit = (bits >> shift & 63) as usize;
        ALPHABET.get(digit).copied().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, bytes);
        out
    }

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (bytes, text) in [
            (&b""[..], &b""[..]),
            (b"f", b"Zg=="),
            (b"fo", b"Zm8="),
            (b"foo", b"Zm9v"),
            (b"foob", b"Zm9vYg=="),
            (b"fooba", b"Zm9vYmE="),
            (b"foobar", b"Zm9vYmFy"),
            (b"\xfb\xff\xfe", b"+//+"),
        ] {
            assert_eq!(encoded(bytes), text);
            if !bytes.is_empty() {
                assert_eq!(decode(text, &mut [0; 8]), Some(bytes));
            }
        }
    }

    #[test]
    fn every_length_and_byte_survives() {
        for length in 1..=250_usize {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 37 + length) as u8).collect();
            assert_eq!(decode(&encoded(&bytes), &mut [0; 250]), Some(&bytes[..]));
        }
        assert_eq!(decode(&encoded(&[7; 251]), &mut [0; 250]), None);
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in [
            &b""[..],
            b"Z",
            b"Zg",
            b"Zg=",
            b"Zg===",
            b"====",
            b"=",
            b"Z===",
            b"Zm9v=",
            b"!!!!",
            b"Zg==Zg==",
            b"Zm 9",
            b"Z=g=",
            b"Zm9v\n\n\n\n",
            b"Zm9_",
            b"\xff\xff\xff\xff",
        ] {
            assert_eq!(decode(text, &mut [0; 250]), None, "{}", text.escape_ascii());
        }
        assert_eq!(decode(b"Zh==", &mut [0; 250]), Some(&b"f"[..]));
    }
}
