//! The same bytes give the same steps, however they are cut into pieces.

mod common;

use common::steps;

const STREAM: &[u8] = b"get apple\r\nget a b c\r\nset key 1 2 5\r\nhello\r\ngets x\r\n\
    set key 0 0 5 noreply\r\nget a\r\nset key x 0 4\r\nabcd\r\ncas k 0 0 0 77\r\n\r\n\
    incr n 5\r\ndecr n 5 noreply\n\r\nfoo\r\ngat 10 a b\r\ntouch k 3\r\ndelete k\r\n\
    mg key v f t\r\nms key 3 T0 F5\r\nabc\r\nms key 3 T0 T0\r\nabc\r\nmn\r\nmn\nma n N0 J5\r\n\
    md k q O123\r\nmg Zm9v b k v\r\nflush_all 1\r\nstats items\r\nset k 0 -1 1\r\nx\r\n\
    add kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk 4294967295 0 1\r\nx\r\nversion\r\nquit\r\n";

#[test]
fn cut_at_every_byte() {
    let whole = steps(STREAM, &[]);
    assert_eq!(whole.len(), 28, "{whole:#?}");
    for cut in 1..STREAM.len() {
        assert_eq!(steps(STREAM, &[cut]), whole, "cut at {cut}");
    }
}

#[test]
fn every_byte_alone_and_pieces_of_every_size() {
    let whole = steps(STREAM, &[]);
    for size in 1..100 {
        let cuts: Vec<usize> = (size..STREAM.len()).step_by(size).collect();
        assert_eq!(steps(STREAM, &cuts), whole, "pieces of {size}");
    }
}

#[test]
fn a_closing_line_closes_in_any_segmentation() {
    let stream = [b"get a\r\nset ", &vec![b'k'; 2100][..], b" 0 0 1\r\nx\r\n"].concat();
    let whole = steps(&stream, &[]);
    assert!(whole.last().is_some_and(|last| last.contains("LineTooLong")));
    for size in [1, 7, 100, 2000, 2048, 2060] {
        let cuts: Vec<usize> = (size..stream.len()).step_by(size).collect();
        assert_eq!(steps(&stream, &cuts), whole, "pieces of {size}");
    }
}

/// What arrives at once takes a short way that lines in pieces do not take.
#[test]
fn both_ways_read_meta_lines_alike() {
    let most = "v f t c k s h l q u O1 T1 N2 R3 C4 E5 b D6";
    for command in ["mg", "ms", "md", "ma", "me"] {
        let len = if command == "ms" { "1 " } else { "" };
        for flags in [
            "",
            " ",
            "v",
            " v",
            "v ",
            "v  f",
            "v f t c k O123",
            "T-1 F5 D2 J3",
            "v v",
            "y",
            "O",
            "T",
            "Tx",
            "F4294967296",
            "C18446744073709551616",
            "vanything f",
            "b",
            "MS",
            "MI",
            "Mx",
            "M",
            "v\tf",
            "v\0f",
            "\0",
            "\x01",
            "v\r",
            most,
            &format!("{most} I"),
            &format!("{most} I x"),
            &format!("O{} v", "o".repeat(31)),
            &format!("O{}", "o".repeat(32)),
        ] {
            for key in ["key", "k", "YWJj", "k\tk", "k\0k", &"k".repeat(250), &"k".repeat(251)] {
                for end in ["\r\n", "\n", " \r\n", "\r\r\n"] {
                    let line = format!("{command} {key} {len}{flags}{end}x\r\n");
                    let whole = steps(line.as_bytes(), &[]);
                    assert_eq!(steps(line.as_bytes(), &[4]), whole, "{line:?}");
                }
            }
        }
    }
}

#[test]
fn both_ways_read_classic_lines_alike() {
    let numbers = ["0", "007", "-1", "+1", "x", "1x", "", "2147483645", "2147483646", "2147483647"];
    let large = ["2147483648", "4294967295", "4294967296", "9999999999999999999"];
    let huge = ["18446744073709551615", "18446744073709551616", "00000000000000000000005"];
    for number in [&numbers[..], &large, &huge].concat() {
        for key in ["key", "k\0k", "k\tk", "", &"k".repeat(250), &"k".repeat(251)] {
            for end in ["\r\n", "\n", " \r\n", " noreply\r\n", "  noreply\n", " no\r\n", "\r\r\n"] {
                for line in [
                    format!("set {key} {number} 0 1{end}x\r\n"),
                    format!("add {key} 5 {number} 1{end}x\r\n"),
                    format!("cas {key} 5 0 {number} 1{end}x\r\n"),
                    format!("cas {key} 5 0 1 {number}{end}x\r\n"),
                    format!("set {key} 5 0 1 {number}{end}x\r\n"),
                    format!("incr {key} {number}{end}"),
                    format!("decr {key} {number}{end}"),
                    format!("incr  {key} {number}{end}"),
                    format!("incr{key} {number}{end}"),
                ] {
                    let whole = steps(line.as_bytes(), &[]);
                    assert_eq!(steps(line.as_bytes(), &[4]), whole, "{line:?}");
                }
            }
        }
    }
}
