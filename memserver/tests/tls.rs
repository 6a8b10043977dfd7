//! TLS, with real sockets and the real program.

#![cfg(feature = "rustls")]

mod encrypted;
mod program;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ContentType, HandshakeKind, ProtocolVersion, version};

use encrypted::{Authority, Encrypted};
use program::{Client, Folder, Program, WAIT, run};

/// A server with a certificate of its own.
struct Server {
    program: Program,
    authority: Authority,
    _folder: Folder,
}

impl Server {
    fn start() -> Self {
        Self::with("", &[])
    }

    /// With more words for `-o`, and more flags.
    fn with(words: &str, flags: &[&str]) -> Self {
        let folder = Folder::new();
        let authority = Authority::new(folder.path());
        for name in ["server", "client"] {
            authority.issue(name);
        }
        let words = words.replace("CA", authority.path("ca", "pem").to_str().unwrap());
        let words = authority.words("server", &words);
        let program = Program::start(&[&["-Z", "-o", &words], flags].concat());
        Self { program, authority, _folder: folder }
    }

    fn connect(&self) -> Encrypted {
        self.authority.client().connect(self.program.address())
    }
}

/// Why there are no datagrams beside TLS.
const NO_DATAGRAMS: &str =
    if cfg!(feature = "udp") { "datagrams are not encrypted" } else { "this build has no UDP" };

/// Bytes in which every place differs from those near it.
fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i as u64 * 2_654_435_761) >> 7) as u8).collect()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < WAIT, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn values_of_every_size_come_back() {
    let server = Server::start();
    let mut client = server.connect();
    for len in [0, 1, 100, 4_000, 16_000, 16_384, 16_385, 70_000, 300_000, 1_000_000] {
        let value = noise(len);
        let request = [format!("set k 0 0 {len}\r\n").as_bytes(), &value, b"\r\n"].concat();
        client.ask(request, "STORED\r\n");
        let reply = [format!("VALUE k 0 {len}\r\n").as_bytes(), &value, b"\r\nEND\r\n"].concat();
        client.ask("get k\r\n", reply);
    }
    assert_eq!(client.0.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

#[test]
fn requests_are_understood_however_records_cut_them() {
    let server = Server::start();
    let value = noise(50_000);
    let mut script = [b"set k 0 0 50000\r\n", &value[..], b"\r\nget k\r\n"].concat();
    script.extend(b"get k\r\n".repeat(20));
    let reply = [b"VALUE k 0 50000\r\n", &value[..], b"\r\nEND\r\n"].concat();
    let replies = [b"STORED\r\n", &reply.repeat(21)[..]].concat();
    for len in [1, 7, 1_000, 16_000] {
        let mut client = server.connect();
        let mut pieces = script.chunks(if len == 1 { 1_000 } else { len });
        if len == 1 {
            // Single bytes at the beginning are enough.
            let first = pieces.next().unwrap();
            first.iter().for_each(|byte| client.send([*byte]));
        }
        pieces.for_each(|piece| client.send(piece));
        client.expect(&replies);
    }
}

#[test]
fn a_record_may_arrive_in_pieces() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("version\r\n", "VERSION 1.6.45\r\n");
    client.0.conn.writer().write_all(b"set k 0 0 5\r\nhello\r\nget k\r\n").unwrap();
    let mut record = Vec::new();
    client.0.conn.write_tls(&mut record).unwrap();
    for byte in record {
        client.0.sock.write_all(&[byte]).unwrap();
    }
    client.expect("STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\n");
}

#[test]
fn a_client_that_reads_late_gets_everything() {
    let server = Server::start();
    let mut client = server.connect();
    let value = noise(1_000_000);
    client.ask([b"set k 0 0 1000000\r\n", &value[..], b"\r\n"].concat(), "STORED\r\n");
    client.ask("set small 0 0 1\r\nx\r\n", "STORED\r\n");
    let replies =
        [b"VALUE k 0 1000000\r\n", &value[..], b"\r\nEND\r\nVALUE small 0 1\r\nx\r\nEND\r\n"]
            .concat();
    client.send("get k\r\nget small\r\n".repeat(20));
    let mut other = server.connect();
    eventually("the replies wait", || other.list("stats conns").contains("conn_mwrite"));
    for _ in 0..20 {
        client.expect(&replies);
    }
}

#[test]
fn both_sides_say_when_they_are_done() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("set k 0 0 1\r\nx\r\nget k\r\n");
    client.half_close();
    // `rest` fails if the connection ends without a word.
    assert_eq!(client.rest(), b"STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n");
    let mut client = server.connect();
    client.send("version\r\nquit\r\n");
    assert_eq!(client.rest(), b"VERSION 1.6.45\r\n");
    // The socket alone, closed in one direction.
    let mut client = server.connect();
    client.send("version\r\n");
    client.0.sock.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.rest(), b"VERSION 1.6.45\r\n");
}

