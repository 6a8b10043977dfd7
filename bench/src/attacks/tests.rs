use argh::FromArgs;
use memserver::TestServer;

use super::*;

fn attacked<S: Scenario + FromArgs>(args: &str) -> Tally {
    let words: Vec<_> = args.split_whitespace().collect();
    let scenario = S::from_args(&["attacks"], &words).unwrap();
    let server = TestServer::start().unwrap();
    let ground = Ground::new().unwrap();
    let until = Instant::now() + Duration::from_millis(100);
    scenario.attack(&ground, server.address(), until).unwrap()
}

#[test]
fn idle_clients_are_held_and_a_healthy_one_is_answered() {
    assert_eq!(attacked::<Idle>("--plain --clients 3").done, 3);
    let server = TestServer::start().unwrap();
    let ground = Ground::new().unwrap();
    let scenario = Idle { clients: 0, plain: true };
    let (stream, question) = scenario.healthy(&ground, server.address()).unwrap();
    let waits = healthy::start(stream, question, Instant::now() + LOOK).wait();
    assert!(waits.latency.total() > 1 && waits.failures == 0, "{waits:?}");
}

#[test]
fn guesses_are_answered() {
    let tally = attacked::<Passwords>("--clients 2");
    // Without accounts the token is a value, and every guess is right.
    assert!(tally.done > 0 && tally.logins.total() > 0, "{tally:?}");
    assert_eq!((tally.closed, tally.locked_out), (0, 0));
}

#[test]
fn a_server_without_tls_is_noticed() {
    let ground = Ground::new().unwrap();
    let server = TestServer::start().unwrap();
    let stream = ground::connect_from(3, server.address()).unwrap();
    assert!(ground.encrypted(stream).is_err());
}
