//! How an item lies in the log: a head, its key and its value, cut into blocks that have a checksum
//! each.
//!
//! ```text
//!   block 0  [ head | group | key | value ...   | checksum ]   at most 64 KiB
//!   block 1  [ value ...                        | checksum ]
//! ```
//!
//! The group is that of the item's tags, and there if it has some.
//!
//! A checksum covers the bytes of its block, its number, the position of the record in the log and
//! the name of the log. So it holds for nothing but this record: not for one that lay at the same
//! place a lap or a process earlier, and not for two halves of different ones.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use crate::tags::{Group, Issue};

/// Bytes of a block, its checksum included.
pub(super) const BLOCK: usize = 64 << 10;
/// Bytes of a checksum.
const SUM: usize = size_of::<u64>();
/// Bytes of a block that belong to the record.
pub(super) const PAYLOAD: usize = BLOCK - SUM;
/// Bytes of the head.
const HEAD: usize = 48;
/// Bytes of a group: its number and its serial.
const GROUP: usize = 12;
/// The longest key: it lies in the first block.
pub(super) const KEY_MAX: usize = PAYLOAD - HEAD - GROUP;
/// The first bytes of every record, and the format of what follows.
const MAGIC: u32 = u32::from_le_bytes(*b"mcf\x02");

const STALE: u32 = 1;
const TAKEN: u32 = 1 << 1;
const MARKED: u32 = 1 << 2;
const FETCHED: u32 = 1 << 3;
const HAS_EXPIRY: u32 = 1 << 4;
const HAS_GROUP: u32 = 1 << 5;
const BITS: u32 = (1 << 6) - 1;

/// What is kept of an item besides its key and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Where the record begins in the log.
    pub(super) pos: u64,
    pub(super) version: u64,
    pub(super) key_len: usize,
    pub(super) value_len: usize,
    pub(super) flags: u32,
    /// 0 for never; `None` has no room for one in memory either.
    pub(super) expiry: Option<u32>,
    /// The flush epoch in which the item is visible.
    pub(super) epoch: u32,
    /// The second of its last access.
    pub(super) access: u32,
    pub(super) stale: bool,
    pub(super) taken: bool,
    pub(super) marked: bool,
    pub(super) fetched: bool,
    /// The group of its tags, as it was when this was written.
    pub(super) issue: Issue,
}

/// The name of a log: no two logs have the same, so that none takes what another has written for
/// its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name(RapidSecrets);

/// Bytes that are not the record that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad;

impl Name {
    pub(super) fn new(seed: u64) -> Self {
        Self(RapidSecrets::seed(seed))
    }

    pub(super) fn sum(&self, pos: u64, block: usize, bytes: &[u8]) -> u64 {
        let place = (pos ^ (block as u64) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        rapidhash_v3_seeded(bytes, &self.0) ^ place
    }
}

impl Head {
    /// Bytes of the record without its checksums.
    fn payload(&self) -> usize {
        self.key_at() + self.key_len + self.value_len
    }

    fn has_group(&self) -> bool {
        self.issue.group != Group::NONE
    }

    /// Where the key begins.
    fn key_at(&self) -> usize {
        key_at(self.has_group())
    }

    /// Where the value begins.
    pub(super) fn value_at(&self) -> usize {
        self.key_at() + self.key_len
    }

    /// Bytes of the record.
    pub(super) fn len(&self) -> usize {
        len_of(self.key_len, self.value_len, self.has_group())
    }

    /// Blocks of the record.
    pub(super) fn blocks(&self) -> usize {
        self.payload().div_ceil(PAYLOAD)
    }

    /// Bytes of block number `block`, without its checksum.
    pub(super) fn payload_of(&self, block: usize) -> usize {
        (self.payload() - block * PAYLOAD).min(PAYLOAD)
    }

