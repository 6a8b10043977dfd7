//! Settings of the real program: variables, a file, and what is asked about them.

mod program;

use std::fs;
use std::path::Path;
use std::process::Command;

use program::{Folder, Program, command, run};

/// The program on a free port of the loopback, with these variables.
fn start(folder: Folder, args: &[&str], variables: &[(&str, &str)]) -> Program {
    let mut command = command(&[&["-u", "root", "-p", "-1"], args].concat());
    command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    command.envs(variables.iter().copied());
    let program = Program::spawn(command, folder);
    program.wait_for_file("ports");
    program
}

/// What it says about a setting.
fn setting(program: &Program, name: &str) -> String {
    program.connect().stat("stats settings\r\n", name)
}

/// Runs `command` to its end: exit status, standard output, standard error without what concerns
/// the superuser.
fn output(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_file_a_variable_and_a_flag() {
    let folder = Folder::new();
    let file = folder.file("settings.toml");
    fs::write(&file, "listen = 'lo'\nmemory-limit = '100MB'\nthreads = 3\nidle_timeout = 9\n")
        .unwrap();
    let config = ["--config", file.to_str().unwrap(), "-t", "2"];
    let variables = [("MEMSERVER_THREADS", "5"), ("MEMSERVER_MEMORY_LIMIT", "128Mi")];
    let program = start(folder, &config, &variables);
    assert_eq!(setting(&program, "maxbytes"), (128 << 20).to_string());
    assert_eq!(setting(&program, "num_threads"), "2");
    assert_eq!(setting(&program, "idle_timeout"), "9");
    // The interface that the file names.
    assert_eq!(setting(&program, "inter"), "lo");
}

#[test]
fn a_user_of_the_environment_has_to_log_in() {
    let variables = [("MEMCACHED_USERNAME", "me"), ("MEMCACHED_PASSWORD", "secret")];
    let program = start(Folder::new(), &["-l", "127.0.0.1"], &variables);
    let mut client = program.connect();
    client.ask("get a\r\n", "CLIENT_ERROR unauthenticated\r\n");
    let mut client = program.connect();
    client.ask("set x 0 0 9\r\nme secret\r\n", "STORED\r\n");
    client.ask("get a\r\n", "END\r\n");
    let mut client = program.connect();
    client.ask("set x 0 0 8\r\nme wrong\r\n", "CLIENT_ERROR authentication failure\r\n");
}

#[test]
fn what_is_wrong_ends_it_with_one_line() {
    let mut wrong = command(&["-p", "-1"]);
    wrong.env("MEMSERVER_TREADS", "3");
    let (status, _, err) = output(wrong);
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains("did you mean MEMSERVER_THREADS?") && err.lines().count() == 1, "{err}");
    let (status, _, err) = run(&["--config", "/no/such/file"]);
    assert!(status == 64 && err.contains("can't read /no/such/file"), "{err}");
}

#[test]
fn checks_read_the_files_that_settings_name() {
    let folder = Folder::new();
    let users = folder.file("users.toml");
    let accounts = format!("accounts={}", users.display());
    let check = ["--check-config", "-u", "root", "-o", &accounts];
    let (status, out, err) = run(&check);
    assert!(status == 1 && out.is_empty() && err.contains("can't read"), "{err}");
    fs::write(&users, "[users.me]\npassword = 'secret'\nrights = ['read']\n").unwrap();
    assert_eq!(run(&check), (0, "the settings are valid\n".to_owned(), String::new()));
    let (status, _, err) = run(&["--check-config", "-f", "1.5"]);
    assert!(status == 0 && err.starts_with("WARNING: -f (--slab-growth-factor)"), "{err}");
    assert_eq!(run(&["--check-config", "-m", "1"]).0, 64);
}

#[test]
fn settings_are_printed_without_secrets() {
    let mut command = command(&["--print-config", "-m", "80%", "-o", "track_sizes"]);
    command.env("MEMCACHED_PASSWORD", "secret").env("MEMSERVER_VERBOSE", "2");
    let (status, out, err) = output(command);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.contains("\nverbose = 2 # MEMSERVER_VERBOSE\n"), "{out}");
    assert!(out.contains("\ntrack_sizes = true # -o track_sizes\n"), "{out}");
    assert!(out.contains("# Memory, of ") && !out.contains("secret"), "{out}");
}

