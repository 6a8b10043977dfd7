//! Requests in datagrams (`-U`): off unless asked for, at this machine only unless asked for twice
//! (`-o udp_public`), and only lookups unless asked for (`-o udp_writes`). One thread serves them,
//! each datagram as a short dialogue of its own. Administration, statistics and watching are never
//! to be had this way: their replies are long, and may go to a forged address. What does not parse
//! is not answered: it may be the reply of another server, and two servers would go on answering
//! each other for ever.

mod allowance;
mod frame;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use memproto::Request;
use memproto::meta::MetaCommand;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::exec::{Exec, gate};
use crate::session::batch::{Batch, Spare};
use crate::session::cut::{Cursor, ParseState};
use crate::session::dialogue::{Dialogue, Round, Stop};
use crate::session::job::Work;
use crate::session::output::Output;
use crate::state::shared::Shared;
use allowance::Allowance;

const WAKE: Token = Token(usize::MAX);
/// The largest datagram there is.
const RECEIVED_MAX: usize = 64 << 10;
/// Bytes that the reply to one request may have. What is larger is refused.
const REPLY_MAX: usize = 64 << 10;
/// The same, for peers who may not be who they say: one datagram.
const STRANGERS_REPLY_MAX: usize = frame::DATAGRAM_MAX - frame::HEADER;
/// Requests of one datagram that are served.
const REQUESTS_MAX: usize = 64;
/// Datagrams that are taken from one socket before another gets its turn.
const TURN: usize = 256;

