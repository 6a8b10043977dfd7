//! The client of the library, against the server and against what is none.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memcore::typed::TypedCache;
use memcore::{Attrs, Cache, Remove};
use memserver::{Client, ClientError, Server, Swapped};

fn server() -> (Cache, Server) {
    let cache = Cache::builder(64 << 20).max_item_size(8 << 20).build().unwrap();
    let builder = Server::builder(cache.clone()).listen("127.0.0.1:0").allow_flush(true);
    (cache, builder.start().unwrap())
}

fn client(server: &Server) -> Client {
    Client::connect(server.local_addr().unwrap()).unwrap()
}

const MINUTE: Option<Duration> = Some(Duration::from_secs(60));

#[test]
fn items_come_back_as_they_were_stored() {
    let (cache, server) = server();
    let mut client = client(&server);
    for key in [&b"plain"[..], b"two words", b"\0\r\n\xff", &[b'k'; 250], &[b' '; 186]] {
        for value in [&b""[..], b"x", b"\r\nEND\r\n", &vec![7; 3 << 20]] {
            client.set(key, value, MINUTE).unwrap();
            let item = client.fetch(key).unwrap().unwrap();
            assert_eq!(item.value, value);
            assert!(item.ttl <= MINUTE && item.ttl >= Some(Duration::from_secs(58)));
            assert_eq!(cache.get(key).as_deref(), Some(value));
        }
    }
    cache.set("flags", b"v", Attrs::new().flags(7)).unwrap();
    let item = client.fetch("flags").unwrap().unwrap();
    assert_eq!((item.flags, item.ttl), (7, None));
    assert_eq!(Some(item.version), cache.peek("flags").map(|meta| meta.version));
    assert_eq!(client.get("nothing").unwrap(), None);
}

#[test]
fn every_request_says_what_became_of_it() {
    let (cache, server) = server();
    let mut client = client(&server);
    assert!(client.add("k", b"1", None).unwrap());
    assert!(!client.add("k", b"2", None).unwrap());
    let version = client.fetch("k").unwrap().unwrap().version;
    assert_eq!(client.compare_and_set("k", b"3", None, version).unwrap(), Swapped::Stored);
    assert_eq!(client.compare_and_set("k", b"4", None, version).unwrap(), Swapped::Changed);
    assert_eq!(client.compare_and_set("gone", b"4", None, version).unwrap(), Swapped::Gone);
    assert!(client.touch("k", MINUTE).unwrap());
    assert!(cache.peek("k").unwrap().expiry.is_some());
    assert!(!client.touch("gone", MINUTE).unwrap());
    assert!(client.delete("k").unwrap() && !client.delete("k").unwrap());
    assert_eq!([(); 3].map(|()| client.add_to("n", 5).unwrap()), [5, 10, 15]);
    client.ping().unwrap();
    assert_eq!(client.version().unwrap(), "1.6.45");
    let stats = client.stats(None).unwrap();
    assert!(stats.contains(&("curr_items".to_owned(), "1".to_owned())), "{stats:?}");
    client.flush_all().unwrap();
    assert_eq!(client.get("n").unwrap(), None);
}

#[test]
fn a_long_time_to_live_is_not_taken_for_a_date() {
    let (cache, server) = server();
    let mut client = client(&server);
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    client.set("year", b"v", Some(year)).unwrap();
    let left = cache.peek("year").unwrap().expiry.unwrap().as_secs() - cache.now().as_secs();
    assert!(u64::from(left).abs_diff(year.as_secs()) <= 2, "{left}");
    client.set("ever", b"v", Some(Duration::MAX)).unwrap();
    assert_eq!(cache.peek("ever").unwrap().expiry, None);
    client.set("short", b"v", Some(Duration::from_millis(1))).unwrap();
    assert!(client.get("short").unwrap().is_some());
}

