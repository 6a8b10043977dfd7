//! A staged turn: read every ready connection of a group, cut all their requests into jobs, have
//! the cache prefetch all keys, execute in order, and answer each connection with one write.
//!
//! ```text
//!   fill   c1 c2 c3 ...   one read each, into one arena
//!   round  cut c1 c2 c3 ... -> prefetch all keys -> execute c1, write; c2, write; c3 ...
//!   round  those with requests left, ...
//!   keep   what was not used or not sent goes back to the connection
//! ```
//!
//! How connections become ready is not known here.

use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Instant;

use crate::event_loop::arena::{Arena, Input};
use crate::event_loop::conn::{Conn, SENT_MAX, Start, State, send};
use crate::exec::Exec;
use crate::net::transport::Transport;
use crate::session::batch::{Batch, Spare};
use crate::session::cut::{Cursor, ParseState};
use crate::session::dialogue::{Round, Stop};
use crate::session::family::family;
use crate::session::framing::Framing;
use crate::session::job::{Job, Work};
use crate::session::output::Output;
use crate::state::budgets::Budgets;
use crate::state::counters::Counters;
use crate::state::latency::{ByFamily, Latencies};
use crate::state::shared::Shared;
use crate::watch::attention;
use crate::watch::trace;

/// Connections served together.
const GROUP_MAX: usize = 32;
/// Rounds before other connections get their turn.
const ROUNDS_MAX: usize = 4;
/// Requests per round of a connection when no other is ready.
const ALONE_MAX: usize = 128;
/// From this verbosity on requests and replies are logged.
pub(crate) const TRACED: u8 = 2;

/// What a worker needs for its turns, reused from turn to turn.
#[derive(Debug)]
pub(crate) struct Turn {
    arena: Arena,
    inputs: Vec<Input>,
    participants: Vec<Participant>,
    outputs: Vec<Output>,
    spare: Spare,
    /// Requests answered since the beginning of the event loop's round, if that is measured.
    measured: Option<Measured>,
}

/// What is measured of the requests that are served together.
#[derive(Debug)]
struct Measured {
    /// When the event loop heard of them.
    began: Instant,
    /// How many were answered.
    requests: ByFamily<u64>,
}

/// One connection's part in a turn.
#[derive(Debug)]
struct Participant {
    conn: usize,
    /// Where its next request begins in its input.
    pos: usize,
    /// Its jobs in this round.
    jobs: Range<usize>,
    /// Whether it takes part in this round.
    active: bool,
    /// Bytes that it was sent in this turn.
    sent: usize,
    state: State,
    /// Whether a value was arriving in a place of its own when the turn began.
    was_uploading: bool,
    /// Whether a request was completed in this turn.
    completed: bool,
}

/// A connection after its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departure {
    /// Its number.
    pub(crate) conn: usize,
    /// How it leaves.
    pub(crate) state: State,
    /// Whether a value was arriving in a place of its own when the turn began.
    pub(crate) was_uploading: bool,
    /// Whether a request was completed in this turn.
    pub(crate) completed: bool,
}

impl Turn {
    /// An empty turn.
    pub(crate) fn new(is_measured: bool) -> Self {
        Self {
            measured: is_measured
                .then(|| Measured { began: Instant::now(), requests: ByFamily::default() }),
            arena: Arena::new(),
            inputs: Vec::with_capacity(GROUP_MAX),
            participants: Vec::with_capacity(GROUP_MAX),
            outputs: std::iter::repeat_with(Output::default).take(GROUP_MAX).collect(),
            spare: Spare::default(),
        }
    }

    /// The event loop has just heard of what is served from now on.
    #[inline]
    pub(crate) fn begin(&mut self) {
        if let Some(measured) = &mut self.measured {
            measured.began = Instant::now();
        }
    }

    /// Whether another connection can take part.
    pub(crate) fn has_room(&self) -> bool {
        self.participants.len() < GROUP_MAX && self.arena.has_room()
    }

