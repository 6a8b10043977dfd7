//! The program from its arguments to its end: exit statuses, files, signals, users.

mod program;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use program::{Folder, Program, command, run};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGUSR1: i32 = 10;
const SIGTERM: i32 = 15;

/// Whether the tests run as the superuser, which some of them are about.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

#[test]
fn exit_statuses_and_streams() {
    for (args, exit, words) in [
        (&["-q"][..], 1, "Illegal argument"),
        (&["-o", "nosuch"], 1, "Illegal suboption"),
        (&["-c", "0"], 1, "-c must be"),
        (&["-m", "1"], 64, "half of the memory"),
        (&["-m", "8192g", "-u", "nobody"], 64, "this cache can grow to"),
        (&["-p", "65536"], 64, "65535"),
        (&["-B", "foo"], 64, "auto, ascii or binary"),
        (&["-N", "9", "-t", "4"], 64, "-t 4"),
        (&["-Z"], 64, if cfg!(feature = "rustls") { "needs a certificate" } else { "no TLS" }),
        (&["-l", "203.0.113.7", "-p", "0"], 64, "nothing to listen on"),
        (&["-l", "203.0.113.7:9999", "-u", "root"], 71, "203.0.113.7:9999"),
    ] {
        let (status, out, err) = run(args);
        assert_eq!(status, exit, "{args:?}: {err}");
        assert_eq!(out, "", "{args:?}");
        assert!(err.contains(words) && err.lines().count() == 1, "{args:?}: {err}");
    }
    if cfg!(feature = "udp") {
        let (status, _, err) = run(&["-l", "0.0.0.0", "-p", "-1", "-U", "-1"]);
        assert!(status == 71 && err.contains("udp_public"), "{err}");
    }
    for args in [&["-h"][..], &["-V"], &["-i"], &["--enable-ssl", "--version"]] {
        let (status, out, err) = run(args);
        assert_eq!((status, err.as_str()), (0, ""), "{args:?}");
        assert!(out.contains("memcached 1.6.45"), "{args:?}: {out}");
    }
}

#[test]
fn a_file_of_ports_that_cannot_be_written_ends_it_with_71() {
    let mut command = command(&["-l", "127.0.0.1", "-p", "-1", "-u", "root"]);
    let output = command.env("MEMCACHED_PORT_FILENAME", "/no/such/folder").output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(71), "{err}");
    assert!(err.contains("can't write /no/such/folder"), "{err}");
}

#[test]
fn arguments_that_are_not_text_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let output = command(&[]).arg(std::ffi::OsStr::from_bytes(b"-s/\xff")).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn called_as_memcached_it_says_so() {
    let folder = Folder::new();
    let link = folder.file("memcached");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_memserver"), &link).unwrap();
    let output = std::process::Command::new(link).arg("-h").output().unwrap();
    assert!(output.stdout.starts_with(b"memcached 1.6.45\n"));
}

#[test]
fn a_taken_port_is_named_and_ends_with_71() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (status, _, err) = run(&["-l", "127.0.0.1", "-p", &port, "-u", "root"]);
    assert_eq!(status, 71);
    assert!(err.contains("Address already in use") && err.contains(&port), "{err}");
}

#[test]
fn everywhere_means_both_families_at_one_port() {
    let folder = Folder::new();
    let mut command = command(&["-p", "-1", "-u", "root", "-vv"]);
    command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    let program = Program::spawn(command, folder);
    program.wait_for_file("ports");
    let ports = fs::read_to_string(program.folder().file("ports")).unwrap();
    let numbers: Vec<_> = ports.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert!(ports.starts_with("TCP INET: "), "{ports}");
    assert!(numbers.iter().all(|number| *number == numbers[0]), "{ports}");
    let warning = program.line();
    assert!(warning.contains("the server, without -l, serves everyone"), "{warning}");
    for _ in &numbers {
        let line = program.line();
        assert!(line.starts_with('<') && line.ends_with(" server listening (auto-negotiate)"));
    }
    program.connect().ask("version\r\n", "VERSION 1.6.45\r\n");
}

#[test]
fn several_places_with_their_own_protocols() {
    let folder = Folder::new();
    let places = "proto[ascii]:127.0.0.1,proto[binary]:127.0.0.1:0";
    let mut command = command(&["-p", "-1", "-u", "root", "-vv", "-l", places]);
    command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    let program = Program::spawn(command, folder);
    program.wait_for_file("ports");
    assert!(program.line().ends_with("(ascii)"));
    assert!(program.line().ends_with("(binary)"));
    assert_eq!(fs::read_to_string(program.folder().file("ports")).unwrap().lines().count(), 2);
    program.connect().ask("mn\r\n", "MN\r\n");
}

