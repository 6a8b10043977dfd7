//! The real program in a process of its own, and clients with real sockets.

#![allow(dead_code, reason = "every test program uses its own part of this")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a machine with better things to do.
pub(crate) const WAIT: Duration = Duration::from_secs(30);

/// A folder that goes away with the value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("memserver-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A command that would run the program with `args`. Whoever runs the tests stays who they are, and
/// no more clients are allowed than any machine has descriptors for, unless `args` say otherwise.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memserver"));
    let named = args.first().is_some_and(|arg| *arg == "memcached");
    command.args(if named { &args[..1] } else { &[] }).args(["-c", "700"]);
    command
        .args(&args[usize::from(named)..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Settings of whoever runs the tests are not those of the programs.
    let ours = |name: &str| name.starts_with("MEMCACHED_") || name.starts_with("MEMSERVER_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(ours)) {
        command.env_remove(name);
    }
    command
}

/// What tests that run as the superuser are warned of.
const AS_ROOT: &str = "WARNING: serving as root (-u root) is not recommended";

/// Whether tests about other lines pass over this one: the superuser is warned, and -v says when
/// the program serves.
fn is_usual(line: &str) -> bool {
    line == AS_ROOT || line.starts_with("memserver ") && line.contains(" serves at ")
}

/// Runs the program to its end: exit status, standard output, standard error.
pub(crate) fn run(args: &[&str]) -> (i32, String, String) {
    let output = command(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let err = text(output.stderr).replace(&format!("{AS_ROOT}\n"), "");
    (output.status.code().unwrap_or(-1), text(output.stdout), err)
}

/// The reference server that MEMCACHED_REFERENCE names, a path or an address. If there is none, it
/// says so: the tests that ask one pass without it.
pub(crate) fn reference() -> Option<String> {
    let Some(reference) = std::env::var_os("MEMCACHED_REFERENCE") else {
        // Past the harness, which hides what passing tests print.
        let _ = writeln!(
            std::io::stderr(),
            "no reference server was asked: MEMCACHED_REFERENCE names none"
        );
        return None;
    };
    Some(reference.into_string().unwrap())
}

/// The running program. Dropping it kills it.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    folder: Folder,
}

impl Program {
    /// Starts it on a free port of the loopback.
    pub(crate) fn start(args: &[&str]) -> Self {
        let folder = Folder::new();
        let here = ["-l", "127.0.0.1", "-p", "-1", "-u", "root"];
        let mut command = command(&[&here, args].concat());
        command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
        let program = Self::spawn(command, folder);
        program.wait_for_file("ports");
        program
    }

    /// Starts a reference server on a free port of the loopback.
    pub(crate) fn reference(path: &str, flags: &[String]) -> Self {
        let folder = Folder::new();
        let mut command = Command::new(path);
        command.args(["-l", "127.0.0.1", "-p", "-1", "-u", "root", "-t", "1"]).args(flags);
        command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let program = Self::spawn(command, folder);
        program.wait_for_file("ports");
        program
    }

    /// Starts `command`; `folder` lives as long as the program.
    pub(crate) fn spawn(mut command: Command, folder: Folder) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok).filter(|line| !is_usual(line)) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, folder }
    }

    /// Waits until there is a file of this name in the folder.
    pub(crate) fn wait_for_file(&self, name: &str) {
        let (start, file) = (Instant::now(), self.folder.file(name));
        while !file.exists() {
            assert!(start.elapsed() < WAIT, "{name} does not appear");
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let ports = fs::read_to_string(self.folder.file("ports")).unwrap();
        let port = ports.lines().find_map(|line| line.strip_prefix("TCP INET: ")).unwrap();
        (Ipv4Addr::LOCALHOST, port.parse().unwrap()).into()
    }

    /// The next line on standard error.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(WAIT).expect("a line on standard error")
    }

    /// A client.
    pub(crate) fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address()).unwrap())
    }

    /// Sends a signal by its number.
    pub(crate) fn signal(&self, signal: i32) {
        let kill = ["-s".to_owned(), signal.to_string(), self.id().to_string()];
        assert!(Command::new("kill").args(kill).status().unwrap().success());
    }

    /// Waits for its end; the rest of what it said on standard error comes with it.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < WAIT, "the program does not end");
            thread::sleep(Duration::from_millis(2));
        };
        (status, self.lines.iter().collect())
    }

    /// Kilobytes of memory that are in use.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client with a real socket, or with something above one.
pub(crate) struct Client<S = TcpStream>(pub(crate) S);

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(WAIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Says that it will send no more.
    pub(crate) fn half_close(&mut self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
        self.0.flush().unwrap();
    }

    /// Sends `request` and expects exactly `reply`.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>, reply: impl AsRef<[u8]>) {
        self.send(request);
        self.expect(reply);
    }

    /// Stores `count` values of `len` bytes as `key0`, `key1` and so on, as far as there is memory.
    pub(crate) fn fill(&mut self, count: usize, len: usize) {
        let value = "x".repeat(len);
        for i in 0..count {
            self.send(format!("set key{i} 0 0 {len} noreply\r\n{value}\r\n"));
        }
        self.ask("mn\r\n", "MN\r\n");
    }

    pub(crate) fn expect(&mut self, reply: impl AsRef<[u8]>) {
        let reply = reply.as_ref();
        let mut found = vec![0; reply.len()];
        self.0.read_exact(&mut found).unwrap();
        assert!(found == reply, "{} instead of {}", show(&found), show(reply));
    }

    /// Sends `request`; the line that answers it.
    pub(crate) fn line(&mut self, request: impl AsRef<[u8]>) -> String {
        self.send(request);
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.bytes(1));
        }
        String::from_utf8(line).unwrap()
    }

    /// Everything up to and with the line `END`.
    pub(crate) fn list(&mut self, request: &str) -> String {
        self.send(format!("{request}\r\n"));
        let mut text = Vec::new();
        while !text.ends_with(b"END\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    }

    /// The next `len` bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// One value of a list of statistics.
    pub(crate) fn stat(&mut self, request: &str, name: &str) -> String {
        let (list, prefix) = (self.list(request), format!("STAT {name} "));
        let value = list.lines().find_map(|line| line.strip_prefix(&prefix));
        value.unwrap_or_else(|| panic!("no {name} in {list}")).to_owned()
    }

    /// Everything until the connection ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        rest
    }

    /// Whether the connection is ended by the other side, properly or by a reset.
    pub(crate) fn is_ended(&mut self) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match self.0.read(&mut bytes) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

/// Bytes for people to read, of long ones the beginning.
fn show(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() <= 1_000 { text } else { format!("{}... {} bytes", &text[..600], bytes.len()) }
}
