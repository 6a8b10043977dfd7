//! Keys as bytes: which of them can stand on a line, and how the others are written.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::limits::MAX_KEY;

/// What is escaped: all but the unreserved characters of a URI.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Padding is required, but unused bits of the last digit need not be zero, as in memcached.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Bytes that the longest key may have once it is decoded, rounded up to whole groups of three.
const DECODED_MAX: usize = MAX_KEY.next_multiple_of(3);

/// Whether a key can stand on a line: it has no space and no control character. A binary or
/// base64 key may be anything.
///
/// ```
/// assert!(memproto::key::is_plain("user:1/\u{e9}".as_bytes()));
/// assert!(!memproto::key::is_plain(b"two words"));
/// ```
#[must_use]
pub fn is_plain(key: &[u8]) -> bool {
    // Without an early end the bytes are compared sixteen at a time.
    !key.iter().fold(false, |any, &byte| any | (byte <= b' ') | (byte == 0x7f))
}

/// Whether a key is printable ASCII without a space, which every reader of a dump understands.
///
/// ```
/// assert!(memproto::key::is_printable(b"user:1/x"));
/// assert!(!memproto::key::is_printable("\u{e9}".as_bytes()));
/// ```
#[must_use]
pub fn is_printable(key: &[u8]) -> bool {
    key.iter().fold(true, |all, byte| all & byte.is_ascii_graphic())
}

/// Appends `key` as it is, or escaped if it is not printable.
///
/// ```
/// let mut out = Vec::new();
/// memproto::key::push_word(&mut out, b"50%");
/// memproto::key::push_word(&mut out, b" x");
/// assert_eq!(out, b"50%%20x");
/// ```
pub fn push_word(out: &mut Vec<u8>, key: &[u8]) {
    if is_printable(key) { out.extend_from_slice(key) } else { push_escaped(out, key) }
}

/// Appends `key` with everything but the unreserved characters of a URI as `%XX`, so that it is
/// one word of one line.
///
/// ```
/// let mut out = Vec::new();
/// memproto::key::push_escaped(&mut out, b"aZ9-._~ %\n\xff");
/// assert_eq!(out, b"aZ9-._~%20%25%0A%FF");
/// ```
pub fn push_escaped(out: &mut Vec<u8>, key: &[u8]) {
    for part in percent_encode(key, RESERVED) {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends `key` in base64.
///
/// ```
/// let mut out = Vec::new();
/// memproto::key::push_base64(&mut out, b"two words");
/// assert_eq!(out, b"dHdvIHdvcmRz");
/// ```
pub fn push_base64(out: &mut Vec<u8>, key: &[u8]) {
    let start = out.len();
    let len = key.len().div_ceil(3) * 4;
    // The library writes into a slice of exactly this length; padding is included.
    out.resize(start + len, 0);
    let Some(room) = out.get_mut(start..) else { return };
    let written = BASE64.encode_slice(key, room);
    debug_assert_eq!(written, Ok(len));
}

/// Decodes a base64 key into the front of `scratch`. None if `text` is empty, not base64, lacks
/// its padding, or stands for more than [`MAX_KEY`] bytes.
///
/// ```
/// use memproto::limits::MAX_KEY;
///
/// let mut scratch = [0; MAX_KEY];
/// assert_eq!(memproto::key::decode_base64(b"Zm8=", &mut scratch), Some(&b"fo"[..]));
/// assert_eq!(memproto::key::decode_base64(b"Zm8", &mut scratch), None);
/// ```
#[must_use]
pub fn decode_base64<'s>(text: &[u8], scratch: &'s mut [u8; MAX_KEY]) -> Option<&'s [u8]> {
    // The library wants room for whole groups.
    let mut groups = [0; DECODED_MAX];
    let len = BASE64.decode_slice(text, &mut groups).ok().filter(|&len| len > 0)?;
    let key = scratch.get_mut(..len)?;
    key.copy_from_slice(groups.get(..len)?);
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push_base64(&mut out, bytes);
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
                assert_eq!(decode_base64(text, &mut [0; MAX_KEY]), Some(bytes));
            }
        }
    }

    #[test]
    fn every_length_and_byte_survives() {
        for length in 1..=250_usize {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 37 + length) as u8).collect();
            assert_eq!(decode_base64(&encoded(&bytes), &mut [0; MAX_KEY]), Some(&bytes[..]));
        }
        assert_eq!(decode_base64(&encoded(&[7; 251]), &mut [0; MAX_KEY]), None);
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
            assert_eq!(decode_base64(text, &mut [0; MAX_KEY]), None, "{}", text.escape_ascii());
        }
        assert_eq!(decode_base64(b"Zh==", &mut [0; MAX_KEY]), Some(&b"f"[..]));
    }
}
