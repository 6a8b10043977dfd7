//! Groups of keys under load: `-o group_flush` in the real program.

mod program;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use program::{Folder, Program, command};

#[test]
fn clients_see_no_key_of_a_group_that_was_removed() {
    const WRITERS: usize = 3;
    const ROUNDS: usize = 200;
    let program = Program::start(&["-t", "4", "-o", "group_flush"]);
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (mut client, ends) = (program.connect(), &ends);
            scope.spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    let key = format!("busy:{writer}:k");
                    client.ask(format!("set {key} 0 0 1\r\nx\r\n"), "STORED\r\n");
                }
            });
        }
        let mut client = program.connect();
        for round in 0..ROUNDS {
            let key = format!("g:{}:k", round % 7);
            client.ask(format!("set {key} 0 0 1\r\nx\r\n"), "STORED\r\n");
            client.ask(format!("get {key}\r\n"), format!("VALUE {key} 0 1\r\nx\r\nEND\r\n"));
            let name = if round % 2 == 0 { "g:" } else { &key[..key.len() - 1] };
            client.ask(format!("delete {name}\r\n"), "DELETED\r\n");
            client.ask(format!("get {key}\r\n"), "END\r\n");
            client.send("delete busy: noreply\r\n");
        }
        ends.store(true, Ordering::Relaxed);
    });
    let mut client = program.connect();
    client.send("delete busy: noreply\r\n");
    client.ask("get busy:0:k busy:1:k busy:2:k\r\n", "END\r\n");
}

#[test]
fn memory_of_a_removed_group_is_used_anew() {
    let program = Program::start(&["-m", "16", "-o", "group_flush"]);
    let mut client = program.connect();
    let value = "v".repeat(1000);
    for round in 0..4 {
        for number in 0..12_000 {
            let key = format!("r{round}:{number}");
            client.send(format!("set {key} 0 0 1000 noreply\r\n{value}\r\n"));
        }
        client.ask(format!("delete r{round}:\r\n"), "DELETED\r\n");
    }
    client.ask("set kept 0 0 1\r\nx\r\n", "STORED\r\n");
    client.ask("get kept\r\n", "VALUE kept 0 1\r\nx\r\nEND\r\n");
    assert_eq!(client.stat("stats", "store_no_memory"), "0");
}

#[test]
fn groups_outlive_a_restart_with_the_cache() {
    let folder = Folder::new();
    let file = folder.file("cache");
    let start = || {
        let folder = Folder::new();
        let args = ["-l", "127.0.0.1", "-p", "-1", "-u", "root", "-o", "group_flush", "-e"];
        let mut command = command(&[&args[..], &[file.to_str().unwrap()]].concat());
        command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
        let program = Program::spawn(command, folder);
        program.wait_for_file("ports");
        program
    };
    let program = start();
    program.connect().ask("set a:1 0 0 1\r\nx\r\nset b:1 0 0 1\r\ny\r\n", "STORED\r\nSTORED\r\n");
    program.signal(15);
    assert!(program.end().0.success());
    let program = start();
    let mut client = program.connect();
    client.ask("get a:1\r\n", "VALUE a:1 0 1\r\nx\r\nEND\r\n");
    client.ask("delete a:\r\n", "DELETED\r\n");
    client.ask("get a:1 b:1\r\n", "VALUE b:1 0 1\r\ny\r\nEND\r\n");
}