#[test]
fn a_client_without_tls_is_told_and_closed() {
    let server = Server::start();
    for request in ["version\r\n", "\u{0}\u{1}", &"get k\r\n".repeat(5_000)] {
        let mut client = Client::new(TcpStream::connect(server.program.address()).unwrap());
        client.send(request);
        let rest = client.rest();
        // A fatal alert.
        assert!(rest.len() == 7 && rest[0] == 21 && rest[5] == 2, "{}", rest.escape_ascii());
    }
    eventually("they are counted", || {
        server.connect().stat("stats", "ssl_handshake_errors") == "3"
    });
}

#[test]
fn a_client_with_tls_is_told_where_there_is_none() {
    let folder = Folder::new();
    let authority = Authority::new(folder.path());
    let program = Program::start(&[]);
    for version in [&version::TLS12, &version::TLS13] {
        let refusal = authority.client().speaking(version).refusal(program.address());
        assert!(refusal.contains("ProtocolVersion"), "{refusal}");
    }
    assert!(program.line().contains("speaks TLS to a port without it"));
    program.connect().ask("mn\r\n", "MN\r\n");
    program.signal(15);
    assert_eq!(program.end().1.len(), 0, "it is said once");
}

#[test]
fn versions_are_negotiated() {
    let server = Server::start();
    for (version, expected) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let setup = server.authority.client().speaking(version);
        let mut client = setup.connect(server.program.address());
        client.ask("mn\r\n", "MN\r\n");
        assert_eq!(client.0.conn.protocol_version(), Some(expected));
    }
    let server = Server::with(",ssl_min_version=3", &[]);
    let setup = server.authority.client().speaking(&version::TLS12);
    let refusal = setup.refusal(server.program.address());
    assert!(refusal.contains("ProtocolVersion"), "{refusal}");
    server.connect().ask("mn\r\n", "MN\r\n");
    assert_eq!(server.connect().stat("stats settings", "ssl_min_version"), "tlsv1.3");
}

#[test]
fn cipher_suites_can_be_chosen() {
    let (suite, number) = if cfg!(feature = "fips") {
        let number = rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
        ("ECDHE-ECDSA-AES128-GCM-SHA256", number)
    } else {
        let number = rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
        ("ECDHE-ECDSA-CHACHA20-POLY1305", number)
    };
    let server = Server::with(&format!(",ssl_ciphers={suite}"), &[]);
    let setup = server.authority.client().speaking(&version::TLS12);
    let mut client = setup.connect(server.program.address());
    assert_eq!(client.stat("stats settings", "ssl_ciphers"), suite);
    let spoken = client.0.conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(spoken, number);
    // As with OpenSSL, a list of suites of TLS 1.2 leaves TLS 1.3 as it is.
    server.connect().ask("mn\r\n", "MN\r\n");
}