    /// Writes what comes before the key to the beginning of `into`.
    fn encode(&self, into: &mut [u8]) {
        let bit = |on: bool, bit: u32| if on { bit } else { 0 };
        let bits = bit(self.stale, STALE)
            | bit(self.taken, TAKEN)
            | bit(self.marked, MARKED)
            | bit(self.fetched, FETCHED)
            | bit(self.expiry.is_some(), HAS_EXPIRY)
            | bit(self.has_group(), HAS_GROUP);
        let words = [
            MAGIC,
            bits,
            self.pos as u32,
            (self.pos >> 32) as u32,
            self.version as u32,
            (self.version >> 32) as u32,
            self.key_len as u32,
            self.value_len as u32,
            self.flags,
            self.expiry.unwrap_or(0),
            self.epoch,
            self.access,
        ];
        let Issue { group, serial } = self.issue;
        let issue = [group.0, serial as u32, (serial >> 32) as u32];
        let places = into[..self.key_at()].chunks_exact_mut(4);
        for (place, word) in places.zip(words.into_iter().chain(issue)) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }

    /// The head as it stands there; nothing about it is certain yet.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at * 4..)?.first_chunk()?));
        let wide = |at: usize| Some(u64::from(word(at)?) | u64::from(word(at + 1)?) << 32);
        let bits = word(1)?;
        let has = |bit: u32| bits & bit != 0;
        let behind = HEAD / 4;
        let issue = match has(HAS_GROUP) {
            false => Issue::default(),
            true => Issue { group: Group(word(behind)?), serial: wide(behind + 1)? },
        };
        let can_be = word(0)? == MAGIC
            && bits & !BITS == 0
            && (has(HAS_EXPIRY) || word(9)? == 0)
            && has(HAS_GROUP) == (issue.group != Group::NONE);
        if !can_be {
            return None;
        }
        Some(Self {
            pos: wide(2)?,
            version: wide(4)?,
            key_len: word(6)? as usize,
            value_len: word(7)? as usize,
            flags: word(8)?,
            expiry: Some(word(9)?).filter(|_| has(HAS_EXPIRY)),
            epoch: word(10)?,
            access: word(11)?,
            stale: has(STALE),
            taken: has(TAKEN),
            marked: has(MARKED),
            fetched: has(FETCHED),
            issue,
        })
    }
}

/// Where the key of an item begins, maybe with tags.
fn key_at(is_tagged: bool) -> usize {
    if is_tagged { HEAD + GROUP } else { HEAD }
}

/// Bytes of the record of an item with such a key and such a value, and maybe with tags.
pub(super) fn len_of(key_len: usize, value_len: usize, is_tagged: bool) -> usize {
    let payload = key_at(is_tagged) + key_len + value_len;
    payload + payload.div_ceil(PAYLOAD) * SUM
}

/// Writes a record to `into`, which has its length, and has `value` fill in parts of the value from
/// a byte of it on.
pub(super) fn write(
    name: &Name,
    head: &Head,
    key: &[u8],
    into: &mut [u8],
    mut value: impl FnMut(usize, &mut [u8]),
) {
    debug_assert_eq!((key.len(), into.len()), (head.key_len, head.len()));
    let mut from = 0;
    for (block, bytes) in into.chunks_mut(BLOCK).enumerate() {
        let (payload, sum) = bytes.split_at_mut(bytes.len() - SUM);
        let mut rest = &mut *payload;
        if block == 0 {
            let (front, behind) = rest.split_at_mut(head.value_at());
            head.encode(front);
            front[head.key_at()..].copy_from_slice(key);
            rest = behind;
        }
        let here = rest.len();
        value(from, rest);
        from += here;
        sum.copy_from_slice(&name.sum(head.pos, block, payload).to_le_bytes());
    }
    debug_assert_eq!(from, head.value_len, "all of the value was written");
}

/// The head, the key, and as much of the value as lies in the first block, of the record at `pos`
/// that `bytes` begins with.
///
/// # Errors
/// It is not there.
pub(super) fn read<'b>(
    name: &Name,
    pos: u64,
    bytes: &'b [u8],
) -> Result<(Head, &'b [u8], &'b [u8]), Bad> {
    let head = Head::decode(bytes).ok_or(Bad)?;
    if head.pos != pos || head.key_len > KEY_MAX {
        return Err(Bad);
    }
    let payload = read_block(name, &head, 0, bytes)?;
    let (key, value) = payload[head.key_at()..].split_at(head.key_len);
    Ok((head, key, value))
}