    /// Begins the turn of connection number `index`, which takes part if there is anything to do.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        index: usize,
        conn: &mut Conn,
        start: Start,
        counters: &Counters,
    ) -> io::Result<()> {
        if let Some(input) = conn.fill(start, &mut self.arena, counters)? {
            self.inputs.push(input);
            self.participants.push(Participant {
                conn: index,
                pos: conn.used,
                jobs: 0..0,
                active: true,
                sent: 0,
                state: State::More,
                was_uploading: conn.dialogue.is_uploading(),
                completed: false,
            });
        }
        Ok(())
    }

    /// Executes what the participants ask for and sends the replies. `crowded` says that other
    /// connections wait for their turn.
    pub(crate) fn serve(
        &mut self,
        conns: &mut [Option<Conn>],
        shared: &Arc<Shared>,
        worker: usize,
        crowded: bool,
    ) {
        let Self { arena, inputs, participants, outputs, spare, measured, .. } = self;
        let inputs = Inputs { arena, list: inputs };
        let mut batch = Batch::new(&shared.core.cache, std::mem::take(spare));
        let mut exec = Exec::new(shared, worker);
        let counters = &shared.gauges.workers[worker];
        let share = shared.core.config.max_reqs_per_event.max(1);
        outputs.iter_mut().take(participants.len()).for_each(|out| out.adapt(&shared.budgets));
        let mut executor = Executor::new(&mut exec, counters);
        if executor.checked {
            recognise(participants, conns, shared);
        }
        let mut active = participants.len();
        for round in 1..=ROUNDS_MAX {
            if active == 0 {
                break;
            }
            let alone = active == 1 && !crowded;
            let quota = if alone { share.max(ALONE_MAX) } else { share };
            batch.clear();
            cut_jobs(&inputs, participants, conns, quota, &mut batch);
            batch.prefetch();
            active = 0;
            for (index, part) in participants.iter_mut().enumerate().filter(|(_, part)| part.active)
            {
                let Some(conn) = conns[part.conn].as_mut() else { continue };
                let out = &mut outputs[index];
                executor.run(conn, part, inputs.of(index), &batch, out);
                if let Some(measured) = measured {
                    measured.count(&batch.jobs[part.jobs.clone()], part);
                }
                if part.state == State::More && conn.dialogue.is_streaming() {
                    part.state = State::Later;
                }
                if part.state == State::More {
                    active += 1;
                    counters.conn_yields.add(u64::from(!alone));
                }
                if part.state != State::More || round == ROUNDS_MAX {
                    executor.send_rest(conn, part, out);
                }
            }
        }
        *spare = batch.into_spare();
        if let Some(measured) = measured {
            measured.report(&shared.gauges.latencies[worker]);
        }
    }

    /// How many connections take part.
    pub(crate) fn participants(&self) -> usize {
        self.participants.len()
    }

    /// Gives participant number `index` back what it did not use; how it leaves, if it is there.
    #[inline]
    pub(crate) fn depart(
        &mut self,
        index: usize,
        conns: &mut [Option<Conn>],
        budgets: &Budgets,
    ) -> Option<Departure> {
        let Participant { conn: number, pos, state, was_uploading, completed, .. } =
            self.participants[index];
        let (input, out) = (&mut self.inputs[index], &mut self.outputs[index]);
        let conn = conns[number].as_mut()?;
        if !conn.dialogue.is_closed() {
            conn.keep(&self.arena, input, pos);
        }
        if state == State::Blocked {
            out.settle(budgets);
            conn.block(std::mem::take(out));
        } else {
            out.clear();
        }
        Some(Departure { conn: number, state, was_uploading, completed })
    }

    /// Ends the turn, after all have left.
    pub(crate) fn end(&mut self) {
        self.participants.clear();
        self.inputs.clear();
        self.arena.clear();
    }
}

/// Finds out who the clients are that have shown a certificate.
#[cold]
fn recognise(participants: &[Participant], conns: &mut [Option<Conn>], shared: &Shared) {
    let Some(accounts) = &shared.core.accounts else { return };
    for part in participants {
        if let Some(conn) = &mut conns[part.conn] {
            conn.recognise(accounts, shared.core.config.audit);
        }
    }
}

impl Measured {
    /// Counts the requests of a round that were answered, all but those from where the participant
    /// stopped on.
    fn count(&mut self, jobs: &[Job<'_>], part: &Participant) {
        for family in jobs.iter().filter(|job| job.start < part.pos).filter_map(family) {
            self.requests[family as usize] += 1;
        }
    }

    /// Their replies are sent, or as much of them as clients take.
    fn report(&mut self, latencies: &Latencies) {
        let requests = std::mem::take(&mut self.requests);
        if requests.iter().any(|count| *count > 0) {
            latencies.add(&requests, self.began.elapsed());
        }
    }
}

/// Has every dialogue that still has input cut its share of jobs.
#[inline]
fn cut_jobs<'a>(
    inputs: &Inputs<'a>,
    participants: &mut [Participant],
    conns: &mut [Option<Conn>],
    quota: usize,
    batch: &mut Batch<'a>,
) {
    for (index, part) in participants.iter_mut().enumerate() {
        part.active = part.state == State::More;
        let Some(conn) = conns[part.conn].as_mut().filter(|_| part.active) else { continue };
        let first = batch.jobs.len();
        let mut cursor = Cursor { input: inputs.of(index), pos: part.pos };
        let state = conn.dialogue.cut(&mut cursor, quota, batch);
        part.pos = cursor.pos;
        part.jobs = first..batch.jobs.len();
        part.completed |= batch.jobs[first..].iter().any(Job::ends_request);
        part.state = match state {
            ParseState::Drained => State::Drained,
            ParseState::More => State::More,
            ParseState::Closing => State::Closing,
        };
    }
}

