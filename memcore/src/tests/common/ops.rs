//! Target `engine_ops`: bytes become a cache and a sequence of operations on it.

use memcore::{Attrs, Count, Expiry, Fetch, Mode, Remove, Store, Value};

use super::model::secs;
use super::pair::{CURRENT, MAX_ITEM, NUMBERS, Op, Pair, Text, in_seconds};

/// Operations of one sequence, so that a long input stays fast.
const OPS_MAX: usize = 400;

/// The first byte chooses the cache, the rest is operations. Every answer is the oracle's.
///
/// # Panics
/// If one is not.
pub(crate) fn engine_ops(data: &[u8]) {
    let mut bytes = Bytes(data);
    // Limit, keys, whether items may go, and operations between looks at everything.
    let (limit, keys, evicts, every) = match bytes.byte() % 4 {
        0 => (64 << 20, 8, false, 4),
        1 => (8 << 20, 96, true, 16),
        2 => (4 << 20, 24, true, 8),
        _ => (2 << 20, 200, true, 64),
    };
    let most = if evicts { MAX_ITEM } else { 300 << 10 };
    let mut pair = Pair::new(limit, keys, evicts, seed(data));
    for step in 0..OPS_MAX {
        if bytes.0.is_empty() {
            break;
        }
        pair.run(&bytes.op(keys, most));
        if step % every == 0 {
            pair.check();
        }
    }
    pair.check();
    pair.finish();
}

/// The same for the same input (FNV-1a), so that a crash comes back.
fn seed(data: &[u8]) -> u64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    data.iter().fold(0xcbf2_9ce4_8422_2325, add)
}

/// What is left of the input; behind its end there are zeros.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn wide(&mut self) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()]))
    }

    fn number(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX - u64::from(self.byte()),
            254 => (self.wide() as u64) << 40,
            small => small.into(),
        }
    }

    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| read(self))
    }

    fn expiry(&mut self) -> Expiry {
        match self.byte() {
            0..=99 => Expiry::Never,
            other => in_seconds(u32::from(other - 100) % 40),
        }
    }

    fn attrs(&mut self) -> Attrs {
        Attrs::new().flags(self.number() as u32).expiry(self.expiry()).marked(self.flag())
    }

    fn len(&mut self, most: usize) -> usize {
        let len = match self.byte() % 8 {
            0..=2 => self.below(40),
            3 | 4 => self.wide() % 3000,
            5 => self.wide(),
            6 => self.wide() * 6,
            // Around the largest item that there may be.
            _ => MAX_ITEM - 300 + self.wide() % 320,
        };
        len.min(most)
    }

    fn value(&mut self, most: usize) -> Text {
        if self.byte() % 4 == 0 {
            return Text(NUMBERS[self.below(NUMBERS.len())].as_bytes().to_vec());
        }
        let len = self.len(most);
        Text::of(len, self.byte())
    }

    fn expected(&mut self) -> Option<u64> {
        match self.byte() % 8 {
            0..=4 => None,
            5 | 6 => Some(CURRENT),
            _ => Some(self.number()),
        }
    }

    fn version(&mut self) -> Option<u64> {
        (self.byte() % 8 == 7).then(|| self.number().max(1))
    }

    fn write(&mut self) -> Store {
        use Mode::{Add, Append, Prepend, Replace, Set};
        Store::mode([Set, Set, Set, Add, Replace, Append, Append, Prepend][self.below(8)])
            .expected(self.expected())
            .version(self.version())
            .allow_stale(self.flag())
            .create(self.maybe(Self::expiry))
    }

    fn fetch(&mut self) -> Fetch {
        use Value::*;
        let byte = usize::from(self.byte());
        Fetch::new()
            .inline_max([0, 100, 8192, usize::MAX][byte % 4])
            .value([Deliver, Deliver, Skip, UnlessVersion(0)][byte / 64])
            .peek(self.byte() % 4 == 3)
            .touch(self.maybe(Self::expiry))
            .lease(self.flag())
            .renew_within(self.maybe(|bytes| secs(bytes.byte().into())))
            .create(self.maybe(Self::expiry))
            .marked(self.flag())
    }

    fn count(&mut self) -> Count {
        let mut how = Count::increment(self.number())
            .down(self.flag())
            .expected(self.expected())
            .version(self.version())
            .touch(self.maybe(Self::expiry));
        how.initial = self.maybe(|bytes| (bytes.number(), bytes.attrs()));
        how
    }

    fn remove(&mut self) -> Remove {
        Remove::new()
            .expected(self.expected())
            .invalidate(self.flag())
            .clear(self.flag())
            .flags(7)
            .touch(self.maybe(Self::expiry))
            .version(self.version())
    }

    fn op(&mut self, keys: usize, most: usize) -> Op {
        match self.byte() % 32 {
            0..=5 => Op::Fetch(self.below(keys), self.fetch()),
            6 => Op::GetHandle(self.below(keys)),
            7 => Op::DropHandle(self.byte().into()),
            8 => Op::GetMany((0..self.below(40)).map(|_| self.below(keys)).collect()),
            9..=15 => Op::Store(self.below(keys), self.value(most), self.attrs(), self.write()),
            16 => Op::Begin(self.below(keys), self.value(most), self.attrs()),
            17 => Op::Fill(self.byte().into(), self.len(most)),
            18 => Op::Commit(self.byte().into(), self.write()),
            19 => Op::Abandon(self.byte().into()),
            20..=22 => Op::Count(self.below(keys), self.count()),
            23 => Op::Touch(self.below(keys), self.expiry()),
            24 | 25 => Op::Remove(self.below(keys), self.remove()),
            26 => Op::Flush,
            27 => Op::FlushAt(u32::from(self.byte() % 30) + 1),
            28 => Op::Advance(u32::from(self.byte() % 10) + 1),
            29 => Op::Scan(self.below(9)),
            30 => Op::Maintain(self.below(100)),
            _ => Op::SetLimit(self.below(64) + 1),
        }
    }
}
