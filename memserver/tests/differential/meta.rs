//! Meta requests, good and bad.

use memproto::key;

use crate::classic::block;
use crate::material::{exptime, name, nonsense, number, value, word};
use crate::random::Random;
use crate::stream::{Protocol, TO_COME, Unit};

/// Letters that memcached 1.6.18 does not know.
pub(crate) const RECENT: [u8; 2] = *b"Ex";

/// One request; without what only `recent` servers know.
pub(crate) fn unit(random: &mut Random, recent: bool) -> Unit {
    let mut unit = Unit::new(Protocol::Text);
    let (command, flags) = match random.below(100) {
        0..36 => ("mg", "bcfhhklOqsttuvvvvNRTTCEPLIx"),
        36..66 => ("ms", "bcCCEFIIkMMNOqsTTPLS"),
        66..80 => ("md", "bCCEIIIkOqTTxPL"),
        80..96 => ("ma", "bcCDDEJkMNNOqttTvvPL"),
        96..98 => ("me", "bk"),
        _ => ("mn", ""),
    };
    unit.waits = command == "ma";
    unit.put(command).put(" ");
    let encoded = random.percent(20);
    if encoded {
        let mut text = Vec::new();
        key::push_base64(&mut text, &name(random));
        unit.put(text);
    } else {
        unit.put(word(random));
    }
    let value = value(random);
    if command == "ms" {
        let len = value.len().to_string();
        unit.put(" ").put(if random.errs(60) { nonsense(random) } else { &len });
    }
    // A plain key that is said to be base64 is an error, most of the time.
    let encoded = encoded != random.errs(50);
    if encoded {
        unit.put(" b");
    }
    add_flags(random, &mut unit, (command, flags), encoded, recent);
    unit.put(random.pick(&["\r\n", "\r\n", "\r\n", "\r\n", "\n", " \r\n"]));
    if command == "ms" {
        block(random, &mut unit, &value);
    }
    unit
}

fn add_flags(
    random: &mut Random,
    unit: &mut Unit,
    (command, flags): (&str, &str),
    encoded: bool,
    recent: bool,
) {
    let flags = flags.as_bytes();
    let mut given = if encoded { vec![b'b'] } else { Vec::new() };
    let count = if flags.is_empty() { 0 } else { random.below(7) };
    for _ in 0..count {
        let letter = match random.errs(60) {
            true => random.pick(b"bcfhklOqstuvNRTCDEFIJMSPLxAZz9-.\x7f"),
            false => random.pick(flags),
        };
        let known = recent || !RECENT.contains(&letter);
        let once = !given.contains(&letter) || random.errs(30);
        // A key is base64 on purpose.
        if known && once && letter != b'b' {
            given.push(letter);
            unit.put(b" ").put([letter]);
            argument(random, unit, command, letter);
        }
    }
    if command != "me" && random.errs(150) {
        for letter in b"PLhlstvcfkuqOIFMNJDTRCb" {
            unit.put(b" ").put([*letter]).put("1");
        }
    }
}

fn argument(random: &mut Random, unit: &mut Unit, command: &str, letter: u8) {
    if random.errs(30) {
        unit.put(nonsense(random));
        return;
    }
    match letter {
        b'T' | b'N' => unit.put(exptime(random)),
        b'R' => unit.put(random.pick(&["0", "30", "99", "100", "101", "5000", "-1"])),
        b'C' => match random.below(6) {
            0 | 1 => unit.put("1"),
            2 => unit.put_version(TO_COME),
            3 => unit.put("18446744073709551615"),
            _ => unit.put_version(0),
        },
        b'E' => unit.put(random.pick(&["1", "2", "1125899906842624", "18446744073709551615"])),
        b'F' | b'S' => unit.put(random.pick(&["0", "7", "4294967295"])),
        b'D' => unit.put(random.pick(&["0", "1", "3", "10", "95", "18446744073709551615"])),
        b'J' => match random.percent(10) {
            true => unit.put(number(random)),
            false => unit.put(random.pick(&["0", "1", "13", "99", "18446744073709551615"])),
        },
        b'M' if random.errs(6) => {
            unit.put(random.pick(&["Incr", "i", "x", "Set", "a", "p", "E", "D", ""]))
        }
        b'M' if command == "ma" => unit.put(random.pick(&["I", "D", "+", "-"])),
        b'M' => unit.put(random.pick(&["S", "E", "A", "P", "R", "A", "P"])),
        b'O' => match random.below(30) {
            0 if random.errs(1) => unit.put("o".repeat(random.pick(&[30, 31, 32, 33, 40]))),
            _ => unit.put(random.pick(&["", "1", "opaque"])),
        },
        // Words are as good as letters.
        _ if random.below(40) == 0 => unit.put("word"),
        _ => unit,
    };
}
