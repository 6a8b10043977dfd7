//! Logins to the real program: files of users, and when they are read again.

mod program;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use program::{Client, Folder, Program, command, run};

const SIGHUP: i32 = 1;

fn log_in(client: &mut Client, user: &str, password: &str, reply: &str) {
    let len = user.len() + 1 + password.len();
    client.ask(format!("set login 0 0 {len}\r\n{user} {password}\r\n"), format!("{reply}\r\n"));
}

const FAILED: &str = "CLIENT_ERROR authentication failure";

fn frame(opcode: u8, key: &str, value: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 24];
    frame[..2].copy_from_slice(&[0x80, opcode]);
    frame[2..4].copy_from_slice(&(key.len() as u16).to_be_bytes());
    frame[8..12].copy_from_slice(&((key.len() + value.len()) as u32).to_be_bytes());
    [&frame, key.as_bytes(), value].concat()
}

fn answer(opcode: u8, status: u16, value: &[u8]) -> Vec<u8> {
    let mut answer = frame(opcode, "", value);
    answer[0] = 0x81;
    answer[6..8].copy_from_slice(&status.to_be_bytes());
    answer
}

fn with_sasl(file: &Path, args: &[&str]) -> Program {
    let folder = Folder::new();
    let mut command =
        command(&[&["-l", "127.0.0.1", "-p", "-1", "-u", "root", "-S"], args].concat());
    command.env("MEMCACHED_SASL_PWDB", file);
    command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    let program = Program::spawn(command, folder);
    program.wait_for_file("ports");
    program
}

#[test]
fn users_are_read_again_when_that_is_asked_for() {
    let folder = Folder::new();
    let file = folder.file("users");
    let many: String = (0..500).map(|number| format!("user{number}:word{number}\n")).collect();
    fs::write(&file, &many).unwrap();
    let program = Program::start(&["-Y", file.to_str().unwrap()]);
    let mut first = program.connect();
    log_in(&mut first, "user499", "word499", "STORED");
    fs::write(&file, "new:word\n").unwrap();
    program.signal(SIGHUP);
    assert_eq!(program.line(), "read the users again");
    let mut second = program.connect();
    log_in(&mut second, "user499", "word499", FAILED);
    log_in(&mut second, "new", "word", "STORED");
    first.ask("get a\r\n", "END\r\n");
    // A file that can't be understood changes nothing.
    fs::write(&file, "new2:word\nwrong\n").unwrap();
    program.signal(SIGHUP);
    let warning = program.line();
    assert!(warning.contains("stay as they were") && warning.contains("line 2"), "{warning}");
    fs::remove_file(&file).unwrap();
    program.signal(SIGHUP);
    let warning = program.line();
    assert!(warning.contains("stay as they were") && warning.contains("No such file"), "{warning}");
    let mut third = program.connect();
    log_in(&mut third, "new2", "word", FAILED);
    log_in(&mut third, "new", "word", "STORED");
}

#[test]
fn clients_do_not_wait_for_files_that_are_read_again() {
    let folder = Folder::new();
    let file = folder.file("users");
    fs::write(&file, "old:word\n").unwrap();
    let program = Program::start(&["-Y", file.to_str().unwrap(), "-t", "1"]);
    // Whoever opens it waits for a writer.
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    program.signal(SIGHUP);
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(10));
        log_in(&mut program.connect(), "old", "word", "STORED");
    }
    fs::write(&file, "new:word\n").unwrap();
    assert_eq!(program.line(), "read the users again");
    log_in(&mut program.connect(), "new", "word", "STORED");
}

#[test]
fn users_of_sasl_have_the_realm_of_the_host_or_none() {
    let folder = Folder::new();
    let file = folder.file("users");
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = host.trim();
    fs::write(&file, format!("one:word\ntwo@{host}:word\n")).unwrap();
    let program = with_sasl(&file, &[]);
    for user in ["one".to_owned(), format!("one@{host}"), "two".to_owned(), format!("two@{host}")] {
        let mut client = program.connect();
        let message = format!("\0{user}\0word");
        client.ask(frame(0x21, "PLAIN", message.as_bytes()), answer(0x21, 0, b"Authenticated"));
        client.ask(frame(0x0a, "", b""), answer(0x0a, 0, b""));
    }
    fs::write(&file, "three:word\n").unwrap();
    program.signal(SIGHUP);
    assert_eq!(program.line(), "read the users again");
    let mut client = program.connect();
    client.ask(frame(0x21, "PLAIN", b"\0one\0word"), answer(0x21, 0x20, b"Auth failure."));
    client.ask(frame(0x21, "PLAIN", b"\0three\0word"), answer(0x21, 0, b"Authenticated"));
}

