//! The frame around requests and replies in datagrams. What is inside is not known here.
//!
//! ```text
//!   0        2        4        6        8
//!   | id     | number | of     | 0      | request or reply ...
//! ```

use memproto::limits::MAX_KEY;

/// Bytes in front of a request or a piece of a reply.
pub(super) const HEADER: usize = 8;
/// Bytes of a datagram that is sent: what passes everywhere in one piece.
pub(super) const DATAGRAM_MAX: usize = 1400;
const _: () = assert!(DATAGRAM_MAX - HEADER > MAX_KEY);

/// The number that a request carries and its reply repeats, and the request. None if there is no
/// frame, or if the request has more than this one datagram: those are not reassembled.
pub(super) fn open(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let (&[id_high, id_low, _, _, of_high, of_low, _, _], request) =
        datagram.split_first_chunk::<HEADER>()?;
    let whole = u16::from_be_bytes([of_high, of_low]) == 1 && !request.is_empty();
    whole.then_some((u16::from_be_bytes([id_high, id_low]), request))
}

/// Datagrams that a reply of `len` bytes takes.
pub(super) fn count(len: usize) -> usize {
    len.div_ceil(DATAGRAM_MAX - HEADER)
}

/// Calls `send` with every datagram of `reply`, which must be few enough to be numbered.
pub(super) fn close(id: u16, reply: &[u8], mut send: impl FnMut(&[u8])) {
    // Replies have at most 64 KiB, so the number fits.
    let of = count(reply.len()) as u16;
    let mut datagram = Vec::with_capacity(DATAGRAM_MAX);
    for (number, piece) in (0..of).zip(reply.chunks(DATAGRAM_MAX - HEADER)) {
        datagram.clear();
        for field in [id, number, of, 0] {
            datagram.extend_from_slice(&field.to_be_bytes());
        }
        datagram.extend_from_slice(piece);
        send(&datagram);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_requests_are_opened() {
        let open = |header: [u8; 8], rest: &[u8]| open(&[&header, rest].concat()).map(|it| it.0);
        assert_eq!(open([1, 2, 0, 0, 0, 1, 0, 0], b"x"), Some(258));
        assert_eq!(open([0, 7, 0, 3, 0, 1, 9, 9], b"x"), Some(7));
        assert_eq!(open([0, 7, 0, 0, 0, 1, 0, 0], b""), None);
        assert_eq!(open([0, 7, 0, 0, 0, 2, 0, 0], b"x"), None);
        assert_eq!(open([0, 7, 0, 0, 1, 1, 0, 0], b"x"), None);
        assert_eq!(open([0, 7, 0, 0, 0, 0, 0, 0], b"x"), None);
        for len in 0..HEADER {
            assert_eq!(super::open(&[0, 0, 0, 0, 0, 1, 0][..len.min(7)]), None);
        }
    }

    #[test]
    fn replies_are_numbered_pieces() {
        let reply: Vec<u8> = (0..4_000_u32).map(|i| i as u8).collect();
        let mut pieces = Vec::new();
        close(0x0102, &reply, |datagram| pieces.push(datagram.to_vec()));
        let headers: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..HEADER]).collect();
        assert_eq!(headers[0], [1, 2, 0, 0, 0, 3, 0, 0]);
        assert_eq!(headers[2], [1, 2, 0, 2, 0, 3, 0, 0]);
        assert!(pieces.iter().all(|piece| piece.len() <= DATAGRAM_MAX));
        let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece[HEADER..].to_vec()).collect();
        assert_eq!(whole, reply);
        close(1, b"", |_| panic!("nothing is sent for nothing"));
    }
}
