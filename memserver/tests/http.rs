//! The admin address, asked over real sockets.

mod program;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use memcore::Cache;
use memserver::{Evictions, Server};
use program::{Client, Folder, Program, WAIT, run};

/// Sends `request` and reads to the end; status line, headers, body.
fn exchange(mut stream: impl Read + Write, request: &[u8]) -> (String, String, String) {
    // A server that refuses may close before it has read everything.
    let _ = stream.write_all(request);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let (status, headers) = head.split_once("\r\n").unwrap();
    (status.to_owned(), headers.to_owned(), body.to_owned())
}

fn ask(address: SocketAddr, request: &str) -> (String, String, String) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    exchange(stream, request.as_bytes())
}

fn get(address: SocketAddr, path: &str) -> (String, String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: cache\r\n\r\n"))
}

/// The value of one series.
fn series(address: SocketAddr, series: &str) -> f64 {
    let (status, _, body) = get(address, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    let found = body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {series} in {body}")).parse().unwrap()
}

fn start() -> Server {
    let cache = Cache::new(64 << 20).unwrap();
    let builder = Server::builder(cache).listen("127.0.0.1:0").threads(2);
    builder.admin("127.0.0.1:0").start().unwrap()
}

#[test]
fn probes_and_metrics_are_answered() {
    let server = start();
    let address = server.admin_addr().unwrap();
    for (path, status, body) in [
        ("/livez", "200 OK", "alive\n"),
        ("/livez?verbose", "200 OK", "alive\n"),
        ("/readyz", "200 OK", "ready\n"),
        ("/nosuch", "404 Not Found", "there are "),
    ] {
        let found = get(address, path);
        assert_eq!(found.0, format!("HTTP/1.1 {status}"), "{path}");
        assert!(found.2.starts_with(body), "{path}: {found:?}");
        assert!(found.1.contains(&format!("Content-Length: {}\r\n", found.2.len())), "{found:?}");
    }
    let (_, headers, body) = get(address, "/metrics");
    assert!(headers.contains("Content-Type: text/plain; version=0.0.4"), "{headers}");
    assert!(body.contains("\nmemcached_up 1\n") && !body.contains("# EOF"));
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let request = format!("GET /metrics HTTP/1.1\r\naccept: {accept}\r\n\r\n");
    let (_, headers, body) = ask(address, &request);
    assert!(headers.contains("Content-Type: application/openmetrics-text"), "{headers}");
    assert!(body.ends_with("\n# EOF\n"));
}

#[test]
fn the_status_page_is_answered() {
    let server = start();
    let mut client = Client::new(TcpStream::connect(server.local_addr().unwrap()).unwrap());
    client
        .ask("set a:<1> 0 0 1\r\nx\r\nget a:<1>\r\n", "STORED\r\nVALUE a:<1> 0 1\r\nx\r\nEND\r\n");
    let (status, headers, body) = get(server.admin_addr().unwrap(), "/");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(headers.contains("Content-Type: text/html; charset=utf-8\r\n"), "{headers}");
    assert!(headers.contains("Content-Security-Policy: default-src 'none';"), "{headers}");
    let (_, style, _) = get(server.admin_addr().unwrap(), "/style.css");
    assert!(style.contains("Content-Type: text/css; charset=utf-8\r\n"), "{style}");
    let place = format!("tcp:{}", server.local_addr().unwrap());
    for shown in [&place[..], ">ready</span>", "<td class=name>1, not shown</td>"] {
        assert!(body.contains(shown), "no {shown} in {body}");
    }
}

#[test]
fn only_reading_requests_of_a_bounded_size_are_answered() {
    let server = start();
    let address = server.admin_addr().unwrap();
    let (status, headers, body) = ask(address, "HEAD /readyz HTTP/1.0\r\n\r\n");
    assert!(status.ends_with("200 OK") && headers.contains("Content-Length: 6\r\n"));
    assert_eq!(body, "");
    let (status, headers, _) = ask(address, "POST /readyz HTTP/1.1\r\nContent-Length: 1\r\n\r\nx");
    assert!(status.contains(" 405 ") && headers.contains("Allow: GET, HEAD\r\n"), "{headers}");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    for (request, status) in [
        (many.as_str(), "431"),
        (long.as_str(), "431"),
        ("get key\r\n", "400"),
        ("\u{80}\u{1}\r\n\r\n", "400"),
    ] {
        let found = ask(address, request);
        assert!(found.0.starts_with(&format!("HTTP/1.1 {status} ")), "{found:?}");
    }
}

#[test]
fn requests_may_come_in_pieces() {
    let server = start();
    let mut stream = TcpStream::connect(server.admin_addr().unwrap()).unwrap();
    let request = b"GET /readyz HTTP/1.1\r\nHost: cache\r\n\r\n";
    let (last, first) = request.split_last().unwrap();
    for byte in first {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(exchange(stream, &[*last]).2, "ready\n");
}

/// More connections than there are places for.
#[test]
fn clients_that_say_nothing_keep_nobody_out() {
    let server = start();
    let address = server.admin_addr().unwrap();
    let mut silent: Vec<_> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    let began = Instant::now();
    assert_eq!(get(address, "/readyz").2, "ready\n");
    assert!(began.elapsed() < Duration::from_secs(5));
    // The oldest had to go.
    silent[0].set_read_timeout(Some(WAIT)).unwrap();
    assert_eq!(silent[0].read(&mut [0]).unwrap(), 0);
}

#[test]
fn the_probe_needs_no_client_s_place() {
    let server =
        Program::start(&["-c", "1", "--admin-addr", "127.0.0.1:0", "-o", "log_format=text"]);
    let lines = std::iter::repeat_with(|| server.line());
    let port = lines.filter_map(|line| {
        let (_, port) = line.split_once("over HTTP at tcp:127.0.0.1:")?;
        port.split(';').next()?.parse().ok()
    });
    let port = { port }.next().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut client = server.connect();
    client.ask("mn\r\n", "MN\r\n");
    assert_eq!(get(address, "/readyz").2, "ready\n");
    assert_eq!(series(address, "memcached_current_connections"), 1.0);
    assert_eq!(series(address, "memcached_max_connections"), 1.0);
}

#[test]
fn requests_are_measured_by_kind() {
    let server = start();
    let address = server.admin_addr().unwrap();
    let count = |family: &str| {
        let name = "memserver_request_duration_seconds_count";
        series(address, &format!("{name}{{family=\"{family}\"}}"))
    };
    let mut client = Client::new(TcpStream::connect(server.local_addr().unwrap()).unwrap());
    let large = "x".repeat(300_000);
    client.ask(format!("set k 0 0 300000\r\n{large}\r\n"), "STORED\r\n");
    client.ask("set a 0 0 1\r\n1\r\nms b 1\r\n2\r\n", "STORED\r\nHD\r\n");
    let keys = " nosuch".repeat(2_000);
    client.ask(format!("get a{keys}\r\n"), "VALUE a 0 1\r\n1\r\nEND\r\n");
    client.ask("mg b v\r\n", "VA 1\r\n2\r\n");
    client.ask("incr a 1\r\nma b\r\ndecr c 1\r\n", "2\r\nHD\r\nNOT_FOUND\r\n");
    client.ask("delete a\r\ntouch b 0\r\nversion\r\n", "DELETED\r\nTOUCHED\r\nVERSION 1.6.45\r\n");
    let frame = [&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 12], b"b"].concat();
    let mut binary = Client::new(TcpStream::connect(server.local_addr().unwrap()).unwrap());
    binary.send(&frame);
    let mut header = [0; 24];
    binary.0.read_exact(&mut header).unwrap();
    // Replies come before they are counted.
    let start = Instant::now();
    while count("get") < 3.0 {
        assert!(start.elapsed() < WAIT);
    }
    let counts = ["get", "set", "delete", "arith", "touch", "other"].map(count);
    assert_eq!(counts, [3.0, 3.0, 1.0, 3.0, 1.0, 1.0]);
    let sum = series(address, "memserver_request_duration_seconds_sum{family=\"get\"}");
    assert!(sum > 0.0 && sum < WAIT.as_secs_f64(), "{sum}");
}

#[test]
fn what_workers_are_busy_with_at_a_time_is_measured() {
    let server = start();
    let address = server.admin_addr().unwrap();
    let mut client = Client::new(TcpStream::connect(server.local_addr().unwrap()).unwrap());
    for _ in 0..100 {
        client.ask("mn\r\n", "MN\r\n");
    }
    let start = Instant::now();
    while series(address, "memserver_worker_slice_seconds_count") < 100.0 {
        assert!(start.elapsed() < WAIT);
    }
    let sum = series(address, "memserver_worker_slice_seconds_sum");
    let longest = series(address, "memserver_worker_longest_slice_seconds");
    assert!(0.0 < longest && longest <= sum && sum < WAIT.as_secs_f64(), "{longest}, {sum}");
}

#[test]
fn evicted_items_are_measured_by_their_idle_time() {
    let evictions = Evictions::new();
    let told = evictions.clone();
    let builder = Cache::builder(8 << 20).on_removal(move |_, removal| told.note(removal));
    let cache = builder.build().unwrap();
    let builder = Server::builder(cache.clone()).listen("127.0.0.1:0").watch_evictions(evictions);
    let server = builder.admin("127.0.0.1:0").start().unwrap();
    for number in 0..20_000 {
        let _ = cache.set(format!("key{number}").as_bytes(), &[0; 1_000], memcore::Attrs::new());
    }
    let address = server.admin_addr().unwrap();
    let measured = series(address, "memserver_evicted_idle_seconds_count");
    assert!(measured > 1_000.0, "{measured}");
    assert_eq!(measured, series(address, "memcached_items_evicted_total"));
}

#[test]
fn a_unix_socket_serves_as_well() {
    let folder = Folder::new();
    let path = folder.file("admin");
    let argument = format!("unix:{}", path.display());
    let server = Program::start(&["--admin-addr", &argument]);
    let stream = UnixStream::connect(&path).unwrap();
    assert_eq!(exchange(stream, b"GET /livez HTTP/1.1\r\n\r\n").2, "alive\n");
    let (status, _, err) =
        run(&["-l", "127.0.0.1", "-p", "-1", "-u", "root", "--admin-addr", &argument]);
    assert!(status == 71 && err.contains("Address already in use"), "{err}");
    server.signal(15);
    assert!(server.end().0.success());
    assert!(!path.exists());
}

/// It must not make abbreviations of memcached's flags ambiguous.
#[test]
fn the_flag_is_spelled_out() {
    let (status, _, err) = run(&["--admin-add", "127.0.0.1"]);
    assert!(status == 1 && err.contains("did you mean --admin-addr?"), "{err}");
    let (status, _, err) = run(&["--admin-addr", "host:x"]);
    assert!(status == 64 && err.contains("--admin-addr takes HOST"), "{err}");
}
