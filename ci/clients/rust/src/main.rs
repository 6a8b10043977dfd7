//! Rust clients held to one round of operations each: `clients memcache|async-memcached`, with the
//! server's port in MEMSERVER_PORT. Ends with a panic at the first thing that is wrong.

mod asynchronous;
mod blocking;

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Counts what held.
#[derive(Debug, Default)]
struct Check {
    count: usize,
}

impl Check {
    fn equal<T: PartialEq<U> + Debug, U: Debug>(&mut self, got: T, expected: U, what: &str) {
        assert!(got == expected, "{what}: got {got:?}, expected {expected:?}");
        self.count += 1;
    }

    fn fails<T: Debug, E: Debug>(&mut self, result: Result<T, E>, what: &str) {
        assert!(result.is_err(), "{what}: got {result:?}, expected an error");
        self.count += 1;
    }
}

/// A client's clock can't be moved: waits until `done` says so, at most five seconds.
fn wait_for(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !done() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn main() {
    let client = std::env::args().nth(1).unwrap_or_default();
    let port: u16 = std::env::var("MEMSERVER_PORT").expect("a port").parse().expect("a number");
    let mut check = Check::default();
    match client.as_str() {
        "memcache" => {
            for protocol in ["ascii", "binary"] {
                blocking::round(&mut check, port, protocol);
            }
        }
        "async-memcached" => asynchronous::run(&mut check, port),
        other => panic!("no client {other:?}"),
    }
    println!("{client} (Rust): {} checks passed", check.count);
}