#[test]
fn addresses_that_are_not_there_are_passed_over_if_they_may_be() {
    let absent = ["-l", "127.0.0.1,203.0.113.7,no-such-host.invalid", "-o", "listen_optional"];
    let program = start(Folder::new(), &absent, &[]);
    for place in ["203.0.113.7", "no-such-host.invalid"] {
        let line = program.line();
        assert!(line.starts_with("WARNING: ") && line.contains(place), "{line}");
    }
    program.connect().ask("mn\r\n", "MN\r\n");
    // Not all of them, and not one that another server has.
    let only = ["-p", "-1", "-u", "root", "-l", "203.0.113.7", "-o", "listen_optional"];
    let (status, _, err) = run(&only);
    assert!(status == 71 && err.contains("203.0.113.7"), "{err}");
    let taken = program.address().to_string();
    let both = ["-u", "root", "-l", &taken, "-l", "127.0.0.1:0", "-o", "listen_optional"];
    let (status, _, err) = run(&both);
    assert!(status == 71 && err.contains("Address already in use"), "{err}");
}

#[test]
fn strict_memory_refuses_with_the_arithmetic() {
    assert!(Path::new("/proc/meminfo").exists());
    let (status, _, err) = run(&["--strict-memory", "-m", "100t"]);
    assert_eq!(status, 64);
    assert!(err.contains("for the cache (-m) + ") && err.contains("but there are only"), "{err}");
    let (status, out, _) = run(&["--check-config", "--strict-memory", "-m", "auto", "-u", "root"]);
    assert_eq!((status, out.as_str()), (0, "the settings are valid\n"));
}

#[test]
fn lines_have_time_and_level_if_that_is_asked_for() {
    let args =
        ["-l", "127.0.0.1", "-f", "1.5", "-o", "log_format=json", "--admin-addr", "127.0.0.1:0"];
    let program = start(Folder::new(), &args, &[]);
    let object = |line: String| -> serde_json::Value { serde_json::from_str(&line).unwrap() };
    let mut lines: Vec<_> = (0..2).map(|_| object(program.line())).collect();
    lines.retain(|line| !line["message"].as_str().unwrap().starts_with("serving as root"));
    while lines.len() < 2 {
        lines.push(object(program.line()));
    }
    let [warning, started] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(warning["level"], "warning");
    assert!(warning["message"].as_str().unwrap().starts_with("-f (--slab-growth-factor)"));
    assert_eq!(started["level"], "info");
    let message = started["message"].as_str().unwrap();
    let place = format!("serves at tcp:{}", program.address());
    for part in [&place[..], "over HTTP at tcp:127.0.0.1:", "64m for items", "sandbox ", "TLS off"]
    {
        assert!(message.contains(part), "no {part} in {message}");
    }
    let time = started["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    let text = start(Folder::new(), &["-l", "127.0.0.1", "-o", "log_format=text"], &[]);
    let line = std::iter::repeat_with(|| text.line()).find(|line| line.contains(" serves at "));
    assert_eq!(line.unwrap().split(' ').nth(1), Some("info"));
}

#[test]
fn with_v_one_line_says_what_serves_and_without_it_none_does() {
    let said = |args: &[&str]| {
        let folder = Folder::new();
        let socket = folder.file("socket");
        let mut command =
            command(&[&["-u", "root", "-s", socket.to_str().unwrap()], args].concat());
        let mut child = command.spawn().unwrap();
        let start = std::time::Instant::now();
        // The file is there a moment before somebody listens.
        let mut client = loop {
            match std::os::unix::net::UnixStream::connect(&socket) {
                Ok(client) => break client,
                Err(error) => assert!(start.elapsed() < program::WAIT, "{error}"),
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        };
        std::io::Write::write_all(&mut client, b"mn\r\n").unwrap();
        std::io::Read::read_exact(&mut client, &mut [0; 4]).unwrap();
        let id = child.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        let mut lines = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut lines).unwrap();
        child.wait().unwrap();
        lines.lines().filter(|line| line.starts_with("memserver ")).count()
    };
    assert_eq!([said(&[]), said(&["-v"]), said(&["-vv"])], [0, 1, 1]);
}
