//! Walks over all keys: metadump, mgdump and cachedump.

use memcore::{Cache, Cursor, Meta};
use memproto::key::{is_printable, push_base64, push_escaped, push_word};
use memproto::number::{parse_u32, push_u64};
use memproto::text::write::{END, OK};

use super::STEP;
use crate::auth::account::Scope;

/// Class numbers in memcached end here.
pub(crate) const CLASS_MAX: u32 = 63;
/// Bytes that a cachedump may have, as in memcached.
const CACHEDUMP_MAX: usize = 2 << 20;

/// Some of the size classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Classes(u64);

impl Classes {
    const ALL: Self = Self(u64::MAX);

    /// Reads `all`, `hash` or a list of numbers with commas in between.
    pub(crate) fn parse(word: &[u8]) -> Option<Self> {
        // `hash` is the other order in which memcached can walk. We have one order.
        if matches!(word, b"all" | b"hash") {
            return Some(Self::ALL);
        }
        word.split(|&byte| byte == b',').try_fold(Self(0), |classes, number| {
            let number = parse_u32(number).filter(|number| (1..=CLASS_MAX).contains(number))?;
            Some(Self(classes.0 | Self::only(number).0))
        })
    }

    /// One class.
    pub(crate) fn only(number: u32) -> Self {
        // A number without a bit stands for no class.
        Self(1u64.checked_shl(number).unwrap_or(0))
    }

    fn contains(self, class: u8) -> bool {
        self.0 & Self::only(class.into()).0 != 0
    }
}

/// A walk over the keys of some classes that its client may see.
#[derive(Debug)]
pub(crate) struct Dump {
    cursor: Cursor,
    classes: Classes,
    scope: Scope,
    style: Style,
    begun: bool,
}

#[derive(Debug)]
enum Style {
    /// `lru_crawler metadump`, with or without versions.
    Meta { versions: bool },
    /// `lru_crawler mgdump`: requests that read everything.
    Keys,
    /// `stats cachedump`, with what it may still show.
    Cachedump { items: usize, bytes: usize },
}

impl Dump {
    /// `lru_crawler metadump`.
    pub(crate) fn meta(classes: Classes, scope: Scope, versions: bool) -> Self {
        Self::new(classes, scope, Style::Meta { versions })
    }

    /// `lru_crawler mgdump`.
    pub(crate) fn keys(classes: Classes, scope: Scope) -> Self {
        Self::new(classes, scope, Style::Keys)
    }

    /// `stats cachedump` of at most `items` items, 0 for as many as there is room for.
    pub(crate) fn cachedump(class: u32, items: u32, scope: Scope) -> Self {
        let items = if items == 0 { usize::MAX } else { items as usize };
        let style = Style::Cachedump { items, bytes: CACHEDUMP_MAX };
        Self::new(Classes::only(class), scope, style)
    }

    fn new(classes: Classes, scope: Scope, style: Style) -> Self {
        Self { cursor: Cursor::default(), classes, scope, style, begun: false }
    }

    /// Appends the next piece; false if it was the last.
    pub(super) fn step(&mut self, cache: &Cache, out: &mut Vec<u8>) -> bool {
        if !self.begun && !matches!(self.style, Style::Cachedump { .. }) {
            out.extend_from_slice(OK);
        }
        self.begun = true;
        let Self { cursor, classes, scope, style, .. } = self;
        // Classes are filtered here: the cache walks its index, which does not know them.
        let more = cache.scan(cursor, STEP, |key, meta| {
            if classes.contains(meta.class) && scope.has(key) {
                style.line(key, meta, out);
            }
        });
        if more && !style.is_full() {
            return true;
        }
        out.extend_from_slice(style.end());
        false
    }
}

impl Style {
    fn line(&mut self, key: &[u8], meta: &Meta, out: &mut Vec<u8>) {
        match self {
            Self::Meta { versions } => meta_line(key, meta, *versions, out),
            Self::Keys => key_line(key, meta, out),
            // It became full within this step: what is left of the step is passed over.
            Self::Cachedump { items: 0, .. } => {}
            Self::Cachedump { items, bytes } => {
                let start = out.len();
                item_line(key, meta, out);
                let len = out.len() - start;
                if *bytes < len {
                    // Only whole lines are shown.
                    out.truncate(start);
                    *items = 0;
                } else {
                    *items -= 1;
                    *bytes -= len;
                }
            }
        }
    }

    fn is_full(&self) -> bool {
        matches!(self, Self::Cachedump { items: 0, .. })
    }

    fn end(&self) -> &'static [u8] {
        match self {
            Self::Meta { .. } | Self::Cachedump { .. } => END,
            Self::Keys => memproto::meta::write::EN,
        }
    }
}

/// `key=... exp=... la=... cas=... fetch=... cls=... size=... flags=... `, with that last space.
fn meta_line(key: &[u8], meta: &Meta, versions: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"key=");
    push_escaped(out, key);
    out.extend_from_slice(b" exp=");
    match meta.expiry {
        None => out.extend_from_slice(b"-1"),
        Some(end) => push_u64(out, end.as_secs().into()),
    }
    out.extend_from_slice(b" la=");
    push_u64(out, meta.last_access.as_secs().into());
    out.extend_from_slice(b" cas=");
    push_u64(out, if versions { meta.version } else { 0 });
    out.extend_from_slice(if meta.fetched { b" fetch=yes" } else { b" fetch=no" });
    out.extend_from_slice(b" cls=");
    push_u64(out, meta.class.into());
    out.extend_from_slice(b" size=");
    push_u64(out, meta.size as u64);
    out.extend_from_slice(b" flags=");
    push_u64(out, meta.flags.into());
    out.extend_from_slice(b" \n");
}

/// A request for the value. It has to be one line, also if the key was stored by a binary client.
fn key_line(key: &[u8], meta: &Meta, out: &mut Vec<u8>) {
    out.extend_from_slice(b"mg ");
    if meta.marked || !is_printable(key) {
        push_base64(out, key);
        out.extend_from_slice(b" b");
    } else {
        out.extend_from_slice(key);
    }
    out.extend_from_slice(b"\r\n");
}

/// `ITEM key [bytes b; second s]`.
fn item_line(key: &[u8], meta: &Meta, out: &mut Vec<u8>) {
    out.extend_from_slice(b"ITEM ");
    push_word(out, key);
    out.extend_from_slice(b" [");
    push_u64(out, meta.value_len as u64);
    out.extend_from_slice(b" b; ");
    push_u64(out, meta.expiry.map_or(0, |end| end.as_secs().into()));
    out.extend_from_slice(b" s]\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_lists_are_read() {
        assert_eq!(Classes::parse(b"all"), Some(Classes::ALL));
        assert_eq!(Classes::parse(b"hash"), Some(Classes::ALL));
        let some = Classes::parse(b"1,63,7").unwrap();
        assert!((0..=255).filter(|class| some.contains(*class)).eq([1, 7, 63]));
        for bad in [&b""[..], b"0", b"64", b"1,", b"1,x", b"-1", b"ALL", b"4294967297"] {
            assert_eq!(Classes::parse(bad), None, "{}", bad.escape_ascii());
        }
    }
}