#[test]
fn signals_end_it_at_once_with_status_0() {
    for (signal, args, said) in [
        (SIGTERM, &[][..], &[][..]),
        (SIGINT, &["-v"], &["Exiting normally"]),
        (SIGUSR1, &[], &["Gracefully stopping"]),
    ] {
        let program = Program::start(args);
        let mut client = program.connect();
        client.ask("mn\r\n", "MN\r\n");
        let start = Instant::now();
        program.signal(signal);
        let (status, lines) = program.end();
        assert!(start.elapsed() < Duration::from_secs(1), "signal {signal}");
        assert_eq!(status.code(), Some(0), "signal {signal}");
        assert_eq!(lines, said, "signal {signal}");
        assert!(client.is_ended());
    }
}

#[test]
fn a_hang_up_changes_nothing() {
    let program = Program::start(&[]);
    let mut client = program.connect();
    client.ask("set a 0 0 1\r\nx\r\n", "STORED\r\n");
    program.signal(SIGHUP);
    client.ask("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
    program.connect().ask("mn\r\n", "MN\r\n");
}

#[test]
fn clients_may_stop_it_only_when_told_so() {
    let program = Program::start(&[]);
    program.connect().ask("shutdown\r\n", "SERVER_ERROR: shutdown not enabled\r\n");
    let program = Program::start(&["-A"]);
    let mut client = program.connect();
    client.ask("shutdown now\r\n", "CLIENT_ERROR invalid shutdown mode\r\n");
    client.send("shutdown\r\n");
    assert!(client.is_ended());
    let (status, lines) = program.end();
    assert_eq!((status.code(), lines), (Some(0), vec![]));
    for (flags, request, said) in [
        (&["-A", "-v"][..], "shutdown\r\n", "Exiting normally"),
        (&["-A"], "shutdown graceful\r\n", "Gracefully stopping"),
    ] {
        let program = Program::start(flags);
        program.connect().send(request);
        let (status, lines) = program.end();
        assert_eq!((status.code(), lines), (Some(0), vec![said.to_owned()]));
    }
}

#[test]
fn the_pid_file_lives_as_long_as_the_program() {
    let folder = Folder::new();
    let file = folder.file("pid");
    let program = Program::start(&["-P", file.to_str().unwrap()]);
    program.connect().ask("mn\r\n", "MN\r\n");
    let start = Instant::now();
    while !file.exists() {
        assert!(start.elapsed() < program::WAIT);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{}\n", program.id()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no other file is left");
    program.signal(SIGTERM);
    assert_eq!(program.end().0.code(), Some(0));
    assert!(!file.exists());
}

#[test]
fn a_pid_file_that_cannot_be_written_is_a_warning() {
    let program = Program::start(&["-P", "/nosuch/pid"]);
    let line = program.line();
    assert!(line.starts_with("WARNING: -P has no effect: can't write /nosuch/pid: "), "{line}");
    program.connect().ask("mn\r\n", "MN\r\n");
}

#[test]
fn a_unix_socket_with_its_permissions() {
    use std::io::{Read, Write};
    for (mask, mode) in [(&[][..], 0o700), (&["-a", "0777"], 0o777)] {
        let folder = Folder::new();
        let path = folder.file("socket");
        let start = || {
            let args = [&["-u", "root", "-vv", "-s", path.to_str().unwrap()], mask].concat();
            Program::spawn(command(&args), Folder::new())
        };
        let program = start();
        assert!(program.line().ends_with("server listening (auto-negotiate)"));
        let meta = fs::metadata(&path).unwrap();
        assert!(meta.file_type().is_socket());
        assert_eq!(meta.permissions().mode() & 0o777, mode);
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"set a 0 0 1\r\nx\r\nget a\r\nquit\r\n").unwrap();
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        assert_eq!(reply, "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"stats settings\r\nquit\r\n").unwrap();
        reply.clear();
        client.read_to_string(&mut reply).unwrap();
        assert!(reply.contains("STAT tcpport 11211\r\n"), "{reply}");
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"stats conns\r\nquit\r\n").unwrap();
        reply.clear();
        client.read_to_string(&mut reply).unwrap();
        let address = format!(":listen_addr unix:{}\r\n", path.display());
        assert_eq!(reply.matches(&address).count(), 1, "{reply}");
        // A second server does not take the place of the first.
        let args = ["-u", "root", "-s", path.to_str().unwrap()];
        let (status, _, err) = run(&args);
        assert!(status == 71 && err.contains("Address already in use"), "{err}");
        // What a killed server leaves behind is in nobody's way.
        drop(program);
        assert!(path.exists());
        let program = start();
        assert!(program.line().ends_with("server listening (auto-negotiate)"));
        program.signal(SIGTERM);
        assert_eq!(program.end().0.code(), Some(0));
        assert!(!path.exists());
    }
}

