//! `memserver snapshot` and `memserver warm` between real servers, memcached among them.

mod program;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use memcore::Cache;
use memcore::snapshot::Reader;
use program::{Folder, Program, WAIT, reference};

/// Runs a command: exit status and standard error; nothing may be on standard output.
fn tool(words: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_memserver")).args(words).output().unwrap();
    assert_eq!(output.stdout, b"");
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

/// A number that follows from `n`.
fn mixed(n: usize) -> usize {
    n.wrapping_mul(0x9e37_79b9) >> 7 & 0xffff
}

/// The key of an item, as a request names it: some are binary.
fn key(n: usize) -> String {
    match n % 7 {
        0 => format!("{} b", base64(format!("two words\n{n:06}").as_bytes())),
        1 => format!("k%20/{n}"),
        _ => format!("key-{n}"),
    }
}

fn base64(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    memproto::key::push_base64(&mut out, bytes);
    String::from_utf8(out).unwrap()
}

/// Length, flags and time to live of an item; 0 for none.
fn shape(n: usize) -> (usize, usize, usize) {
    let len = if n % 500 == 7 { 300_000 + mixed(n) } else { mixed(n) % 700 };
    let ttl = match n % 4 {
        0 => 0,
        1 => 40 * 86_400,
        _ => 5_000 + mixed(n),
    };
    (len, mixed(n + 1), ttl)
}

fn value(n: usize, len: usize) -> Vec<u8> {
    format!("{n}\r\n").bytes().cycle().take(len).collect()
}

/// Fills a server with `count` items.
fn fill(server: &Program, count: usize) {
    let mut client = server.connect();
    for n in 0..count {
        let (len, flags, ttl) = shape(n);
        let mut ttl_word = format!(" T{ttl}");
        if ttl > 30 * 86_400 {
            let now = client.stat("stats", "time").parse::<usize>().unwrap();
            ttl_word = format!(" T{}", now + ttl);
        }
        client.send(format!("ms {}", key(n).replacen(' ', &format!(" {len} "), 1)));
        if !key(n).contains(' ') {
            client.send(format!(" {len}"));
        }
        client.send(format!(" F{flags}{ttl_word}\r\n"));
        client.send([&value(n, len)[..], b"\r\n"].concat());
        client.expect("HD\r\n");
    }
}

/// Checks that a server has all items of [`fill`], with times to live as they should be.
fn check(server: &Program, count: usize) {
    let mut client = BufReader::new(TcpStream::connect(server.address()).unwrap());
    client.get_ref().set_read_timeout(Some(WAIT)).unwrap();
    // A million items take a while.
    let elapsed = 30 + count as i64 / 1_000;
    for n in 0..count {
        let (len, flags, ttl) = shape(n);
        client.get_mut().write_all(format!("mg {} v f t u\r\n", key(n)).as_bytes()).unwrap();
        let mut line = String::new();
        client.read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(words[0] == "VA" && words[1] == len.to_string(), "{}: {line}", key(n));
        assert_eq!(words[2], format!("f{flags}"));
        let left: i64 = words[3][1..].parse().unwrap();
        let ttl = if ttl == 0 { -1 } else { ttl as i64 };
        // A clock whose second begins later may see one second more.
        let wanted = if ttl < 0 { -1..=-1 } else { ttl - elapsed..=ttl + 1 };
        assert!(wanted.contains(&left), "{left} of {ttl}");
        let mut bytes = vec![0; len + 2];
        client.read_exact(&mut bytes).unwrap();
        assert!(bytes[..len] == value(n, len), "{}: a wrong value", key(n));
    }
    let mut client = server.connect();
    assert_eq!(client.stat("stats", "curr_items"), count.to_string());
}

/// Checks that items end at most two seconds earlier than those that they are copies of, or, as two
/// clocks see it, one later.
fn compare_times(server: &Program, source: &Program, count: usize) {
    let mut clients = [source, server].map(|server| server.connect());
    for n in 0..count {
        let [before, after] = clients.each_mut().map(|client| {
            let line = client.line(format!("mg {} t\r\n", key(n)));
            line.trim_end()[4..].parse::<i64>().unwrap()
        });
        // The second one is asked a moment later, and their seconds begin at other moments.
        assert!((before - 3..=before + 1).contains(&after), "{}: {before} and {after}", key(n));
    }
}

/// memcached, if there is one: the one that is tested against, or the one that is installed.
fn memcached() -> Option<Program> {
    let installed = || {
        let version = Command::new("memcached").arg("-V").output().ok()?;
        version.status.success().then(|| "memcached".to_owned())
    };
    // An address is a server that others fill as well.
    let path = reference().filter(|name| !name.contains(':')).or_else(installed)?;
    let limit = limit();
    // A page that is moved to another size class may cost items that are in use.
    let flags = ["-m", &limit, "-U", "0", "-o", "slab_automove=0"].map(str::to_owned);
    Some(Program::reference(&path, &flags))
}

/// Every way from one server to another.
fn check_ways(from: &Program, start: impl Fn() -> Program) {
    const COUNT: usize = 3_000;
    fill(from, COUNT);
    let source = from.address().to_string();
    let before = from.connect().stat("stats", "cmd_set");

    let warmed = start();
    let target = warmed.address().to_string();
    let (status, err) = tool(&["warm", "--from", &source, "--to", &target]);
    assert!(status == 0 && err.starts_with(&format!("copied: {COUNT} items, ")), "{err}");
    check(&warmed, COUNT);

    let folder = Folder::new();
    let path = folder.file("snapshot");
    let file = path.to_str().unwrap();
    let (status, err) = tool(&["snapshot", "save", file, "--addr", &source]);
    assert!(status == 0 && err.starts_with(&format!("saved: {COUNT} items, ")), "{err}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    let loaded = start();
    let target = loaded.address().to_string();
    let (status, err) = tool(&["snapshot", "load", file, "--addr", &target]);
    assert!(status == 0 && err.starts_with(&format!("loaded: {COUNT} items, ")), "{err}");
    check(&loaded, COUNT);
    // Once more: what is there stays.
    let (status, err) = tool(&["snapshot", "load", file, "--addr", &target]);
    let nothing = format!("loaded: 0 items, 0 bytes of values; {COUNT} there already\n");
    assert_eq!((status, err), (0, nothing));

    let cache = Cache::new(64 << 20).unwrap();
    let restored = cache.restore(fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(restored.items, COUNT as u64);
    let (len, flags, _) = shape(7);
    assert_eq!(cache.peek("two words\n000007").map(|meta| meta.flags), Some(flags as u32));
    assert_eq!(cache.get("two words\n000007"), Some(value(7, len)));

    // The source has noticed nothing.
    assert_eq!(from.connect().stat("stats", "cmd_set"), before);
    check(from, COUNT);
    from.connect().ask("mg key-2 h\r\n", "HD h0\r\n");
}

fn ours() -> Program {
    Program::start(&["-m", &limit()])
}

/// MiB that are enough for all items.
fn limit() -> String {
    let items = std::env::var("MEMSERVER_COPIED_ITEMS").map_or(0, |n| n.parse().unwrap());
    (items / 500).max(256).to_string()
}

#[test]
fn items_get_from_server_to_server() {
    check_ways(&ours(), ours);
}

#[test]
fn items_come_from_memcached() {
    let Some(from) = memcached() else { return };
    check_ways(&from, ours);
}

#[test]
fn items_go_back_to_memcached() {
    if memcached().is_some() {
        check_ways(&ours(), || memcached().unwrap());
    }
}

#[test]
fn unix_sockets_will_do() {
    let folder = Folder::new();
    let [from, to] = ["from", "to"].map(|name| folder.file(name).to_str().unwrap().to_owned());
    let start = |path: &str| Program::start(&["-s", path]);
    let servers = [start(&from), start(&to)];
    for path in [&from, &to] {
        let at = std::os::unix::net::UnixStream::connect(path);
        program::Client(at.unwrap()).ask("set k 0 0 1\r\nx\r\n", "STORED\r\n");
    }
    let (status, err) =
        tool(&["warm", "--from", &format!("unix:{from}"), "--to", &format!("unix:{to}")]);
    assert_eq!((status, &err[..]), (0, "copied: 0 items, 0 bytes of values; 1 there already\n"));
    drop(servers);
}

/// Who reads an item that is out of date is asked to renew it; a copy must not take that away from
/// the clients, and must not make a good item of it.
#[test]
fn leases_stay_with_clients() {
    for from in [Some(ours()), memcached()].into_iter().flatten() {
        let mut client = from.connect();
        client.ask("set old 0 0 3\r\nabc\r\n", "STORED\r\n");
        client.ask("md old I\r\n", "HD\r\n");
        client.ask("mg place N30 v\r\n", "VA 0 W\r\n\r\n");
        client.ask("set good 0 0 3\r\nabc\r\n", "STORED\r\n");
        let to = ours();
        let (source, target) = (from.address().to_string(), to.address().to_string());
        let (status, err) = tool(&["warm", "--from", &source, "--to", &target]);
        assert_eq!((status, &err[..]), (0, "copied: 1 items, 3 bytes of values; 2 out of date\n"));
        to.connect().ask("mg old v\r\nmg place v\r\nmn\r\n", "EN\r\nEN\r\nMN\r\n");
        client.ask("mg old s\r\nmg old s\r\n", "HD s3 X W\r\nHD s3 Z X\r\n");
        client.ask("mg place v\r\n", "VA 0 Z\r\n\r\n");
    }
}

/// A file, and a snapshot that keeps that a value is out of date.
#[test]
fn a_file_knows_what_is_out_of_date() {
    let (from, folder) = (ours(), Folder::new());
    let path = folder.file("snapshot");
    let mut client = from.connect();
    client.ask("set old 0 0 3\r\nabc\r\n", "STORED\r\n");
    client.ask("md old I\r\n", "HD\r\n");
    let file = path.to_str().unwrap();
    assert_eq!(tool(&["snapshot", "save", file, "--addr", &from.address().to_string()]).0, 0);
    let cache = Cache::new(8 << 20).unwrap();
    cache.restore(fs::File::open(&path).unwrap()).unwrap();
    let lease = cache.peek("old").unwrap().lease;
    assert!(lease.stale && !lease.taken);
    let to = ours();
    let (_, err) = tool(&["snapshot", "load", file, "--addr", &to.address().to_string()]);
    assert_eq!(err, "loaded: 0 items, 0 bytes of values; 1 out of date\n");
}

/// Copies from a full server are interrupted and run again; `MEMSERVER_COPIED_ITEMS` is how many
/// items there are.
#[test]
fn a_copy_that_was_interrupted_goes_on() {
    interrupt(&ours());
    if let Some(from) = memcached() {
        interrupt(&from);
    }
}

fn interrupt(from: &Program) {
    let count = std::env::var("MEMSERVER_COPIED_ITEMS").map_or(2_000, |n| n.parse().unwrap());
    let (to, folder) = (ours(), Folder::new());
    fill(from, count);
    let (source, target) = (from.address().to_string(), to.address().to_string());
    let path = folder.file("state");
    let state = path.to_str().unwrap();
    let words = ["warm", "--from", &source, "--to", &target, "--state", state, "--rate"];
    let items = || to.connect().stat("stats", "curr_items").parse::<usize>().unwrap();
    let rate = (count / 4).to_string();
    kill_once(&[&words[..], &[&rate]].concat(), || items() > count / 10);
    let before = items();
    assert!(before < count / 2, "{before} at {rate} a second");
    // The file is of these two servers.
    let (status, err) = tool(&["warm", "--from", &target, "--to", &source, "--state", state]);
    assert!(status == 1 && err.contains(&format!("it was made for {source} to {target}")), "{err}");
    let (status, err) = tool(&[&words[..], &["0"]].concat());
    assert_eq!(status, 0, "{err}");
    let copied = err.strip_prefix("copied: ").and_then(|text| text.split_once(' ')).unwrap().0;
    let copied: usize = copied.parse().unwrap();
    assert!(copied <= count - before && copied + before >= count, "{copied} and {before}");
    check(&to, count);
    compare_times(&to, from, count);
    assert!(!path.exists(), "it is done");
    interrupt_snapshot(&to, count);
    fs::write(&path, "anything else").unwrap();
    let (status, err) = tool(&[&words[..], &["100000"]].concat());
    assert!(status == 1 && err.contains("state: it is not a list of keys"), "{err}");
}

/// Runs a command and kills it once `is_time`.
fn kill_once(words: &[&str], is_time: impl Fn() -> bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memserver"));
    let mut child = command.args(words).stderr(Stdio::null()).spawn().unwrap();
    while !is_time() {
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A snapshot that was interrupted has no file of its name; another one is whole, and so is what is
/// loaded of it in two attempts.
fn interrupt_snapshot(from: &Program, count: usize) {
    let (to, folder) = (ours(), Folder::new());
    let path = folder.file("snapshot");
    let (source, target) = (from.address().to_string(), to.address().to_string());
    let save = ["snapshot", "save", path.to_str().unwrap(), "--addr", &source];
    let load = ["snapshot", "load", path.to_str().unwrap(), "--addr", &target];
    let rate = (count / 4).to_string();
    let slowly = ["--rate", &rate];
    let bytes = || {
        let files = fs::read_dir(folder.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    kill_once(&[&save[..], &slowly].concat(), || bytes() > 50_000);
    assert!(!path.exists());
    let (status, err) = tool(&save);
    assert!(status == 0 && err.starts_with(&format!("saved: {count} items, ")), "{err}");
    let items = || to.connect().stat("stats", "curr_items").parse::<usize>().unwrap();
    kill_once(&[&load[..], &slowly].concat(), || items() > count / 10);
    assert!(items() < count / 2);
    let (status, err) = tool(&load);
    assert_eq!(status, 0, "{err}");
    check(&to, count);
    compare_times(&to, from, count);
}

#[test]
fn a_smaller_server_is_filled_and_no_more() {
    let (from, folder) = (ours(), Folder::new());
    from.connect().fill(40_000, 1_000);
    let path = folder.file("snapshot");
    let file = path.to_str().unwrap();
    assert_eq!(tool(&["snapshot", "save", file, "--addr", &from.address().to_string()]).0, 0);
    for (more, is_left_out) in [(&[][..], true), (&["--evict"], false)] {
        let to = Program::start(&["-m", "16"]);
        let target = to.address().to_string();
        let words = [&["snapshot", "load", file, "--addr", &target][..], more].concat();
        let (status, err) = tool(&words);
        assert_eq!(status, 0);
        assert_eq!(err.contains("the rest was left out"), is_left_out, "{err}");
        let evictions: u32 = to.connect().stat("stats", "evictions").parse().unwrap();
        assert!(if is_left_out { evictions < 6_000 } else { evictions > 20_000 }, "{evictions}");
    }
}

/// What a target refuses is counted, and does not keep the rest from it.
#[test]
fn values_that_are_too_large_are_refused() {
    let from = Program::start(&["-m", "256", "-I", "8m"]);
    let mut client = from.connect();
    for n in 0..5 {
        let len = if n % 2 == 0 { 3_000_000 } else { 3_000 };
        client.send(format!("set key{n} 0 0 {len}\r\n{}\r\n", "x".repeat(len)));
        client.expect("STORED\r\n");
    }
    for to in [Some(ours()), memcached()].into_iter().flatten() {
        let (source, target) = (from.address().to_string(), to.address().to_string());
        let (status, err) = tool(&["warm", "--from", &source, "--to", &target]);
        assert_eq!((status, &err[..]), (0, "copied: 2 items, 6000 bytes of values; 3 refused\n"));
    }
}

#[test]
fn what_was_asked_for_comes_first() {
    for from in [Some(ours()), memcached()].into_iter().flatten() {
        let folder = Folder::new();
        let path = folder.file("snapshot");
        let file = path.to_str().unwrap();
        let mut client = from.connect();
        client.fill(1_000, 100);
        for n in (0..1_000).step_by(10) {
            client.ask(format!("mg key{n} s\r\n"), "HD s100\r\n");
        }
        assert_eq!(tool(&["snapshot", "save", file, "--addr", &from.address().to_string()]).0, 0);
        let mut reader = Reader::new(fs::File::open(&path).unwrap()).unwrap();
        let items = std::iter::from_fn(|| reader.item().unwrap());
        let fetched: Vec<bool> = items.map(|item| item.fetched).collect();
        assert_eq!(fetched.len(), 1_000);
        assert!(fetched[..100].iter().all(|fetched| *fetched));
        assert!(fetched[100..].iter().all(|fetched| !fetched));
    }
}

#[test]
fn a_damaged_file_ends_the_loading() {
    let (from, folder) = (ours(), Folder::new());
    from.connect().fill(1_000, 1_000);
    let path = folder.file("snapshot");
    let file = path.to_str().unwrap();
    assert_eq!(tool(&["snapshot", "save", file, "--addr", &from.address().to_string()]).0, 0);
    let mut bytes = fs::read(&path).unwrap();
    // In the middle of the second block of eight.
    bytes[200_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let to = ours();
    let target = to.address().to_string();
    let (status, err) = tool(&["snapshot", "load", file, "--addr", &target]);
    assert_eq!((status, &err[..]), (1, "snapshot load: block 1 is damaged: its checksum\n"));
    let items: u32 = to.connect().stat("stats", "curr_items").parse().unwrap();
    assert!((64..200).contains(&items), "{items}");
    let (status, err) = tool(&["snapshot", "load", "/dev/null", "--addr", &target]);
    assert_eq!((status, &err[..]), (1, "snapshot load: it is not a snapshot\n"));
}

/// A file that is there stays until another one is complete.
#[test]
fn what_fails_leaves_no_trace() {
    let folder = Folder::new();
    let path = folder.file("snapshot");
    fs::write(&path, "an older one").unwrap();
    for (replies, complaint) in [
        (&["END\r\n"][..], ""),
        (&["ERROR key dump not allowed\r\n"; 2], "answered \"ERROR key dump"),
        (&["OK\r\nkey=a size=9\r\nnonsense\r\n"], "answered \"nonsense"),
        (&["key=a size=9\r\nEND\r\n", "HTTP/1.1 400\r\n"], "answered \"HTTP"),
        (&["key=a size=9\r\nEND\r\n", "VA 9999999999 f0\r\n"], "answered \"VA 9999999999"),
        (&["key=a size=9\r\nEND\r\n", "VA 1000000000 f0 t-1\r\nx"], "no answer in time"),
        (&["key=a size=9\r\nEND\r\n", "VA 1 f0 t-1\r\nxyz\r\n"], "answered \"yz"),
    ] {
        let address = scripted(replies);
        let file = path.to_str().unwrap();
        let words = ["snapshot", "save", file, "--timeout", "0.3", "--addr", &address.to_string()];
        let (status, err) = tool(&words);
        match replies {
            // No keys are no error.
            [reply] if *reply == "END\r\n" => assert_eq!(status, 0, "{err}"),
            _ => assert!(status == 1 && err.contains(complaint), "{replies:?}: {err}"),
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let reader = Reader::new(fs::File::open(&path).unwrap());
        assert_eq!(reader.is_ok(), replies == ["END\r\n"]);
        fs::write(&path, "an older one").unwrap();
    }
}

/// A server that answers requests with these, whatever they are, and then says nothing more.
fn scripted(replies: &[&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut replies: Vec<&str> = replies.to_vec();
    replies.reverse();
    thread::spawn(move || {
        let mut clients = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 4096];
            while let Some(reply) = replies.pop() {
                if !matches!(stream.read(&mut bytes), Ok(1..)) {
                    replies.push(reply);
                    break;
                }
                stream.write_all(reply.as_bytes()).unwrap();
            }
            clients.push(stream);
        }
    });
    address
}

#[test]
fn wrong_use_is_explained() {
    for words in [
        &["warm"][..],
        &["warm", "--from", "host:x"],
        &["snapshot"],
        &["snapshot", "save"],
        &["snapshot", "save", "f", "--rate", "0"],
        &["snapshot", "load", "/no/such/file"],
    ] {
        let (status, err) = tool(words);
        assert!(status == 1 && !err.is_empty(), "{words:?}: {err}");
    }
}