/// The input of every participant.
struct Inputs<'a> {
    arena: &'a Arena,
    list: &'a [Input],
}

impl<'a> Inputs<'a> {
    #[inline]
    fn of(&self, index: usize) -> &'a [u8] {
        self.arena.get(&self.list[index])
    }
}

/// Where jobs are executed and replies sent, one connection after the other.
struct Executor<'t, 'w> {
    exec: &'t mut Exec<'w>,
    counters: &'t Counters,
    /// Whether requests and replies are logged.
    logged: bool,
    /// Whether requests are logged or written to watchers.
    traced: bool,
    /// Whether connections differ in what they may do, or requests are traced.
    checked: bool,
}

impl<'t, 'w> Executor<'t, 'w> {
    fn new(exec: &'t mut Exec<'w>, counters: &'t Counters) -> Self {
        let logged = exec.verbosity() >= TRACED;
        let traced = logged || exec.attends(attention::RAWCMDS);
        let checked = traced || exec.has_guards();
        Self { exec, counters, logged, traced, checked }
    }

    /// Executes the jobs of a participant until they are done or no more replies are taken.
    #[inline]
    fn run(
        &mut self,
        conn: &mut Conn,
        part: &mut Participant,
        input: &[u8],
        batch: &Batch<'_>,
        out: &mut Output,
    ) {
        self.exec.serve(conn.has_starved, || conn.transport.number());
        let round = Round { input, jobs: part.jobs.clone(), batch };
        if self.checked {
            self.run_checked(conn, part, round, out);
        } else {
            self.run_round(conn, part, &round, out);
        }
    }

    /// The same if connections differ in what they may do, or requests are traced.
    #[cold]
    fn run_checked(
        &mut self,
        conn: &mut Conn,
        part: &mut Participant,
        round: Round<'_, '_>,
        out: &mut Output,
    ) {
        let has_guards = self.exec.has_guards();
        if has_guards {
            self.exec.admit(conn.guard.take());
            self.exec.audit(&round);
        }
        if self.traced {
            self.run_traced(conn, part, round, out);
        } else {
            self.run_round(conn, part, &round, out);
        }
        if has_guards {
            conn.guard = self.exec.release();
        }
    }

    /// Executes the jobs of a round one by one, and shows each.
    fn run_traced(
        &mut self,
        conn: &mut Conn,
        part: &mut Participant,
        round: Round<'_, '_>,
        out: &mut Output,
    ) {
        let number = conn.transport.number();
        for index in round.jobs.clone() {
            let job = &round.batch.jobs[index];
            // A login is not shown, since it holds a password.
            let goes_on = matches!(job.work, Work::Continue | Work::Body { .. } | Work::Login(_))
                || matches!(job.before, Framing::Keys { .. })
                // It was shown when it came, before it had to wait.
                || (conn.has_starved || conn.dialogue.fetching().is_some())
                    && index == round.jobs.start;
            if !goes_on {
                let request = &round.input[job.start..];
                if self.logged {
                    trace::request(number, request);
                }
                self.exec.observe_raw(request);
            }
            let before = out.copied().len();
            let one = Round { jobs: index..index + 1, ..round.clone() };
            let done = self.run_round(conn, part, &one, out);
            if self.logged {
                // What was sent in between is not there any more.
                trace::reply(number, out.copied().get(before..).unwrap_or_default());
            }
            if !done {
                return;
            }
        }
    }