#[test]
fn warnings_come_one_per_flag_and_it_serves() {
    let program = Program::start(&["-n", "64", "-f", "1.5", "-o", "modern,hashpower=20", "-vv"]);
    let mut lines: Vec<_> = (0..5).map(|_| program.line()).collect();
    assert!(lines.pop().unwrap().contains("server listening"));
    for (line, flag) in lines.iter().zip(["-n (", "-f (", "-o modern", "-o hashpower"]) {
        assert!(line.starts_with("WARNING: ") && line.contains(flag), "{line}");
    }
    let mut client = program.connect();
    assert_eq!(client.stat("stats settings", "growth_factor"), "1.50");
    assert_eq!(client.stat("stats settings", "hashpower_init"), "20");
}

#[test]
fn requests_are_shown_without_what_could_steer_a_terminal() {
    let program = Program::start(&["-vv"]);
    assert!(program.line().contains("server listening"));
    let mut client = program.connect();
    client.ask("get \x1b[31m\r\n", "END\r\n");
    drop(client);
    let lines: Vec<_> = (0..4).map(|_| program.line()).collect();
    let number = lines[0].strip_prefix('<').and_then(|rest| rest.split(' ').next()).unwrap();
    assert_eq!(lines[0], format!("<{number} new auto-negotiating client connection"));
    assert_eq!(lines[1], format!("<{number} get \\x1b[31m"));
    assert_eq!(lines[2], format!(">{number} END"));
    assert_eq!(lines[3], format!("<{number} connection closed."));
}

#[test]
fn charts_and_guides_write_flags_in_their_own_way() {
    let args = ["memcached", "-m 256", "-I 5m", "-c 400", "--extended=modern,track_sizes"];
    let folder = Folder::new();
    let mut command = command(&args);
    command.args(["-l", "127.0.0.1", "-p", "-1", "-u", "root"]);
    command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    let program = Program::spawn(command, folder);
    program.wait_for_file("ports");
    let mut client = program.connect();
    for (name, value) in
        [("limit_maxbytes", "268435456"), ("max_connections", "400"), ("version", "1.6.45")]
    {
        assert_eq!(client.stat("stats", name), value);
    }
    assert_eq!(client.stat("stats settings", "item_size_max"), "5242880");
    assert_eq!(client.stat("stats settings", "track_sizes"), "yes");
}

#[test]
fn too_few_descriptors_lower_the_limit_with_one_warning() {
    let folder = Folder::new();
    let ports = folder.file("ports");
    let script = "ulimit -n 200; exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_memserver")]);
    command.args(["-l", "127.0.0.1", "-p", "-1", "-u", "root", "-c", "4096", "-t", "2", "-vv"]);
    command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    command.env("MEMCACHED_PORT_FILENAME", ports);
    let program = Program::spawn(command, folder);
    program.wait_for_file("ports");
    let warning = program.line();
    assert!(warning.starts_with("WARNING: -c 4096 lowered to "), "{warning}");
    assert!(program.line().contains("server listening"));
    let mut client = program.connect();
    let most: usize = client.stat("stats", "max_connections").parse().unwrap();
    assert!((100..200).contains(&most), "{most}");
    // The number is one that the server can really have.
    let mut others: Vec<_> = (1..most).map(|_| program.connect()).collect();
    others.iter_mut().for_each(|other| other.ask("mn\r\n", "MN\r\n"));
    assert_eq!(program.connect().rest(), b"ERROR Too many open connections\r\n");
    client.ask("mn\r\n", "MN\r\n");
}

