//! A server with a memory file that is killed at random moments: while it starts, under load, and
//! while it closes. What the next one serves proves what it is, and is not older than what was
//! answered for. `MEMSERVER_RESTART_KILLS` is how often, a few times by default.

mod program;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use program::{Folder, Program, command};

const KILLS: u64 = 12;
const KEYS: u64 = 4_000;
const WRITERS: u64 = 2;
/// Groups that are removed now and then, each with all of its keys.
const GROUPS: u64 = 5;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// How far the writes of a key have come: sequences that were sent and that were answered, and the
/// first one that can be there after its group was removed.
#[derive(Default)]
struct Progress {
    sent: AtomicU64,
    done: AtomicU64,
    least: AtomicU64,
}

fn name(key: u64) -> String {
    format!("g{}:k{key}", key % GROUPS)
}

/// A repeatable source of numbers.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % bound
    }
}

/// The value of `key` at `sequence`: both in front, and bytes that follow from them.
fn certified(key: u64, sequence: u64) -> Vec<u8> {
    let mut rng = Rng(key << 32 ^ sequence);
    let len = match rng.below(100) {
        0 => 200_000 + rng.below(300_000),
        1..10 => rng.below(30_000),
        _ => rng.below(600),
    };
    let mut value = format!("{key} {sequence} ").into_bytes();
    value.extend((0..len).map(|_| b'a' + rng.below(26) as u8));
    value
}

/// Writes keys of its own until the server is gone.
fn write(writer: u64, address: SocketAddr, rng: &mut Rng, all: &[Progress]) -> Option<()> {
    let mut server = BufReader::new(TcpStream::connect(address).ok()?);
    let mut reply = String::new();
    loop {
        if rng.below(500) == 0 {
            remove_group(&mut server, rng.below(GROUPS), all)?;
        }
        let key = rng.below(KEYS / WRITERS) * WRITERS + writer;
        let progress = &all[key as usize];
        let sequence = progress.sent.fetch_add(1, SeqCst) + 1;
        let request = if rng.below(10) == 0 {
            format!("md {}\r\n", name(key)).into_bytes()
        } else {
            let value = certified(key, sequence);
            let header = format!("ms {} {} F{key}\r\n", name(key), value.len());
            [header.as_bytes(), &value, b"\r\n"].concat()
        };
        server.get_mut().write_all(&request).ok()?;
        reply.clear();
        server.read_line(&mut reply).ok().filter(|len| *len > 0)?;
        assert!(["HD\r\n", "NF\r\n"].contains(&reply.as_str()), "{reply:?}");
        progress.done.store(sequence, SeqCst);
    }
}

/// Removes a group. What was answered before that must not be there any more.
fn remove_group(server: &mut BufReader<TcpStream>, group: u64, all: &[Progress]) -> Option<()> {
    let keys = || (0..KEYS).filter(|key| key % GROUPS == group).map(|key| &all[key as usize]);
    let before: Vec<u64> = keys().map(|progress| progress.done.load(SeqCst)).collect();
    server.get_mut().write_all(format!("delete g{group}:\r\n").as_bytes()).ok()?;
    let mut reply = String::new();
    server.read_line(&mut reply).ok().filter(|len| *len > 0)?;
    assert!(["DELETED\r\n", "NOT_FOUND\r\n"].contains(&reply.as_str()), "{reply:?}");
    for (progress, done) in keys().zip(before) {
        progress.least.fetch_max(done + 1, SeqCst);
    }
    Some(())
}

