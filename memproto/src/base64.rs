//! Base64 (standard alphabet, padded) for binary keys on meta lines. It must never allocate.

/// Decodes `text` into the front of `out`. `None` when it is not base64 or does not fit.
#[must_use]
pub fn decode<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let _ = (text, out);
    todo!()
}

/// Appends `bytes` as base64.
pub fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    let _ = (out, bytes);
    todo!()
}
