//! Random input through the bodies of the fuzz targets: whatever arrives, no panic, the same
//! steps in any segmentation, and round trips. Half of the input is made of protocol words,
//! because random bytes alone hardly ever form a command.

use memproto::fuzzing;
use proptest::collection::vec;
use proptest::prelude::*;

const WORDS: &[&str] = &[
    "get ",
    "gets ",
    "gat ",
    "gats ",
    "set ",
    "add ",
    "cas ",
    "append ",
    "prepend ",
    "replace ",
    "incr ",
    "decr ",
    "touch ",
    "delete ",
    "flush_all ",
    "verbosity ",
    "version",
    "quit",
    "shutdown ",
    "stats ",
    "mg ",
    "ms ",
    "md ",
    "ma ",
    "me ",
    "mn",
    "\r\n",
    "\r\n",
    "\r\n",
    "\n",
    " ",
    " ",
    " ",
    "noreply",
    " noreply\r\n",
    "0 ",
    "0 ",
    "1 ",
    "5 ",
    "-1 ",
    "4294967295 ",
    "4294967296 ",
    "2147483647 ",
    "18446744073709551615 ",
    "key ",
    "k ",
    "YWJj ",
    "YQ== ",
    "b ",
    "v ",
    "t ",
    "q ",
    "O123 ",
    "T30 ",
    "F1 ",
    "C9 ",
    "MS ",
    "MA ",
    "M+ ",
    "N0 ",
    "J5 ",
    "D2 ",
    "I ",
    "x ",
    "HTTP/1.1\r\n",
    "\0",
    "\t",
    "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
];

fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        20 => (0..WORDS.len()).prop_map(|at| WORDS[at].as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..20),
        1 => (0..300_usize).prop_map(|length| vec![b'k'; length]),
    ];
    (any::<u8>(), vec(word, 0..40)).prop_map(|(size, words)| [vec![size], words.concat()].concat())
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let extras = prop_oneof![Just(0_u8), Just(4), Just(8), Just(20), any::<u8>()];
    let key_len = prop_oneof![8 => 0_u16..6, 1 => any::<u16>()];
    let magic = prop_oneof![30 => Just(0x80_u8), 1 => any::<u8>()];
    let extra_body = prop_oneof![4 => Just(0_u32), 4 => 0_u32..40, 1 => any::<u32>()];
    let frame = (magic, 0..0x28_u8, extras, key_len, extra_body, any::<u32>(), any::<u64>());
    let frame = frame.prop_map(|(magic, opcode, extras_len, key_len, more, opaque, cas)| {
        let body_len = (u32::from(extras_len) + u32::from(key_len)).wrapping_add(more);
        let header = memproto::binary::Header {
            magic,
            opcode,
            key_len,
            extras_len,
            data_type: 0,
            status: 0,
            body_len,
            opaque,
            cas,
        };
        [&header.encode()[..], &vec![0xff; body_len.min(300) as usize]].concat()
    });
    (any::<u8>(), vec(frame, 0..8))
        .prop_map(|(size, frames)| [vec![size], frames.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn text(input in words()) {
        fuzzing::text_line(&input);
    }

    #[test]
    fn meta(input in words()) {
        fuzzing::meta_flags(&input);
    }

    #[test]
    fn binary(input in frames()) {
        fuzzing::binary_frame(&input);
    }

    #[test]
    fn noise(input in vec(any::<u8>(), 0..600)) {
        fuzzing::text_line(&input);
        fuzzing::meta_flags(&input);
        fuzzing::binary_frame(&input);
    }
}
