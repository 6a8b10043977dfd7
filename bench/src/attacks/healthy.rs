//! The healthy client: it asks for one small value at even intervals and notes how long it waits.

use std::io;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::thread::gettid;

use super::Question;
use super::ground::Stream;
use crate::hist::Latencies;

/// What a healthy client noted.
#[derive(Debug, Default)]
pub(super) struct Waits {
    pub(super) latency: Latencies,
    pub(super) failures: u64,
}

/// A running healthy client.
#[derive(Debug)]
pub(super) struct Probe(JoinHandle<Waits>);

/// Asks until a moment.
pub(super) fn start(stream: Box<dyn Stream>, question: Question, until: Instant) -> Probe {
    Probe(thread::spawn(move || ask(stream, &question, until)))
}

impl Probe {
    pub(super) fn wait(self) -> Waits {
        self.0.join().expect("a healthy client")
    }
}

fn ask(mut stream: Box<dyn Stream>, question: &Question, until: Instant) -> Waits {
    put_first();
    let mut waits = Waits::default();
    let mut reply = vec![0; question.reply];
    while Instant::now() < until {
        let began = Instant::now();
        let answered = exchange(&mut *stream, question, &mut reply);
        waits.latency.record(began.elapsed().as_nanos() as u64);
        if answered.is_err() {
            waits.failures += 1;
            break;
        }
        thread::sleep(PAUSE);
    }
    waits
}

/// Has this thread run whenever it can: it shares a processor with the attack, whose time on it is
/// not the server's doing. Without the right to do so, waits are measured as they are.
fn put_first() {
    let thread = gettid().to_string();
    let _ = Command::new("chrt").args(["--fifo", "--pid", "20", &thread]).status();
}

/// Sends the request and reads its reply.
pub(super) fn exchange(
    stream: &mut dyn Stream,
    question: &Question,
    reply: &mut [u8],
) -> io::Result<()> {
    stream.write_all(&question.request)?;
    stream.flush()?;
    stream.read_exact(reply)
}

/// With it there are more than a thousand waits a second.
const PAUSE: Duration = Duration::from_micros(500);