/// What belongs to the value of block number `block`, which `bytes` begins with; of the first one,
/// head and key as well.
///
/// # Errors
/// It is not there.
pub(super) fn read_block<'b>(
    name: &Name,
    head: &Head,
    block: usize,
    bytes: &'b [u8],
) -> Result<&'b [u8], Bad> {
    let len = head.payload_of(block);
    let (payload, rest) = bytes.split_at_checked(len).ok_or(Bad)?;
    let (sum, _) = rest.split_first_chunk().ok_or(Bad)?;
    match u64::from_le_bytes(*sum) == name.sum(head.pos, block, payload) {
        true => Ok(payload),
        false => Err(Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Name = Name(RapidSecrets::seed(7));

    fn head(key: usize, value: usize) -> Head {
        Head {
            pos: 3 << 33,
            version: u64::MAX - 5,
            key_len: key,
            value_len: value,
            flags: 9,
            expiry: Some(77),
            epoch: 5,
            access: 6,
            stale: true,
            taken: false,
            marked: true,
            fetched: false,
            issue: Issue::default(),
        }
    }

    fn tagged(head: Head) -> Head {
        let issue = Issue { group: Group(1 << 31 | 6), serial: 5 << 33 | 7 };
        Head { issue, ..head }
    }

    fn bytes_of(value: usize) -> Vec<u8> {
        (0..value).map(|i| (i * 7 / 3) as u8).collect()
    }

    fn record(head: &Head, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; head.len()];
        write(&NAME, head, key, &mut bytes, |from, into| {
            into.copy_from_slice(&value[from..from + into.len()]);
        });
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        for len in [0, 1, 100, PAYLOAD - HEAD - 3, PAYLOAD - HEAD - 2, 65_536, 200_000] {
            for head in [head(3, len), tagged(head(3, len))] {
                let value = bytes_of(len);
                let bytes = record(&head, b"key", &value);
                let (read_head, key, first) = read(&NAME, head.pos, &bytes).unwrap();
                assert_eq!((read_head, key), (head, &b"key"[..]));
                let mut whole = first.to_vec();
                for block in 1..head.blocks() {
                    let block = read_block(&NAME, &head, block, &bytes[block * BLOCK..]).unwrap();
                    whole.extend_from_slice(block);
                }
                assert!(whole == value, "{len} bytes");
            }
        }
    }

    #[test]
    fn no_bit_may_differ_and_no_byte_may_be_missing() {
        for head in [head(3, 60), tagged(head(3, 60))] {
            let bytes = record(&head, b"key", &bytes_of(60));
            for at in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[at / 8] ^= 1 << (at % 8);
                assert_eq!(read(&NAME, head.pos, &damaged), Err(Bad), "bit {at}");
            }
            for len in 0..bytes.len() {
                assert_eq!(read(&NAME, head.pos, &bytes[..len]), Err(Bad), "{len} bytes");
            }
        }
    }

    #[test]
    fn a_record_holds_at_its_own_place_in_its_own_log() {
        let (head, value) = (head(3, 100_000), bytes_of(100_000));
        let bytes = record(&head, b"key", &value);
        assert_eq!(read(&NAME, head.pos + 64, &bytes), Err(Bad));
        assert_eq!(read(&Name::new(8), head.pos, &bytes), Err(Bad));
        // A block of an older record at the same place is not taken for one of this.
        let older = Head { pos: head.pos - 4096, ..head };
        let other = record(&older, b"key", &value);
        assert_eq!(read_block(&NAME, &head, 1, &other[BLOCK..]), Err(Bad));
        assert_eq!(read_block(&NAME, &head, 0, &bytes[BLOCK..]), Err(Bad));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let (head, value) = (head(3, 60), bytes_of(60));
        for lengths in [(u32::MAX, 60), (3, u32::MAX), (u32::MAX, u32::MAX), (1 << 16, 0)] {
            let mut bytes = record(&head, b"key", &value);
            bytes[24..28].copy_from_slice(&lengths.0.to_le_bytes());
            bytes[28..32].copy_from_slice(&lengths.1.to_le_bytes());
            assert_eq!(read(&NAME, head.pos, &bytes), Err(Bad), "{lengths:?}");
        }
    }
}