/// The running thread.
#[derive(Debug)]
pub(crate) struct Udp {
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Udp {
    /// Serves requests that come in at `sockets`.
    ///
    /// # Errors
    /// The system refused a poll or a thread.
    pub(crate) fn start(sockets: Vec<UdpSocket>, shared: Arc<Shared>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let stop = Arc::new(AtomicBool::new(false));
        let mut service = Service { poll, sockets, shared, allowance: Allowance::default() };
        for (index, socket) in service.sockets.iter_mut().enumerate() {
            service.poll.registry().register(socket, Token(index), Interest::READABLE)?;
        }
        let stopped = Arc::clone(&stop);
        let thread =
            thread::Builder::new().name("udp".into()).spawn(move || service.run(&stopped))?;
        Ok(Self { stop, waker, thread: Some(thread) })
    }
}

impl Drop for Udp {
    /// Stops the thread and waits for it.
    fn drop(&mut self) {
        // Pairs with the load in `Service::run`.
        self.stop.store(true, Ordering::Release);
        // A wake-up that fails means that the event counter is full: it is awake anyway.
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by itself.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Service {
    poll: Poll,
    sockets: Vec<UdpSocket>,
    shared: Arc<Shared>,
    allowance: Allowance,
}

impl Service {
    fn run(mut self, stop: &AtomicBool) {
        let mut events = Events::with_capacity(64);
        let mut received = vec![0; RECEIVED_MAX];
        let mut busy = vec![false; self.sockets.len()];
        // Pairs with the store in `Udp::drop`.
        while !stop.load(Ordering::Acquire) {
            // Events are reported once, when something arrives. While a socket has more than one
            // turn's worth, the poll must not wait.
            let rest = busy.contains(&true).then_some(Duration::ZERO);
            // Only interruptions by signals fail here; the events of the last call are gone then.
            if self.poll.poll(&mut events, rest).is_err() {
                events.clear();
            }
            self.shared.core.catch_up();
            for event in &events {
                let Token(index) = event.token();
                busy.get_mut(index).into_iter().for_each(|busy| *busy = true);
            }
            for (index, busy) in busy.iter_mut().enumerate() {
                *busy = *busy && self.serve(index, &mut received);
            }
        }
    }

    /// Serves what waits at one socket; true if there may be more.
    fn serve(&mut self, index: usize, received: &mut [u8]) -> bool {
        for _ in 0..TURN {
            match self.sockets[index].recv_from(received) {
                Ok((len, peer)) => self.answer(index, &received[..len], peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // ICMP said that an earlier reply found no port, or a signal came.
                Err(_) => {}
            }
        }
        true
    }

    fn answer(&mut self, index: usize, datagram: &[u8], peer: SocketAddr) {
        self.shared.gauges.udp.bytes_read.add(datagram.len() as u64);
        let Some((id, request)) = frame::open(datagram) else { return };
        // From outside nothing can come with a loopback address.
        let known = peer.ip().to_canonical().is_loopback();
        let reply_max = if known { REPLY_MAX } else { STRANGERS_REPLY_MAX };
        let Self { sockets, shared, allowance, .. } = self;
        converse(shared, request, reply_max, |reply| {
            let len = reply.len() + frame::count(reply.len()) * frame::HEADER;
            if !allowance.take(peer.ip(), len, shared.core.cache.now().as_secs()) {
                return;
            }
            shared.gauges.udp.bytes_written.add(len as u64);
            frame::close(id, reply, |datagram| {
                // What the system does not take is lost, as datagrams may be.
                let _ = sockets[index].send_to(datagram, peer);
            });
        });
    }
}

/// Executes the requests of one datagram and calls `reply` with the reply to each. It ends with the
/// first request that is malformed or refused.
fn converse(shared: &Arc<Shared>, input: &[u8], reply_max: usize, mut reply: impl FnMut(&[u8])) {
    let mut dialogue = Dialogue::new(shared.core.config.protocol);
    let mut exec = Exec::for_datagrams(shared);
    let mut batch = Batch::new(&shared.core.cache, Spare::default());
    let mut cursor = Cursor { input, pos: 0 };
    let mut out = Output::default();
    let mut answer = Vec::new();
    for _ in 0..REQUESTS_MAX {
        batch.clear();
        // One request at a time: each has a reply, and a limit, of its own.
        let state = dialogue.cut(&mut cursor, 1, &mut batch);
        if let Some(job) = batch.jobs.first() {
            if is_malformed(&job.work) {
                return;
            }
            if !is_served(&job.work) || !exec.may_ask_for(&job.work) {
                gate::refuse_over_udp(&job.work, &mut answer);
                return reply(&answer);
            }
            let round = Round { input, jobs: 0..1, batch: &batch };
            // Large values are pinned, so nothing of them is copied only to be refused.
            let drain = |out: &mut Output| {
                if answer.len() + out.unsent() > reply_max {
                    return ControlFlow::Break(());
                }
                out.drain_into(&mut answer);
                ControlFlow::Continue(())
            };
            let stop = dialogue.execute(&round, &mut exec, &mut out, drain).break_value();
            let is_too_long = matches!(stop, Some(Stop::NoRoom { .. } | Stop::Starved { .. }))
                || answer.len() + out.unsent() > reply_max;
            if is_too_long {
                answer.clear();
                gate::refuse_long_reply(&job.work, &mut answer);
                return reply(&answer);
            }
            out.drain_into(&mut answer);
        }
        // A request may take several rounds; its reply goes out as a whole.
        if dialogue.is_between_requests() && !answer.is_empty() {
            reply(&answer);
            answer.clear();
        }
        if state != ParseState::More {
            return;
        }
    }
}

/// Whether this is not a request as a client sends it, but maybe the reply of a server. That of
/// `me` begins like its request, with more words behind the key.
fn is_malformed(work: &Work<'_>) -> bool {
    match work {
        Work::Reject(_) | Work::RejectFrame { .. } | Work::BadDataChunk(_) => true,
        Work::RefuseTls => true,
        Work::Text(Request::Meta(meta), _) if meta.command == MetaCommand::Debug => {
            meta.flags.into_iter().any(|flag| flag.letter != b'b')
        }
        _ => false,
    }
}

/// Whether a datagram can ask for this at all. A value that is not all there never will be, and
/// there is no connection to end or to prove an identity for.
fn is_served(work: &Work<'_>) -> bool {
    match work {
        Work::Begin { .. } | Work::Body { .. } | Work::Continue => false,
        Work::Binary(request, _) => !gate::concerns_connection(&request.command),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_value_that_is_refused_is_not_copied_first() {
        let cache = memcore::Cache::builder(256 << 20).max_item_size(16 << 20).build().unwrap();
        let shared = Shared::without_threads(cache, Config { threads: 1, ..Config::default() });
        let value = vec![b'x'; 2 << 20];
        shared.core.cache.set(b"k", &value, memcore::Attrs::new()).unwrap();
        let mut replies = Vec::new();
        let info = allocation_counter::measure(|| {
            converse(&shared, b"get k\r\n", REPLY_MAX, |reply| replies.push(reply.to_vec()));
        });
        assert_eq!(replies, [b"SERVER_ERROR reply too large for UDP\r\n"]);
        assert!(info.bytes_max < 1 << 20, "{} bytes", info.bytes_max);
    }
}
