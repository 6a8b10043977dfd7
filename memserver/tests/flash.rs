//! A server with a flash tier (`-o ext_path`): every command sees what is there, and a device that
//! fails costs hits and nothing else.

mod program;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use program::{Client, Folder, Program};

const ITEMS: usize = 1_500;
const LEN: usize = 10_000;

/// A server with 8 MiB of memory and a tier of 64 MiB at `path`.
fn start(path: &str, more: &[&str]) -> Program {
    let words = format!("ext_path={path}:64m,ext_page_size=2,ext_wbuf_size=256k");
    let mut args = vec!["-m", "8", "-o", &words];
    args.extend(more);
    Program::start(&args)
}

fn value(number: usize, len: usize) -> String {
    (0..len).map(|at| char::from(b'a' + ((number + at / 7) % 26) as u8)).collect()
}

/// Stores twice as much as there is memory.
fn fill(client: &mut Client) {
    for number in 0..ITEMS {
        client.ask(set(number, LEN), "STORED\r\n");
    }
}

fn set(number: usize, len: usize) -> String {
    format!("set k{number} {number} 0 {len}\r\n{}\r\n", value(number, len))
}

fn found(number: usize, len: usize) -> String {
    format!("VALUE k{number} {number} {len}\r\n{}\r\nEND\r\n", value(number, len))
}

/// How many items are there; each has the right value.
fn count_found(client: &mut Client, numbers: impl Iterator<Item = usize>, len: usize) -> usize {
    let is_there = |&number: &usize| {
        client.send(format!("get k{number}\r\n"));
        let mut reply = client.bytes(5);
        let is_there = reply != b"END\r\n";
        if is_there {
            let wanted = found(number, len);
            reply.extend(client.bytes(wanted.len() - reply.len()));
            assert!(reply == wanted.as_bytes(), "k{number} has another value");
        }
        is_there
    };
    numbers.filter(is_there).count()
}

fn counted(client: &mut Client, name: &str) -> u64 {
    client.stat("stats", name).parse().unwrap()
}

#[test]
fn what_has_no_room_in_memory_is_read_from_flash() {
    let folder = Folder::new();
    let path = folder.file("flash");
    let server = start(path.to_str().unwrap(), &[]);
    let mut client = server.connect();
    fill(&mut client);
    assert!(count_found(&mut client, 0..ITEMS, LEN) > ITEMS * 95 / 100);
    assert!(counted(&mut client, "get_extstore") > 500);
    assert!(counted(&mut client, "extstore_objects_used") > 500);
    assert!(counted(&mut client, "extstore_bytes_written") > 5 << 20);
    assert_eq!(counted(&mut client, "badcrc_from_extstore"), 0);
    assert_eq!(counted(&mut client, "extstore_limit_maxbytes"), 64 << 20);
    assert_eq!(client.stat("stats settings", "ext_wbuf_size"), "262144");
    assert_eq!(client.stat("stats extstore", "0:version"), "1");
    // What requests came to begins anew, what the tier has done goes on, as with memcached.
    client.ask("stats reset\r\n", "RESET\r\n");
    assert_eq!(counted(&mut client, "get_extstore"), 0);
    assert_eq!(counted(&mut client, "recache_from_extstore"), 0);
    assert!(counted(&mut client, "extstore_objects_written") > 500);
    // Many keys in one request, and requests behind it: all answers are in order.
    let keys: Vec<String> = (0..50).map(|number| format!("k{number}")).collect();
    let all: String = (0..50).map(|number| found(number, LEN).replace("END\r\n", "")).collect();
    client.ask(
        format!("get {}\r\nset x 0 0 1\r\ny\r\nget k60 k61\r\nmn\r\n", keys.join(" ")),
        format!(
            "{all}END\r\nSTORED\r\n{}{}MN\r\n",
            found(60, LEN).replace("END\r\n", ""),
            found(61, LEN)
        ),
    );
}

