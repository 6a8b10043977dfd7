//! The memory of the real program: what it takes, and how its limit moves while it serves.

mod program;

use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};

use program::{Client, Folder, Program, WAIT, command};

const VALUE: usize = 64 << 10;

/// Stores `count` values of [`VALUE`] bytes.
fn fill(client: &mut Client, count: usize) {
    let value = "x".repeat(VALUE);
    for i in 0..count {
        client.send(format!("set key{i} 0 0 {VALUE} noreply\r\n{value}\r\n"));
    }
    client.ask("mn\r\n", "MN\r\n");
}

/// One number of `stats`.
fn number(client: &mut Client, name: &str) -> usize {
    client.stat("stats", name).parse().unwrap()
}

#[test]
fn the_limit_moves_far_above_the_first_one_and_back() {
    let program = Program::start(&["-m", "8", "-o", "memlimit_max=128"]);
    let mut client = program.connect();
    let idle = program.resident();
    assert!(idle < 16 << 10, "{idle} kB in use by nobody");
    fill(&mut client, 1_500);
    assert!(number(&mut client, "curr_items") * VALUE < 8 << 20);
    client.ask("cache_memlimit 128\r\n", "OK\r\n");
    assert_eq!(number(&mut client, "limit_maxbytes"), 128 << 20);
    fill(&mut client, 1_500);
    assert_eq!(number(&mut client, "curr_items"), 1_500);
    client.ask("cache_memlimit 16\r\n", "OK\r\n");
    assert_eq!(number(&mut client, "limit_maxbytes"), 16 << 20);
    let start = Instant::now();
    while number(&mut client, "slab_reassign_running") > 0 {
        assert!(start.elapsed() < WAIT, "it does not shrink");
        std::thread::sleep(Duration::from_millis(1));
    }
    let left = number(&mut client, "curr_items") * VALUE;
    assert!((8 << 20..16 << 20).contains(&left), "{left} bytes are left");
    let resident = program.resident();
    assert!(resident < (20 << 10) + idle, "{resident} kB, {idle} kB before");
}

#[test]
fn what_no_machine_has_is_refused() {
    let program = Program::start(&["-m", "64"]);
    let mut client = program.connect();
    let refused = "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n";
    client.ask("cache_memlimit 1000000000\r\n", refused);
    assert_eq!(number(&mut client, "limit_maxbytes"), 64 << 20);
}

#[test]
fn a_value_that_arrives_in_parts_takes_little_more_than_what_has_come() {
    const CLIENTS: u64 = 400;
    let program = Program::start(&["-m", "64", "-t", "2"]);
    let part = "x".repeat(3_000);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| program.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("mn\r\n", "MN\r\n"));
    let idle = program.resident();
    for client in &mut clients {
        client.send("set k 0 0 10000\r\n");
    }
    for _ in 0..3 {
        clients.iter_mut().for_each(|client| client.send(&part));
        // Whoever is answered now is served after what came before.
        (0..2).for_each(|_| program.connect().ask("mn\r\n", "MN\r\n"));
    }
    let each = (program.resident() - idle) * 1024 / CLIENTS;
    assert!(each < 15_000, "{each} bytes for 9,000 of a value");
    for client in &mut clients {
        client.ask(format!("{}\r\n", "x".repeat(1_000)), "STORED\r\n");
    }
}

/// Clients that read a byte now and then are never closed, but what waits for them is bounded.
#[test]
fn readers_of_a_trickle_take_bounded_memory() {
    const LEN: usize = 1_000_000;
    const KEYS: usize = 40;
    let program = Program::start(&["-m", "64", "-t", "2"]);
    let mut client = program.connect();
    let value = "x".repeat(LEN);
    let renew = |client: &mut Client| {
        for i in 0..KEYS {
            client.ask(format!("set key{i} 0 0 {LEN}\r\n{value}\r\n"), "STORED\r\n");
        }
    };
    renew(&mut client);
    let mut readers: Vec<Client> = (0..400).map(|_| program.connect()).collect();
    for (i, reader) in readers.iter_mut().enumerate() {
        reader.send(format!("get key{}\r\n", i % KEYS));
    }
    for _ in 0..3 {
        readers.iter_mut().for_each(|reader| reader.0.read_exact(&mut [0]).unwrap());
        renew(&mut client);
        let resident = program.resident();
        assert!(resident < (64 + 24) << 10, "{resident} kB");
    }
}

