//! Replies, byte by byte, and what a client reads out of them.

use memproto::{meta, text};

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"before|".to_vec();
    write(&mut out);
    String::from_utf8(out).unwrap().strip_prefix("before|").unwrap().to_owned()
}

#[test]
fn value_lines() {
    use text::write::{value, value_cas};
    assert_eq!(written(|out| value(out, b"k", 0, 0)), "VALUE k 0 0\r\n");
    assert_eq!(
        written(|out| value(out, b"key", u32::MAX, 1_048_576)),
        "VALUE key 4294967295 1048576\r\n"
    );
    assert_eq!(written(|out| value_cas(out, b"k", 10, 5, 0)), "VALUE k 10 5 0\r\n");
    assert_eq!(
        written(|out| value_cas(out, b"k", 0, 99, u64::MAX)),
        "VALUE k 0 99 18446744073709551615\r\n"
    );
    let longest = "k".repeat(250);
    assert_eq!(
        written(|out| value_cas(out, longest.as_bytes(), u32::MAX, usize::MAX, u64::MAX)),
        format!("VALUE {longest} {} {} {}\r\n", u32::MAX, usize::MAX, u64::MAX)
    );
}

#[test]
fn numbers_and_statistics() {
    use text::write::{number, stat, stat_u64};
    assert_eq!(written(|out| number(out, 0)), "0\r\n");
    assert_eq!(written(|out| number(out, u64::MAX)), "18446744073709551615\r\n");
    assert_eq!(written(|out| stat(out, b"version", b"1.6.45")), "STAT version 1.6.45\r\n");
    assert_eq!(written(|out| stat_u64(out, b"pid", 4711)), "STAT pid 4711\r\n");
}

#[test]
fn fixed_replies_are_whole_lines() {
    use text::write as w;
    let lines = [
        (w::STORED, "STORED"),
        (w::NOT_STORED, "NOT_STORED"),
        (w::EXISTS, "EXISTS"),
        (w::NOT_FOUND, "NOT_FOUND"),
        (w::DELETED, "DELETED"),
        (w::TOUCHED, "TOUCHED"),
        (w::OK, "OK"),
        (w::END, "END"),
        (w::RESET, "RESET"),
        (w::VERSION, "VERSION 1.6.45"),
        (w::NON_NUMERIC, "CLIENT_ERROR cannot increment or decrement non-numeric value"),
        (w::TOO_LARGE, "SERVER_ERROR object too large for cache"),
        (w::OUT_OF_MEMORY, "SERVER_ERROR out of memory storing object"),
        (w::FLUSH_DISABLED, "CLIENT_ERROR flush_all not allowed"),
        (w::SHUTDOWN_DISABLED, "SERVER_ERROR: shutdown not enabled"),
        (w::TOO_MANY_CONNECTIONS, "ERROR Too many open connections"),
        (meta::write::EN, "EN"),
        (meta::write::MN, "MN"),
    ];
    for (line, text) in lines {
        assert_eq!(line, format!("{text}\r\n").as_bytes());
    }
}

#[test]
fn meta_replies() {
    use meta::write as w;
    let reply = written(|out| {
        w::va(out, 5);
        w::flag_u64(out, b'f', 30);
        w::flag_i64(out, b't', -1);
        w::flag_bytes(out, b'k', b"Zm9v");
        w::flag(out, b'b');
        w::flag_bytes(out, b'O', b"123");
        w::flag_u64(out, b'c', u64::MAX);
        w::flag(out, b'W');
        w::end(out);
    });
    assert_eq!(reply, "VA 5 f30 t-1 kZm9v b O123 c18446744073709551615 W\r\n");
    let reply = written(|out| {
        out.extend_from_slice(w::HD);
        w::end(out);
    });
    assert_eq!(reply, "HD\r\n");
}