#[test]
fn a_restart_keeps_what_is_in_memory_and_what_is_on_flash() {
    let folder = Folder::new();
    let (memory, path) = (folder.file("memory"), folder.file("flash"));
    let memory = memory.to_str().unwrap();
    let path = path.to_str().unwrap();
    let start = || start(path, &["-e", memory]);
    let server = start();
    let mut client = server.connect();
    fill(&mut client);
    client.ask("delete k3\r\nset k4 4 0 1\r\nx\r\n", "DELETED\r\nSTORED\r\n");
    let on_flash = counted(&mut client, "extstore_objects_used");
    server.signal(15);
    let (status, _) = server.end();
    assert!(status.success(), "{status}");

    let server = start();
    let mut client = server.connect();
    assert!(counted(&mut client, "extstore_objects_used").abs_diff(on_flash) < 100);
    client.ask("get k3\r\nget k4\r\n", "END\r\nVALUE k4 4 1\r\nx\r\nEND\r\n");
    assert_eq!(client.stat("stats extstore", "0:version"), "1");
    assert_eq!(client.stat("stats extstore", "0:bytes"), (2 << 20).to_string());
    assert_eq!(counted(&mut client, "extstore_page_evictions"), 0);
    assert!(count_found(&mut client, 5..ITEMS, LEN) > ITEMS * 95 / 100);
    assert!(counted(&mut client, "get_extstore") > 500);
    assert_eq!(counted(&mut client, "badcrc_from_extstore"), 0);
    let (status, _, err) = program::run(&[
        "-l",
        "127.0.0.1",
        "-p",
        "-1",
        "-u",
        "root",
        "-o",
        &format!("ext_path={path}:64m"),
    ]);
    assert!(status != 0 && err.contains("another cache uses it"), "{err}");
    server.signal(15);
    let (_, lines) = server.end();
    let is_told = |line: &&String| line.contains("flash tier: ") && line.contains("there again");
    assert_eq!(lines.iter().filter(is_told).count(), 1, "{lines:?}");

    // With another file instead, memory is kept and flash is not.
    File::create(path).unwrap();
    let server = start();
    let mut client = server.connect();
    assert!((100..ITEMS).contains(&count_found(&mut client, 5..ITEMS, LEN)));
    assert_eq!(counted(&mut client, "badcrc_from_extstore"), 0);
    server.signal(9);
    let (_, lines) = server.end();
    let is_told = |line: &&String| line.contains("what is on flash is not what it was closed with");
    assert_eq!(lines.iter().filter(is_told).count(), 1, "{lines:?}");
    let strict = format!("memory_file_strict,ext_path={path}:64m");
    let (status, _, err) =
        program::run(&["-l", "127.0.0.1", "-p", "-1", "-u", "root", "-e", memory, "-o", &strict]);
    assert!(status == 71 && err.contains("it was not closed"), "{err}");
}

#[test]
fn a_group_that_is_removed_is_gone_from_flash_as_well() {
    let folder = Folder::new();
    let path = folder.file("flash");
    let words =
        format!("ext_path={}:64m,ext_page_size=2,ext_wbuf_size=256k,group_flush", path.display());
    let memory = folder.file("memory");
    let start = || Program::start(&["-m", "8", "-e", memory.to_str().unwrap(), "-o", &words]);
    let server = start();
    let mut client = server.connect();
    let key = |number: usize| format!("{}:{number}", ["a", "b", "b:c"][number % 3]);
    for number in 0..ITEMS {
        let request = format!("set {} 0 0 {LEN}\r\n{}\r\n", key(number), value(number, LEN));
        client.ask(request, "STORED\r\n");
    }
    assert!(counted(&mut client, "extstore_objects_used") > 500);
    let there = |client: &mut Client, rest: usize| {
        let numbers = (0..ITEMS).filter(|number| number % 3 == rest);
        let is_there =
            |number: &usize| client.line(format!("mg {} s\r\n", key(*number))) != "EN\r\n";
        numbers.filter(is_there).count()
    };
    client.ask("delete b:c:\r\n", "DELETED\r\n");
    assert_eq!(there(&mut client, 2), 0);
    assert!(there(&mut client, 1) > ITEMS * 95 / 300);
    server.signal(15);
    assert!(server.end().0.success());

    let server = start();
    let mut client = server.connect();
    assert!([0, 1].iter().all(|&rest| there(&mut client, rest) > ITEMS * 95 / 300));
    assert_eq!(there(&mut client, 2), 0);
    client.ask("delete b:\r\n", "DELETED\r\n");
    assert_eq!(there(&mut client, 1), 0);
    assert!(there(&mut client, 0) > ITEMS * 95 / 300);
}

#[test]
fn several_files_are_used_in_turn() {
    let folder = Folder::new();
    let [one, other] = ["one", "other"].map(|name| folder.file(name));
    let words = format!(
        "ext_path={}:32m,ext_path={}:16m:coldcompact,ext_page_size=2,ext_wbuf_size=256k",
        one.display(),
        other.display()
    );
    let server = Program::start(&["-m", "8", "-o", &words]);
    let mut client = server.connect();
    fill(&mut client);
    assert!(count_found(&mut client, 0..ITEMS, LEN) > ITEMS * 95 / 100);
    assert_eq!(counted(&mut client, "extstore_limit_maxbytes"), 48 << 20);
    let written = |path: &Path| path.metadata().unwrap().blocks() * 512;
    assert!(written(&one) > 4 << 20 && written(&other) > 4 << 20);
    // More than there is room for: what is oldest goes.
    for number in 0..8_000 {
        client.ask(set(number, LEN), "STORED\r\n");
    }
    let [allocs, evictions] =
        ["extstore_page_allocs", "extstore_page_reclaims"].map(|name| counted(&mut client, name));
    assert_eq!(allocs - evictions, 24);
    assert!(counted(&mut client, "extstore_objects_evicted") > 1_000);
    assert_eq!(counted(&mut client, "extstore_bytes_evicted"), evictions * (2 << 20));
}

