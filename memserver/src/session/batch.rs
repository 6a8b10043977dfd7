//! The parsed requests of one round, over all connections that take part, with their keys in one
//! row for the cache to prefetch. It must never know how a request is answered.

use memcore::{Cache, Key};
use memproto::meta::MetaRequest;
use memproto::{Args, GetVerb, ParseError, Request, Store, binary};

use crate::session::{Framing, offset};

/// Requests that borrow from read buffers which live for `'a`.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    cache: &'a Cache,
    /// What is to be done, in order per connection.
    pub(crate) jobs: Vec<Job<'a>>,
    /// The keys of the jobs, hashed.
    pub(crate) keys: Vec<Key<'a>>,
}

/// The memory of a batch between rounds.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    jobs: Vec<Job<'static>>,
    keys: Vec<Key<'static>>,
}

/// One request, or a part of a large one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    /// Where it begins in its connection's input.
    pub(crate) start: usize,
    /// What the session was doing when it got there.
    pub(crate) before: Framing,
    /// What to do.
    pub(crate) work: Work<'a>,
}

/// What a job does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work<'a> {
    /// Answer some keys of a retrieval.
    Get(Retrieval),
    /// A request of the text framing without a data block.
    Text(Request<'a>, Option<KeyIndex>),
    /// A request of the binary protocol without a value.
    Binary(binary::Request<'a>, Option<KeyIndex>),
    /// A storage request whose value is at hand.
    Put(Head<'a>, Option<KeyIndex>, &'a [u8]),
    /// A storage request whose value is still arriving: its own bytes, and the value's first.
    Begin(Head<'a>, &'a [u8], &'a [u8]),
    /// More of the value; at its end, whether it was terminated as it should.
    Body(&'a [u8], Option<bool>),
    /// Watch on this connection from now on, these words.
    Watch(Args<'a>),
    /// The next piece of an answer that is longer than one.
    Stream,
    /// A value that does not end where it should.
    Spoiled(Head<'a>),
    /// A malformed line.
    Reject(ParseError),
    /// A malformed frame.
    RejectFrame(binary::write::ReplyTo, binary::Status),
}

/// A place in [`Batch::keys`].
pub(crate) type KeyIndex = u32;

/// A run of keys to look up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retrieval {
    /// get, gets, gat or gats.
    pub(crate) verb: GetVerb,
    /// For gat and gats, as sent.
    pub(crate) exptime: i64,
    /// The first key.
    pub(crate) first: KeyIndex,
    /// The one behind the last.
    pub(crate) end: KeyIndex,
    /// Where the request's line ends in the input.
    pub(crate) line_end: usize,
    /// Whether these are the last keys of the request.
    pub(crate) last: bool,
    /// Whether the request has one key.
    pub(crate) single: bool,
}

/// The header of a storage request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head<'a> {
    /// A classic command.
    Text(Store<'a>),
    /// ms.
    Meta(MetaRequest<'a>),
    /// A frame.
    Binary(binary::Request<'a>),
}

impl Job<'_> {
    /// Turns a retrieval into what is left of it from `key` on.
    pub(crate) fn resume_at(&mut self, key: KeyIndex, input: &[u8], batch: &Batch<'_>) {
        let Work::Get(run) = &mut self.work else { return };
        run.first = key;
        self.start = offset(input, batch.keys[key as usize].bytes());
        let left = run.line_end - self.start;
        self.before = Framing::Keys { verb: run.verb, exptime: run.exptime, left };
    }
}

impl<'a> Head<'a> {
    /// Bytes of the value.
    pub(crate) fn value_len(&self) -> usize {
        let len = match self {
            Self::Text(store) => store.len,
            Self::Meta(meta) => meta.len,
            Self::Binary(request) => match request.command {
                binary::Command::Store { value_len, .. }
                | binary::Command::Extend { value_len, .. } => value_len,
                _ => 0,
            },
        };
        len as usize
    }

    /// The key, unless it has to be decoded first.
    pub(crate) fn plain_key(&self) -> Option<&'a [u8]> {
        match self {
            Self::Text(store) => Some(store.key),
            Self::Meta(meta) => (!meta.key.base64).then_some(meta.key.raw),
            Self::Binary(request) => match request.command {
                binary::Command::Store { key, .. } | binary::Command::Extend { key, .. } => {
                    Some(key)
                }
                _ => None,
            },
        }
    }

    /// Whether even errors go unanswered.
    pub(crate) fn is_mute(&self) -> bool {
        matches!(self, Self::Text(store) if store.noreply)
    }
}

impl<'a> Batch<'a> {
    /// An empty batch in the memory of an earlier one.
    pub(crate) fn new(cache: &'a Cache, spare: Spare) -> Self {
        let Spare { jobs, keys } = spare;
        Self { cache, jobs: recycle(jobs), keys: recycle(keys) }
    }

    /// The memory, for the next batch.
    pub(crate) fn into_spare(self) -> Spare {
        let Self { jobs, keys, .. } = self;
        Spare { jobs: recycle(jobs), keys: recycle(keys) }
    }

    /// Empties the batch.
    pub(crate) fn clear(&mut self) {
        self.jobs.clear();
        self.keys.clear();
    }

    /// Adds a job that begins with a request of its own.
    #[inline(always)]
    pub(crate) fn add(&mut self, start: usize, work: Work<'a>) {
        self.jobs.push(Job { start, before: Framing::Command, work });
    }

    /// Adds a key.
    #[inline]
    pub(crate) fn key(&mut self, name: &'a [u8]) -> KeyIndex {
        let index = self.keys.len() as KeyIndex;
        self.keys.push(self.cache.key(name));
        index
    }

    /// Forgets the keys from `first` on.
    pub(crate) fn forget_keys(&mut self, first: KeyIndex) {
        self.keys.truncate(first as usize);
    }

    /// Has the cache bring everything about the keys near, all of them at once.
    #[inline]
    pub(crate) fn prefetch(&self) {
        // A single key gains nothing from being announced right before its use.
        if self.keys.len() > 1 {
            self.cache.prefetch_index(&self.keys);
            self.cache.prefetch_items(&self.keys);
        }
    }
}

/// An empty vector with the memory of `old`, for elements that differ in a lifetime only: the
/// standard library collects in place when source and target elements have the same layout.
fn recycle<T, U>(mut old: Vec<T>) -> Vec<U> {
    old.clear();
    old.into_iter().map(|_| unreachable!("the vector was cleared")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kept_from_batch_to_batch() {
        let old: Vec<&'static [u8]> = Vec::with_capacity(100);
        let address = old.as_ptr();
        let mut new: Vec<&[u8]> = recycle(old);
        assert_eq!(new.capacity(), 100);
        new.push(b"x");
        assert_eq!(new.as_ptr(), address);
    }
}