#[test]
fn root_is_left_behind_unless_asked_for() {
    if !is_root() {
        return;
    }
    let uids = |program: &Program| -> Vec<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
        line.split_whitespace().map(|uid| uid.parse().unwrap()).collect()
    };
    let start = |user: &[&str]| {
        let args = [&["-l", "127.0.0.1:0", "-vv"], user].concat();
        Program::spawn(command(&args), Folder::new())
    };
    let program = start(&[]);
    let line = program.line();
    assert!(line.starts_with("started as root: switched to user "), "{line}");
    assert!(program.line().contains("server listening"));
    assert!(uids(&program).iter().all(|uid| *uid != 0));
    let program = start(&["-u", "4711"]);
    assert!(program.line().contains("server listening"));
    assert_eq!(uids(&program), [4711; 4]);
    let groups = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    assert!(groups.lines().any(|line| line.trim_end() == "Groups:"), "{groups}");
    assert!(groups.lines().any(|line| line == "Gid:\t4711\t4711\t4711\t4711"), "{groups}");
    let program = start(&["-u", "root"]);
    assert!(program.line().contains("server listening"));
    assert_eq!(uids(&program), [0; 4]);
    let (status, _, err) = run(&["-u", "no-such-user", "-l", "127.0.0.1:0"]);
    assert!(status == 67 && err.contains("no-such-user"), "{status} {err}");
}

#[test]
fn locked_memory_is_only_what_is_used() {
    let program = Program::start(&["-k", "-m", "1024", "-vv"]);
    assert!(program.line().contains("server listening"));
    program.connect().ask("mn\r\n", "MN\r\n");
    // Either it is locked as far as it is used, or a line says that it can't be.
    assert!(program.resident() < 64 << 10, "{} kB", program.resident());
}

/// Runs it with `-d`; its exit status and standard error.
fn daemon(args: &[&str], ports: &std::path::Path) -> (i32, String) {
    let mut command = command(&[&["-d", "-u", "root"], args].concat());
    let output = command.env("MEMCACHED_PORT_FILENAME", ports).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn in_the_background_it_serves_when_the_start_returns() {
    let folder = Folder::new();
    let ports = folder.file("ports");
    let (status, err) = daemon(&["-A", "-l", "127.0.0.1", "-p", "-1"], &ports);
    assert_eq!(status, 0, "{err}");
    // Nothing has to be waited for.
    let text = fs::read_to_string(&ports).unwrap();
    let port: u16 = text.trim().rsplit(' ').next().unwrap().parse().unwrap();
    let connect = || std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut client = program::Client::new(connect());
    let pid = client.stat("stats", "pid");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!(fields[3], pid, "it leads a session of its own");
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(name, "memserver\n");
    // A second one says why it can't be there as well.
    let (status, err) = daemon(&["-l", "127.0.0.1", "-p", &port.to_string()], &ports);
    assert!(status == 71 && err.contains("Address already in use"), "{status} {err}");
    client.send("shutdown\r\n");
    assert!(client.is_ended());
}

#[test]
fn in_the_background_wrong_use_is_told_as_well() {
    let folder = Folder::new();
    let (status, err) = daemon(&["-t", "0"], &folder.file("ports"));
    assert!(status == 1 && err.contains("-t must be"), "{status} {err}");
}

#[test]
fn a_port_taken_in_one_family_is_served_in_the_other() {
    let Ok(taken) = TcpListener::bind("[::1]:0") else { return };
    let port = taken.local_addr().unwrap().port().to_string();
    let program = Program::spawn(command(&["-p", &port, "-u", "root", "-vv"]), Folder::new());
    let warning = program.line();
    assert!(warning.contains(&format!("port {port} is not served over IPv6")), "{warning}");
    assert!(program.line().contains("serves everyone"));
    assert!(program.line().contains("server listening"));
    let address = format!("127.0.0.1:{port}");
    let stream = std::net::TcpStream::connect(address).unwrap();
    program::Client::new(stream).ask("mn\r\n", "MN\r\n");
}

#[test]
fn a_unix_socket_and_a_port_are_served_together() {
    let folder = Folder::new();
    let path = folder.file("socket");
    let program = Program::start(&["-s", path.to_str().unwrap()]);
    program.connect().ask("mn\r\n", "MN\r\n");
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < program::WAIT);
    }
    let mut local = UnixStream::connect(&path).unwrap();
    std::io::Write::write_all(&mut local, b"quit\r\n").unwrap();
    assert_eq!(std::io::Read::read(&mut local, &mut [0]).unwrap(), 0);
}