    /// Executes the jobs of a round; false if not all of them, in which case the state says why.
    #[inline(always)]
    fn run_round(
        &mut self,
        conn: &mut Conn,
        part: &mut Participant,
        round: &Round<'_, '_>,
        out: &mut Output,
    ) -> bool {
        let Conn { dialogue, transport, .. } = conn;
        let sent = &mut part.sent;
        let counters = self.counters;
        let make_room = |out: &mut Output| match flush(transport, out, counters, sent) {
            Some(state) => ControlFlow::Break(state),
            None if *sent >= SENT_MAX => ControlFlow::Break(State::Later),
            None => ControlFlow::Continue(()),
        };
        match dialogue.execute(round, self.exec, out, make_room) {
            ControlFlow::Continue(()) => return true,
            ControlFlow::Break(Stop::Closed) => part.state = State::Closing,
            ControlFlow::Break(Stop::NoRoom { pos, reason }) => {
                part.pos = pos;
                part.state = reason;
            }
            // The work goes on in the next turn.
            ControlFlow::Break(Stop::Pieces { pos }) => {
                part.pos = pos;
                part.state = State::More;
            }
            ControlFlow::Break(Stop::Starved { pos }) => {
                part.pos = pos;
                part.state = State::Starved;
            }
            ControlFlow::Break(Stop::Fetching { pos }) => {
                part.pos = pos;
                part.state = State::Fetching;
            }
        }
        false
    }

    /// Sends the last replies of the turn.
    #[inline]
    fn send_rest(&self, conn: &mut Conn, part: &mut Participant, out: &mut Output) {
        if !matches!(part.state, State::Blocked | State::Broken)
            && let Some(state) = flush(&mut conn.transport, out, self.counters, &mut part.sent)
        {
            part.state = state;
        }
    }
}

/// Sends what is there and adds to `sent`; how the connection leaves its turn if not all was taken.
#[inline(always)]
fn flush(
    transport: &mut Transport,
    out: &mut Output,
    counters: &Counters,
    sent: &mut usize,
) -> Option<State> {
    match send(transport, out, counters, sent) {
        Ok(true) => None,
        Ok(false) => Some(State::Blocked),
        Err(_) => Some(State::Broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Duration;

    use mio::{Poll, Token};

    use crate::config::{Binding, Config};
    use crate::event_loop::conn::Next;
    use crate::net::socket::Socket;

    /// Has all requests of `conn` answered, in as many turns as that takes; how often others got
    /// their turn while the client had read everything.
    fn serve_all(mut conn: Conn, shared: &Arc<Shared>) -> usize {
        let poll = Poll::new().unwrap();
        conn.transport.register(poll.registry(), Token(0), false).unwrap();
        let mut turn = Turn::new(false);
        let mut conns = [Some(conn)];
        let mut yields = 0;
        let counters = &shared.gauges.workers[0];
        loop {
            let conn = conns[0].as_mut().unwrap();
            conn.note_readable();
            conn.enqueue();
            let start = conn.begin_turn().unwrap();
            turn.admit(0, conn, start, counters).unwrap();
            turn.serve(&mut conns, shared, 0, false);
            let departure = turn.depart(0, &mut conns, &shared.budgets);
            turn.end();
            let conn = conns[0].as_mut().unwrap();
            if let Some(Departure { state, .. }) = departure {
                let mut next = conn.end_turn(state);
                while next == Next::Block {
                    thread::yield_now();
                    next = conn.unblock(poll.registry(), Token(0), counters).unwrap();
                }
                if next == Next::Close {
                    return yields;
                }
                yields += usize::from(state == State::Later);
            }
        }
    }

    /// Serves a client that asks for many values; how often others got their turn meanwhile.
    fn serve_fast_reader(shared: &Arc<Shared>, value: &[u8]) -> usize {
        const REQUESTS: usize = 200;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        socket.set_nonblocking(true).unwrap();
        let socket = Socket::from(mio::net::TcpStream::from_std(socket));
        client.write_all(&[&b"get k\r\n".repeat(REQUESTS)[..], b"quit\r\n"].concat()).unwrap();
        let head = format!("VALUE k 0 {}\r\n", value.len());
        let reply = [head.as_bytes(), value, b"\r\nEND\r\n"].concat();
        let reading = thread::spawn(move || {
            let mut found = vec![0; reply.len()];
            for _ in 0..REQUESTS {
                client.read_exact(&mut found).unwrap();
                assert!(found == reply);
            }
        });
        let yields = serve_all(Conn::new(socket.into(), Binding::Auto, 0), shared);
        reading.join().unwrap();
        yields
    }

    #[test]
    fn a_client_that_reads_fast_lets_others_go_first() {
        let cache = memcore::Cache::new(64 << 20).unwrap();
        let shared = Shared::without_threads(cache, Config { threads: 1, ..Config::default() });
        let value = vec![b'x'; SENT_MAX / 2];
        shared.core.cache.set(b"k", &value, memcore::Attrs::new()).unwrap();
        let start = Instant::now();
        // How fast the client reads is up to the system's scheduler.
        while serve_fast_reader(&shared, &value) == 0 {
            assert!(start.elapsed() < Duration::from_secs(60), "everything is sent in one go");
        }
    }
}