/// What it holds must not delay the end. The best of three counts, as other tests run beside.
#[test]
fn a_full_server_with_many_clients_ends_within_a_second() {
    let took = |_| {
        let program = Program::start(&["-m", "256"]);
        fill(&mut program.connect(), 5_000);
        let mut clients: Vec<Client> = (0..500).map(|_| program.connect()).collect();
        clients.iter_mut().for_each(|client| client.ask("mn\r\n", "MN\r\n"));
        // A part of them has replies to come that nobody reads.
        clients.iter_mut().step_by(10).for_each(|client| client.send("get key4999\r\n".repeat(50)));
        clients[1].ask("mn\r\n", "MN\r\n");
        let start = Instant::now();
        program.signal(15);
        assert_eq!(program.end().0.code(), Some(0));
        start.elapsed()
    };
    let best = (0..3).map(took).min().unwrap();
    assert!(best < Duration::from_secs(1), "{best:?}");
}

/// Address space that is counted is left to those who need it, at the price of growth.
#[test]
fn where_address_space_is_scarce_none_is_kept_for_later() {
    let folder = Folder::new();
    let mut shell = std::process::Command::new("sh");
    let serve = "ulimit -v 500000; exec \"$0\" -l 127.0.0.1 -p -1 -u root -m 64 -t 2";
    shell.args(["-c", serve]).arg(command(&[]).get_program());
    shell.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    shell.stderr(std::process::Stdio::piped());
    let program = Program::spawn(shell, folder);
    program.wait_for_file("ports");
    let mut client = program.connect();
    fill(&mut client, 1_500);
    let refused = "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n";
    client.ask("cache_memlimit 65\r\n", refused);
    client.ask("cache_memlimit 32\r\n", "OK\r\n");
    client.ask("cache_memlimit 64\r\n", "OK\r\n");
}

#[test]
fn a_touch_needs_no_memory_where_nothing_is_evicted() {
    let program = Program::start(&["-m", "8", "-M"]);
    let mut client = program.connect();
    client.ask("set ends 0 1000 1\r\nx\r\n", "STORED\r\n");
    client.fill(10_000, 1_000);
    client.ask("touch key1 100\r\ntouch key1 0\r\n", "TOUCHED\r\nTOUCHED\r\n");
    client.ask("mg key1 t\r\n", "HD t-1\r\n");
    client.ask("mg key1 T100\r\nmg key1 t\r\n", "HD\r\nHD t100\r\n");
    client.ask("touch ends 100\r\ntouch none 100\r\n", "TOUCHED\r\nNOT_FOUND\r\n");
    assert_eq!(number(&mut client, "touch_misses"), 1);
}

/// Whichever worker frees it.
#[test]
fn where_nothing_is_evicted_what_was_freed_is_usable_at_once() {
    const FULL: &str = "SERVER_ERROR out of memory storing object\r\n";
    let program = Program::start(&["-m", "8", "-M", "-t", "4"]);
    let mut clients: Vec<Client> = (0..4).map(|_| program.connect()).collect();
    clients[0].fill(100_000, 100);
    let value = |len: usize| format!("{len}\r\n{}\r\n", "y".repeat(len));
    clients[1].ask(format!("set key100001 0 0 {}", value(100)), FULL);
    for i in 0..500 {
        clients[i % 3].ask(format!("delete key{}\r\n", i * 80), "DELETED\r\n");
        clients[i % 4].ask(format!("set new{i} 0 0 {}", value(100)), "STORED\r\n");
    }
    assert_eq!(number(&mut clients[0], "evictions"), 0);

    let program = Program::start(&["-m", "8", "-M", "-t", "4"]);
    let mut clients: Vec<Client> = (0..4).map(|_| program.connect()).collect();
    clients[0].fill(10_000, 1_000);
    // What is refused leaves the old value.
    for i in 0..50 {
        clients[i % 4].ask(format!("set key{i} 0 0 {}", value(3_000)), FULL);
        clients[i % 4].ask(format!("mg key{i} s\r\n"), "HD s1000\r\n");
    }
    for i in 0..500 {
        clients[i % 4].ask(format!("set key{} 0 0 {}", i * 10, value(500)), "STORED\r\n");
    }
}