#[test]
#[cfg(not(feature = "udp"))]
fn a_build_without_datagrams_says_so() {
    for (args, words) in [
        (&["-U", "11211"][..], "-U: this build has no UDP"),
        (&["-o", "udp_public"], "udp_public: this build has no UDP"),
    ] {
        let (status, out, err) = run(args);
        assert_eq!((status, out.as_str()), (64, ""), "{args:?}: {err}");
        assert!(err.contains(words) && err.lines().count() == 1, "{args:?}: {err}");
    }
    // Scripts that switch it off work on.
    Program::start(&["-U", "0"]).connect().ask("mn\r\n", "MN\r\n");
    let (_, help, _) = run(&["-h"]);
    assert!(help.contains("--port") && !help.contains("udp"), "{help}");
}

#[test]
#[cfg(feature = "udp")]
fn datagrams_alone_are_served() {
    let folder = Folder::new();
    let mut command = command(&["-p", "0", "-U", "-1", "-l", "127.0.0.1", "-u", "root"]);
    command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    let program = Program::spawn(command, folder);
    program.wait_for_file("ports");
    let ports = fs::read_to_string(program.folder().file("ports")).unwrap();
    let port = ports.strip_prefix("UDP INET: ").expect(&ports).trim();
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(program::WAIT)).unwrap();
    client.send_to(b"\0\x07\0\0\0\x01\0\0mn\r\n", format!("127.0.0.1:{port}")).unwrap();
    let mut reply = [0; 64];
    let len = client.recv(&mut reply).unwrap();
    assert_eq!(&reply[8..len], b"MN\r\n");
}

#[test]
fn a_stale_socket_of_somebody_else_is_replaced() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    let path = folder.file("socket");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let args = ["-u", "4711", "-s", path.to_str().unwrap(), "-vv"];
    let program = Program::spawn(command(&args), Folder::new());
    let line = program.line();
    assert!(line.contains("server listening"), "{line}");
    assert!(UnixStream::connect(&path).is_ok());
}

#[test]
fn everybody_is_served_with_a_warning() {
    let folder = Folder::new();
    let mut command = command(&["-l", "0.0.0.0", "-p", "-1", "-u", "root"]);
    command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    let program = Program::spawn(command, folder);
    let line = program.line();
    assert!(line.starts_with("WARNING: -l 0.0.0.0 serves everyone"), "{line}");
}

#[test]
fn clients_raise_the_limit_only_as_far_as_they_may() {
    const FAILED: &str = "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n";
    let program = Program::start(&["-m", "64"]);
    let mut client = program.connect();
    client.ask("cache_memlimit 65\r\n", FAILED);
    client.ask("cache_memlimit 32\r\ncache_memlimit 64\r\n", "OK\r\nOK\r\n");
    let program = Program::start(&["-m", "64", "-o", "memlimit_max=128"]);
    let mut client = program.connect();
    client.ask("cache_memlimit 128\r\n", "OK\r\n");
    client.ask("cache_memlimit 129\r\n", FAILED);
}

/// Starts it with a standard error that nobody reads.
fn unread(args: &[&str]) -> (std::process::Child, std::net::SocketAddr, Folder) {
    let folder = Folder::new();
    let mut command = command(&[&["-l", "127.0.0.1", "-p", "-1", "-u", "root"], args].concat());
    command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    let child = command.spawn().unwrap();
    let start = Instant::now();
    let port = loop {
        assert!(start.elapsed() < program::WAIT, "it does not start");
        let text = fs::read_to_string(folder.file("ports")).unwrap_or_default();
        if let Some(port) = text.strip_prefix("TCP INET: ") {
            break port.trim().parse::<u16>().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    (child, (std::net::Ipv4Addr::LOCALHOST, port).into(), folder)
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let (mut child, address, _folder) = unread(&["-vv"]);
    let mut client = program::Client::new(std::net::TcpStream::connect(address).unwrap());
    // Two lines each, together far more than any pipe holds.
    let request = format!("get {}\r\n", "x".repeat(200));
    for _ in 0..200 {
        client.ask(request.repeat(50), "END\r\n".repeat(50));
    }
    let start = Instant::now();
    let kill = ["-s".to_owned(), SIGTERM.to_string(), child.id().to_string()];
    assert!(std::process::Command::new("kill").args(kill).status().unwrap().success());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(2) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(status.code(), Some(0));
}
