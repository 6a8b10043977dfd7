//! The program's own commands, asked of real servers.

mod program;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use program::{Folder, Program, run};

/// Runs a command: exit status, standard output, standard error.
fn tool(words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_memserver")).args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn healthcheck(addr: &str, more: &[&str]) -> (i32, String) {
    let words = [&["healthcheck", "--addr", addr][..], more].concat();
    let (status, out, err) = tool(&words);
    assert_eq!(out, "");
    (status, err)
}

#[test]
fn a_server_that_answers_is_healthy() {
    let server = Program::start(&[]);
    let address = server.address().to_string();
    for more in [&[][..], &["--set-get"], &["--binary"]] {
        assert_eq!(healthcheck(&address, more), (0, String::new()), "{more:?}");
    }
    // It leaves nothing behind.
    assert_eq!(server.connect().stat("stats", "curr_items"), "0");
    assert_eq!(server.connect().stat("stats", "total_items"), "1");
}

#[test]
fn what_a_server_speaks_is_asked() {
    let server = Program::start(&["-B", "binary"]);
    let address = server.address().to_string();
    assert_eq!(healthcheck(&address, &["--binary"]), (0, String::new()));
    assert_eq!(healthcheck(&address, &[]).0, 1);
    for words in [&["--set-get"][..], &["--login", "users"]] {
        let (status, err) = healthcheck(&address, &[&["--binary"], words].concat());
        assert!(status == 1 && err.contains("can't ask a server that speaks binary"), "{err}");
    }
}

#[test]
fn a_unix_socket_is_asked() {
    let folder = Folder::new();
    let path = folder.file("socket");
    let server = Program::start(&["-s", path.to_str().unwrap()]);
    assert_eq!(healthcheck(&format!("unix:{}", path.display()), &["--set-get"]).0, 0);
    drop(server);
    let (status, err) = healthcheck(&format!("unix:{}", path.display()), &[]);
    assert!(status == 1 && err.contains("healthcheck: unix:/"), "{err}");
}

/// A full server must not be restarted, but it does not serve either.
#[test]
fn a_full_server_lives() {
    let server = Program::start(&["-c", "1"]);
    let mut client = server.connect();
    client.ask("mn\r\n", "MN\r\n");
    let address = server.address().to_string();
    assert_eq!(healthcheck(&address, &[]), (0, String::new()));
    let (status, err) = healthcheck(&address, &["--set-get"]);
    assert!(status == 1 && err.contains("Too many open connections"), "{err}");
}

#[test]
fn a_server_without_memory_is_not_healthy() {
    let server = Program::start(&["-M", "-m", "8"]);
    server.connect().fill(20_000, 1000);
    let address = server.address().to_string();
    assert_eq!(healthcheck(&address, &[]).0, 0);
    let (status, err) = healthcheck(&address, &["--set-get"]);
    assert!(status == 1 && err.contains("SERVER_ERROR out of memory"), "{err}");
}

#[test]
fn silence_and_nonsense_are_not_healthy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // The system accepts for it, and nobody answers.
    let (status, err) = healthcheck(&address, &["--timeout", "0.2"]);
    assert_eq!((status, err), (1, format!("healthcheck: {address}: no answer in time\n")));
    drop(listener.accept().unwrap());
    for (reply, complaint) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "answered \"HTTP/1.1 400"),
        (b"", "the server closed the connection"),
        (&[b'x'; 200_000], "a line that is too long"),
    ] {
        let replying = listener.try_clone().unwrap();
        let server = thread::spawn(move || {
            let mut client = replying.accept().unwrap().0;
            client.read_exact(&mut [0; b"version\r\n".len()]).unwrap();
            // The client may have seen enough before all of it is sent.
            let _ = client.write_all(reply);
        });
        let (status, err) = healthcheck(&address, &[]);
        server.join().unwrap();
        assert!(status == 1 && err.contains(complaint), "{err}");
    }
    drop(listener);
    let (status, err) = healthcheck(&address, &[]);
    assert!(status == 1 && err.contains("Connection refused"), "{err}");
}