#[test]
fn large_values_come_back() {
    let folder = Folder::new();
    let path = folder.file("flash");
    let words = format!("ext_path={}:128m,ext_page_size=8,ext_wbuf_size=1100k", path.display());
    let server = Program::start(&["-m", "16", "-o", &words]);
    let mut client = server.connect();
    for number in 0..30 {
        client.ask(set(number, 1_000_000), "STORED\r\n");
    }
    assert!(count_found(&mut client, 0..30, 1_000_000) > 26);
    assert!(counted(&mut client, "get_extstore") > 10);
}

#[test]
fn every_command_sees_what_is_on_flash() {
    let folder = Folder::new();
    let path = folder.file("flash");
    let server = start(path.to_str().unwrap(), &[]);
    let mut client = server.connect();
    client.ask(format!("set n 0 0 600\r\n7{}\r\n", " ".repeat(599)), "STORED\r\n");
    fill(&mut client);
    let before = counted(&mut client, "get_extstore");
    client.ask("incr n 1\r\n", "8\r\n");
    client.ask("add k1 0 0 1\r\nx\r\n", "NOT_STORED\r\n");
    client.ask("replace k2 0 0 1\r\nx\r\n", "STORED\r\n");
    client.ask("get k2\r\n", "VALUE k2 0 1\r\nx\r\nEND\r\n");
    client.ask("append k3 0 0 3\r\nend\r\n", "STORED\r\n");
    let appended = found(3, LEN).replace("\r\nEND", "end\r\nEND").replace(" 10000", " 10003");
    client.ask("get k3\r\n", appended);
    client.ask("touch k4 1000\r\n", "TOUCHED\r\n");
    client.ask("mg k4 t\r\n", "HD t1000\r\n");
    client.ask("gat 1000 k5\r\n", found(5, LEN));
    client.ask("delete k6\r\n", "DELETED\r\n");
    client.ask("get k6\r\n", "END\r\n");
    client.ask("delete k6\r\n", "NOT_FOUND\r\n");
    client.ask("md k7 q\r\nmn\r\n", "MN\r\n");
    client.ask("mg k7 v\r\n", "EN\r\n");
    client.ask("mg azg= b s f\r\n", "HD s10000 f8\r\n");
    client.ask("ms k9 1 MA\r\nx\r\nmg k9 s\r\n", "HD\r\nHD s10001\r\n");
    client.ask("set k10 0 0 1\r\nx\r\n", "STORED\r\n");
    client.ask("get k10\r\n", "VALUE k10 0 1\r\nx\r\nEND\r\n");
    let cas = client.list("gets k11");
    let version = cas.split([' ', '\r']).nth(4).unwrap();
    client.ask(format!("cas k11 0 0 1 {version}\r\nx\r\n"), "STORED\r\n");
    client.ask(format!("cas k11 0 0 1 {version}\r\nx\r\n"), "EXISTS\r\n");
    assert!(counted(&mut client, "get_extstore") >= before + 10);
    client.ask("flush_all\r\n", "OK\r\n");
    assert_eq!(count_found(&mut client, 0..ITEMS, LEN), 0);
}

#[test]
fn settings_of_the_tier_change_while_it_runs() {
    let folder = Folder::new();
    let path = folder.file("flash");
    let server = start(path.to_str().unwrap(), &[]);
    let mut client = server.connect();
    for (command, reply) in [
        ("free_memchunks 5 100", "OK"),
        ("recache_rate 100", "OK"),
        ("max_frag 0.5", "OK"),
        ("drop_unread 1", "OK"),
        ("item_size 20000", "OK"),
        ("item_size x", "ERROR"),
        ("unknown 1", "ERROR"),
        ("free_memchunks 0", "ERROR"),
    ] {
        client.ask(format!("extstore {command}\r\n"), format!("{reply}\r\n"));
    }
    for (name, value) in [
        ("ext_item_size", "20000"),
        ("ext_recache_rate", "100"),
        ("ext_max_frag", "0.50"),
        ("ext_drop_unread", "yes"),
        ("slab_automove_freeratio", "0.010"),
    ] {
        assert_eq!(client.stat("stats settings", name), value);
    }
    fill(&mut client);
    assert_eq!(counted(&mut client, "extstore_objects_written"), 0);
}

