//! Requests in datagrams (`-U`): off unless asked for, at this machine only unless asked for twice
//! (`-o udp_public`), and only lookups unless asked for (`-o udp_writes`). One thread serves them,
//! each datagram as a short dialogue of its own. Administration, statistics and watching are never
//! to be had this way: their replies are long, and nobody can tell who gets them.

mod allowance;
mod frame;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use memproto::meta::MetaCommand;
use memproto::{Request, binary};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::exec::{Exec, Flow};
use crate::session::batch::{Batch, Head, Job, Spare, Work};
use crate::session::output::Output;
use crate::session::{Pace, Session};
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

const REFUSED: &[u8] = b"CLIENT_ERROR not allowed over UDP\r\n";
const TOO_LARGE: &[u8] = b"SERVER_ERROR reply too large for UDP\r\n";

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
        while !stop.load(Ordering::Acquire) {
            let rest = busy.contains(&true).then_some(Duration::ZERO);
            // Only interruptions by signals fail here; the events of the last call are gone then.
            if self.poll.poll(&mut events, rest).is_err() {
                events.clear();
            }
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
                // What was sent earlier has met nobody, or a signal came.
                Err(_) => {}
            }
        }
        true
    }

    fn answer(&mut self, index: usize, datagram: &[u8], peer: SocketAddr) {
        self.shared.gauges.udp.bytes_read.add(datagram.len() as u64);
        let Some((id, request)) = frame::open(datagram) else { return };
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
/// first request that is refused.
fn converse(shared: &Arc<Shared>, input: &[u8], reply_max: usize, mut reply: impl FnMut(&[u8])) {
    let mut session = Session::new(shared.core.config.protocol);
    let exec = Exec::for_datagrams(shared);
    let mut batch = Batch::new(&shared.core.cache, Spare::default());
    let (mut pos, mut out, mut answer) = (0, Output::default(), Vec::new());
    for _ in 0..REQUESTS_MAX {
        batch.clear();
        let pace = session.parse(input, &mut pos, 1, &mut batch);
        for job in &batch.jobs {
            if !is_allowed(&job.work, shared.core.config.udp_writes) {
                refuse(&job.work, REFUSED, &mut answer);
                return reply(&answer);
            }
            let whole = Desk { exec: &exec, batch: &batch, input }.execute(
                *job,
                &mut session,
                &mut out,
                &mut answer,
                reply_max,
            );
            if !whole {
                answer.clear();
                refuse(&job.work, TOO_LARGE, &mut answer);
                return reply(&answer);
            }
        }
        if session.is_between() && !answer.is_empty() {
            reply(&answer);
            answer.clear();
        }
        if pace != Pace::More {
            return;
        }
    }
}

/// What the jobs of one datagram have in common.
struct Desk<'a> {
    exec: &'a Exec<'a>,
    batch: &'a Batch<'a>,
    input: &'a [u8],
}

impl Desk<'_> {
    /// Executes one job and appends the reply to `answer`; false if that gets too long.
    fn execute(
        &self,
        mut job: Job<'_>,
        session: &mut Session,
        out: &mut Output,
        answer: &mut Vec<u8>,
        reply_max: usize,
    ) -> bool {
        loop {
            let flow = self.exec.run(&job, self.batch, session, out);
            // Large values are pinned, so nothing of them is copied only to be refused.
            if answer.len() + out.unsent() > reply_max {
                out.clear();
                return false;
            }
            out.drain_into(answer);
            match flow {
                Flow::Done => return true,
                Flow::Close => {
                    session.close();
                    return true;
                }
                Flow::Full(key) => job.resume_at(key, self.input, self.batch),
            }
        }
    }
}

/// Whether a datagram may ask for this.
fn is_allowed(work: &Work<'_>, writes: bool) -> bool {
    match work {
        Work::Get(run) => writes || !run.verb.touches(),
        Work::Put(..) | Work::Spoiled(_) => writes,
        Work::Text(request, _) => match request {
            Request::Version | Request::MetaNoop => true,
            Request::Meta(meta) => match meta.command {
                MetaCommand::Get => writes || !(meta.has(b'T') || meta.has(b'N')),
                MetaCommand::Debug => true,
                MetaCommand::Set | MetaCommand::Delete | MetaCommand::Arith => writes,
            },
            Request::Arith { .. } | Request::Touch { .. } | Request::Delete { .. } => writes,
            _ => false,
        },
        Work::Binary(request, _) => match request.command {
            binary::Command::Get { touch: None, .. }
            | binary::Command::Noop
            | binary::Command::Version => true,
            binary::Command::Get { .. }
            | binary::Command::Delete { .. }
            | binary::Command::Arith { .. }
            | binary::Command::Touch { .. } => writes,
            _ => false,
        },
        Work::Reject(_) | Work::RejectFrame(..) => true,
        // A value that is not all there will never be.
        Work::Begin(..) | Work::Body(..) | Work::Watch(_) | Work::Stream => false,
    }
}

/// Answers what is not served.
fn refuse(work: &Work<'_>, line: &[u8], answer: &mut Vec<u8>) {
    let to = match work {
        Work::Binary(request, _) | Work::Put(Head::Binary(request), ..) => Some(request.to),
        _ => None,
    };
    match to {
        Some(to) => binary::write::error(answer, to, binary::Status::UnknownCommand),
        None => answer.extend_from_slice(line),
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
        assert_eq!(replies, [TOO_LARGE]);
        assert!(info.bytes_max < 1 << 20, "{} bytes", info.bytes_max);
    }
}
