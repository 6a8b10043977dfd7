//! Frames of the binary protocol, good and bad.

use memproto::binary::Opcode;

use crate::material::{name, value};
use crate::random::Random;
use crate::stream::{Protocol, TO_COME, Unit};

/// Opcodes by how often they are wanted.
const OFTEN: [Opcode; 29] = {
    use Opcode::{
        Add, AddQ, Append, AppendQ, Decrement, DecrementQ, Delete, DeleteQ, Gat, GatK, GatKQ, GatQ,
        Get, GetK, GetKQ, GetQ, Increment, IncrementQ, Prepend, PrependQ, Replace, ReplaceQ, Set,
        SetQ, Touch,
    };
    [
        Get, Get, GetQ, GetK, GetKQ, Set, Set, Set, SetQ, Add, AddQ, Replace, ReplaceQ, Append,
        AppendQ, Prepend, PrependQ, Delete, DeleteQ, Increment, Increment, IncrementQ, Decrement,
        DecrementQ, Touch, Gat, GatQ, GatK, GatKQ,
    ]
};

/// Opcodes that are wanted now and then, unknown ones among them.
const SELDOM: [u8; 18] = [
    0x08, 0x08, 0x0a, 0x0b, 0x10, 0x10, 0x18, 0x20, 0x21, 0x22, 0x1b, 0x1f, 0x25, 0x30, 0x3c, 0x50,
    0x80, 0xff,
];

/// A frame before it is written.
struct Frame {
    magic: u8,
    opcode: u8,
    key: Vec<u8>,
    extras: Vec<u8>,
    value: Vec<u8>,
    /// Lengths of key, extras and body as announced.
    lens: (u16, u8, u32),
    version: Version,
}

enum Version {
    None,
    Last(i64),
    Wrong,
}

/// One frame.
pub(crate) fn unit(random: &mut Random) -> Unit {
    let opcode = match random.below(100) {
        0..95 => random.pick(&OFTEN) as u8,
        95 if random.percent(20) => random.pick(&[Opcode::Quit, Opcode::QuitQ]) as u8,
        _ => random.pick(&SELDOM),
    };
    let known = Opcode::from_byte(opcode).is_some();
    let opcode = if known || random.errs(1) { opcode } else { Opcode::Get as u8 };
    let mut frame = frame(random, opcode);
    if random.errs(30) {
        spoil(random, &mut frame);
    }
    let mut unit = write(random, &frame);
    unit.waits = matches!(opcode, 0x05 | 0x06 | 0x15 | 0x16);
    unit
}

fn frame(random: &mut Random, opcode: u8) -> Frame {
    let mut frame = Frame {
        magic: 0x80,
        opcode,
        key: name(random),
        extras: Vec::new(),
        value: Vec::new(),
        lens: (0, 0, 0),
        version: Version::None,
    };
    let flags = random.pick(&[0_u32, 0, 7, u32::MAX]).to_be_bytes();
    let exptime = random.pick(&[
        0_u32,
        0,
        0,
        0,
        100,
        100,
        1000,
        2_592_000,
        2_592_001,
        2_147_483_647,
        u32::MAX,
    ]);
    let exptime = exptime.to_be_bytes();
    match opcode {
        0x01..=0x03 | 0x11..=0x13 => {
            frame.extras = [flags, exptime].concat();
            frame.value = value(random);
        }
        0x05 | 0x06 | 0x15 | 0x16 => {
            let numbers = [0, 1, 2, 10, 95, 1000, u64::MAX];
            let (delta, initial) = (random.pick(&numbers), random.pick(&numbers));
            let numbers = [delta.to_be_bytes(), initial.to_be_bytes()].concat();
            frame.extras = [&numbers[..], &exptime].concat();
        }
        0x0e | 0x0f | 0x19 | 0x1a => frame.value = value(random),
        0x1c..=0x1e | 0x23 | 0x24 => frame.extras = exptime.to_vec(),
        0x08 | 0x18 => {
            frame.key.clear();
            if random.percent(50) {
                frame.extras = random.pick(&[0_u32, 100, 2_592_001]).to_be_bytes().to_vec();
            }
        }
        0x07 | 0x0a | 0x0b | 0x17 | 0x20 => frame.key.clear(),
        0x10 => {
            frame.key = {
                const TOPICS: [&str; 10] = [
                    "", "", "nonsense", "settings", "items", "slabs", "sizes", "conns", "reset",
                    "maps",
                ];
                random.pick(&TOPICS).into()
            }
        }
        0x21 | 0x22 => frame.key = b"PLAIN".to_vec(),
        _ => {}
    }
    if random.percent(12) {
        frame.version = match random.below(4) {
            0 => Version::Wrong,
            1 => Version::Last(TO_COME),
            _ => Version::Last(0),
        };
    }
    settle(&mut frame);
    frame
}

/// Announces what is there.
fn settle(frame: &mut Frame) {
    let body = frame.extras.len() + frame.key.len() + frame.value.len();
    frame.lens = (frame.key.len() as u16, frame.extras.len() as u8, body as u32);
}

/// One thing is not as it should be.
fn spoil(random: &mut Random, frame: &mut Frame) {
    match random.below(11) {
        0 => frame.extras.push(0),
        1 => drop(frame.extras.pop()),
        2 => frame.value.push(b'x'),
        3 => frame.key.clear(),
        4 => frame.key = vec![b'k'; random.pick(&[251, 300])],
        5 => frame.extras = vec![0; 4],
        _ => {}
    }
    settle(frame);
    match random.below(8) {
        0 => frame.magic = random.pick(&[0, 0x81, b'g', 0xff]),
        1 => frame.lens.2 = random.pick(&[0, 1, u32::MAX, 1 << 31, (1 << 30) + 1]),
        2 => frame.lens.0 = random.pick(&[0, 1, 250, 251, u16::MAX]),
        3 => frame.lens.1 = random.pick(&[0, 4, 8, 20, 255]),
        _ => {}
    }
}

fn write(random: &mut Random, frame: &Frame) -> Unit {
    let mut unit = Unit::new(Protocol::Binary);
    let (key_len, extras_len, body_len) = frame.lens;
    unit.put([frame.magic, frame.opcode]).put(key_len.to_be_bytes()).put([extras_len]);
    // Data type and vbucket are not looked at.
    unit.put(if random.percent(3) { [1, 2, 3] } else { [0; 3] });
    unit.put(body_len.to_be_bytes()).put((random.next() as u32 >> 16).to_be_bytes());
    match frame.version {
        Version::None => unit.put([0; 8]),
        Version::Last(plus) => unit.put_version(plus),
        Version::Wrong => unit.put(0x1234_5678_u64.to_be_bytes()),
    };
    unit.put(&frame.extras).put(&frame.key).put(&frame.value);
    unit
}
