//! A server whose cache lies in a file (`-e`) and outlives it.

mod program;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use program::{Client, Folder, Program, command, run};

const SIGKILL: i32 = 9;
const SIGUSR1: i32 = 10;
const SIGTERM: i32 = 15;

/// A server that keeps its cache in `file`.
fn start(file: &str, more: &[&str]) -> Program {
    let mut args = vec!["-m", "64", "-I", "2m", "-e", file];
    args.extend(more);
    Program::start(&args)
}

fn value(number: usize, len: usize) -> String {
    (0..len).map(|at| char::from(b'a' + ((number + at / 7) % 26) as u8)).collect()
}

#[test]
fn items_outlive_a_server_that_is_asked_to_stop() {
    let folder = Folder::new();
    let path = folder.file("memory");
    let file = path.to_str().unwrap();
    let sizes = [2, 100, 5_000, 200_000, 1_000_000];
    let server = start(file, &[]);
    let mut client = server.connect();
    assert_eq!(client.stat("stats settings", "memory_file"), file);
    for (number, len) in sizes.into_iter().enumerate() {
        let request = format!("set k{number} {number} 1000 {len}\r\n{}\r\n", value(number, len));
        client.ask(request, "STORED\r\n");
    }
    client.ask("set short 0 1 1\r\nx\r\n", "STORED\r\n");
    client.ask("ms lease 1 T1000\r\nx\r\n", "HD\r\n");
    client.ask("md lease I T30\r\n", "HD\r\n");
    client.ask("mg lease s\r\n", "HD s1 X W\r\n");
    let version = client.stat("stats", "version");
    let cas = client.list("gets k1");
    // A watcher does not keep it from stopping.
    let mut watcher = server.connect();
    watcher.ask("watch fetchers\r\n", "OK\r\n");
    let waited = SystemTime::now();
    server.signal(SIGUSR1);
    let (status, _) = server.end();
    assert!(status.success(), "{status}");
    assert!(waited.elapsed().unwrap() < Duration::from_secs(10));
    std::thread::sleep(Duration::from_millis(1_100));

    let server = start(file, &["-A"]);
    let mut client = server.connect();
    assert_eq!(client.stat("stats", "version"), version);
    // The one that has expired meanwhile may be gone already.
    assert!(["6", "7"].contains(&client.stat("stats", "curr_items").as_str()));
    for (number, len) in sizes.into_iter().enumerate() {
        let reply = format!("VALUE k{number} {number} {len}\r\n{}\r\nEND\r\n", value(number, len));
        client.ask(format!("get k{number}\r\n"), reply);
    }
    assert_eq!(client.list("gets k1"), cas);
    client.ask("mg short v\r\n", "EN\r\n");
    // Somebody else has the lease still.
    client.ask("mg lease s\r\n", "HD s1 Z X\r\n");
    client.ask("set more 0 0 4\r\nmore\r\n", "STORED\r\n");
    client.send("shutdown graceful\r\n");
    assert!(server.end().0.success());

    let server = start(file, &[]);
    server.connect().ask("get more\r\n", "VALUE more 0 4\r\nmore\r\nEND\r\n");
    server.signal(SIGTERM);
    assert!(server.end().0.success());
}

/// What would run the program under a limit of the shell.
fn under(limit: &str, args: &[&str]) -> Command {
    let program = command(args);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]);
    shell.arg(program.get_program()).args(program.get_args());
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// What the system says of a port.
const IN_USE: &str = "Address already in use";

/// Starts a server under a limit where it can't serve: its exit status, and what it says.
fn fail(limit: &str, args: &[&str]) -> (i32, String) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let here = ["-l", "127.0.0.1", "-p", &port, "-u", "root"];
    let output = under(limit, &[args, &here].concat()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap_or(-1), err)
}

