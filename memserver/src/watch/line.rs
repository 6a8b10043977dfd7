//! The lines that watchers read, in memcached's form.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use memcore::{Meta, Moment, Removal};
use memproto::key::push_escaped;

use crate::net::socket::Peer;

/// What stands in front of a key.
const KEY: &[u8] = b" key=";
/// Bytes of a request that are shown.
const SHOWN_MAX: usize = 256;

/// A lookup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup<'a> {
    pub(crate) key: &'a [u8],
    /// The item, or why there is none.
    pub(crate) found: Result<Meta, &'static str>,
    pub(crate) client: i32,
}

/// A storage request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storage<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) status: &'static str,
    pub(crate) command: &'static str,
    /// Seconds to live, 0 for ever.
    pub(crate) ttl: u32,
    /// The class of the item that was stored, or 0.
    pub(crate) class: u8,
    pub(crate) client: i32,
    /// Bytes of the value.
    pub(crate) len: usize,
}

/// A deletion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deletion<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) command: &'static str,
    /// The item as it was.
    pub(crate) meta: Meta,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Either side was through.
    Normal,
    /// It broke.
    Error,
    /// It was silent for too long, or read nothing.
    Idle,
    /// The server ended.
    Shutdown,
}

impl End {
    /// memcached's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Error => "error",
            Self::Idle => "idle_timeout",
            Self::Shutdown => "shutdown",
        }
    }
}

impl Lookup<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (status, class, len) = match self.found {
            Ok(meta) => ("found", meta.class, meta.value_len),
            Err(status) => (status, 0, 0),
        };
        key(out, "item_get", self.key);
        let client = self.client;
        put(out, format_args!(" status={status} clsid={class} cfd={client} size={len}"));
    }
}

impl Storage<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self { status, command, ttl, class, client, len, .. } = self;
        key(out, "item_store", self.key);
        put(
            out,
            format_args!(
                " status={status} cmd={command} ttl={ttl} clsid={class} cfd={client} size={len}"
            ),
        );
    }
}

impl Deletion<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self { command, meta, .. } = self;
        key(out, "deleted", self.key);
        put(out, format_args!(" cmd={command} clsid={} size={}", meta.class, meta.value_len));
    }
}

/// What every line begins with.
pub(super) fn begin(out: &mut Vec<u8>, number: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    put(out, format_args!("ts={}.{:06} gid={number} ", now.as_secs(), now.subsec_micros()));
}

pub(super) fn eviction(out: &mut Vec<u8>, removal: &Removal<'_>) {
    let meta = &removal.meta;
    let now = removal.at;
    let until = |end: Moment| i64::from(end.as_secs()) - i64::from(now.as_secs());
    let fetched = if meta.fetched { "yes" } else { "no" };
    // It may be below zero: the item had expired, and was evicted before it was found to be.
    let ttl = meta.expiry.map_or(-1, until);
    let idle = now.saturating_since(meta.last_access).as_secs();
    key(out, "eviction", removal.key);
    put(
        out,
        format_args!(
            " fetch={fetched} ttl={ttl} la={idle} clsid={} size={}",
            meta.class, meta.value_len
        ),
    );
}

pub(super) fn raw(out: &mut Vec<u8>, client: i32, request: &[u8]) {
    // Not all of a long line is looked at, let alone what follows it.
    let request = &request[..request.len().min(SHOWN_MAX)];
    let line = request.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    put(out, format_args!("<{client} {}", line.escape_ascii()));
}

pub(super) fn opened(out: &mut Vec<u8>, client: i32, peer: &Peer) {
    put(out, format_args!("type=conn_new "));
    put_peer(out, peer);
    put(out, format_args!(" cfd={client}"));
}

pub(super) fn closed(out: &mut Vec<u8>, client: i32, peer: &Peer, end: End) {
    let reason = end.name();
    put(out, format_args!("type=conn_close "));
    put_peer(out, peer);
    put(out, format_args!(" reason={reason} cfd={client}"));
}

/// Our search for expired items knows neither classes nor segments, so the line is one for all.
pub(super) fn swept(out: &mut Vec<u8>, examined: u64, reclaimed: u64) {
    let fixed = "crawler=0 lru=all low_mark=0 next_reclaims=0 since_run=0 next_run=0 elapsed=0";
    put(out, format_args!("type=lru_crawler {fixed} examined={examined} reclaimed={reclaimed}"));
}

pub(super) fn resized(out: &mut Vec<u8>, bytes: usize) {
    put(out, format_args!("type=cache_memlimit bytes={bytes}"));
}

fn key(out: &mut Vec<u8>, kind: &str, key: &[u8]) {
    put(out, format_args!("type={kind}"));
    out.extend_from_slice(KEY);
    push_escaped(out, key);
}

/// A key, or the beginning of one, as lines have it.
pub(super) fn escaped(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_escaped(&mut out, key);
    out
}

/// The key in a line, escaped, and what follows it; none if the line is about no key.
pub(super) fn key_of(line: &[u8]) -> Option<&[u8]> {
    // Nothing in front of it is a client's.
    let start = line.windows(KEY.len()).position(|part| part == KEY)?;
    Some(&line[start + KEY.len()..])
}

fn put_peer(out: &mut Vec<u8>, peer: &Peer) {
    match peer {
        Peer::Tcp(address) => {
            let ip = address.ip();
            put(out, format_args!("rip={ip} rport={} transport=tcp", address.port()));
        }
        Peer::Gone => put(out, format_args!("rip=unknown rport=0 transport=tcp")),
        Peer::Local => put(out, format_args!("rip=unix rport=0 transport=local")),
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector can't fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_of_bounded_length() {
        let mut out = Vec::new();
        raw(&mut out, 7, b"get a\x1b\0\r\nget b\r\n");
        assert_eq!(out, br"<7 get a\x1b\x00");
        out.clear();
        raw(&mut out, 7, &[b'x'; 10_000]);
        assert_eq!(out.len(), 3 + SHOWN_MAX);
    }
}
