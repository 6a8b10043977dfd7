//! The requests by which items are copied.

use memproto::client::InvalidKey;
use memproto::client::meta::Line;

/// The flags of a request for an item. `u`: it does not count as a use.
const ASKED: [u8; 7] = *b"vftcshu";

/// Appends a request for an item.
pub(super) fn get(out: &mut Vec<u8>, key: &[u8]) -> Result<(), InvalidKey> {
    ASKED.iter().fold(Line::get(out, key)?, |line, letter| line.flag(*letter)).end();
    Ok(())
}

/// Appends a request that gives back the lease to renew an item of this version.
pub(super) fn give_back(out: &mut Vec<u8>, key: &[u8], version: u64) -> Result<(), InvalidKey> {
    Line::delete(out, key)?.flag(b'I').number(b'C', version).end();
    Ok(())
}

/// Appends the head of a request that adds an item: one that is there is newer.
pub(super) fn add(
    out: &mut Vec<u8>,
    key: &[u8],
    len: usize,
    flags: u32,
    ttl: u64,
) -> Result<(), InvalidKey> {
    // No item has more than 2^30 bytes.
    let line = Line::set(out, key, len as u32)?.mode(b'E');
    line.number(b'F', flags.into()).number(b'T', ttl).end();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_requests_name_them() {
        for (key, written) in [
            (&b"plain\xff"[..], Some(&b"mg plain\xff v f t c s h u\r\n"[..])),
            (b"two words", Some(b"mg dHdvIHdvcmRz b v f t c s h u\r\n")),
            (b"", None),
            (&[b'x'; 251], None),
            (&[b' '; 200], None),
        ] {
            let mut out = Vec::new();
            let asked = get(&mut out, key);
            assert_eq!(asked.ok().map(|()| &out[..]), written);
            assert!(written.is_some() || out.is_empty());
        }
    }
}
