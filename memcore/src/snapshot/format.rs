//! The bytes of a snapshot: a header, blocks with checksums, the items in them, counts at the end.
//! `docs/format.md` describes them. Nothing here knows a cache.

use std::io::{ErrorKind, Read, Write};

use super::{Entry, SnapshotError};
use crate::Moment;
use crate::restart::state::checksum;
use crate::space::layout::{KEY_MAX, USES_MAX};
use crate::tags::{TAG_LEN_MAX, TAGS_MAX};

const MAGIC: [u8; 8] = *b"memsnap\x1a";
/// Changes whenever what is written can't be read by older versions.
pub(super) const FORMAT: u32 = 1;
const HEADER: usize = 40;

/// Bytes of a block before its payload, and of its checksum behind it.
const HEAD: usize = 16;
const SUM: usize = 8;
/// Longest payload. The longest head of an item fits in twice.
const PAYLOAD_MAX: usize = 128 << 10;
const ITEMS: [u8; 4] = *b"ITEM";
const DONE: [u8; 4] = *b"DONE";
/// Bytes of the payload of the last block.
const COUNTS: usize = 16;

/// Bytes of an item before its key.
const FIXED: usize = 32;
const STALE: u8 = 1;
const MARKED: u8 = 2;
const FETCHED: u8 = 4;
const HIT: u8 = 8;
const BITS: u8 = STALE | MARKED | FETCHED | HIT;
/// Longest value.
const VALUE_MAX: usize = 1 << 30;
/// No cache has given out this version or a later one; that leaves room to count on.
const LAST_VERSION_END: u64 = 1 << 56;