#[test]
fn a_file_that_loses_its_contents_costs_hits() {
    let folder = Folder::new();
    let path = folder.file("flash");
    let server = start(path.to_str().unwrap(), &[]);
    let mut client = server.connect();
    fill(&mut client);
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    let there = count_found(&mut client, 0..ITEMS, LEN);
    assert!((100..ITEMS).contains(&there), "{there}");
    assert!(counted(&mut client, "badcrc_from_extstore") > 50);
    client.ask(set(1, LEN), "STORED\r\n");
    client.ask("get k1\r\n", found(1, LEN));
}

#[test]
fn a_full_device_switches_the_tier_off() {
    let server = start("/dev/full", &[]);
    let mut client = server.connect();
    fill(&mut client);
    while client.stat("stats", "extstore_enabled") == "1" {
        fill(&mut client);
    }
    let there = count_found(&mut client, 0..ITEMS, LEN);
    assert!((100..ITEMS).contains(&there), "{there}");
    client.send("quit\r\n");
    server.signal(15);
    let (status, log) = server.end();
    assert!(status.success());
    let is_told = |line: &&String| line.contains("the flash tier is off since it failed: writing");
    assert_eq!(log.iter().filter(is_told).count(), 1, "{log:?}");
}

#[test]
fn a_tier_that_cannot_be_stops_the_start_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let [path, pipe, memory] = ["flash", "pipe", "memory"].map(|name| folder.file(name));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (path, pipe, memory) = (path.display(), pipe.display(), memory.display());
    let here = folder.path().display();
    for (word, why) in [
        (format!("ext_path={path}"), "FILE:SIZE"),
        (format!("ext_path={path}:64x"), "a whole number"),
        (format!("ext_path={path}:64m"), "no room for two regions"),
        (format!("ext_path={path}/nowhere:1g"), "ext_path"),
        (format!("ext_path={path}:1g,ext_wbuf_size=100m"), "larger than a region"),
        (format!("ext_path={path}:1t,ext_page_size=1,ext_wbuf_size=64k"), "-o ext_path: "),
        (format!("ext_path={path}:1t,ext_page_size=1,ext_wbuf_size=64k"), " there may be "),
        (format!("ext_path={path}:1g,ext_path={path}:1g"), "it is given twice"),
        (format!("ext_path={here}/./flash:1g,ext_path={path}:1g"), "it is given twice"),
        (format!("ext_path={path}:1000t,ext_page_size=1,ext_wbuf_size=64k"), " there may be "),
        (format!("ext_path={path}:1p,ext_page_size=1024"), " there may be "),
        (format!("ext_path={pipe}:1g"), "it is no file and no block device"),
        (format!("ext_path={here}:1g"), "-o ext_path: "),
        (format!("ext_path={memory}:1g"), "is the memory file"),
    ] {
        let memory = memory.to_string();
        let (status, _, err) = program::run(&[
            "-m",
            "8",
            "-l",
            "127.0.0.1",
            "-p",
            "-1",
            "-u",
            "root",
            "-e",
            &memory,
            "-o",
            &word,
        ]);
        assert!(status != 0 && err.contains(why), "{word}: {err}");
        // What is asked without a start says the same.
        let args = ["--check-config", "-u", "root", "-m", "8", "-e", &memory, "-o", &word];
        assert_eq!(program::run(&args), (status, String::new(), err), "{word}");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
        assert!(left.len() == 1, "{word}: {left:?}");
    }
    let missing = format!("{here}/no/folder/memory");
    for memory in [missing, here.to_string(), pipe.to_string(), "/dev/null".to_owned()] {
        let checked = program::run(&["--check-config", "-u", "root", "-m", "8", "-e", &memory]);
        assert!(checked.0 == 71 && checked.2.contains("-e: memory file: "), "{checked:?}");
        let started = program::run(&["-l", "127.0.0.1", "-u", "root", "-m", "8", "-e", &memory]);
        assert_eq!(checked, started);
    }
}

/// Files that a server uses, and such that are not there yet, can be asked about.
#[test]
fn settings_are_checked_beside_a_server_that_uses_them() {
    let folder = Folder::new();
    let [flash, memory] = ["flash", "memory"].map(|name| folder.file(name).display().to_string());
    let word = format!("ext_path={flash}:1g");
    let checked =
        || program::run(&["--check-config", "-u", "root", "-m", "8", "-e", &memory, "-o", &word]);
    let valid = (0, "the settings are valid\n".to_owned(), String::new());
    assert_eq!(checked(), valid);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let server = Program::start(&["-m", "8", "-e", &memory, "-o", &word]);
    assert_eq!(checked(), valid);
    server.signal(15);
    assert!(server.end().0.success());
    assert_eq!(checked(), valid);
}
