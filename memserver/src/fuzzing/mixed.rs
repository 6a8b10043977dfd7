//! Target `mixed_stream`: two clients of one small cache, and a clock that moves.

use super::reference::{Reference, Sent};
use super::{Dialogue, NOW, Stage};

/// What stands in the input for something that can't be written there: the byte, a letter, and
/// its arguments.
const ESCAPE: u8 = 0x1b;
/// Bytes that all repetitions of one input may come to, so that nothing has to be evicted.
const REPEATED_MAX: usize = 512 << 10;
/// How often a byte is repeated for each unit of its count.
const REPEATED_UNIT: usize = 64;

/// Plays the input on a server and checks every reply.
///
/// Escapes: `0` and `1` choose the client who speaks from here on; `t` and a byte let that many
/// seconds go by; `r` and two bytes stand for the first, 64 times as often as the second says.
///
/// # Panics
/// If a reply is not what the protocol asks for, or more of them are kept than may be.
pub fn mixed_stream(data: &[u8]) {
    let stage = Stage::new(&["-m", "4"]);
    let mut table = Table {
        clients: [0, 1].map(|_| (stage.connect(), Sent::default())),
        reference: Reference::new(NOW),
        stage,
        evicted: 0,
    };
    let mut client = 0;
    let mut repeated = 0;
    let mut words = Vec::new();
    let mut rest = data;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (ESCAPE, [number @ (b'0' | b'1'), tail @ ..]) => {
                table.say(client, &std::mem::take(&mut words));
                client = usize::from(number - b'0');
                rest = tail;
            }
            (ESCAPE, [b't', seconds, tail @ ..]) => {
                table.say(client, &std::mem::take(&mut words));
                table.wait((*seconds).into());
                rest = tail;
            }
            (ESCAPE, [b'r', byte, count, tail @ ..]) => {
                let count = usize::from(*count) * REPEATED_UNIT;
                if repeated + count <= REPEATED_MAX {
                    repeated += count;
                    words.resize(words.len() + count, *byte);
                }
                rest = tail;
            }
            _ => words.push(byte),
        }
    }
    table.say(client, &words);
}

struct Table {
    stage: Stage,
    clients: [(Dialogue, Sent); 2],
    reference: Reference,
    evicted: u64,
}

impl Table {
    fn say(&mut self, client: usize, words: &[u8]) {
        let (dialogue, sent) = &mut self.clients[client];
        if dialogue.is_closed() || words.is_empty() {
            return;
        }
        let replies = dialogue.feed(words);
        let stats = self.stage.shared.core.cache.stats();
        // The limit holds at any moment, whatever is sent.
        assert!(stats.used <= stats.limit, "{} bytes of {}", stats.used, stats.limit);
        // The oracle reads text only.
        if dialogue.is_binary() {
            return self.reference.lose();
        }
        if stats.total.evicted == self.evicted {
            self.reference.check(sent, words, &replies);
        } else {
            // It is not known which items were evicted.
            self.reference.skip(sent, words);
            self.evicted = stats.total.evicted;
        }
        if std::mem::take(&mut sent.may_be_closed) {
            sent.is_closed = dialogue.is_closed();
            self.reference.lose();
        }
        assert_eq!(dialogue.is_closed(), sent.is_closed, "one of them has closed");
    }

    fn wait(&mut self, seconds: u32) {
        self.stage.advance(seconds);
        self.reference.advance(seconds);
    }
}
