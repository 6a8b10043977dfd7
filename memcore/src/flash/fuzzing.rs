//! Target `flash`: bytes that a device or a memory file might give back.

use super::map::ALIGN;
use super::names::Names;
use super::record::{self, BLOCK, Head, Name};
use super::table::{Extent, Record, Table};
use crate::index::{Index, Position};
use crate::memory::region::Source;
use crate::restart::state::{Reader, Writer};

const POS: u64 = 7 * ALIGN;
const SHARDS: u32 = 2;

/// The first byte says what the rest is: bytes of a device, a record whose checksums are right, or
/// what a memory file kept of names and table.
///
/// # Panics
/// If something is taken for a record that is none, or if what was kept can't be worked with.
pub fn fuzz_flash(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else { return };
    match mode % 3 {
        0 => check_record(rest),
        1 => check_record(&with_checksums(rest)),
        _ => check_kept(rest),
    }
}

/// What is read as a record is one: to write it gives the same bytes. Elsewhere, or under another
/// name, it is none.
fn check_record(bytes: &[u8]) {
    let name = Name::new(1);
    let first = &bytes[..bytes.len().min(BLOCK)];
    let Ok((head, key, value)) = record::read(&name, POS, first) else { return };
    assert!(record::read(&name, POS + ALIGN, first).is_err());
    assert!(record::read(&Name::new(2), POS, first).is_err());
    let Some(value) = whole_value(&name, &head, value, bytes) else { return };
    assert_eq!((head.key_len, head.value_len), (key.len(), value.len()));
    let mut again = vec![0; head.len()];
    record::write(&name, &head, key, &mut again, |from, into| {
        into.copy_from_slice(&value[from..from + into.len()]);
    });
    assert!(again == bytes[..again.len()], "a record that nobody would write");
}

fn whole_value(name: &Name, head: &Head, first: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let mut value = first.to_vec();
    for block in 1..head.blocks() {
        let rest = bytes.get(block * BLOCK..)?;
        let rest = &rest[..rest.len().min(BLOCK)];
        value.extend_from_slice(record::read_block(name, head, block, rest).ok()?);
    }
    Some(value)
}

/// Bytes cut into blocks as a record's are, with the checksums that they should have.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let name = Name::new(1);
    let mut out = Vec::new();
    for (block, payload) in bytes.chunks(record::PAYLOAD).enumerate() {
        out.extend_from_slice(payload);
        out.extend_from_slice(&name.sum(POS, block, payload).to_le_bytes());
    }
    out
}

/// What was kept is refused, or it can be worked with and is kept as it was.
fn check_kept(bytes: &[u8]) {
    let mut from = Reader::new(bytes);
    let head = ALIGN << 20;
    let Ok(names) = Names::restore(&mut from, head, 5) else { return };
    [0, POS, head - 1, head, u64::MAX].iter().for_each(|&pos| _ = names.of(pos));
    let mut table = Table::new(SHARDS, 1 << 20, &mut Source::System).expect("a table");
    if table.restore(&mut from).is_err() {
        return;
    }
    let mut out = Writer::default();
    names.save(0, head, &mut out);
    table.save(&mut out);
    assert!(out.bytes() == &bytes[..out.bytes().len()], "it is kept in another way");
    let words = std::iter::from_fn(|| from.take().ok());
    table.fill(words.take(1 << 14));
    use_table(&table);
}

/// Whatever words there are, keys that are entered are found.
fn use_table(table: &Table) {
    let index = Index::new(SHARDS as usize, 1 << 12, 1 << 20, false, &mut Source::System);
    let index = index.expect("an index");
    for number in 0..2_000_u32 {
        let position = Position { shard: number % SHARDS, at: number.wrapping_mul(0x9e37_79b9) };
        let lock = index.lock(position);
        let unit = u64::from(number) + 1;
        let extent = Extent { head: unit + 1, tail: 0 };
        table.insert(position, Record { unit, len: 100 }, extent, &lock, |_| true);
        let found = table.find(position, &lock).and_then(|word| word.unit(extent));
        assert_eq!(found, Some(unit), "what was entered is not found");
        if number % 3 == 0 {
            assert!(table.remove(position, &lock) && table.find(position, &lock).is_none());
        }
    }
}
