//! A staged turn: read every ready connection of a group, cut all their requests into jobs, have
//! the cache bring all keys near, execute in order, and answer each connection with one write.
//!
//! ```text
//!   fill   c1 c2 c3 ...   one read each, into one arena
//!   round  parse c1 c2 c3 ... -> prefetch all keys -> execute c1, write; c2, write; c3 ...
//!   round  those with requests left, ...
//!   keep   what was not used or not sent goes back to the connection
//! ```
//!
//! It must never know how connections become ready.

use std::sync::Arc;

use crate::event_loop::conn::{Conn, Input, READ_MIN, SENT_MAX};
use crate::exec::{Exec, Flow};
use crate::session::batch::{Batch, Job, Spare, Work};
use crate::session::output::Output;
use crate::session::{Framing, Pace};
use crate::state::counters::Counters;
use crate::state::shared::Shared;
use crate::watch::attention;
use crate::watch::trace;

/// Connections served together.
const GROUP_MAX: usize = 32;
/// Bytes of the arena. Each read begins where the one before ended, so small requests of many
/// connections lie close together.
const ARENA_BYTES: usize = 256 << 10;
/// Rounds before other connections get their turn.
const ROUNDS_MAX: usize = 4;
/// Requests per round of a connection that has nobody to wait for it.
const ALONE_MAX: usize = 128;
/// From this verbosity on requests and replies are shown.
pub(crate) const TRACED: u8 = 2;
/// Reads begin at a multiple of this.
const ALIGN: usize = 64;

/// What a worker needs for its turns, reused from turn to turn.
#[derive(Debug)]
pub(crate) struct Turn {
    arena: Vec<u8>,
    inputs: Vec<Input>,
    seats: Vec<Seat>,
    outputs: Vec<Output>,
    spare: Spare,
    used: usize,
}

/// One connection's part in a turn.
#[derive(Debug)]
struct Seat {
    conn: usize,
    pos: usize,
    jobs: (usize, usize),
    /// Whether it takes part in this round.
    active: bool,
    /// Bytes that it was sent in this turn.
    sent: usize,
    state: State,
}

/// How a connection leaves its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has requests left.
    More,
    /// It has more to say, but not in this turn.
    Later,
    /// It needs more bytes.
    Drained,
    /// It has said goodbye, and everything is sent.
    Closing,
    /// The socket takes no more replies for now.
    Blocked,
    /// The connection is broken.
    Broken,
}

impl Turn {
    /// An empty turn.
    pub(crate) fn new() -> Self {
        Self {
            arena: vec![0; ARENA_BYTES],
            inputs: Vec::with_capacity(GROUP_MAX),
            seats: Vec::with_capacity(GROUP_MAX),
            outputs: std::iter::repeat_with(Output::default).take(GROUP_MAX).collect(),
            spare: Spare::default(),
            used: 0,
        }
    }

    /// Whether another connection can take part.
    pub(crate) fn has_room(&self) -> bool {
        self.seats.len() < GROUP_MAX && self.arena.len() - self.used >= READ_MIN
    }

    /// Reads from connection number `index`, which then takes part if it has anything to say;
    /// false if it is broken.
    #[inline]
    pub(crate) fn admit(&mut self, index: usize, conn: &mut Conn, counters: &Counters) -> bool {
        match conn.fill(&mut self.arena, self.used, counters) {
            Ok(None) => {}
            Ok(Some(input)) => {
                if let Input::Arena { start, len } = input {
                    self.used = (start + len).next_multiple_of(ALIGN);
                }
                self.inputs.push(input);
                self.seats.push(Seat {
                    conn: index,
                    pos: conn.used,
                    jobs: (0, 0),
                    active: true,
                    sent: 0,
                    state: State::More,
                });
            }
            Err(_) => return false,
        }
        true
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
        let Self { arena, inputs, seats, outputs, spare, .. } = self;
        let inputs = Inputs { arena, list: inputs };
        let mut batch = Batch::new(&shared.core.cache, std::mem::take(spare));
        let exec = Exec::new(shared, worker);
        let counters = &shared.gauges.workers[worker];
        let trace = exec.verbosity() >= TRACED;
        let aloud = trace || exec.attends(attention::RAWCMDS);
        let share = shared.core.config.max_reqs_per_event.max(1);
        outputs.iter_mut().take(seats.len()).for_each(|out| out.adapt(&shared.budgets));
        for round in 1..=ROUNDS_MAX {
            let active = seats.iter().filter(|seat| seat.state == State::More).count();
            if active == 0 {
                break;
            }
            let alone = active == 1 && !crowded;
            let quota = if alone { share.max(ALONE_MAX) } else { share };
            batch.clear();
            seat_jobs(&inputs, seats, conns, quota, &mut batch);
            batch.prefetch();
            for (index, seat) in seats.iter_mut().enumerate().filter(|(_, seat)| seat.active) {
                let Some(conn) = conns[seat.conn].as_mut() else { continue };
                let out = &mut outputs[index];
                let mut desk = Desk { exec: &exec, counters, conn, out, trace, aloud };
                desk.work(seat, inputs.of(index), &batch);
                if seat.state == State::More && desk.conn.session.stream.is_some() {
                    seat.state = State::Later;
                }
                if seat.state == State::More && !alone {
                    counters.conn_yields.add(1);
                }
                if seat.state != State::More || round == ROUNDS_MAX {
                    desk.finish(seat);
                }
            }
        }
        *spare = batch.into_spare();
    }