/// Whatever a start fails for, the next one has the items.
#[test]
fn a_start_that_fails_costs_nothing() {
    let folder = Folder::new();
    let [path, flash] = ["memory", "flash"].map(|name| folder.file(name));
    let (file, flash) = (path.to_str().unwrap(), format!("ext_path={}:256m", flash.display()));
    let server = start(file, &[]);
    server.connect().ask("set k 0 0 1\r\nx\r\n", "STORED\r\n");
    server.signal(SIGTERM);
    assert!(server.end().0.success());
    let same: &[&str] = &["-m", "64", "-I", "2m", "-e", file];
    let with_flash = &[same, &["-o", &flash]].concat();
    let superblock = || {
        let file = fs::File::open(&path).unwrap();
        let mut page = [0; 4096];
        file.read_exact_at(&mut page, 0).unwrap();
        (page, file.metadata().unwrap().len())
    };
    let mut refusals = [0; 2];
    let limits = (64..800).step_by(32).map(|mib| format!("-v {}", mib << 10));
    for limit in limits.chain(["-f 0".to_owned(), "-f 100".to_owned(), "-v unlimited".to_owned()]) {
        for (args, refused) in [same, with_flash].into_iter().zip(&mut refusals) {
            let before = superblock();
            let (status, err) = fail(&limit, args);
            assert!(status != 0, "{limit}: {err}");
            assert!(!folder.file("flash").exists(), "{limit}: {err}");
            *refused += u32::from(!err.contains(IN_USE));
            if superblock() == before {
                continue;
            }
            // It had taken over the file, and closed it again.
            let server = start(file, &[]);
            let mut client = server.connect();
            client.ask("get k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n");
            server.signal(SIGTERM);
            assert!(server.end().0.success());
        }
    }
    assert!(refusals.iter().all(|&count| (8..23).contains(&count)), "{refusals:?}");
    let server = start(file, &[]);
    server.connect().ask("get k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn a_start_that_fails_leaves_no_new_files() {
    let folder = Folder::new();
    let [memory, flash] = ["memory", "flash"].map(|name| folder.file(name).display().to_string());
    let word = format!("ext_path={flash}:256m");
    for args in [vec!["-e", &memory], vec!["-o", &word], vec!["-e", &memory, "-o", &word]] {
        let (status, err) = fail("-v unlimited", &args);
        assert!(status == 71 && err.contains(IN_USE), "{status}: {err}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?}");
    }
    // Another user may not remove them from their folder any more: nothing is in them.
    let nowhere = folder.file("no/folder/socket").display().to_string();
    let args = ["-u", "nobody", "-m", "64", "-s", &nowhere, "-e", &memory, "-o", &word];
    let (status, _, err) = run(&args);
    assert!(status == 71 && err.contains(&nowhere), "{status}: {err}");
    for file in fs::read_dir(folder.path()).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().len(), 0);
    }
    // What was there stays.
    let server = start(&memory, &[]);
    server.connect().ask("set k 0 0 1\r\nx\r\n", "STORED\r\n");
    server.signal(SIGTERM);
    let (status, lines) = server.end();
    assert!(status.success());
    assert!(!lines.iter().any(|line| line.contains("memory file")), "{lines:?}");
    fs::write(&flash, "somebody's").unwrap();
    fail("-v unlimited", &["-m", "64", "-I", "2m", "-e", &memory, "-o", &word]);
    assert!(fs::read(&flash).unwrap().starts_with(b"somebody's"));
    start(&memory, &[]).connect().ask("get k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n");
}

/// Where the system has no room for a larger limit, the file has none, and comes back all the same.
#[test]
fn a_cache_that_has_no_room_to_grow_comes_back() {
    let folder = Folder::new();
    let path = folder.file("memory");
    let file = path.to_str().unwrap();
    let args = ["-m", "64", "-t", "1", "-e", file];
    let limit = |mib: u64| format!("-v {}", mib << 10);
    let least = (100..1_000).step_by(10).find(|&mib| fail(&limit(mib), &args).1.contains(IN_USE));
    let add = |limit: &str| {
        let folder = Folder::new();
        let here = ["-l", "127.0.0.1", "-p", "-1", "-u", "root"];
        let mut program = under(limit, &[&args[..], &here].concat());
        program.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
        let server = Program::spawn(program, folder);
        server.wait_for_file("ports");
        // It has its ports before it has its threads, and may end for want of these.
        let mut client = TcpStream::connect(server.address()).ok()?;
        client.write_all(b"add k 0 0 1\r\nx\r\nquit\r\n").ok()?;
        let mut reply = String::new();
        client.read_to_string(&mut reply).ok().filter(|&len| len > 0)?;
        server.signal(SIGTERM);
        assert!(server.end().0.success());
        Some(reply)
    };
    // Far enough from where the rest of the process has no memory, one part has room to grow and
    // the next one has not.
    let limits = (100..400).step_by(40).map(|more| limit(least.unwrap() + more));
    let served = limits.filter(|limit| {
        let _ = fs::remove_file(&path);
        let is_served = add(limit).is_some();
        assert!(!is_served || add(limit).unwrap().starts_with("NOT_STORED"), "{limit}");
        is_served
    });
    assert!(served.count() > 5);
}

/// Mounts a file system of a few megabytes for a command of the shell: as the superuser, or as one
/// of a namespace of its own, if the system lets anybody be that.
fn in_small_file_system(folder: &Folder, script: &str) -> Option<Command> {
    let small = folder.file("small");
    fs::create_dir_all(&small).unwrap();
    let mount = format!("mount -t tmpfs -o size=12m tmpfs {}", small.display());
    let shell = |flags: &str, script: &str| {
        let mut shell = Command::new("unshare");
        shell.args([flags, "sh", "-c", script]);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        shell
    };
    let can = |flags: &&str| shell(flags, &mount).status().is_ok_and(|status| status.success());
    let flags = ["-m", "-rm"].into_iter().find(can)?;
    Some(shell(flags, &format!("{mount}; {script}")))
}

