//! The body of the fuzz target `codecs`: a byte for the type, then bytes that anybody may have
//! written.

use core::fmt::Debug;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use super::{Codec, DecodeKey, KeyBytes, Plain, TypedCache};
use crate::{Attrs, Cache};

static CACHE: LazyLock<Cache> = LazyLock::new(|| Cache::new(8 << 20).expect("a cache"));

/// A check of one type.
type Check = fn(&[u8]);

/// Bytes from anywhere are a value or a miss, and never a panic; what is written is read as it was.
pub fn fuzz_codecs(input: &[u8]) {
    let [kind, bytes @ ..] = input else { return };
    let checks = [KEYS, PLAIN, POSTCARD, JSON, PODS, ZEROCOPIES].concat();
    checks[usize::from(*kind) % checks.len()](bytes);
}

const KEYS: &[Check] = &[
    key::<u8>,
    key::<i64>,
    key::<u128>,
    key::<usize>,
    key::<char>,
    key::<bool>,
    key::<[u8; 3]>,
    key::<String>,
    key::<Arc<[u8]>>,
    key::<Ipv4Addr>,
    key::<Ipv6Addr>,
    key::<IpAddr>,
    key::<(String, u32)>,
    key::<(u8, Vec<u8>, String)>,
    key::<((char, Box<str>), bool)>,
    pairs,
];

const PLAIN: &[Check] = &[
    value::<Vec<u8>, Plain, true>,
    value::<Arc<[u8]>, Plain, true>,
    value::<String, Plain, true>,
    value::<Arc<str>, Plain, true>,
    #[cfg(feature = "bytes")]
    value::<bytes::Bytes, Plain, true>,
];

/// Numbers of any length, options, enums, and what has lengths of its own.
#[cfg(any(feature = "postcard", feature = "json"))]
type Tree = Vec<(Option<String>, std::collections::BTreeMap<String, i64>, Result<u8, char>)>;
#[cfg(any(feature = "postcard", feature = "json"))]
type Times = (core::time::Duration, IpAddr, [u16; 3]);

#[cfg(feature = "postcard")]
const POSTCARD: &[Check] = &[
    value::<u64, super::Postcard, false>,
    value::<String, super::Postcard, false>,
    value::<Tree, super::Postcard, false>,
    value::<Times, super::Postcard, false>,
    value::<Vec<Vec<u128>>, super::Postcard, false>,
];
#[cfg(not(feature = "postcard"))]
const POSTCARD: &[Check] = &[];

#[cfg(feature = "json")]
const JSON: &[Check] = &[
    value::<f64, super::Json, false>,
    value::<String, super::Json, false>,
    value::<Tree, super::Json, false>,
    value::<Times, super::Json, false>,
];
#[cfg(not(feature = "json"))]
const JSON: &[Check] = &[];

#[cfg(feature = "bytemuck")]
const PODS: &[Check] = &[
    value::<u128, super::Pod, true>,
    value::<[i16; 5], super::Pod, true>,
    value::<(), super::Pod, true>,
];
#[cfg(not(feature = "bytemuck"))]
const PODS: &[Check] = &[];

#[cfg(feature = "zerocopy")]
const ZEROCOPIES: &[Check] = &[
    value::<[bool; 4], super::Zerocopy, true>,
    value::<char, super::Zerocopy, true>,
    value::<[u64; 3], super::Zerocopy, true>,
];
#[cfg(not(feature = "zerocopy"))]
const ZEROCOPIES: &[Check] = &[];

/// A key that is told from its bytes is found under them again, and under no others.
fn key<K: KeyBytes + DecodeKey + PartialEq + Debug>(bytes: &[u8]) {
    if let Some(key) = K::from_key_bytes(bytes) {
        assert!(key.key_bytes(|again| again == bytes), "{key:?} has other bytes");
    }
}

/// Keys of several parts are as different as these are.
fn pairs(bytes: &[u8]) {
    let Some((&at, rest)) = bytes.split_first() else { return };
    let (first, last) = rest.split_at(rest.len().min(usize::from(at)));
    let pair = (first.to_vec(), last.to_vec());
    let known = pair.key_bytes(<(Vec<u8>, Vec<u8>)>::from_key_bytes);
    assert_eq!(known.as_ref(), Some(&pair));
    let triple = (pair.0, u16::from(at), pair.1);
    let known = triple.key_bytes(<(Vec<u8>, u16, Vec<u8>)>::from_key_bytes);
    assert_eq!(known, Some(triple));
}

/// Values of a type, of which `EXACT` ones are nothing but their bytes.
fn value<V, C, const EXACT: bool>(bytes: &[u8])
where
    V: PartialEq + Debug,
    C: Codec<V> + Default,
{
    let codec = C::default();
    let cache: TypedCache<str, V, C> = TypedCache::new(CACHE.clone());
    cache.cache().set("k", bytes, Attrs::new()).expect("it is small");
    let Ok(value) = codec.decode(bytes) else {
        assert_eq!(cache.get("k"), None, "bytes that are none of a value");
        assert!(cache.undecodable() == 1 && !cache.contains("k"), "they are a miss that stays");
        return;
    };
    assert_eq!(cache.get("k").as_ref(), Some(&value), "the cache reads something else");
    let mut again = Vec::new();
    codec.encode(&value, &mut again).expect("what was read can be written");
    assert!(!EXACT || again == bytes, "{value:?} has other bytes");
    cache.insert("k", &value).expect("it is small");
    assert_eq!(cache.get("k"), Some(value), "it is read in another way than it was written");
    assert_eq!(cache.undecodable(), 0);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_of_the_fuzz_target_finds_nothing() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/codecs");
        // The crate may be elsewhere than the workspace.
        let Ok(inputs) = std::fs::read_dir(corpus) else { return };
        for input in inputs {
            let bytes = std::fs::read(input.expect("an entry").path()).expect("an input");
            // With fewer features a kind is another type.
            (0..=u8::MAX).for_each(|kind| super::fuzz_codecs(&[&[kind], &bytes[1..]].concat()));
        }
    }
}