#[test]
fn clients_show_certificates_where_they_have_to() {
    for (mode, without, bits) in [(0, true, "0"), (1, true, "1"), (2, false, "3"), (3, false, "7")]
    {
        let server = Server::with(&format!(",ssl_ca_cert=CA,ssl_verify_mode={mode}"), &[]);
        let address = server.program.address();
        let (anonymous, named) = (
            server.authority.client(),
            server.authority.client().with(&server.authority, "client"),
        );
        let mut client = named.connect(address);
        assert_eq!(client.stat("stats settings", "ssl_verify_mode"), bits);
        if without {
            anonymous.connect(address).ask("mn\r\n", "MN\r\n");
        } else {
            let refusal = anonymous.refusal(address);
            assert!(refusal.contains("CertificateRequired"), "{mode}: {refusal}");
        }
        // One of an authority that nobody knows.
        let folder = Folder::new();
        let stranger = Authority::new(folder.path());
        stranger.issue("client");
        let strange = server.authority.client().with(&stranger, "client");
        if mode == 0 {
            strange.connect(address).ask("mn\r\n", "MN\r\n");
        } else {
            let refusal = strange.refusal(address);
            // A client may have no certificate that the authorities have signed, and then sends
            // none.
            let expected = ["UnknownCA", "CertificateRequired", "DecryptError", "BadCertificate"];
            assert!(expected.iter().any(|name| refusal.contains(name)), "{mode}: {refusal}");
        }
    }
}

#[test]
fn addresses_differ_in_what_they_ask_for() {
    let folder = Folder::new();
    let authority = Authority::new(folder.path());
    authority.issue("server");
    authority.issue("client");
    let ca = authority.path("ca", "pem");
    let words =
        authority.words("server", &format!(",ssl_ca_cert={},ssl_verify_mode=2", ca.display()));
    let ports = folder.file("ports");
    let listen = "mtls:127.0.0.1:0,btls:127.0.0.1:0,notls:127.0.0.1:0";
    let mut command = program::command(&["-u", "root", "-vv", "-l", listen, "-Z", "-o", &words]);
    command.env("MEMCACHED_PORT_FILENAME", &ports);
    let program = Program::spawn(command, Folder::new());
    eventually("the ports are written", || ports.exists());
    let text = fs::read_to_string(&ports).unwrap();
    let address = |index: usize| {
        let port = text.lines().nth(index).unwrap().strip_prefix("TCP INET: ").unwrap();
        std::net::SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()))
    };
    let named = authority.client().with(&authority, "client");
    named.connect(address(0)).ask("mn\r\n", "MN\r\n");
    let refusal = authority.client().refusal(address(0));
    assert!(refusal.contains("CertificateRequired"), "{refusal}");
    authority.client().connect(address(1)).ask("mn\r\n", "MN\r\n");
    Client::new(TcpStream::connect(address(2)).unwrap()).ask("mn\r\n", "MN\r\n");
    // Who came in by certificate is logged.
    eventually("the owner is named", || {
        program.line().contains("client certificate O=Tests,CN=client")
    });
}

#[test]
fn sessions_are_resumed_if_they_may_be() {
    for version in [&version::TLS12, &version::TLS13] {
        for cached in [false, true] {
            let server = Server::with(if cached { ",ssl_session_cache" } else { "" }, &[]);
            let config = server.authority.client().speaking(version).config();
            let connect = || {
                let mut client = Encrypted::connect(&config, server.program.address());
                // Tickets come with the first reply.
                client.ask("mn\r\n", "MN\r\n");
                let kind = client.0.conn.handshake_kind().unwrap();
                client.half_close();
                assert_eq!(client.rest(), b"");
                kind
            };
            assert_eq!(connect(), HandshakeKind::Full);
            let expected = if cached { HandshakeKind::Resumed } else { HandshakeKind::Full };
            assert_eq!(connect(), expected, "{version:?}");
            let list = server.connect().list("stats");
            assert_eq!(list.contains("STAT ssl_new_sessions "), cached);
            // A new certificate is shown to everyone.
            server.connect().ask("refresh_certs\r\n", "OK\r\n");
            assert_eq!(connect(), HandshakeKind::Full);
        }
    }
}