/// Writes items as a snapshot, one after the other, to any sink. It has a buffer of 128 KiB.
///
/// # Examples
/// ```
/// use memcore::{Cache, Moment};
/// use memcore::snapshot::{Entry, Writer};
///
/// let mut writer = Writer::new(Vec::new(), Moment::from_secs(1_700_000_000))?;
/// writer.item(&Entry::new(b"k", 5))?;
/// writer.value(b"va")?;
/// writer.value(b"lue")?;
/// let bytes = writer.finish()?;
///
/// let cache = Cache::new(8 << 20)?;
/// assert_eq!(cache.restore(&bytes[..])?.items, 1);
/// assert_eq!(cache.get("k").as_deref(), Some(&b"value"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// The head of a block and what there is of its payload.
    block: Vec<u8>,
    number: u64,
    /// Bytes of the last item's value that are still to come.
    owed: usize,
    items: u64,
    value_bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a snapshot that was made at the moment `created`.
    ///
    /// # Errors
    /// That of `out`.
    pub fn new(out: W, created: Moment) -> Result<Self, SnapshotError> {
        Self::of_cache(out, created, 0)
    }

    /// The same for a cache that has given out versions up to `last_version`.
    pub(super) fn of_cache(
        mut out: W,
        created: Moment,
        last_version: u64,
    ) -> Result<Self, SnapshotError> {
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&FORMAT.to_le_bytes());
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&u64::from(created.as_secs()).to_le_bytes());
        header.extend_from_slice(&last_version.to_le_bytes());
        header.extend_from_slice(&checksum(&header).to_le_bytes());
        out.write_all(&header)?;
        let mut block = Vec::with_capacity(HEAD + PAYLOAD_MAX + SUM);
        block.resize(HEAD, 0);
        Ok(Self { out, block, number: 0, owed: 0, items: 0, value_bytes: 0 })
    }

    /// Begins an item, whose value follows.
    ///
    /// # Errors
    /// - [`SnapshotError::Entry`] if there can be no such item, or a part of the last one's value
    ///   is missing. Nothing was written.
    /// - That of the sink.
    pub fn item(&mut self, entry: &Entry) -> Result<(), SnapshotError> {
        entry.check()?;
        if self.owed > 0 {
            return Err(SnapshotError::Entry { what: "the value before it is incomplete" });
        }
        if self.block.len() + entry.head_len() > HEAD + PAYLOAD_MAX {
            self.end_block(ITEMS)?;
        }
        entry.encode(&mut self.block);
        self.owed = entry.value_len;
        self.items += 1;
        self.value_bytes += entry.value_len as u64;
        Ok(())
    }

    /// The next bytes of the value.
    ///
    /// # Errors
    /// - [`SnapshotError::Entry`] if the value has fewer.
    /// - That of the sink.
    pub fn value(&mut self, mut bytes: &[u8]) -> Result<(), SnapshotError> {
        if bytes.len() > self.owed {
            return Err(SnapshotError::Entry { what: "the value is longer than it was said" });
        }
        self.owed -= bytes.len();
        while !bytes.is_empty() {
            if self.block.len() == HEAD + PAYLOAD_MAX {
                self.end_block(ITEMS)?;
            }
            let room = HEAD + PAYLOAD_MAX - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Items so far, and the bytes of their values.
    ///
    /// # Examples
    /// ```
    /// use memcore::Moment;
    /// use memcore::snapshot::{Entry, Writer};
    ///
    /// let mut writer = Writer::new(Vec::new(), Moment::from_secs(1_700_000_000))?;
    /// writer.item(&Entry::new(b"k", 5))?;
    /// writer.value(b"value")?;
    /// assert_eq!(writer.written(), (1, 5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn written(&self) -> (u64, u64) {
        (self.items, self.value_bytes)
    }

    /// Completes the snapshot, which can't be read as a whole without that; the flushed sink.
    ///
    /// # Errors
    /// - [`SnapshotError::Entry`] if a part of the last value is missing.
    /// - That of the sink.
    pub fn finish(mut self) -> Result<W, SnapshotError> {
        if self.owed > 0 {
            return Err(SnapshotError::Entry { what: "the last value is incomplete" });
        }
        self.end_block(ITEMS)?;
        self.block.extend_from_slice(&self.items.to_le_bytes());
        self.block.extend_from_slice(&self.value_bytes.to_le_bytes());
        self.end_block(DONE)?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Writes the block, unless it is empty, and begins another one.
    fn end_block(&mut self, kind: [u8; 4]) -> Result<(), SnapshotError> {
        let len = (self.block.len() - HEAD) as u32;
        if len > 0 {
            self.block[..4].copy_from_slice(&kind);
            self.block[4..8].copy_from_slice(&len.to_le_bytes());
            self.block[8..HEAD].copy_from_slice(&self.number.to_le_bytes());
            let sum = checksum(&self.block);
            self.block.extend_from_slice(&sum.to_le_bytes());
            self.out.write_all(&self.block)?;
            self.number += 1;
            self.block.truncate(HEAD);
        }
        Ok(())
    }
}

/// Reads a snapshot from any source, item by item. It has a buffer of 128 KiB, whatever the source
/// announces.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache};
/// use memcore::snapshot::Reader;
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", b"value", Attrs::new().flags(7))?;
/// let mut bytes = Vec::new();
/// cache.snapshot(&mut bytes)?;
///
/// let mut reader = Reader::new(&bytes[..])?;
/// let entry = reader.item()?.expect("there is one");
/// assert_eq!((&entry.key[..], entry.flags, entry.value_len), (&b"k"[..], 7, 5));
/// while let Some(part) = reader.value()? {
///     assert_eq!(part, b"value");
/// }
/// assert!(reader.item()?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    created: Moment,
    last_version: u64,
    /// A whole block, head and checksum included; and how far its payload was read, and where it
    /// ends.
    block: Vec<u8>,
    at: usize,
    end: usize,
    number: u64,
    /// Bytes of the last item's value that were not read.
    owed: usize,
    items: u64,
    value_bytes: u64,
    done: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning of a snapshot.
    ///
    /// # Errors
    /// [`SnapshotError`] if it is none, or one that can't be read.
    pub fn new(mut from: R) -> Result<Self, SnapshotError> {
        let mut header = [0; HEADER];
        from.read_exact(&mut header).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => SnapshotError::Foreign,
            _ => error.into(),
        })?;
        let mut fields = Fields(&header);
        if fields.array()? != MAGIC {
            return Err(SnapshotError::Foreign);
        }
        let (format, options) = (fields.u32()?, fields.u32()?);
        let (created, last_version) = (fields.u64()?, fields.u64()?);
        if fields.u64()? != checksum(&header[..HEADER - SUM]) || last_version >= LAST_VERSION_END {
            return Err(SnapshotError::Damaged { block: 0, what: "the header before it" });
        }
        if format != FORMAT || options != 0 {
            return Err(SnapshotError::Format { format, options });
        }
        Ok(Self {
            from,
            created: moment(created),
            last_version,
            block: Vec::with_capacity(HEAD + PAYLOAD_MAX + SUM),
            at: 0,
            end: 0,
            number: 0,
            owed: 0,
            items: 0,
            value_bytes: 0,
            done: false,
        })
    }

    /// Where it is read from.
    #[must_use]
    pub fn source(&self) -> &R {
        &self.from
    }

    /// When the snapshot was made.
    ///
    /// # Examples
    /// ```
    /// use memcore::Moment;
    /// use memcore::snapshot::{Reader, Writer};
    ///
    /// let bytes = Writer::new(Vec::new(), Moment::from_secs(1_000))?.finish()?;
    /// assert_eq!(Reader::new(&bytes[..])?.created(), Moment::from_secs(1_000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn created(&self) -> Moment {
        self.created
    }

    /// The last version that the cache had given out then; 0 if it is not known.
    pub(super) fn last_version(&self) -> u64 {
        self.last_version
    }

    /// The next item; `None` at the end. What was not read of the last one's value is skipped.
    ///
    /// # Errors
    /// [`SnapshotError`], and nothing can be read from then on.
    pub fn item(&mut self) -> Result<Option<Entry>, SnapshotError> {
        while self.value()?.is_some() {}
        if self.done || (self.at == self.end && !self.next_block()?) {
            return Ok(None);
        }
        let block = self.number - 1;
        let mut fields = Fields(&self.block[self.at..self.end]);
        let entry = Entry::decode(&mut fields)
            .ok_or(SnapshotError::Damaged { block, what: "an item in it" })?;
        self.at = self.end - fields.0.len();
        self.owed = entry.value_len;
        self.items += 1;
        self.value_bytes += entry.value_len as u64;
        Ok(Some(entry))
    }

    /// The next bytes of the last item's value, whose block was found whole; `None` at its end.
    ///
    /// # Errors
    /// [`SnapshotError`], and nothing can be read from then on.
    pub fn value(&mut self) -> Result<Option<&[u8]>, SnapshotError> {
        if self.owed == 0 {
            return Ok(None);
        }
        if self.at == self.end && !self.next_block()? {
            return Err(SnapshotError::Damaged { block: self.number - 1, what: "a value's end" });
        }
        let len = self.owed.min(self.end - self.at);
        let part = &self.block[self.at..self.at + len];
        self.at += len;
        self.owed -= len;
        Ok(Some(part))
    }

    /// Reads another block; false if it was the last one.
    fn next_block(&mut self) -> Result<bool, SnapshotError> {
        let block = self.number;
        let damaged = |what| SnapshotError::Damaged { block, what };
        // Whatever fails below, nothing can be read any more.
        let owed = std::mem::take(&mut self.owed);
        (self.at, self.end, self.done) = (0, 0, true);
        self.block.resize(HEAD, 0);
        self.from.read_exact(&mut self.block).map_err(cut_off)?;
        let mut head = Fields(&self.block);
        let (kind, len, number) = (head.array()?, head.u32()? as usize, head.u64()?);
        if !(1..=PAYLOAD_MAX).contains(&len) || number != block {
            return Err(damaged("its head"));
        }
        self.block.resize(HEAD + len + SUM, 0);
        self.from.read_exact(&mut self.block[HEAD..]).map_err(cut_off)?;
        let (whole, sum) = self.block.split_at(HEAD + len);
        if checksum(whole).to_le_bytes() != *sum {
            return Err(damaged("its checksum"));
        }
        self.number += 1;
        if kind == DONE && len == COUNTS {
            let mut counts = Fields(&whole[HEAD..]);
            if (counts.u64()?, counts.u64()?) != (self.items, self.value_bytes) {
                return Err(damaged("the counts"));
            }
            return Ok(false);
        }
        if kind != ITEMS {
            return Err(damaged("its kind"));
        }
        (self.at, self.end, self.done) = (HEAD, HEAD + len, false);
        self.owed = owed;
        Ok(true)
    }
}