#[test]
fn without_users_the_server_does_not_start() {
    let folder = Folder::new();
    let file = folder.file("users");
    fs::write(&file, "a:b\nwrong\n").unwrap();
    let wrong = format!("accounts={}", file.display());
    for (args, words) in [
        (&["-Y", "/no/such/file"][..], "can't read /no/such/file: No such file"),
        (&["-Y", file.to_str().unwrap()], "line 2 has no colon"),
        (&["-S", "-o", "sasl_pwdb=/no/such/file"], "can't read /no/such/file"),
        (&["-S"], "MEMCACHED_SASL_PWDB"),
        (&["-o", &wrong], "line 1: "),
    ] {
        let (status, out, err) =
            run(&[args, &["-l", "127.0.0.1", "-p", "-1", "-u", "root"]].concat());
        assert_eq!((status, out.as_str()), (1, ""), "{args:?}: {err}");
        assert!(err.contains(words) && err.lines().count() == 1, "{args:?}: {err}");
    }
}

#[test]
fn settings_tell_what_is_asked_for_and_no_path() {
    let folder = Folder::new();
    let file = folder.file("users");
    fs::write(&file, "a:b\n").unwrap();
    let program = Program::start(&["-Y", file.to_str().unwrap()]);
    let mut client = program.connect();
    log_in(&mut client, "a", "b", "STORED");
    assert_eq!(client.stat("stats settings", "auth_enabled_ascii"), "yes");
    assert_eq!(client.stat("stats settings", "auth_enabled_sasl"), "no");
    assert_eq!(client.stat("stats settings", "binding_protocol"), "ascii");
}

#[test]
fn passwords_are_not_logged() {
    let folder = Folder::new();
    let file = folder.file("users");
    fs::write(&file, "name:secret\n").unwrap();
    let program = Program::start(&["-vv", "-Y", file.to_str().unwrap()]);
    let mut watcher = program.connect();
    log_in(&mut watcher, "name", "secret", "STORED");
    watcher.ask("watch rawcmds\r\n", "OK\r\n");
    let mut client = program.connect();
    log_in(&mut client, "name", "secre", FAILED);
    log_in(&mut client, "name", "secret", "STORED");
    client.ask("get the_end\r\n", "END\r\n");
    let mut seen = String::new();
    while !seen.contains("the_end") {
        let mut bytes = [0; 4096];
        let count = watcher.0.read(&mut bytes).unwrap();
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    let mut logged = String::new();
    while !logged.contains("the_end") {
        logged.push_str(&program.line());
    }
    for text in [seen, logged.clone()] {
        assert!(!text.contains("secre"), "{text}");
    }
    assert!(logged.contains("failed to log in as name") && logged.contains("logged in as name"));
}

#[test]
fn a_login_that_arrives_in_pieces_or_not_at_all() {
    let folder = Folder::new();
    let file = folder.file("users");
    fs::write(&file, "name:word\n").unwrap();
    let program = Program::start(&["-o", "request_timeout=1", "-Y", file.to_str().unwrap()]);
    let mut client = program.connect();
    for byte in b"set login 0 0 9\r\nname word\r\nget a\r\n" {
        client.send([*byte]);
    }
    client.expect("STORED\r\nEND\r\n");
    let mut half = program.connect();
    half.send("set login 0 0 9\r\nname");
    assert!(half.is_ended());
}

const ACCOUNTS: &str = "
[users.here]
uids = [@]
rights = ['read', 'write', 'admin']

[users.app]
password = 'word'
rights = ['read']
";

fn uid() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap())
}

