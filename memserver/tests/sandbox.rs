//! The program gives up what it does not need, whoever starts it, and serves all the same.

mod program;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use program::{Folder, Program};

const SIGHUP: i32 = 1;
const SIGTERM: i32 = 15;

/// Whether the tests run as the superuser, which some of them are about.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// One line of `/proc/PID/status`.
fn status(id: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap().trim().to_owned()
}

fn core_limit(program: &Program) -> String {
    let limits = fs::read_to_string(format!("/proc/{}/limits", program.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    line.split_whitespace().nth(4).unwrap().to_owned()
}

/// Waits until the sandbox is complete, and checks it from outside.
fn assert_sandboxed(program: &Program) {
    let mut client = program.connect();
    while client.stat("stats settings", "sandbox") == "off" {}
    assert_eq!(client.stat("stats settings", "sandbox"), "on");
    assert_eq!(client.stat("stats settings", "drop_privileges"), "yes");
    assert_eq!(status(program.id(), "NoNewPrivs"), "1");
    assert_eq!(status(program.id(), "Seccomp"), "2");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(program.id(), set), "0000000000000000", "{set}");
    }
}

/// The program in a process that `wrapper` makes.
fn wrapped(wrapper: &[&str], args: &[&str], folder: Folder) -> Program {
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(env!("CARGO_BIN_EXE_memserver"));
    command.args(["-c", "100", "-l", "127.0.0.1", "-p", "-1", "-o", "drop_privileges"]);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    let program = Program::spawn(command, folder);
    program.wait_for_file("ports");
    program
}

#[test]
fn it_is_on_by_default() {
    let program = Program::start(&[]);
    assert_sandboxed(&program);
    if is_root() {
        assert_eq!(status(program.id(), "CapBnd"), "0000000000000000");
    }
    assert_eq!(core_limit(&program), "0");
    let threads = fs::read_dir(format!("/proc/{}/task", program.id())).unwrap();
    for thread in threads {
        let path = thread.unwrap().path().join("status");
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("Seccomp:\t2") && text.contains("CapEff:\t0000000000000000"));
    }
}

#[test]
fn it_can_be_left_away() {
    for args in [&["--no-sandbox"][..], &["-o", "no_drop_privileges"]] {
        let program = Program::start(args);
        let mut client = program.connect();
        assert_eq!(client.stat("stats settings", "sandbox"), "off");
        assert_eq!(client.stat("stats settings", "drop_privileges"), "no");
        let ours = status(std::process::id(), "Seccomp");
        assert_eq!(status(program.id(), "Seccomp"), ours);
    }
}

#[test]
fn core_files_are_written_if_that_is_wanted() {
    let program = Program::start(&["-r"]);
    assert_sandboxed(&program);
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let ours = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let ours = ours.split_whitespace().nth(5).unwrap();
    let found = core_limit(&program);
    assert!(found == "unlimited" || found == ours, "{found}, {ours}");
}

#[test]
fn what_happens_later_goes_on_working() {
    let folder = Folder::new();
    let (users, pid) = (folder.file("users"), folder.file("pid"));
    fs::write(&users, "a:b\n").unwrap();
    let (file, pid_file) = (users.to_str().unwrap(), pid.to_str().unwrap());
    let program = Program::start(&["-Y", file, "-P", pid_file, "-o", "drop_privileges"]);
    let mut client = program.connect();
    client.ask("set login 0 0 3\r\na b\r\n", "STORED\r\n");
    while client.stat("stats settings", "sandbox") != "on" {}
    // A link that is exchanged, as Kubernetes does it.
    let other = folder.file("other");
    fs::write(&other, "c:d\n").unwrap();
    fs::remove_file(&users).unwrap();
    std::os::unix::fs::symlink(&other, &users).unwrap();
    program.signal(SIGHUP);
    assert_eq!(program.line(), "read the users again");
    let mut second = program.connect();
    second.ask("set login 0 0 3\r\nc d\r\n", "STORED\r\n");
    second.ask("watch\r\n", "OK\r\n");
    client.ask("get a\r\n", "END\r\n");
    let mut byte = [0];
    std::io::Read::read_exact(&mut second.0, &mut byte).unwrap();
    assert!(pid.exists());
    program.signal(SIGTERM);
    let (status, lines) = program.end();
    assert!(status.success(), "{lines:?}");
    assert!(!pid.exists());
}

#[test]
fn files_that_only_the_superuser_may_read_are_told() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    let users = folder.file("users");
    fs::write(&users, "a:b\n").unwrap();
    fs::set_permissions(&users, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(folder.path(), Some(11211), Some(11211)).unwrap();
    let args = ["-u", "11211", "-Y", users.to_str().unwrap()];
    let program = wrapped(&["env"], &args, folder);
    let line = program.line();
    assert!(line.contains("users can't be read again with the rights that are left"), "{line}");
    program.connect().ask("set login 0 0 3\r\na b\r\n", "STORED\r\n");
}

#[test]
fn a_socket_file_is_removed_at_the_end() {
    let folder = Folder::new();
    let socket = folder.file("socket");
    let program = Program::start(&["-s", socket.to_str().unwrap()]);
    assert_sandboxed(&program);
    assert!(socket.exists());
    program.signal(SIGTERM);
    assert!(program.end().0.success());
    assert!(!socket.exists());
}

#[test]
fn as_a_user_without_capabilities() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    std::os::unix::fs::chown(folder.path(), Some(11211), Some(11211)).unwrap();
    let as_user = ["setpriv", "--reuid=11211", "--regid=11211", "--clear-groups"];
    let without = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
    let program = wrapped(&[&as_user[..], &without].concat(), &[], folder);
    assert_sandboxed(&program);
    program.signal(SIGTERM);
    assert!(program.end().0.success());
}

#[test]
fn as_the_first_process() {
    let unshare = ["unshare", "--pid", "--fork", "--kill-child"];
    let possible = Command::new(unshare[0]).args(&unshare[1..]).arg("true").status();
    if !is_root() || !possible.is_ok_and(|status| status.success()) {
        return;
    }
    let program = wrapped(&unshare, &["-u", "root"], Folder::new());
    let mut client = program.connect();
    assert_eq!(client.stat("stats", "pid"), "1");
    while client.stat("stats settings", "sandbox") != "on" {}
}