#[test]
fn many_keys_are_answered_in_their_order() {
    let (_cache, server) = server();
    let mut client = client(&server);
    let keys: Vec<String> = (0..1_000).map(|i| format!("{i:0250}")).collect();
    for key in keys.iter().step_by(3) {
        client.set(key, key.as_bytes(), None).unwrap();
    }
    let values = client.get_many(&keys).unwrap();
    for (i, (key, value)) in keys.iter().zip(values).enumerate() {
        assert_eq!(value.as_deref(), (i % 3 == 0).then_some(key.as_bytes()), "{i}");
    }
}

#[test]
fn what_is_refused_leaves_the_connection_usable() {
    let (_cache, server) = server();
    let mut client = client(&server);
    assert!(matches!(client.get(""), Err(ClientError::Key(_))));
    assert!(matches!(client.set([b'k'; 251], b"", None), Err(ClientError::Key(_))));
    assert!(matches!(client.get_many(&["good", ""]), Err(ClientError::Key(_))));
    client.set("word", b"word", None).unwrap();
    let refused = client.add_to("word", 1).unwrap_err();
    assert!(refused.to_string().contains("non-numeric"), "{refused}");
    let refused = client.set("large", &vec![0; 9 << 20], None).unwrap_err();
    assert!(refused.to_string().contains("too large"), "{refused}");
    assert_eq!(client.get("word").unwrap().as_deref(), Some(&b"word"[..]));
}

/// Answers the first request of a client with `reply`, and then waits for the end.
fn stranger(reply: &'static [u8]) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 1 << 16]).unwrap() > 0);
        stream.write_all(reply).unwrap();
        if reply.is_empty() {
            let _ = stream.read(&mut [0; 1]);
        }
    });
    let mut client = Client::connect(address).unwrap();
    client.set_timeout(Some(Duration::from_millis(500))).unwrap();
    client
}

#[test]
fn a_connection_that_went_wrong_is_not_used_again() {
    type Check = fn(&ClientError) -> bool;
    let unexpected: Check = |error| matches!(error, ClientError::Unexpected(_));
    let io: Check = |error| matches!(error, ClientError::Io(_));
    for (reply, check) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], unexpected),
        (b"VA 3 f0\r\nabcdefg", unexpected),
        (b"STORED\r\n", unexpected),
        (b"VA 3 f0\r\nab", io),
        (b"VA", io),
        (b"", io),
    ] {
        let mut client = stranger(reply);
        let start = Instant::now();
        let error = client.get("k").unwrap_err();
        assert!(check(&error), "{} gives {error}", reply.escape_ascii());
        assert!(start.elapsed() < Duration::from_secs(20));
        assert!(matches!(client.get("k"), Err(ClientError::Broken)));
    }
}

/// A reply that nobody has read must not be taken for that to the next request.
#[test]
fn an_error_among_many_replies_ends_the_connection() {
    let mut client = stranger(b"EN\r\nSERVER_ERROR out of memory\r\nVA 1 f0\r\nx\r\n");
    assert!(matches!(client.get_many(&["a", "b", "c"]), Err(ClientError::Refused(_))));
    assert!(matches!(client.get("d"), Err(ClientError::Broken)));
}

/// Clients in different processes know nothing of each other but what the server says.
#[test]
fn one_of_all_clients_loads() {
    const CLIENTS: usize = 12;
    let (cache, server) = server();
    let typed: TypedCache<str, Vec<u8>> = TypedCache::new(cache);
    for round in 0..3 {
        let key = format!("key {round}");
        let loads = AtomicU64::new(0);
        let start = Barrier::new(CLIENTS);
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut client = client(&server);
                    start.wait();
                    let load = || {
                        loads.fetch_add(1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(100));
                        Ok::<_, ClientError>(b"value".to_vec())
                    };
                    assert_eq!(client.get_or_load(&key, MINUTE, load).unwrap(), b"value");
                });
            }
        });
        assert_eq!(loads.into_inner(), 1);
        assert_eq!(typed.get(&key).as_deref(), Some(&b"value"[..]));
    }
    // They wait for a load of the program that has the cache as well.
    let mut client = client(&server);
    let loaded = typed.get_or_load("k", || {
        let load = || -> Result<Vec<u8>, ClientError> { panic!("it is loaded elsewhere") };
        thread::scope(|scope| {
            let other = scope.spawn(|| client.get_or_load("k", MINUTE, load));
            thread::sleep(Duration::from_millis(50));
            typed.insert("k", &b"theirs".to_vec()).unwrap();
            assert_eq!(other.join().unwrap().unwrap(), b"theirs");
        });
        Ok::<_, ClientError>(b"late".to_vec())
    });
    assert_eq!(loaded.unwrap(), b"late");
    assert_eq!(typed.get("k").as_deref(), Some(&b"theirs"[..]));
}

