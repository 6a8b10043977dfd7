//! Names of keys in reports, whatever bytes are in them.

use memproto::key::{is_printable, push_escaped};

/// `key` as it is, or percent-encoded if it could not stand as one word, also between quotes.
pub(crate) fn word(key: &[u8]) -> String {
    let is_plain = is_printable(key) && !key.iter().any(|byte| matches!(byte, b'"' | b'\\'));
    let mut word = Vec::new();
    if is_plain {
        word.extend_from_slice(key);
    } else {
        push_escaped(&mut word, key);
    }
    // Both are ASCII.
    String::from_utf8(word).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn names_are_words() {
        assert_eq!(word(b"blog:1%"), "blog:1%");
        assert_eq!(word(b"a b"), "a%20b");
        assert_eq!(word(b"\"<\xff"), "%22%3C%FF");
        assert_eq!(word(b"\\"), "%5C");
    }
}
