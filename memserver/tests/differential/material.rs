//! What requests are made of: few keys, so that requests meet, and values of all sorts.

use crate::random::Random;

/// All keys that can hold an item. The last ones can't stand on a line as they are.
pub(crate) fn keys() -> Vec<Vec<u8>> {
    let long = vec![b'k'; 250];
    let binary = b"\xff\0 \t".to_vec();
    vec![b"a".to_vec(), b"b".to_vec(), b"key/1".to_vec(), long, binary, vec![7; 180]]
}

/// A key for a line.
pub(crate) fn word(random: &mut Random) -> Vec<u8> {
    match random.below(100) {
        0 if random.errs(1) => vec![b'k'; 251],
        1 if random.errs(1) => vec![b'k'; 900],
        2..6 => keys()[3].clone(),
        6..50 => b"a".to_vec(),
        50..85 => b"b".to_vec(),
        _ => keys()[2].clone(),
    }
}

/// A key for a frame, or for a meta line in base64.
pub(crate) fn name(random: &mut Random) -> Vec<u8> {
    match random.below(100) {
        0..15 => keys()[4].clone(),
        15..20 => keys()[5].clone(),
        _ => word(random),
    }
}

/// A value. Those near the limit of an item are left out: its header counts, and differs.
pub(crate) fn value(random: &mut Random) -> Vec<u8> {
    match random.below(100) {
        0..45 => number(random),
        45..95 => {
            let len = random.pick(&[0, 1, 2, 3, 7, 8, 9, 30, 100, 500, 1000]);
            letters(random, len)
        }
        95..99 => {
            let len = random.pick(&[2100, 5000, 17_000, 70_000, 300_000, 600_000]);
            letters(random, len)
        }
        _ => {
            let len = random.pick(&[1 << 20, 1_100_000, 2_000_000]);
            letters(random, len)
        }
    }
}

/// Something that looks like a number.
pub(crate) fn number(random: &mut Random) -> Vec<u8> {
    const NUMBERS: [&str; 36] = [
        "0",
        "1",
        "2",
        "9",
        "10",
        "11",
        "99",
        "100",
        "101",
        "999",
        "1000",
        "5",
        "7",
        "12345",
        "18446744073709551615",
        "18446744073709551614",
        "18446744073709551616",
        "9223372036854775807",
        "9223372036854775808",
        "-1",
        "-12",
        " 5",
        "  10",
        "+5",
        "007",
        "5 ",
        "10   ",
        "12 x",
        "12x",
        "x",
        "",
        "000000000000000000001",
        "00000000000000000000000000000012",
        "1.5",
        "1\t",
        "0x10",
    ];
    match random.below(20) {
        0 => vec![b'0'; random.pick(&[20, 21, 22, 23, 63, 64, 65, 100, 500])],
        1 => {
            let tail = vec![b' '; random.pick(&[18, 19, 20, 21, 62, 63, 64, 1000, 20_000])];
            [random.pick(&["7", "7", "12 x"]).as_bytes(), &tail].concat()
        }
        _ => random.pick(&NUMBERS).into(),
    }
}

/// Any bytes, mostly letters, with line ends now and then.
fn letters(random: &mut Random, len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|_| b'a' + (random.next() >> 40) as u8 % 26).collect();
    if len > 6 && random.percent(10) {
        let at = random.below(len - 5);
        bytes[at..at + 5].copy_from_slice(b"\r\nEND");
    }
    bytes
}

/// A time to live. None ends while a stream is played.
pub(crate) fn exptime(random: &mut Random) -> &'static str {
    const GONE: [&str; 4] = ["-1", "-100", "-2147483648", "2592001"];
    const TIMES: [&str; 8] = ["0", "0", "0", "100", "100", "1000", "2592000", "2147483647"];
    if random.percent(8) { random.pick(&GONE) } else { random.pick(&TIMES) }
}

/// A word where a number is wanted.
pub(crate) fn nonsense(random: &mut Random) -> &'static str {
    const WORDS: [&str; 20] = [
        "4000000000",
        "",
        "x",
        "-",
        "-1",
        "+1",
        "1x",
        "0x10",
        "1.5",
        "4294967295",
        "4294967296",
        "2147483647",
        "2147483648",
        "-2147483648",
        "-2147483649",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999",
        "007",
        "noreply",
    ];
    random.pick(&WORDS)
}