    /// Gives each participant back what it did not use, and calls `left` with its number and how
    /// it leaves.
    pub(crate) fn dismiss(
        &mut self,
        conns: &mut [Option<Conn>],
        shared: &Arc<Shared>,
        mut left: impl FnMut(usize, &mut Conn, State),
    ) {
        for ((seat, input), out) in
            self.seats.drain(..).zip(self.inputs.drain(..)).zip(&mut self.outputs)
        {
            let Some(conn) = conns[seat.conn].as_mut() else { continue };
            if !conn.session.is_closed() {
                conn.keep(&self.arena, input, seat.pos);
            }
            if seat.state == State::Blocked {
                out.settle(&shared.budgets);
                conn.backlog = Some(Box::new(std::mem::take(out)));
            } else {
                out.clear();
            }
            left(seat.conn, conn, seat.state);
        }
        self.used = 0;
    }
}

/// Has every session that still has input cut its share of jobs.
#[inline]
fn seat_jobs<'a>(
    inputs: &Inputs<'a>,
    seats: &mut [Seat],
    conns: &mut [Option<Conn>],
    quota: usize,
    batch: &mut Batch<'a>,
) {
    for (index, seat) in seats.iter_mut().enumerate() {
        seat.active = seat.state == State::More;
        let Some(conn) = conns[seat.conn].as_mut().filter(|_| seat.active) else { continue };
        let first = batch.jobs.len();
        let pace = conn.session.parse(inputs.of(index), &mut seat.pos, quota, batch);
        seat.jobs = (first, batch.jobs.len());
        seat.state = match pace {
            Pace::Drained => State::Drained,
            Pace::More => State::More,
            Pace::Closing => State::Closing,
        };
    }
}

/// The input of every participant.
struct Inputs<'a> {
    arena: &'a [u8],
    list: &'a [Input],
}

impl<'a> Inputs<'a> {
    #[inline]
    fn of(&self, index: usize) -> &'a [u8] {
        match &self.list[index] {
            Input::Arena { start, len } => &self.arena[*start..*start + *len],
            Input::Own(bytes) => bytes,
        }
    }
}

/// Where the jobs of one connection are executed and its replies sent.
struct Desk<'a> {
    exec: &'a Exec<'a>,
    counters: &'a Counters,
    conn: &'a mut Conn,
    out: &'a mut Output,
    /// Whether requests and replies are shown.
    trace: bool,
    /// Whether somebody sees them, here or as a watcher.
    aloud: bool,
}