#[test]
fn wrong_use_is_explained() {
    for words in [
        &["healthcheck", "--nosuch"][..],
        &["healthcheck", "--addr", "host:x"],
        &["healthcheck", "--timeout", "0"],
        &["healthcheck", "now"],
    ] {
        let (status, out, err) = tool(words);
        assert!(status == 1 && out.is_empty() && !err.is_empty(), "{words:?}: {err}");
    }
    let (status, out, err) = tool(&["memcached", "healthcheck", "--help"]);
    assert!(status == 0 && out.contains("--set-get") && err.is_empty(), "{out}{err}");
    // A word anywhere else is not a command.
    let (status, _, err) = run(&["healthcheck", "-c", "0"]);
    assert!(status == 1 && err.contains("-c must be"), "{err}");
}

#[test]
fn statistics_are_printed_as_lines_and_as_json() {
    let server = Program::start(&["-t", "2"]);
    let address = server.address().to_string();
    let (status, out, _) = tool(&["stats", "settings", "--addr", &address]);
    assert!(status == 0 && out.contains("\nnum_threads 2\n"), "{out}");
    let (status, out, _) = tool(&["stats", "--addr", &address, "--json"]);
    let stats: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &stats["threads"], &stats["version"]), (0, &2.into(), &"1.6.45".into()));
    let (status, _, err) = tool(&["stats", "nosuch", "--addr", &address]);
    assert!(status == 1 && err.contains("answered \"ERROR\""), "{err}");
}

#[test]
fn top_shows_each_interval() {
    let server = Program::start(&[]);
    let mut client = server.connect();
    client.ask("get a\r\n".repeat(500), "END\r\n".repeat(500));
    let address = server.address().to_string();
    let (status, out, err) = tool(&["top", &address, "--interval", "0.05", "--count", "2"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert_eq!(out.matches(&format!("{address}  memcached 1.6.45  up ")).count(), 2, "{out}");
    assert!(out.contains("hot keys, of all lookups\n  100.00 %  a\n"), "{out}");
    assert!(!out.contains('\x1b'), "{out}");
}

#[test]
fn a_login_stays_nowhere() {
    let folder = Folder::new();
    let users = folder.file("users");
    std::fs::write(&users, "app:secret\n").unwrap();
    let server = Program::start(&[]);
    let address = server.address().to_string();
    let words = ["stats", "--login", users.to_str().unwrap(), "--addr", &address];
    assert_eq!(tool(&words).0, 0);
    server.connect().ask("get memserver-login\r\n", "END\r\n");
}

#[test]
fn keys_are_dumped_with_size_and_time_to_live() {
    let server = Program::start(&[]);
    let address = server.address().to_string();
    let mut client = server.connect();
    client.ask("set users:1 0 0 5\r\nhello\r\n", "STORED\r\n");
    client.ask("set later 0 1000 1\r\nx\r\n", "STORED\r\n");
    client.ask("ms /yA= 1 b\r\nx\r\n", "HD\r\n");
    let lines = |more: &[&str]| {
        let (status, out, err) = tool(&[&["dump", "--addr", &address], more].concat());
        assert_eq!((status, err), (0, String::new()));
        let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let [later, user, binary] = &lines(&["--json"])[..] else { panic!("not three keys") };
    let ttl = later.strip_prefix("{\"key\":\"later\",\"size\":").unwrap();
    let ttl: u64 = ttl.split_once("\"ttl\":").unwrap().1.trim_end_matches('}').parse().unwrap();
    assert!((900..=1001).contains(&ttl), "{later}");
    assert!(user.starts_with("{\"key\":\"users:1\",\"size\":"), "{user}");
    assert!(user.ends_with(",\"ttl\":null}"), "{user}");
    assert!(binary.starts_with("{\"key_base64\":\"/yA=\",\"size\":"), "{binary}");
    let plain = lines(&[]);
    assert!(plain[0].starts_with("%FF%20 ") && plain[2].ends_with(" -1"), "{plain:?}");

    let server = Program::start(&["-X"]);
    let (status, _, err) = tool(&["dump", "--addr", &server.address().to_string()]);
    assert!(status == 1 && err.contains("answered \"ERROR metadump not allowed"), "{err}");
}
