//! What is sent, in units that can be left out one by one.

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Text,
    Binary,
}

/// So much more than a version that was shown makes one that no item has yet.
pub(crate) const TO_COME: i64 = 1_000_000;

/// A piece of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Bytes(Vec<u8>),
    /// The version that was shown last, and so much more.
    Version(i64),
}

/// A request, most of the time: line and data block, or a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Each protocol has its own connection.
    pub(crate) protocol: Protocol,
    pub(crate) parts: Vec<Part>,
    /// Whether it is sent only when earlier replies are there. memcached changes a number in place
    /// only if nobody is about to send it.
    pub(crate) waits: bool,
}

impl Unit {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self { protocol, parts: Vec::new(), waits: false }
    }

    /// Adds bytes.
    pub(crate) fn put(&mut self, more: impl AsRef<[u8]>) -> &mut Self {
        match self.parts.last_mut() {
            Some(Part::Bytes(bytes)) => bytes.extend_from_slice(more.as_ref()),
            _ => self.parts.push(Part::Bytes(more.as_ref().to_vec())),
        }
        self
    }

    /// Adds the version that was shown last, plus something.
    pub(crate) fn put_version(&mut self, plus: i64) -> &mut Self {
        self.parts.push(Part::Version(plus));
        self
    }

    /// A lookup of the same key that shows its version, if this needs one.
    pub(crate) fn lookup(&self) -> Option<Self> {
        let [Part::Bytes(head), Part::Version(_), rest @ ..] = &self.parts[..] else { return None };
        let mut lookup = Self::new(self.protocol);
        lookup.waits = true;
        if self.protocol == Protocol::Text {
            let mut words = head.split(|byte| *byte == b' ');
            let (verb, key) = (words.next()?, words.next()?);
            let encoded = if words.any(|word| word == b"b") { " b" } else { "" };
            match verb {
                b"cas" => lookup.put("gets ").put(key).put("\r\n"),
                _ => lookup.put("mg ").put(key).put(" c").put(encoded).put("\r\n"),
            };
            return Some(lookup);
        }
        let [Part::Bytes(body)] = rest else { return None };
        let (key_len, extras) = (usize::from(*head.get(3)?), usize::from(*head.get(4)?));
        let key = body.get(extras..extras + key_len)?;
        lookup.put([0x80, 0x00, 0, key_len as u8]).put([0; 7]).put([key_len as u8]).put([0; 12]);
        lookup.put(key);
        Some(lookup)
    }

    /// Whether earlier replies have to be there before it can be sent.
    pub(crate) fn has_to_wait(&self) -> bool {
        self.waits || self.parts.iter().any(|part| matches!(part, Part::Version(_)))
    }

    /// The bytes to send when `version` was shown last.
    pub(crate) fn render(&self, version: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in &self.parts {
            match part {
                Part::Bytes(own) => bytes.extend_from_slice(own),
                Part::Version(plus) => {
                    let version = version.wrapping_add_signed(*plus);
                    match self.protocol {
                        Protocol::Text => bytes.extend(version.to_string().into_bytes()),
                        Protocol::Binary => bytes.extend(version.to_be_bytes()),
                    }
                }
            }
        }
        bytes
    }
}
