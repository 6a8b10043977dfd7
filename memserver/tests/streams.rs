//! Random streams, some of them damaged, are answered the same whole and in pieces.

use memserver::fuzzing::session_splits;

/// Commands that random streams are made of.
const PIECES: &[&str] = &[
    "get a\r\n",
    "get a b c d\r\n",
    "gets b\r\n",
    "gat 100 a b\r\n",
    "set a 1 0 3\r\nabc\r\n",
    "set b 0 0 0\r\n\r\n",
    "set c 0 0 2 noreply\r\n12\r\n",
    "add a 0 0 1\r\nx\r\n",
    "append a 0 0 4\r\n\r\n\r\n\r\n",
    "cas a 0 0 1 1\r\nx\r\n",
    "incr c 5\r\ndecr c 1\r\n",
    "touch a 10\r\ndelete b\r\n",
    "flush_all\r\nversion\r\nverbosity 0\r\n",
    "mg a v k s t\r\nmn\r\n",
    "ms a 4 T30 c\r\nmeta\r\n",
    "ma c N0 J5 v\r\nmd a q\r\n",
    "set bad x 0 4\r\ngood\r\n",
    "set long 0 0 20000\r\n",
    "get\r\n",
    "nonsense\n",
    "set a 0 0 3\r\nabcdef\r\n",
];

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

fn stream(random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![random.below(256) as u8];
    for _ in 0..=random.below(30) {
        let piece = PIECES[random.below(PIECES.len())];
        bytes.extend(piece.as_bytes());
        if piece.contains("20000") {
            bytes.extend(vec![b'v'; 20_000]);
            bytes.extend(b"\r\n");
        }
    }
    bytes
}

#[test]
fn whole_commands() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..300 {
        session_splits(&stream(&mut random));
    }
}

#[test]
fn damaged_commands() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..600 {
        let mut bytes = stream(&mut random);
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            match random.below(3) {
                0 => bytes[at] = random.below(256) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"\r\n \x80k0"[random.below(6)]),
            }
            if bytes.is_empty() {
                break;
            }
        }
        session_splits(&bytes);
    }
}