/// A snapshot of blocks with these payloads, whatever is in them, for tests: what counts and
/// checksums would find does not hide the rest.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[must_use]
pub fn framed(payloads: &[&[u8]]) -> Vec<u8> {
    let Ok(mut writer) = Writer::new(Vec::new(), Moment::default()) else { return Vec::new() };
    for payload in payloads.iter().flat_map(|payload| payload.chunks(PAYLOAD_MAX)) {
        writer.block.extend_from_slice(payload);
        let _ = writer.end_block(ITEMS);
    }
    let whole = writer.out.clone();
    let Ok(mut reader) = Reader::new(&whole[..]) else { return whole };
    while let Ok(Some(_)) = reader.item() {}
    (writer.items, writer.value_bytes) = (reader.items, reader.value_bytes);
    writer.finish().unwrap_or(whole)
}

/// A source that ends within a block was cut off.
fn cut_off(error: std::io::Error) -> SnapshotError {
    match error.kind() {
        ErrorKind::UnexpectedEof => SnapshotError::Truncated,
        _ => error.into(),
    }
}

/// A second that has more bits than moments have.
fn moment(secs: u64) -> Moment {
    Moment::from_secs(u32::try_from(secs).unwrap_or(u32::MAX))
}

/// Bytes that are read field by field.
struct Fields<'b>(&'b [u8]);

