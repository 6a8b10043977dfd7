//! The meta commands, byte by byte.

mod common;

use common::{Server, check};

#[test]
fn get_returns_flags_in_request_order() {
    check(&[
        ("mg a v\r\nmg a k O77 v\r\nmg a q v\r\nmn\r\n", "EN\r\nEN ka O77\r\nMN\r\n"),
        ("set a 5 0 3\r\nabc\r\n", "STORED\r\n"),
        ("mg a\r\nmg a v\r\n", "HD\r\nVA 3\r\nabc\r\n"),
        ("mg a s v f k t O9 q\r\n", "VA 3 s3 f5 ka t-1 O9\r\nabc\r\n"),
        ("mg a k s\r\n", "HD ka s3\r\n"),
        ("mg a t T30\r\nmg a T40 t\r\n", "HD t-1\r\nHD t40\r\n"),
        ("mg a y\r\nmg a v v\r\n", "CLIENT_ERROR invalid flag\r\nCLIENT_ERROR duplicate flag\r\n"),
    ]);
}

#[test]
fn get_tells_whether_and_when_the_item_was_read_before() {
    check(&[(
        "set a 0 0 1\r\nx\r\nmg a h l u\r\nmg a h\r\nmg a h\r\n",
        "STORED\r\nHD h0 l0\r\nHD h0\r\nHD h1\r\n",
    )]);
}

#[test]
fn binary_keys_come_back_as_they_were_sent() {
    check(&[
        ("ms Zm9v 1 b k\r\nx\r\n", "HD kZm9v b\r\n"),
        ("mg Zm9v b k v\r\n", "VA 1 kZm9v b\r\nx\r\n"),
        ("mg foo O1 k v s\r\n", "VA 1 O1 kZm9v b s1\r\nx\r\n"),
        ("mg YmFy k O1 b\r\nmd YmFy b k O2\r\n", "EN kYmFy b O1\r\nNF kYmFy b O2\r\n"),
        ("mg !!!! b\r\n", "CLIENT_ERROR error decoding key\r\n"),
    ]);
}

#[test]
fn set_modes() {
    check(&[
        ("ms a 1 MR\r\nx\r\nms a 1 MA\r\nx\r\n", "NS\r\nNS\r\n"),
        ("ms a 2 ME F7 k O1\r\nab\r\nms a 2 ME k O2\r\nab\r\n", "HD ka O1\r\nNS ka O2\r\n"),
        ("ms a 1 MA s\r\nc\r\nms a 1 MP s\r\n0\r\n", "HD s3\r\nHD s4\r\n"),
        ("mg a v f\r\n", "VA 4 f7\r\n0abc\r\n"),
        ("ms b 1 MA N100 s\r\nx\r\nmg b v t\r\n", "HD s1\r\nVA 1 t100\r\nx\r\n"),
        ("ms a 1 q\r\nx\r\nms a 1 MR q\r\ny\r\nmn\r\n", "MN\r\n"),
        ("ms a 1 Mx\r\ny\r\nmn\r\n", "CLIENT_ERROR invalid mode for ms M token\r\nMN\r\n"),
        (
            "ms a x\r\nms a 2 T0\r\nabcdmn\r\n",
            "CLIENT_ERROR bad command line format\r\nCLIENT_ERROR bad data chunk\r\nMN\r\n",
        ),
    ]);
}

#[test]
fn versions_are_compared_and_given() {
    check(&[
        ("ms a 1 E500 c\r\nx\r\nmg a c\r\n", "HD c500\r\nHD c500\r\n"),
        ("ms a 1 C499 c\r\ny\r\nms a 1 C500 E501 c\r\nz\r\n", "EX c0\r\nHD c501\r\n"),
        ("ms b 1 C1 c\r\nx\r\n", "NF c0\r\n"),
        ("mg a C501 v c\r\nmg a C500 v c\r\n", "HD c501\r\nVA 1 c501\r\nz\r\n"),
        ("md a C1\r\nmd a C501 q\r\nmd a q\r\nmd a O1\r\n", "EX\r\nNF\r\nNF O1\r\n"),
    ]);
}