/// The common name of the certificate that the server shows, as a part of its bytes.
fn shows(client: &Encrypted, name: &str) -> bool {
    let certificate = &client.0.conn.peer_certificates().unwrap()[0];
    certificate.windows(name.len()).any(|bytes| bytes == name.as_bytes())
}

#[test]
fn certificates_are_refreshed_while_clients_stay() {
    let server = Server::start();
    let authority = &server.authority;
    let mut old = server.connect();
    old.ask("mn\r\n", "MN\r\n");
    authority.issue("renewed-1");
    for extension in ["pem", "key"] {
        fs::copy(authority.path("renewed-1", extension), authority.path("server", extension))
            .unwrap();
    }
    // Either this or the look at the files is first.
    old.ask("refresh_certs\r\n", "OK\r\n");
    let mut new = server.connect();
    new.ask("mn\r\n", "MN\r\n");
    assert!(shows(&new, "renewed-1") && shows(&old, "server"));
    old.ask("mn\r\n", "MN\r\n");
    // By a signal.
    authority.issue("renewed-2");
    for extension in ["pem", "key"] {
        fs::copy(authority.path("renewed-2", extension), authority.path("server", extension))
            .unwrap();
    }
    server.program.signal(1);
    eventually("the signal has been obeyed", || {
        let mut client = server.connect();
        client.ask("mn\r\n", "MN\r\n");
        shows(&client, "renewed-2")
    });
    assert!(server.program.line().starts_with("TLS: new certificate, which ends in 365 days"));
}

#[test]
fn a_bad_certificate_leaves_the_old_one() {
    let server = Server::start();
    fs::write(server.authority.path("server", "pem"), "not a certificate").unwrap();
    let mut client = server.connect();
    client.ask("refresh_certs\r\n", "Error loading the certificates; the old ones stay\r\n");
    let line = server.program.line();
    assert!(line.starts_with("WARNING: TLS: the old certificate stays in use: "), "{line}");
    // One that does not belong to the key.
    server.authority.issue("other");
    fs::copy(server.authority.path("other", "pem"), server.authority.path("server", "pem"))
        .unwrap();
    client.ask("refresh_certs\r\n", "Error loading the certificates; the old ones stay\r\n");
    let mut new = server.connect();
    new.ask("mn\r\n", "MN\r\n");
    assert!(shows(&new, "server"));
}

#[test]
fn a_mounted_secret_that_is_exchanged_is_read() {
    let folder = Folder::new();
    let authority = Authority::new(folder.path());
    for name in ["before", "after"] {
        authority.issue(name);
        fs::create_dir_all(folder.file(&format!("..{name}"))).unwrap();
        for extension in ["pem", "key"] {
            let to = folder.file(&format!("..{name}")).join(format!("tls.{extension}"));
            fs::rename(authority.path(name, extension), to).unwrap();
        }
    }
    symlink(folder.file("..before"), folder.file("..data")).unwrap();
    for extension in ["pem", "key"] {
        let link = folder.file(&format!("tls.{extension}"));
        symlink(format!("..data/tls.{extension}"), link).unwrap();
    }
    let program = Program::start(&["-Z", "-o", &authority.words("tls", "")]);
    let connect = || {
        let mut client = authority.client().connect(program.address());
        client.ask("mn\r\n", "MN\r\n");
        client
    };
    assert!(shows(&connect(), "before"));
    symlink(folder.file("..after"), folder.file("..swap")).unwrap();
    fs::rename(folder.file("..swap"), folder.file("..data")).unwrap();
    eventually("the new certificate is shown", || shows(&connect(), "after"));
}