/// There are too few bytes: whoever reads numbers of a fixed place has them.
struct TooFew;

impl From<TooFew> for SnapshotError {
    fn from(_: TooFew) -> Self {
        Self::Truncated
    }
}

impl<'b> Fields<'b> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], TooFew> {
        let (first, rest) = self.0.split_first_chunk().ok_or(TooFew)?;
        self.0 = rest;
        Ok(*first)
    }

    fn u32(&mut self) -> Result<u32, TooFew> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, TooFew> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn bytes(&mut self, len: usize) -> Option<&'b [u8]> {
        let (first, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(first)
    }
}

impl Entry {
    /// Whether there can be such an item.
    fn check(&self) -> Result<(), SnapshotError> {
        let what = if !(1..=KEY_MAX).contains(&self.key.len()) {
            "the key is empty or too long"
        } else if self.value_len > VALUE_MAX {
            "the value is too long"
        } else if self.tags.len() > TAGS_MAX
            || self.tags.iter().any(|tag| !(1..=TAG_LEN_MAX).contains(&tag.len()))
        {
            "a tag is empty or too long, or there are too many"
        } else {
            return Ok(());
        };
        Err(SnapshotError::Entry { what })
    }

    /// Bytes before the value.
    fn head_len(&self) -> usize {
        FIXED + self.key.len() + self.tags.iter().map(|tag| 1 + tag.len()).sum::<usize>()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let bits = bit(self.stale, STALE)
            | bit(self.marked, MARKED)
            | bit(self.fetched, FETCHED)
            | bit(self.hit, HIT);
        let uses = self.uses.min(USES_MAX as u8);
        out.extend_from_slice(&[bits, uses, self.tags.len() as u8, 0]);
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&(self.key.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.value_len as u32).to_le_bytes());
        // Second 0 is long past, and stands for none.
        let end = self.expiry.map_or(0, |at| u64::from(at.as_secs().max(1)));
        out.extend_from_slice(&end.to_le_bytes());
        out.extend_from_slice(&self.version.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.key);
        for tag in &self.tags {
            out.push(tag.len() as u8);
            out.extend_from_slice(tag);
        }
    }

    /// The next item's head; `None` if it is not whole, or there can be no such item.
    fn decode(from: &mut Fields<'_>) -> Option<Self> {
        let [bits, uses, tags, reserved] = from.array().ok()?;
        let flags = from.u32().ok()?;
        let (key_len, value_len) = (from.u32().ok()? as usize, from.u32().ok()? as usize);
        let (end, version) = (from.u64().ok()?, from.u64().ok()?);
        if bits & !BITS != 0 || reserved != 0 || u32::from(uses) > USES_MAX {
            return None;
        }
        let mut entry = Self {
            key: from.bytes(key_len)?.to_vec(),
            value_len,
            flags,
            expiry: (end != 0).then(|| moment(end)),
            version: (version != 0).then_some(version),
            stale: bits & STALE != 0,
            marked: bits & MARKED != 0,
            fetched: bits & FETCHED != 0,
            hit: bits & HIT != 0,
            uses,
            tags: Vec::new(),
        };
        for _ in 0..tags {
            let [len] = from.array().ok()?;
            entry.tags.push(from.bytes(len.into())?.to_vec());
        }
        entry.check().is_ok().then_some(entry)
    }
}