impl Desk<'_> {
    /// Executes the jobs of `seat` until they are done or the socket takes no more.
    #[inline]
    fn work(&mut self, seat: &mut Seat, input: &[u8], batch: &Batch<'_>) {
        self.exec.serve(|| self.conn.socket.number());
        for job in &batch.jobs[seat.jobs.0..seat.jobs.1] {
            let done = if self.aloud {
                self.execute_aloud(seat, job, input, batch)
            } else {
                self.execute(seat, job, input, batch)
            };
            if !done {
                return;
            }
        }
    }

    /// Executes one job and says so.
    #[cold]
    fn execute_aloud(
        &mut self,
        seat: &mut Seat,
        job: &Job<'_>,
        input: &[u8],
        batch: &Batch<'_>,
    ) -> bool {
        let number = self.conn.socket.number();
        let goes_on = matches!(job.work, Work::Stream | Work::Body(..))
            || matches!(job.before, Framing::Keys { .. });
        if !goes_on {
            if self.trace {
                trace::request(number, &input[job.start..]);
            }
            self.exec.observe_raw(&input[job.start..]);
        }
        let before = self.out.copied().len();
        let done = self.execute(seat, job, input, batch);
        if self.trace {
            // What was sent in between is not there any more.
            trace::reply(number, self.out.copied().get(before..).unwrap_or_default());
        }
        done
    }

    /// Executes one job; false if the connection can't go on, in which case the session stands
    /// where it has to continue later.
    #[inline]
    fn execute(&mut self, seat: &mut Seat, job: &Job<'_>, input: &[u8], batch: &Batch<'_>) -> bool {
        let mut flow = self.attempt(seat, job, batch);
        if let Some(Flow::Full(_)) = flow {
            let mut rest = *job;
            while let Some(Flow::Full(key)) = flow {
                rest.resume_at(key, input, batch);
                flow = self.attempt(seat, &rest, batch);
            }
        }
        flow.is_some()
    }

    /// Executes as much of a job as the output has room for.
    #[inline]
    fn attempt(&mut self, seat: &mut Seat, job: &Job<'_>, batch: &Batch<'_>) -> Option<Flow> {
        // A watcher's socket goes elsewhere, so what it is owed from here has to go first.
        let urgent = self.out.is_full() || matches!(job.work, Work::Watch(_));
        if urgent && !self.make_room(seat) {
            self.conn.session.rewind(job.before);
            seat.pos = job.start;
            return None;
        }
        let flow = self.exec.run(job, batch, &mut self.conn.session, self.out);
        if flow == Flow::Close {
            self.conn.session.close();
            seat.state = State::Closing;
            return None;
        }
        Some(flow)
    }

    /// Sends what is there, to go on with; false if others have to come first.
    fn make_room(&mut self, seat: &mut Seat) -> bool {
        if !self.flush(seat) {
            return false;
        }
        let spent = seat.sent >= SENT_MAX;
        if spent {
            seat.state = State::Later;
        }
        !spent
    }

    /// Sends what is there; false if not all of it went.
    fn flush(&mut self, seat: &mut Seat) -> bool {
        let unsent = self.out.unsent();
        let sent = self.conn.send(self.out, self.counters);
        seat.sent += unsent - self.out.unsent();
        match sent {
            Ok(true) => return true,
            Ok(false) => seat.state = State::Blocked,
            Err(_) => seat.state = State::Broken,
        }
        false
    }

    /// Sends the last replies of the turn.
    #[inline]
    fn finish(&mut self, seat: &mut Seat) {
        if !matches!(seat.state, State::Blocked | State::Broken) {
            self.flush(seat);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use crate::config::{Binding, Config};

    /// Has all requests of `conn` answered, in as many turns as that takes; how often others got
    /// their turn while the client had read everything.
    fn serve_all(conn: Conn, shared: &Arc<Shared>) -> usize {
        let (mut turn, mut conns, mut yields) = (Turn::new(), [Some(conn)], 0);
        let counters = &shared.gauges.workers[0];
        loop {
            let conn = conns[0].as_mut().unwrap();
            conn.readable = true;
            assert!(turn.admit(0, conn, counters));
            turn.serve(&mut conns, shared, 0, false);
            let mut left = None;
            turn.dismiss(&mut conns, shared, |_, conn, state| {
                conn.has_work = !conn.input.is_empty();
                left = Some(state);
                if let Some(mut out) = conn.backlog.take() {
                    while !conn.send(&mut out, counters).unwrap() {
                        thread::yield_now();
                    }
                }
            });
            match left {
                Some(State::Closing) => return yields,
                Some(State::Later) => yields += 1,
                _ => {}
            }
        }
    }

    #[test]
    fn a_client_that_reads_fast_lets_others_go_first() {
        const REQUESTS: usize = 200;
        let cache = memcore::Cache::new(64 << 20).unwrap();
        let shared = Shared::without_threads(cache, Config { threads: 1, ..Config::default() });
        let value = vec![b'x'; SENT_MAX / 2];
        shared.core.cache.set(b"k", &value, memcore::Attrs::new()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        socket.set_nonblocking(true).unwrap();
        let socket = mio::net::TcpStream::from_std(socket).into();
        client.write_all(&[&b"get k\r\n".repeat(REQUESTS)[..], b"quit\r\n"].concat()).unwrap();
        let reading = thread::spawn(move || {
            let reply = [&b"VALUE k 0 524288\r\n"[..], &value, b"\r\nEND\r\n"].concat();
            let mut found = vec![0; reply.len()];
            for _ in 0..REQUESTS {
                client.read_exact(&mut found).unwrap();
                assert!(found == reply);
            }
        });
        let yields = serve_all(Conn::new(socket, Binding::Auto, 0), &shared);
        assert!(yields > 0, "everything was sent in one go");
        reading.join().unwrap();
    }
}