#[test]
fn handshakes_that_do_not_go_on_are_ended() {
    let server = Server::start();
    let started = Instant::now();
    let mut silent = TcpStream::connect(server.program.address()).unwrap();
    let mut half = TcpStream::connect(server.program.address()).unwrap();
    half.write_all(&[22, 3, 1, 2, 0, 1, 0]).unwrap();
    for stream in [&mut silent, &mut half] {
        stream.set_read_timeout(Some(WAIT)).unwrap();
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
    let elapsed = started.elapsed();
    assert!(elapsed > Duration::from_secs(3) && elapsed < Duration::from_secs(9), "{elapsed:?}");
    eventually("they are counted", || {
        server.connect().stat("stats", "ssl_handshake_errors") == "2"
    });
}

#[test]
fn a_crowd_that_does_not_go_on_keeps_nobody_out() {
    // Room for 16 handshakes.
    let server = Server::with("", &["-o", "client_memory=1m", "-t", "1"]);
    let address = server.program.address();
    let crowd: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            // The beginning of a first message.
            stream.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    server.connect().ask("mn\r\n", "MN\r\n");
    // All of the crowd are gone after 5 seconds.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    drop(crowd);
}

#[test]
fn garbage_after_the_handshake_ends_the_connection() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("mn\r\n", "MN\r\n");
    client.0.sock.write_all(&[23, 3, 3, 0, 30]).unwrap();
    client.0.sock.write_all(&[7; 30]).unwrap();
    let error = client.0.read(&mut [0; 16]).unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    eventually("it is counted", || server.connect().stat("stats", "ssl_proto_errors") == "1");
    assert_eq!(server.connect().stat("stats", "ssl_handshake_errors"), "0");
}

#[test]
fn a_watcher_is_sent_lines() {
    let server = Server::start();
    let mut watcher = server.connect();
    watcher.ask("watch mutations\r\n", "OK\r\n");
    server.connect().ask("set watched 0 0 1\r\nx\r\n", "STORED\r\n");
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        watcher.0.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    assert!(String::from_utf8(line).unwrap().contains("key=watched"));
}

#[test]
fn statistics_have_memcacheds_names() {
    let server = Server::with(",ssl_session_cache", &[]);
    let mut client = server.connect();
    for (name, value) in [
        ("ssl_enabled", "yes"),
        ("ssl_chain_cert", "set"),
        ("ssl_key", "set"),
        ("ssl_verify_mode", "0"),
        ("ssl_keyformat", "1"),
        ("ssl_ciphers", "NULL"),
        ("ssl_ca_cert", "NULL"),
        ("ssl_wbuf_size", "16384"),
        ("ssl_session_cache", "yes"),
        ("ssl_kernel_tls", "no"),
        ("ssl_min_version", "tlsv1.2"),
    ] {
        assert_eq!(client.stat("stats settings", name), value, "{name}");
    }
    for (name, value) in [
        ("ssl_new_sessions", "2"),
        ("ssl_handshake_errors", "0"),
        ("ssl_proto_errors", "0"),
        ("ssl_cert_days_left", "365"),
    ] {
        assert_eq!(client.stat("stats", name), value, "{name}");
    }
    // There are readers with a buffer of this size.
    assert!(client.list("stats").len() < 4_096);
    let age: u64 = client.stat("stats", "time_since_server_cert_refresh").parse().unwrap();
    assert!(age < WAIT.as_secs());
}

#[test]
fn the_key_may_be_in_other_places() {
    let folder = Folder::new();
    let authority = Authority::new(folder.path());
    authority.issue("server");
    let (chain, key) = (authority.path("server", "pem"), authority.path("server", "key"));
    let der = authority.path("server", "der");
    let words =
        format!("ssl_chain_cert={},ssl_key={},ssl_keyformat=2", chain.display(), der.display());
    let program = Program::start(&["-Z", "-o", &words]);
    authority.client().connect(program.address()).ask("mn\r\n", "MN\r\n");
    let both = folder.file("both.pem");
    let text = fs::read_to_string(&chain).unwrap() + &fs::read_to_string(&key).unwrap();
    fs::write(&both, text).unwrap();
    let program = Program::start(&["-Z", "-o", &format!("ssl_chain_cert={}", both.display())]);
    authority.client().connect(program.address()).ask("mn\r\n", "MN\r\n");
    assert!(program.line().contains("every user of this machine may read the key"));
}