#[test]
fn one_reader_is_asked_to_renew_a_stale_value() {
    check(&[
        ("set a 0 0 1\r\nx\r\nmd a I T30\r\n", "STORED\r\nHD\r\n"),
        ("mg a v\r\nmg a v\r\n", "VA 1 X W\r\nx\r\nVA 1 Z X\r\nx\r\n"),
        ("ms a 1\r\ny\r\nmg a v\r\n", "HD\r\nVA 1\r\ny\r\n"),
        ("mg b N30 v\r\nmg b N30 v\r\n", "VA 0 W\r\n\r\nVA 0 Z\r\n\r\n"),
        ("ms c 1 T20\r\nx\r\nmg c R10\r\nmg c R30\r\nmg c R30\r\n", "HD\r\nHD\r\nHD W\r\nHD Z\r\n"),
        ("ms d 3 E10 F9\r\nabc\r\nmd d x\r\nmg d v f\r\n", "HD\r\nHD\r\nVA 0 f0\r\n\r\n"),
    ]);
}

#[test]
fn an_older_version_may_still_be_stored_as_stale() {
    check(&[
        ("ms a 1 E100\r\nx\r\nms a 1 C99 I\r\ny\r\n", "HD\r\nHD\r\n"),
        ("mg a v\r\n", "VA 1 X W\r\ny\r\n"),
        ("ms b 1 E100\r\nx\r\nms b 1 C101 I\r\ny\r\n", "HD\r\nEX\r\n"),
    ]);
}

#[test]
fn arithmetic() {
    check(&[
        (
            "ma n\r\nma n q\r\nma n N0 J13 v\r\nma n v\r\n",
            "NF\r\nNF\r\nVA 2\r\n13\r\nVA 2\r\n14\r\n",
        ),
        (
            "ma n D10\r\nma n MD D4 v\r\nma n q\r\nma n v t k O1\r\n",
            "HD\r\nVA 2\r\n20\r\nVA 2 t-1 kn O1\r\n22\r\n",
        ),
        ("ma n MD D100 v\r\nma n E77 c\r\nma n C1\r\n", "VA 1\r\n0\r\nHD c77\r\nEX\r\n"),
        (
            "set s 0 0 1\r\nx\r\nma s\r\n",
            "STORED\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
        ),
        ("ma n Mx\r\n", "CLIENT_ERROR invalid mode for ma M token\r\n"),
    ]);
}

#[test]
fn debugging_tells_what_is_known() {
    let mut server = Server::start();
    server.ask("me a\r\n", "EN\r\n");
    server.ask("ms a 3 E9 T100\r\nabc\r\n", "HD\r\n");
    let reply = server.reply("me a\r\n");
    let (head, rest) = reply.split_once(" cls=").unwrap();
    assert_eq!(head, "ME a exp=100 la=0 cas=9 fetch=no");
    let (class, size) = rest.trim_end().split_once(" size=").unwrap();
    assert!(class.parse::<u8>().unwrap() >= 1);
    assert!(size.parse::<usize>().unwrap() >= 4);
    server.ask("mg a\r\n", "HD\r\n");
    assert!(server.reply("me a\r\n").contains(" fetch=yes "));
}

#[test]
fn any_segmentation_gives_the_same_replies() {
    common::check_segmentation(
        b"ms a 5 T100 c\r\nhello\r\nmg a v k s f c t Oxyz q\r\nms Zm9v 3 b I k\r\nabc\r\n\
          mg Zm9v b v\r\nma n N0 J5 v q\r\nma n v\r\nmd a q\r\nmg a v\r\n\
          ms a bad\r\nmn\r\nme a\r\nmg a N5 v\r\nquit\r\n",
    );
}