#[test]
fn a_process_of_this_machine_is_known_over_a_unix_socket() {
    let folder = Folder::new();
    let (file, socket) = (folder.file("accounts"), folder.file("socket"));
    fs::write(&file, ACCOUNTS.replace('@', &uid().to_string())).unwrap();
    let accounts = format!("accounts={}", file.display());
    let program = Program::start(&["-s", socket.to_str().unwrap(), "-o", &accounts]);
    let ask = |request: &str, reply: &str| {
        let mut client = UnixStream::connect(&socket).unwrap();
        client.set_read_timeout(Some(program::WAIT)).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut found = vec![0; reply.len()];
        client.read_exact(&mut found).unwrap();
        assert_eq!(String::from_utf8_lossy(&found), reply);
    };
    ask("set a 0 0 1\r\nx\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
    ask("delete a\r\n", "CLIENT_ERROR not allowed\r\n");
    ask("verbosity 0\r\n", "OK\r\n");
    let mut client = program.connect();
    client.ask("get a\r\n", "CLIENT_ERROR unauthenticated\r\n");
    log_in(&mut client, "app", "word", "STORED");
    client.ask("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
    client.ask("verbosity 0\r\n", "CLIENT_ERROR not allowed\r\n");
    // Nobody of this machine is known any more.
    fs::write(&file, ACCOUNTS.replace('@', &(uid() + 1).to_string())).unwrap();
    program.signal(SIGHUP);
    assert_eq!(program.line(), "read the users again");
    ask("get a\r\n", "CLIENT_ERROR unauthenticated\r\n");
}

#[test]
fn administration_is_for_this_machine_or_the_unix_socket() {
    let folder = Folder::new();
    let socket = folder.file("socket");
    let program = Program::start(&["-o", "admin_only=loopback"]);
    program.connect().ask("flush_all\r\nverbosity 0\r\n", "OK\r\nOK\r\n");
    let program = Program::start(&["-s", socket.to_str().unwrap(), "-o", "admin_only=unix"]);
    program.connect().ask("flush_all\r\n", "CLIENT_ERROR flush_all not allowed\r\n");
    let mut client = UnixStream::connect(&socket).unwrap();
    client.set_read_timeout(Some(program::WAIT)).unwrap();
    client.write_all(b"flush_all\r\n").unwrap();
    let mut found = [0; 4];
    client.read_exact(&mut found).unwrap();
    assert_eq!(&found, b"OK\r\n");
}

#[test]
fn whoever_guesses_has_to_wait() {
    let folder = Folder::new();
    let file = folder.file("users");
    fs::write(&file, "name:word\n").unwrap();
    let users = ["-Y", file.to_str().unwrap()];
    let program = Program::start(&[&users[..], &["-o", "auth_lockout=3"]].concat());
    let mut before = program.connect();
    log_in(&mut before, "name", "word", "STORED");
    for _ in 0..3 {
        log_in(&mut program.connect(), "name", "guess", FAILED);
    }
    log_in(&mut program.connect(), "name", "word", FAILED);
    // Who has logged in before is served.
    before.ask("get a\r\n", "END\r\n");
    assert_eq!(before.stat("stats", "auth_errors"), "4");
    let program = Program::start(&[&users[..], &["-o", "auth_lockout=0"]].concat());
    let mut client = program.connect();
    for _ in 0..30 {
        log_in(&mut client, "name", "guess", FAILED);
    }
    log_in(&mut client, "name", "word", "STORED");
}

/// That of `secret`.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$\
    MDEyMzQ1Njc4OWFiY2RlZg$8qPpaWig0H31wvibKAgpght2Ry2M8rtRQYtZ93ooMus";

#[test]
fn hashes_are_compared_while_others_are_served() {
    const GUESSES: usize = 12;
    let folder = Folder::new();
    let file = folder.file("users");
    fs::write(&file, format!("hashed:{HASH}\nplain:word\n")).unwrap();
    let program = Program::start(&["-t", "1", "-Y", file.to_str().unwrap()]);
    let mut client = program.connect();
    log_in(&mut client, "plain", "word", "STORED");
    let mut guessing: Vec<_> = (0..GUESSES).map(|_| program.connect()).collect();
    for (number, guesser) in guessing.iter_mut().enumerate() {
        guesser.send(format!("set login 0 0 14\r\nhashed guess{number:02}\r\nget a\r\n"));
    }
    for _ in 0..10 {
        client.ask("get a\r\n", "END\r\n");
    }
    let done: usize = client.stat("stats", "auth_cmds").parse().unwrap();
    assert!(done < GUESSES, "all {GUESSES} were compared before others were served");
    for guesser in &mut guessing {
        guesser.expect(format!("{FAILED}\r\nCLIENT_ERROR unauthenticated\r\n"));
    }
    // The right password, with requests behind it; and again, when it is known.
    for _ in 0..2 {
        let mut client = program.connect();
        client.send("set login 0 0 13\r\nhashed secret\r\nget a\r\nset b 0 0 1\r\nx\r\n");
        client.expect("STORED\r\nEND\r\nSTORED\r\n");
    }
    log_in(&mut program.connect(), "nobody", "secret", FAILED);
    log_in(&mut program.connect(), "hashed", HASH, FAILED);
}

#[test]
fn whoever_has_not_failed_goes_before_those_who_guess() {
    const GUESSES: usize = 12;
    let folder = Folder::new();
    let (file, socket) = (folder.file("users"), folder.file("socket"));
    fs::write(&file, format!("hashed:{HASH}\nother:word\n")).unwrap();
    let users = ["-Y", file.to_str().unwrap(), "-s", socket.to_str().unwrap()];
    let program = Program::start(&[&users[..], &["-t", "1"]].concat());
    let mut watching = program.connect();
    log_in(&mut watching, "other", "word", "STORED");
    log_in(&mut program.connect(), "hashed", "guess", FAILED);
    let mut guessing: Vec<_> = (0..GUESSES).map(|_| program.connect()).collect();
    for (number, guesser) in guessing.iter_mut().enumerate() {
        guesser.send(format!("set login 0 0 14\r\nhashed guess{number:02}\r\n"));
    }
    // All of them have been read.
    watching.ask("get a\r\n", "END\r\n");
    let mut client = UnixStream::connect(&socket).unwrap();
    client.set_read_timeout(Some(program::WAIT)).unwrap();
    client.write_all(b"set login 0 0 13\r\nhashed secret\r\n").unwrap();
    let mut reply = [0; "STORED\r\n".len()];
    client.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"STORED\r\n");
    let failed: usize = watching.stat("stats", "auth_errors").parse().unwrap();
    assert!(failed < GUESSES / 2, "{failed} guesses went before");
}

#[test]
fn guesses_from_an_address_do_not_lock_out_who_has_logged_in_from_there() {
    let folder = Folder::new();
    let file = folder.file("users");
    fs::write(&file, "name:word\nvictim:word\n").unwrap();
    let more = ["-o", "auth_lockout=3"];
    let program = Program::start(&[&["-Y", file.to_str().unwrap()], &more[..]].concat());
    log_in(&mut program.connect(), "name", "word", "STORED");
    for _ in 0..2 {
        log_in(&mut program.connect(), "victim", "guess", FAILED);
        // A password of one's own is no way to go on guessing.
        log_in(&mut program.connect(), "name", "word", "STORED");
    }
    log_in(&mut program.connect(), "victim", "guess", FAILED);
    log_in(&mut program.connect(), "victim", "word", FAILED);
    log_in(&mut program.connect(), "name", "word", "STORED");
}

#[test]
fn hashes_are_compared_for_sasl() {
    let folder = Folder::new();
    let file = folder.file("users");
    fs::write(&file, format!("hashed:{HASH}\n")).unwrap();
    let program = with_sasl(&file, &["-o", "auth_lockout=2"]);
    let mut client = program.connect();
    client.ask(frame(0x21, "PLAIN", b"\0hashed\0guess"), answer(0x21, 0x20, b"Auth failure."));
    let login = frame(0x21, "PLAIN", b"\0hashed\0secret");
    client.send([login.clone(), frame(0x0a, "", b"")].concat());
    client.expect([answer(0x21, 0, b"Authenticated"), answer(0x0a, 0, b"")].concat());
    for _ in 0..2 {
        client.ask(frame(0x21, "PLAIN", b"\0hashed\0guess"), answer(0x21, 0x20, b"Auth failure."));
    }
    client.ask(login, answer(0x21, 0x20, b"Auth failure."));
}

#[test]
fn a_hash_that_takes_too_much_is_refused() {
    let folder = Folder::new();
    let file = folder.file("users");
    for (hash, words) in [
        (HASH.replace("m=19456", "m=4000000"), "takes too much"),
        ("$argon2id$broken".to_owned(), "is not a hash"),
    ] {
        fs::write(&file, format!("name:{hash}\n")).unwrap();
        let args = ["-Y", file.to_str().unwrap(), "-l", "127.0.0.1", "-p", "-1", "-u", "root"];
        let (status, _, err) = run(&args);
        assert_eq!(status, 1);
        assert!(err.contains("user name: ") && err.contains(words), "{err}");
    }
}

#[test]
fn who_connects_logs_in_and_administers_is_written_down() {
    let folder = Folder::new();
    let file = folder.file("users");
    fs::write(&file, "name:word\n").unwrap();
    let users = ["-Y", file.to_str().unwrap()];
    let more = ["-o", "audit=text,auth_lockout=3", "-X"];
    let program = Program::start(&[&users[..], &more].concat());
    let expect = |words: &str| {
        let line = program.line();
        let (head, rest) = line.split_once(" event=").unwrap();
        let peer = rest.split(' ').find_map(|word| word.strip_prefix("peer=")).unwrap();
        assert!(head.starts_with("audit time=") && peer.starts_with("tcp:127.0.0.1:"), "{line}");
        assert_eq!(rest.replacen(peer, "PEER", 1), words);
    };
    let mut client = program.connect();
    expect("connect peer=PEER");
    log_in(&mut client, "name", "guess", FAILED);
    expect("login peer=PEER user=name result=failed");
    log_in(&mut client, "name", "word", "STORED");
    expect("login peer=PEER user=name result=ok");
    client.ask("get a\r\nflush_all 1000\r\n", "END\r\nOK\r\n");
    expect("command peer=PEER user=name result=allowed command=flush_all 1000");
    client.ask("stats detail on\r\n", "CLIENT_ERROR stats detail not allowed\r\n");
    expect("command peer=PEER user=name result=refused command=stats detail on");
    client.send("quit\r\n");
    expect("disconnect peer=PEER user=name reason=normal");
    let mut client = program.connect();
    expect("connect peer=PEER");
    for _ in 0..2 {
        log_in(&mut client, "x\u{1b}y", "guess", FAILED);
        expect("login peer=PEER user=x\\x1by result=failed");
    }
    log_in(&mut client, "other", "word", FAILED);
    expect("login peer=PEER user=other result=locked");
    // Who has logged in from there before is not taken for the one who guesses.
    log_in(&mut client, "name", "word", "STORED");
    expect("login peer=PEER user=name result=ok");
    // Without users as well, and in JSON.
    let program = Program::start(&["-o", "audit=json,idle_timeout=1"]);
    let mut client = program.connect();
    let words = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
    assert_eq!(words(&program.line())["audit"], "connect");
    client.ask("verbosity 0\r\n", "OK\r\n");
    assert_eq!(words(&program.line())["command"], "verbosity 0");
    assert!(client.is_ended());
    assert_eq!(words(&program.line())["reason"], "idle_timeout");
}

#[test]
fn rights_change_for_those_who_are_logged_in() {
    let folder = Folder::new();
    let file = folder.file("accounts");
    let users = |rights: &str| {
        let text = format!("[users.app]\npassword = 'word'\nrights = [{rights}]\n");
        fs::write(&file, text).unwrap();
    };
    users("'read', 'write'");
    let program = Program::start(&["-o", &format!("accounts={}", file.display())]);
    let mut client = program.connect();
    log_in(&mut client, "app", "word", "STORED");
    client.ask("set a 0 0 1\r\nx\r\n", "STORED\r\n");
    users("'read'");
    program.signal(SIGHUP);
    assert_eq!(program.line(), "read the users again");
    client.ask("set a 0 0 1\r\nx\r\n", "CLIENT_ERROR not allowed\r\n");
    client.ask("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
    // A value that is arriving is taken as a whole, and what follows is not.
    users("'read', 'write'");
    program.signal(SIGHUP);
    assert_eq!(program.line(), "read the users again");
    let value = "x".repeat(100_000);
    client.send(format!("mn\r\nset b 0 0 100000\r\n{}", &value[..50_000]));
    client.expect("MN\r\n");
    fs::write(&file, "[users.other]\npassword = 'word'\nrights = ['read']\n").unwrap();
    program.signal(SIGHUP);
    assert_eq!(program.line(), "read the users again");
    client.ask(format!("{}\r\n", &value[50_000..]), "STORED\r\n");
    client.ask("get a\r\n", "CLIENT_ERROR unauthenticated\r\n");
    log_in(&mut client, "app", "word", FAILED);
    log_in(&mut client, "other", "word", "STORED");
    client.ask("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn a_watcher_with_a_prefix_is_told_of_its_own_keys() {
    let folder = Folder::new();
    let file = folder.file("accounts");
    let all = "'read', 'write', 'delete', 'watch'";
    let text = format!(
        "[users.app]\npassword = 'word'\nrights = [{all}]\nprefix = 'a b:'\n\
         [users.all]\npassword = 'word'\nrights = [{all}]\n"
    );
    fs::write(&file, text).unwrap();
    let program = Program::start(&["-o", &format!("accounts={}", file.display())]);
    let connect = |user: &str| {
        let mut client = program.connect();
        log_in(&mut client, user, "word", "STORED");
        client
    };
    // These tell who is connected, and keys among other words.
    for kinds in ["connevents", "rawcmds", "fetchers rawcmds"] {
        let refused = "CLIENT_ERROR watch commands not allowed\r\n";
        connect("app").ask(format!("watch {kinds}\r\n"), refused);
    }
    let mut watcher = connect("app");
    watcher.ask("watch fetchers mutations deletions evictions sysevents\r\n", "OK\r\n");
    let mut client = connect("all");
    client.ask("get key=a%20b%3Ac\r\n", "END\r\n");
    client.ask("set other 0 0 1\r\nx\r\n", "STORED\r\n");
    client.ask("delete other\r\n", "DELETED\r\n");
    // "a b:c", whose space a line of text can't have.
    client.ask("ms YSBiOmM= 1 b\r\nx\r\n", "HD\r\n");
    let mut line = String::new();
    while !line.ends_with('\n') {
        let mut byte = [0];
        watcher.0.read_exact(&mut byte).unwrap();
        line.push(byte[0].into());
    }
    // The look that comes before the store is a lookup.
    assert!(line.contains(" key=a%20b%3Ac "), "{line}");
}

#[test]
fn hot_keys_with_a_prefix_are_those_of_the_user() {
    let folder = Folder::new();
    let file = folder.file("accounts");
    let text = "[users.app]\npassword = 'word'\nrights = ['read', 'dump']\nprefix = 'app:'\n\
                [users.all]\npassword = 'word'\nrights = ['read', 'admin']\n";
    fs::write(&file, text).unwrap();
    let program = Program::start(&["-t", "1", "-o", &format!("accounts={}", file.display())]);
    let [mut app, mut all] = ["app", "all"].map(|user| {
        let mut client = program.connect();
        log_in(&mut client, user, "word", "STORED");
        client
    });
    for _ in 0..20 {
        all.ask("get app:a other:b\r\n".repeat(1_000), "END\r\n".repeat(1_000));
    }
    let list = all.list("stats hotkeys");
    assert!(list.contains(":name app:a\r\n") && list.contains(":name other:b\r\n"), "{list}");
    let list = app.list("stats hotkeys");
    assert!(list.contains(":name app:a\r\n") && !list.contains("other"), "{list}");
}

#[test]
fn a_hash_that_was_made_here_is_right_here() {
    let hash = |input: &str| {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_memserver"))
            .arg("hash-password")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, first) = hash("se cret\nmore");
    assert_eq!(status, Some(0));
    let (_, second) = hash("se cret");
    assert!(first.starts_with("$argon2id$") && first.lines().count() == 1 && first != second);
    assert_eq!(hash("\n"), (Some(1), String::new()));
    let folder = Folder::new();
    let file = folder.file("users");
    fs::write(&file, format!("one:{first}two:{second}")).unwrap();
    let program = with_sasl(&file, &[]);
    for user in ["one", "two"] {
        let mut client = program.connect();
        let message = format!("\0{user}\0se cret");
        client.ask(frame(0x21, "PLAIN", message.as_bytes()), answer(0x21, 0, b"Authenticated"));
    }
}