#[test]
fn what_can_not_be_used_is_refused_at_the_start() {
    let folder = Folder::new();
    let authority = Authority::new(folder.path());
    authority.issue("server");
    authority.issue("other");
    let good = authority.words("server", "");
    let mixed = good.replace("server.key", "other.key");
    let missing = good.replace("server.pem", "nosuch.pem");
    let swapped = good.replace("server.key", "server.pem");
    let ciphers = format!("{good},ssl_ciphers=NOSUCH");
    for (args, status, message) in [
        (&["-Z"][..], 64, "-Z needs a certificate and its key"),
        (&["-Z", "-o", &mixed], 64, "can't be used with the key"),
        (&["-Z", "-o", &missing], 64, "No such file or directory"),
        (&["-Z", "-o", &swapped], 64, "holds no private key in PEM format"),
        (&["-Z", "-o", &ciphers], 64, "unknown cipher suite \"NOSUCH\""),
        (&["-Z", "-o", &format!("{good},ssl_verify_mode=2")], 64, "without -o ssl_ca_cert"),
        (&["-Z", "-o", &good, "-l", "mtls:127.0.0.1"], 64, "without -o ssl_ca_cert"),
        (&["-Z", "-o", &good, "-U", "11211"], 64, NO_DATAGRAMS),
        (&["-Z", "-o", &format!("{good},ssl_verify_mode=4")], 1, "between 0 and 3"),
        (&["-Z", "-o", &format!("{good},ssl_min_version=4")], 1, "between 0 and 3"),
        (&["-l", "notls:127.0.0.1"], 64, "need -Z"),
    ] {
        let (found, _, err) = run(args);
        assert_eq!(found, status, "{args:?}: {err}");
        assert!(err.contains(message), "{args:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
    }
}

#[test]
fn settings_without_effect_are_told() {
    let folder = Folder::new();
    let authority = Authority::new(folder.path());
    authority.issue("server");
    let words = authority.words("server", "");
    let program = Program::start(&["-o", &words]);
    assert!(program.line().contains("has no effect without -Z"));
    program.connect().ask("mn\r\n", "MN\r\n");
    let words = authority.words("server", ",ssl_kernel_tls,ssl_min_version=0");
    let program = Program::start(&["-Z", "-o", &words]);
    let lines = [program.line(), program.line()].concat();
    assert!(lines.contains("ssl_kernel_tls has no effect"), "{lines}");
    assert!(lines.contains("TLS 1.2 is the lowest version"), "{lines}");
    authority.issue_for("short", 3);
    let program = Program::start(&["-Z", "-o", &authority.words("short", "")]);
    assert!(program.line().contains("the certificate ends in 3 days"));
    // A reset is no good end of a connection, and a stranger's is none of ours.
    let mut stranger = TcpStream::connect(program.address()).unwrap();
    stranger.set_nonblocking(true).unwrap();
    let nothing = stranger.read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_key_change_may_arrive_in_pieces() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("set k 0 0 1\r\nx\r\n", "STORED\r\n");
    // The first half of a key change behind a request: the reply is encrypted meanwhile.
    let (mut stream, mut encrypt) = client.forge();
    let request = encrypt(ContentType::ApplicationData, b"get k\r\n");
    let half = encrypt(ContentType::Handshake, &[24, 0, 0]);
    stream.write_all(&[request, half].concat()).unwrap();
    let mut frame = [0; 5];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!((frame[0], frame[4]), (23, 21 + 17), "{frame:?}");
    // Requests within a message are against the protocol.
    let request = encrypt(ContentType::ApplicationData, b"get k\r\n");
    stream.write_all(&request).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    server.connect().ask("get k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn keys_change_amid_requests() {
    let server = Server::start();
    let mut client = server.connect();
    for _ in 0..3 {
        client.ask("set k 0 0 1\r\nx\r\n", "STORED\r\n");
        client.0.conn.refresh_traffic_keys().unwrap();
        client.ask("get k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n");
    }
}

#[test]
fn empty_records_are_no_way_to_keep_a_worker() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("mn\r\n", "MN\r\n");
    let (mut stream, mut encrypt) = client.forge();
    let empty: Vec<u8> =
        (0..200).flat_map(|_| encrypt(ContentType::ApplicationData, b"")).collect();
    stream.write_all(&empty).unwrap();
    let mut other = server.connect();
    other.ask("mn\r\n", "MN\r\n");
}

#[test]
fn a_certificate_stands_in_for_a_password() {
    let folder = Folder::new();
    let accounts = folder.file("accounts");
    let users = "[users.web]\nsubjects = ['O=Tests,CN=client']\nrights = ['read', 'stats']\n";
    fs::write(&accounts, users).unwrap();
    let words = format!(",ssl_ca_cert=CA,ssl_verify_mode=1,accounts={}", accounts.display());
    let server = Server::with(&words, &["-o", "audit=text"]);
    let address = server.program.address();
    let named = server.authority.client().with(&server.authority, "client");
    let mut known = named.connect(address);
    known.ask("get a\r\n", "END\r\n");
    known.ask("set a 0 0 1\r\nx\r\n", "CLIENT_ERROR not allowed\r\n");
    while !server.program.line().ends_with(" user=web result=certificate") {}
    server.connect().ask("get a\r\n", "CLIENT_ERROR unauthenticated\r\n");
    // Another certificate of the same authority is nobody's.
    fs::write(&accounts, users.replace("CN=client", "CN=other")).unwrap();
    server.program.signal(1);
    while server.program.line() != "read the users again" {}
    named.connect(address).ask("get a\r\n", "CLIENT_ERROR unauthenticated\r\n");
    known.ask("get a\r\n", "END\r\n");
}

/// Runs a command of the program: exit status, standard output, standard error.
fn tool(words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_memserver")).args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn commands_show_their_certificate() {
    let server = Server::with(",ssl_ca_cert=CA,ssl_verify_mode=2", &[]);
    let address = server.program.address().to_string();
    let path = |name: &str, extension: &str| {
        server.authority.path(name, extension).to_str().unwrap().to_owned()
    };
    let (ca, cert, key) = (path("ca", "pem"), path("client", "pem"), path("client", "key"));
    let both = path("both", "pem");
    let read = |path: &str| fs::read_to_string(path).unwrap();
    fs::write(&both, read(&cert) + &read(&key)).unwrap();
    let known = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    let top = ["top", "--count", "1", "--interval", "0.01", &address];
    for command in [
        &["healthcheck", "--set-get", "--addr", &address][..],
        &["stats", "--addr", &address],
        &["dump", "--addr", &address],
        &top,
    ] {
        let (status, out, err) = tool(&[command, &known].concat());
        assert_eq!(status, 0, "{command:?}: {out}{err}");
    }
    let stats = |words: &[&str]| tool(&[&["stats", "--addr", &address], words].concat());
    assert_eq!(stats(&["--tls-ca", &ca, "--tls-cert", &both]).0, 0);
    let other = path("server", "key");
    for (words, complaint) in [
        (&["--tls-ca", &ca][..], "CertificateRequired"),
        (&["--tls-cert", &cert, "--tls-key", &key], "--tls-cert needs --tls-ca"),
        (&["--tls-ca", &ca, "--tls-key", &key], "--tls-key needs --tls-cert"),
        (&["--tls-ca", &ca, "--tls-cert", &cert], "private key"),
        (
            &["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &other],
            "can't be used with the key",
        ),
    ] {
        let (status, _, err) = stats(words);
        assert!(status == 1 && err.contains(complaint), "{words:?}: {err}");
    }
}

#[test]
fn commands_speak_tls_and_log_in() {
    let folder = Folder::new();
    let users = folder.file("users");
    let users = users.to_str().unwrap();
    fs::write(users, "app:secret\nother:word\n").unwrap();
    let server = Server::with("", &["-Y", users]);
    let (authority, address) = (server.authority.path("ca", "pem"), server.program.address());
    let (authority, address) = (authority.to_str().unwrap(), address.to_string());
    let access = ["--tls-ca", authority, "--login", users, "--addr", &address];
    let ask = |command: &[&str]| tool(&[command, &access[..]].concat());

    let mut client = server.connect();
    client.ask("set login 0 0 10\r\napp secret\r\n", "STORED\r\n");
    let value = noise(300_000);
    client.ask([b"set k 0 0 300000\r\n", &value[..], b"\r\n"].concat(), "STORED\r\n");

    assert_eq!(ask(&["healthcheck", "--set-get"]), (0, String::new(), String::new()));
    let (status, out, err) = ask(&["stats", "--json"]);
    assert!(status == 0 && out.contains("\"curr_items\": 1,"), "{out}{err}");
    let top = ["top", &address, "--count", "1", "--interval", "0.01"];
    let (status, out, err) = tool(&[&top, &access[..4]].concat());
    assert!(status == 0 && out.contains("hit ratio"), "{out}{err}");
    let file = folder.file("items");
    let file = file.to_str().unwrap();
    let (status, _, err) = ask(&["snapshot", "save", file]);
    assert!(status == 0 && err.contains("saved: 1 items"), "{err}");
    client.ask("delete k\r\n", "DELETED\r\n");
    let (status, _, err) = ask(&["snapshot", "load", file]);
    assert!(status == 0 && err.contains("loaded: 1 items"), "{err}");
    client.ask("get k\r\n", [b"VALUE k 0 300000\r\n", &value[..], b"\r\nEND\r\n"].concat());
    let to = Server::with("", &["-Y", users]);
    let both = folder.file("both.pem");
    let read = |path: &str| fs::read_to_string(path).unwrap();
    let second = to.authority.path("ca", "pem");
    fs::write(&both, read(authority) + &read(second.to_str().unwrap())).unwrap();
    let (status, _, err) = tool(&[
        "warm",
        "--from",
        &address,
        "--to",
        &to.program.address().to_string(),
        "--tls-ca",
        both.to_str().unwrap(),
        "--login",
        users,
    ]);
    assert!(status == 0 && err.contains("copied: 1 items"), "{err}");

    // What is missing, or wrong, is told.
    let wrong = folder.file("wrong");
    fs::write(&wrong, "app:wrong\n").unwrap();
    let (wrong, none) = (wrong.to_str().unwrap(), folder.file("none"));
    for (words, complaint) in [
        (&["--tls-ca", authority][..], "answered \"CLIENT_ERROR unauthenticated"),
        (
            &["--tls-ca", authority, "--login", wrong],
            "answered \"CLIENT_ERROR authentication failure",
        ),
        (&["--tls-ca", second.to_str().unwrap(), "--login", users], "invalid peer certificate"),
        (&["--tls-ca", users], "holds no certificate"),
        (&["--login", none.to_str().unwrap()], "none: No such file"),
        (&["--login", authority], "has no colon"),
    ] {
        for command in [&["stats"][..], &["healthcheck", "--set-get"]] {
            let (status, out, err) = tool(&[command, words, &["--addr", &address]].concat());
            assert!(status == 1 && err.contains(complaint), "{command:?} {words:?}: {out}{err}");
            assert!(!err.contains("secret") && !err.contains("wrong "), "{err}");
        }
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let words = ["healthcheck", "--timeout", "0.2", "--tls-ca", authority, "--addr", &address];
    let late = format!("healthcheck: {address}: no answer in time\n");
    assert_eq!(tool(&words), (1, String::new(), late));
}
