//! Requests of the classic text protocol.
//!
//! Only [`store`] can ask for `noreply`, and should not: a server answers some requests that are
//! wrong all the same, and that line would be taken for the reply to the next one. Clients that
//! want no reply can have that in the meta protocol.

use super::{InvalidKey, check_plain};
use crate::bytes::number::{push_i64, push_u64};
use crate::request::{ArithVerb, GetVerb, Store, StoreVerb};

/// `version`, which is answered by [`Reply::Version`](super::reply::Reply::Version).
pub const VERSION: &[u8] = b"version\r\n";
/// `quit`, upon which the server closes the connection.
pub const QUIT: &[u8] = b"quit\r\n";

/// `get`, `gets`, `gat` or `gats` of any number of keys; `exptime` is the new expiry of the last
/// two. The replies are a [`Reply::Value`](super::reply::Reply::Value) for each key that is there,
/// and [`Reply::End`](super::reply::Reply::End).
///
/// # Errors
/// One of the keys can't stand on a line.
///
/// ```
/// use memproto::GetVerb;
/// use memproto::client::text;
///
/// let mut out = Vec::new();
/// text::get(&mut out, GetVerb::Gets, 0, &["apple", "pear"])?;
/// text::get(&mut out, GetVerb::Gat, 60, &["plum"])?;
/// assert_eq!(out, b"gets apple pear\r\ngat 60 plum\r\n");
/// # Ok::<(), memproto::client::InvalidKey>(())
/// ```
pub fn get<K: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    verb: GetVerb,
    exptime: i64,
    keys: &[K],
) -> Result<(), InvalidKey> {
    if keys.is_empty() {
        return Err(InvalidKey::Empty);
    }
    keys.iter().try_for_each(|key| check_plain(key.as_ref()))?;
    out.extend_from_slice(match verb {
        GetVerb::Get => b"get",
        GetVerb::Gets => b"gets",
        GetVerb::Gat => b"gat",
        GetVerb::Gats => b"gats",
    });
    if verb.touches() {
        out.push(b' ');
        push_i64(out, exptime);
    }
    for key in keys {
        out.push(b' ');
        out.extend_from_slice(key.as_ref());
    }
    end(out);
    Ok(())
}

/// The head of a storage request; `store.len` bytes of value and CRLF are to follow.
///
/// # Errors
/// The key can't stand on a line.
///
/// ```
/// use memproto::client::text;
/// use memproto::{Store, StoreVerb};
///
/// let (verb, key, value) = (StoreVerb::Set, &b"apple"[..], b"red");
/// let store = Store { verb, key, flags: 7, exptime: 60, len: 3, cas: 0, noreply: false };
/// let mut out = Vec::new();
/// text::store(&mut out, &store)?;
/// out.extend_from_slice(value);
/// out.extend_from_slice(b"\r\n");
/// assert_eq!(out, b"set apple 7 60 3\r\nred\r\n");
/// # Ok::<(), memproto::client::InvalidKey>(())
/// ```
pub fn store(out: &mut Vec<u8>, store: &Store<'_>) -> Result<(), InvalidKey> {
    let verb = match store.verb {
        StoreVerb::Set => &b"set"[..],
        StoreVerb::Add => b"add",
        StoreVerb::Replace => b"replace",
        StoreVerb::Append => b"append",
        StoreVerb::Prepend => b"prepend",
        StoreVerb::Cas => b"cas",
    };
    with_key(out, verb, store.key)?;
    out.push(b' ');
    push_u64(out, store.flags.into());
    out.push(b' ');
    push_i64(out, store.exptime);
    out.push(b' ');
    push_u64(out, store.len.into());
    if store.verb == StoreVerb::Cas {
        out.push(b' ');
        push_u64(out, store.cas);
    }
    if store.noreply {
        out.extend_from_slice(b" noreply");
    }
    end(out);
    Ok(())
}

/// `delete`.
///
/// # Errors
/// The key can't stand on a line.
///
/// ```
/// let mut out = Vec::new();
/// memproto::client::text::delete(&mut out, b"apple")?;
/// assert_eq!(out, b"delete apple\r\n");
/// # Ok::<(), memproto::client::InvalidKey>(())
/// ```
pub fn delete(out: &mut Vec<u8>, key: &[u8]) -> Result<(), InvalidKey> {
    with_key(out, b"delete", key)?;
    if key == b"noreply" {
        // As the last word it would ask for no reply. A zero here is an old argument.
        out.extend_from_slice(b" 0");
    }
    end(out);
    Ok(())
}

/// `touch`: a new expiry.
///
/// # Errors
/// The key can't stand on a line.
///
/// ```
/// let mut out = Vec::new();
/// memproto::client::text::touch(&mut out, b"apple", -1)?;
/// assert_eq!(out, b"touch apple -1\r\n");
/// # Ok::<(), memproto::client::InvalidKey>(())
/// ```
pub fn touch(out: &mut Vec<u8>, key: &[u8], exptime: i64) -> Result<(), InvalidKey> {
    with_key(out, b"touch", key)?;
    out.push(b' ');
    push_i64(out, exptime);
    end(out);
    Ok(())
}

/// `incr` or `decr`, which is answered by [`Reply::Number`](super::reply::Reply::Number).
///
/// # Errors
/// The key can't stand on a line.
///
/// ```
/// use memproto::ArithVerb;
///
/// let mut out = Vec::new();
/// memproto::client::text::count(&mut out, ArithVerb::Incr, b"visits", 5)?;
/// assert_eq!(out, b"incr visits 5\r\n");
/// # Ok::<(), memproto::client::InvalidKey>(())
/// ```
pub fn count(out: &mut Vec<u8>, verb: ArithVerb, key: &[u8], delta: u64) -> Result<(), InvalidKey> {
    let word = match verb {
        ArithVerb::Incr => &b"incr"[..],
        ArithVerb::Decr => b"decr",
    };
    with_key(out, word, key)?;
    out.push(b' ');
    push_u64(out, delta);
    end(out);
    Ok(())
}

/// `flush_all`, perhaps only after some seconds.
///
/// ```
/// let mut out = Vec::new();
/// memproto::client::text::flush_all(&mut out, None);
/// memproto::client::text::flush_all(&mut out, Some(10));
/// assert_eq!(out, b"flush_all\r\nflush_all 10\r\n");
/// ```
pub fn flush_all(out: &mut Vec<u8>, delay: Option<i64>) {
    out.extend_from_slice(b"flush_all");
    if let Some(delay) = delay {
        out.push(b' ');
        push_i64(out, delay);
    }
    end(out);
}

/// `stats`, of a group if one is named. The replies are some
/// [`Reply::Stat`](super::reply::Reply::Stat) and [`Reply::End`](super::reply::Reply::End).
///
/// ```
/// let mut out = Vec::new();
/// memproto::client::text::stats(&mut out, None);
/// memproto::client::text::stats(&mut out, Some("slabs"));
/// assert_eq!(out, b"stats\r\nstats slabs\r\n");
/// ```
pub fn stats(out: &mut Vec<u8>, group: Option<&str>) {
    out.extend_from_slice(b"stats");
    if let Some(group) = group {
        out.push(b' ');
        out.extend(group.bytes().filter(|byte| !byte.is_ascii_control()));
    }
    end(out);
}

fn with_key(out: &mut Vec<u8>, word: &[u8], key: &[u8]) -> Result<(), InvalidKey> {
    check_plain(key)?;
    out.extend_from_slice(word);
    out.push(b' ');
    out.extend_from_slice(key);
    Ok(())
}

fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}