/// Reads all keys; how many were found.
fn check(address: SocketAddr, all: &[Progress]) -> u64 {
    let mut server = BufReader::new(TcpStream::connect(address).unwrap());
    let mut found = 0;
    for (key, progress) in all.iter().enumerate() {
        let request = format!("mg {} v f\r\n", name(key as u64));
        server.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        server.read_line(&mut line).unwrap();
        if line == "EN\r\n" {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let flags = format!("f{key}");
        assert!(words[0] == "VA" && words[2] == flags, "{line:?}");
        let mut value = vec![0; words[1].parse::<usize>().unwrap() + 2];
        server.read_exact(&mut value).unwrap();
        value.truncate(value.len() - 2);
        let text = String::from_utf8(value).unwrap();
        let sequence = text.split(' ').nth(1).unwrap().parse().unwrap();
        let whole = text.as_bytes() == certified(key as u64, sequence);
        assert!(whole, "key {key} has a value that nobody wrote");
        let [done, sent] = [&progress.done, &progress.sent].map(|at| at.load(SeqCst));
        let least = done.max(progress.least.load(SeqCst));
        assert!((least..=sent).contains(&sequence), "key {key}: {sequence} of {least} to {sent}");
        found += 1;
    }
    found
}

fn kill(id: u32, signal: i32) {
    // It may be gone by itself.
    let words = ["-s".to_owned(), signal.to_string(), id.to_string()];
    let _ = Command::new("kill").args(words).output().unwrap();
}

#[test]
fn a_killed_server_never_leaves_a_wrong_value() {
    let folder = Folder::new();
    let file = folder.file("memory").to_str().unwrap().to_owned();
    campaign(&["-m", "64", "-I", "1m", "-t", "2", "-e", &file, "-o", "group_flush"]);
}

#[test]
fn nor_does_one_with_a_flash_tier() {
    let folder = Folder::new();
    let file = folder.file("memory").to_str().unwrap().to_owned();
    let log = folder.file("flash");
    let words =
        format!("ext_path={}:64m,ext_page_size=2,ext_item_size=64,group_flush", log.display());
    // Little memory, so that much of what there is lies on flash.
    campaign(&["-m", "3", "-I", "1m", "-t", "2", "-e", &file, "-o", &words]);
}

/// Starts and kills a server again and again.
fn campaign(args: &[&str]) {
    let kills = std::env::var("MEMSERVER_RESTART_KILLS").map_or(KILLS, |n| n.parse().unwrap());
    let all: Vec<Progress> = (0..KEYS).map(|_| Progress::default()).collect();
    let rngs: Vec<_> = (0..WRITERS).map(|writer| Mutex::new(Rng(writer))).collect();
    let mut rng = Rng(99);
    let has_tier = args.iter().any(|arg| arg.contains("ext_path"));
    let (mut kept, mut empty, mut items, mut writes, mut read) = (0, 0, 0, 0, 0);
    for _ in 0..kills {
        let server = Program::start(args);
        let (address, id) = (server.address(), server.id());
        match check(address, &all) {
            0 => empty += 1,
            found => (kept, items) = (kept + 1, items + found),
        }
        if has_tier {
            read += server.connect().stat("stats", "get_extstore").parse::<u64>().unwrap();
        }
        // What a server that started empty does not have is gone for good.
        let millis = rng.below(150);
        let closes = rng.below(2) == 0;
        let closing = rng.below(60);
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (all, rng) = (&all, &rngs[writer as usize]);
                scope.spawn(move || write(writer, address, &mut rng.lock().unwrap(), all));
            }
            thread::sleep(Duration::from_millis(millis));
            if closes {
                kill(id, SIGTERM);
                let start = Instant::now();
                // Half of those that are asked to close are given the time for it.
                let wait_millis = if closing < 30 { closing } else { 10_000 };
                while start.elapsed() < Duration::from_millis(wait_millis) && alive(id) {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            kill(id, SIGKILL);
        });
        let _ = server.end();
        if rng.below(3) == 0 {
            kill_while_it_starts(args, rng.below(40));
        }
        writes = all.iter().map(|progress| progress.done.load(SeqCst)).sum::<u64>();
    }
    println!(
        "{kills} kills: {kept} starts with {items} items, {read} of them on flash, {empty} empty, \
         {writes} writes"
    );
    assert!(kills < 50 || kept > kills / 10 && empty > kills / 10);
}

/// A server is killed before it may have begun to serve.
fn kill_while_it_starts(args: &[&str], millis: u64) {
    let mut command = command(&[&["-l", "127.0.0.1", "-p", "-1", "-u", "root"], args].concat());
    let mut child = command.spawn().unwrap();
    thread::sleep(Duration::from_millis(millis));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Whether a process runs that was not waited for.
fn alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
