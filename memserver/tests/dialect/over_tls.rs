//! The exchanges over TLS, with the real program: cuts into records and the batches of a real
//! socket lie between the session and its client there.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::ClientConfig;

use super::encrypted::{Authority, Encrypted};
use super::exceptions::Exceptions;
use super::program::{Folder, Program};
use super::recording::{self, Case, Step};
use super::template::Versions;
use super::{THREADS, folder, shown};

/// Of each group the first 1/SHARE is played, unless `DIALECT_OVER_TLS=all` asks for all of it.
const SHARE: usize = 8;

/// What is received until it is what `step` expects, or until nothing more comes.
fn receive(client: &mut Encrypted, step: &Step, versions: &mut Versions) -> Result<(), Vec<u8>> {
    let mut found = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
        let mut named = versions.clone();
        if step.receive.matches(&found, &mut named, now) {
            *versions = named;
            return Ok(());
        }
        match client.0.read(&mut buffer) {
            Ok(count) if count > 0 => found.extend_from_slice(&buffer[..count]),
            _ => return Err(found),
        }
    }
}

/// Whether the server ends the connection without another byte.
fn is_ended(client: &mut Encrypted) -> bool {
    match client.0.read(&mut [0; 1]) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

fn play(case: &Case, config: &Arc<ClientConfig>, address: SocketAddr) -> Result<(), String> {
    let mut client = Encrypted::connect(config, address);
    let mut versions = Versions::default();
    for step in &case.steps {
        let request = step.send.to_bytes(&versions);
        client.send(&request);
        if let Err(found) = receive(&mut client, step, &mut versions) {
            let (sent, found) = (shown(&request), shown(&found));
            return Err(format!("sent {sent}, expected {}, found {found}", step.receive));
        }
    }
    if case.steps.iter().any(|step| step.send.begins_with(b"watch")) {
        return Ok(());
    }
    if !case.closed {
        client.half_close();
    }
    if is_ended(&mut client) { Ok(()) } else { Err("more comes, or no end".to_owned()) }
}

/// The cases that can be played: none that ends its server, or needs one of its own.
fn chosen(mut exceptions: Exceptions) -> Vec<Case> {
    let mut cases = recording::all(&folder());
    cases.retain(|case| {
        let ends_server = case.args.iter().any(|arg| arg == "-A");
        !case.is_fresh && !ends_server && exceptions.excuse(&case.id).is_none()
    });
    cases
}

#[test]
fn recorded_answers_are_given_over_tls() {
    let place = Folder::new();
    let authority = Authority::new(place.path());
    authority.issue("server");
    let (words, config) = (authority.words("server", ""), authority.client().config());
    let cases = chosen(Exceptions::read(&folder().join("exceptions.txt")));
    let all = std::env::var("DIALECT_OVER_TLS").is_ok_and(|which| which == "all");
    let share = if all { 1 } else { SHARE };
    let groups = cases.chunk_by(|a, b| a.may_follow(b));
    // Later ones may need what those before them have left.
    let groups: Vec<&[Case]> = groups.map(|group| &group[..group.len().div_ceil(share)]).collect();
    let count: usize = groups.iter().map(|group| group.len()).sum();
    let next = AtomicUsize::new(0);
    let differences: Vec<String> = thread::scope(|scope| {
        let play_groups = || {
            let mut differences = Vec::new();
            while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                let args = group[0].args.iter().map(String::as_str);
                let args: Vec<_> = ["-Z", "-o", &words].into_iter().chain(args).collect();
                let program = Program::start(&args);
                let address = program.address();
                // Versions are no longer as low as those in requests.
                let mut first = Encrypted::connect(&config, address);
                if !group[0].args.iter().any(|arg| arg == "binary") {
                    first.send(b"set some_key 0 0 0\r\n\r\n".repeat(100));
                    first.expect("STORED\r\n".repeat(100));
                }
                for case in *group {
                    let failed = play(case, &config, address).err();
                    differences.extend(failed.map(|text| format!("{}: {text}", case.id)));
                }
            }
            differences
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(play_groups)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    println!("{} of {count} passed over TLS", count - differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