#[test]
fn a_client_that_does_not_load_leaves_it_to_others() {
    let (cache, server) = server();
    let (mut one, mut other) = (client(&server), client(&server));
    let down = || -> Result<Vec<u8>, Box<dyn std::error::Error>> { Err("down".into()) };
    let value = || Ok::<_, ClientError>(b"value".to_vec());
    let began = Instant::now();
    assert_eq!(one.get_or_load("k", MINUTE, down).unwrap_err().to_string(), "down");
    assert_eq!(cache.stats().total.items, 0, "nothing stands for it");
    let panics = || -> Result<Vec<u8>, ClientError> { panic!("a loader of somebody else") };
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        one.get_or_load("k", MINUTE, panics)
    }));
    assert!(panicked.is_err());
    assert_eq!(other.get_or_load("k", MINUTE, value).unwrap(), b"value");
    // An old value is better than an error, and the next one tries again.
    cache.remove_with("k", &Remove::new().invalidate(true)).unwrap();
    assert_eq!(one.get_or_load("k", MINUTE, down).unwrap(), b"value");
    let newer = || Ok::<_, ClientError>(b"newer".to_vec());
    assert_eq!(other.get_or_load("k", MINUTE, newer).unwrap(), b"newer");
    assert_eq!(one.get("k").unwrap().as_deref(), Some(&b"newer"[..]));
    // What was written meanwhile stays.
    let loaded = one.get_or_load("l", MINUTE, || {
        other.set("l", b"theirs", MINUTE)?;
        Ok::<_, ClientError>(b"late".to_vec())
    });
    assert_eq!(loaded.unwrap(), b"late");
    assert_eq!(other.get("l").unwrap().as_deref(), Some(&b"theirs"[..]));
    assert!(began.elapsed() < Duration::from_secs(20), "somebody waited for a lease to end");
}

/// The server is there to make things faster; that it can't is no reason to have no value.
#[test]
fn a_value_that_cannot_be_stored_is_returned() {
    let (cache, server) = server();
    let (mut one, mut other) = (client(&server), client(&server));
    let began = Instant::now();
    let large = vec![b'v'; 9 << 20];
    for client in [&mut one, &mut other] {
        let loaded = client.get_or_load("k", MINUTE, || Ok::<_, ClientError>(large.clone()));
        assert!(loaded.unwrap() == large);
        assert_eq!(cache.stats().total.items, 0, "nothing stands for it");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "somebody waited for a lease to end");

    // The server goes while the value is loaded.
    let mut server = Some(server);
    let value = || Ok::<_, ClientError>(b"value".to_vec());
    let loaded = one.get_or_load("k", MINUTE, || {
        server.take().unwrap().stop().unwrap();
        value()
    });
    assert_eq!(loaded.unwrap(), b"value");
    assert!(one.get_or_load("k", MINUTE, value).is_err(), "now it is told");
}

#[test]
fn a_full_server_leaves_the_load_to_the_client() {
    let cache = Cache::builder(1 << 20).evictions(false).build().unwrap();
    let server = Server::builder(cache.clone()).listen("127.0.0.1:0").start().unwrap();
    for len in [10_000, 1_000, 100, 10, 1, 0] {
        let value = vec![0; len];
        (0..).take_while(|n| cache.set(format!("{len} {n}"), &value, Attrs::new()).is_ok()).count();
    }
    let mut client = client(&server);
    for _ in 0..2 {
        let loaded = client.get_or_load("k", MINUTE, || Ok::<_, ClientError>(b"value".to_vec()));
        assert_eq!(loaded.unwrap(), b"value");
    }
}