/// What can't be had is noticed before there is a file that would stay behind.
#[test]
fn a_cache_that_cannot_be_created_leaves_no_socket_file() {
    let folder = Folder::new();
    let path = folder.file("socket");
    let mut shell = std::process::Command::new("sh");
    let serve = "ulimit -v 500000; exec \"$0\" -u root -m 4096 -s \"$1\"";
    shell.args(["-c", serve]).arg(command(&[]).get_program()).arg(&path);
    let output = shell.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(71), "{said}");
    assert!(!path.exists(), "{said}");
}

/// Whether any part of the process's memory was advised to consist of large pages. Without `-r`
/// only the superuser may look.
fn is_large(program: &Program) -> bool {
    let maps = fs::read_to_string(format!("/proc/{}/smaps", program.id())).unwrap();
    let mut flags = maps.lines().filter_map(|line| line.strip_prefix("VmFlags:"));
    flags.any(|flags| flags.split_whitespace().any(|flag| flag == "hg"))
}

#[test]
fn large_pages_are_asked_for_or_a_line_says_that_there_are_none() {
    assert!(!is_large(&Program::start(&["-r", "-m", "63"])));
    let modes = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    let granted = modes.is_ok_and(|modes| !modes.contains("[never]"));
    let program = Program::start(&["-r", "-m", "63", "-L", "-vv"]);
    assert_eq!(is_large(&program), granted);
    assert_eq!(is_large(&Program::start(&["-r", "-m", "64"])), granted);
    assert_eq!(program.line().contains("-L has no effect"), !granted);
    // An empty cache takes no more for it.
    assert!(program.resident() < 32 << 10, "{} kB", program.resident());
}

#[test]
fn a_core_dump_leaves_the_cache_out() {
    let program = Program::start(&["-r", "-m", "1024"]);
    let smaps = std::fs::read_to_string(format!("/proc/{}/smaps", program.id())).unwrap();
    let mut dumped = 0;
    let mut size = 0;
    for line in smaps.lines() {
        if let Some(kilobytes) = line.strip_prefix("Size:") {
            size = kilobytes.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
        } else if let Some(flags) = line.strip_prefix("VmFlags:") {
            let has = |wanted| flags.split_whitespace().any(|flag| flag == wanted);
            // Address space that the allocator reserves can't be read, and is not dumped.
            dumped += if has("dd") || !has("rd") { 0 } else { size };
        }
    }
    assert!(dumped < 512 << 10, "{dumped} kB");
}

/// An allocation that fails ends those who hold much, not the process.
#[test]
fn connections_are_closed_where_the_system_has_no_more_memory() {
    let folder = Folder::new();
    let mut shell = std::process::Command::new("sh");
    let serve = "ulimit -v 190000; exec \"$0\" -l 127.0.0.1 -p -1 -u root -m 64 -c 4096 -t 2 \
                 -o client_memory=1000";
    shell.args(["-c", serve]).arg(command(&[]).get_program());
    shell.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    shell.stderr(std::process::Stdio::piped());
    let program = Program::spawn(shell, folder);
    program.wait_for_file("ports");
    let line = format!("get{}", " key".repeat(36_000 / 4));
    let mut clients = Vec::new();
    for _ in 0..4_000 {
        let mut client = program.connect();
        // One that is closed meanwhile can't take it all.
        let _ = std::io::Write::write_all(&mut client.0, line.as_bytes());
        clients.push(client);
    }
    let mut client = program.connect();
    client.ask("set k 0 0 1\r\nx\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n");
    assert!(number(&mut client, "read_buf_oom") > 100, "nobody was closed");
    let left = number(&mut client, "curr_connections");
    assert!(left > 100, "only {left} are left");
    program.signal(15);
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn what_clients_held_goes_back_to_the_system() {
    let program = Program::start(&["-m", "64", "-c", "4096", "-t", "2"]);
    let mut client = program.connect();
    client.ask("mn\r\n", "MN\r\n");
    let idle = program.resident();
    let line = format!("get{}", " key".repeat(36_000 / 4));
    let mut clients: Vec<Client> = (0..1_500).map(|_| program.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(&line));
    (0..2).for_each(|_| program.connect().ask("mn\r\n", "MN\r\n"));
    let busy = program.resident();
    assert!(busy > idle + (40 << 10), "{busy} kB, {idle} kB before");
    drop(clients);
    let start = Instant::now();
    loop {
        let resident = program.resident();
        if resident < idle + (8 << 10) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{resident} kB, {idle} kB before");
        std::thread::sleep(Duration::from_millis(20));
    }
}