#[test]
fn a_full_file_system_costs_items_and_not_the_server() {
    let folder = Folder::new();
    let file = folder.file("small/memory").display().to_string();
    let here = ["-A", "-l", "127.0.0.1", "-p", "-1", "-u", "root", "-m", "64", "-e", &file];
    let program = command(&here);
    let words = [program.get_program()].into_iter().chain(program.get_args());
    let program = words.map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
    // The second one goes on with what the first one kept.
    let Some(mut shell) = in_small_file_system(&folder, &format!("{program} && {program}")) else {
        let _ = writeln!(std::io::stderr(), "nothing is mounted here, so no file system is full");
        return;
    };
    let ports = folder.file("ports");
    let server = Program::spawn(
        {
            shell.env("MEMCACHED_PORT_FILENAME", &ports);
            shell
        },
        folder,
    );
    server.wait_for_file("ports");
    assert!(server.line().contains("its file system has room for 1"));
    let mut client = server.connect();
    client.fill(30_000, 1_000);
    let count = |client: &mut Client| client.stat("stats", "curr_items").parse::<u64>().unwrap();
    let there = count(&mut client);
    assert!((5_000..12_000).contains(&there), "{there}");
    assert!(server.line().contains("the file system of the memory file is full"));
    fs::remove_file(&ports).unwrap();
    client.send("shutdown graceful\r\n");
    server.wait_for_file("ports");
    let mut client = server.connect();
    assert!((there * 9 / 10..=there).contains(&count(&mut client)));
    client.fill(30_000, 1_000);
    client.send("shutdown graceful\r\n");
    assert!(server.end().0.success());
}

#[test]
fn a_killed_server_leaves_nothing_that_is_served() {
    let folder = Folder::new();
    let path = folder.file("memory");
    let file = path.to_str().unwrap();
    for round in 0..5_u64 {
        let server = start(file, &[]);
        let mut client = server.connect();
        client.ask("get k\r\n", "END\r\n");
        client.ask("set k 0 0 1\r\nx\r\n", "STORED\r\n");
        let mut busy = server.connect();
        for number in 0..2_000 * round {
            let len = number % 3_000;
            busy.send(format!("set b{number} 0 0 {len} noreply\r\n{}\r\n", value(1, len as usize)));
        }
        server.signal(SIGKILL);
        drop(server);
    }
    let (status, _, err) = run(&["-e", file, "-o", "memory_file_strict", "-l", "127.0.0.1"]);
    assert_eq!(status, 71, "{err}");
    assert!(err.contains("it was not closed"), "{err}");
}

#[test]
fn a_damaged_file_is_said_to_be_one_and_the_server_starts_empty() {
    let folder = Folder::new();
    let path = folder.file("memory");
    let file = path.to_str().unwrap();
    let server = start(file, &[]);
    server.connect().ask("set k 0 0 1\r\nx\r\n", "STORED\r\n");
    server.signal(SIGTERM);
    server.end();
    let whole = fs::read(&path).unwrap();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as usize;
    let mut damaged = whole.clone();
    damaged[seconds % 96] ^= 1;
    for bytes in [&damaged[..], &whole[..whole.len() - 1], b"x"] {
        fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        let server = start(file, &[]);
        server.connect().ask("get k\r\n", "END\r\n");
        server.signal(SIGKILL);
        let (_, lines) = server.end();
        assert!(lines.iter().any(|line| line.contains("starting empty")), "{lines:?}");
    }
    // A value that is not what was written is lost when it is looked at, and the rest is not.
    fs::write(&path, &whole).unwrap();
    let server = start(file, &[]);
    let mut client = server.connect();
    client.ask("set k 0 0 16\r\nsixteen bytes, k\r\n", "STORED\r\n");
    client.ask("set large 0 0 200000\r\n", "");
    client.ask(&("l".repeat(200_000) + "\r\n"), "STORED\r\n");
    server.signal(SIGTERM);
    server.end();
    let mut damaged = fs::read(&path).unwrap();
    let at = damaged.windows(16).position(|bytes| bytes == b"sixteen bytes, k").unwrap();
    damaged[at + 3] ^= 4;
    fs::write(&path, &damaged).unwrap();
    let server = start(file, &[]);
    server.connect().ask("get k\r\n", "END\r\n");
    let value = "l".repeat(200_000);
    let reply = format!("VALUE large 0 200000\r\n{value}\r\nEND\r\n");
    server.connect().ask("get large\r\n", &reply);
    server.signal(SIGTERM);
    let (_, lines) = server.end();
    assert!(lines.iter().any(|line| line.contains("1 items are lost")), "{lines:?}");
    fs::write(&path, &damaged).unwrap();
    let (status, _, err) = run(&["-e", file, "-o", "memory_file_strict", "-l", "127.0.0.1"]);
    assert!(status == 71 && err.contains("its memory is damaged"), "{status}: {err}");
    let output = command(&["-e", "/no/such/folder/memory"]).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(71) && err.contains("-e: "), "{err}");
}
