//! Tries what is refused, in a process of its own: this one started anew, with one test to run.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::{env, fs, thread};

use super::*;

/// Names the folder that the child may read.
const FOLDER: &str = "MEMSERVER_SANDBOX_TEST";

/// What the child tries, from a thread that is older than the filter.
fn attempts(folder: &Path, port: u16) -> Vec<(&'static str, io::Result<()>)> {
    let readable = File::open(folder.join("users"));
    let here = (Ipv4Addr::LOCALHOST, port);
    vec![
        ("open what may be read", readable.map(drop)),
        ("open another file", File::open("/etc/passwd").map(drop)),
        ("open for writing", File::options().write(true).open(folder.join("users")).map(drop)),
        ("create", File::create(folder.join("new")).map(drop)),
        ("list", fs::read_dir("/etc").map(drop)),
        ("rename", fs::rename(folder.join("users"), folder.join("other"))),
        ("execute", Err(Command::new("/bin/true").exec())),
        ("spawn", Command::new("/bin/true").spawn().map(drop)),
        ("start a thread", thread::Builder::new().spawn(|| ()).map(drop)),
        ("socket", UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("connect", TcpStream::connect(here).map(drop)),
        ("listen", TcpListener::bind("127.0.0.1:0").map(drop)),
        ("Unix socket", UnixStream::connect("/tmp/none").map(drop)),
        ("ptrace", nix::sys::ptrace::traceme().map_err(io::Error::from)),
        ("raise a limit", {
            let more = Rlimit { current: Some(1), maximum: Some(1) };
            rustix::process::setrlimit(Resource::Core, more).map_err(io::Error::from)
        }),
        ("change users", {
            let uid = rustix::process::Uid::from_raw(1);
            rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(io::Error::from)
        }),
    ]
}

#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = port.local_addr().unwrap().port();
    let mut sandbox = Sandbox::begin(Needs {
        read: vec![folder.join("users")],
        removed: vec![folder.join("removed")],
        ..Needs::default()
    });
    sandbox.confine();
    let (start, started) = channel::<()>();
    let tried = folder.clone();
    let waiting = thread::spawn(move || {
        started.recv().unwrap();
        attempts(&tried, number)
    });
    sandbox.filter();
    start.send(()).unwrap();
    let mut said = format!("state {sandbox}\n");
    for (what, result) in waiting.join().unwrap() {
        let outcome = match result {
            Ok(()) => "done".to_owned(),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => "refused".to_owned(),
            Err(error) => error.to_string(),
        };
        said.push_str(&format!("{what}: {outcome}\n"));
    }
    let removed = fs::remove_file(folder.join("removed")).is_ok();
    said.push_str(&format!("remove: {removed}\n"));
    let status = fs::read_to_string("/proc/self/status").map(drop);
    said.push_str(&format!("proc: {:?}\n", status.map_err(|error| error.kind())));
    std::io::stdout().write_all(said.as_bytes()).unwrap();
    // What the harness does when a test ends is not allowed here.
    std::process::exit(0);
}

#[test]
fn what_is_not_needed_is_refused() {
    let folder = env::temp_dir().join(format!("memserver-sandbox-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("users"), "a:b").unwrap();
    fs::write(folder.join("removed"), "").unwrap();
    let child = Command::new(env::current_exe().unwrap())
        .args(["os::sandbox::tests::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, &folder)
        .output()
        .unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said} {}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains("state on\n"), "{said}");
    assert!(said.contains("open what may be read: done\nopen another file: refused\n"), "{said}");
    assert!(said.contains("remove: true\n"), "{said}");
    assert_eq!(said.matches(": done\n").count(), 1, "{said}");
    assert_eq!(said.matches(": refused\n").count(), 15, "{said}");
}
