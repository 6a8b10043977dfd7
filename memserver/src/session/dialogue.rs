//! One client's dialogue without I/O: bytes in, replies out. Whoever serves a client, over a
//! socket, in datagrams or in a test, drives this object, and supplies the input, the executor and
//! the way to make room for more replies.
//!
//! ```text
//!   loop {
//!       dialogue.cut(input)        for every client that takes part: jobs into one batch
//!       batch.prefetch()
//!       dialogue.execute(jobs)     for every client: replies into its output;
//!   }                              make_room() whenever that is full
//! ```

use std::ops::{ControlFlow, Range};

use crate::config::Binding;
use crate::session::access::Access;
use crate::session::batch::Batch;
use crate::session::cut::{Cursor, Cutter, ParseState};
use crate::session::framing::Framing;
use crate::session::job::{Job, KeyIndex, Work, offset};
use crate::session::output::Output;
use crate::session::pending::Pending;
use crate::watch::WatchPermit;

/// One client's dialogue.
#[derive(Debug)]
pub(crate) struct Dialogue {
    cutter: Cutter,
    pending: Pending,
}

/// Jobs that were cut from one client's input.
#[derive(Clone, Debug)]
pub(crate) struct Round<'r, 'a> {
    /// The input.
    pub(crate) input: &'a [u8],
    /// Which of the batch's jobs they are.
    pub(crate) jobs: Range<usize>,
    /// The jobs of all clients.
    pub(crate) batch: &'r Batch<'a>,
}

/// What executes jobs.
pub(crate) trait Execute {
    /// Executes `job`, appends what it answers to `out`, and leaves in `pending` what is to come
    /// later.
    fn execute(
        &mut self,
        job: &Job<'_>,
        batch: &Batch<'_>,
        pending: &mut Pending,
        out: &mut Output,
    ) -> Flow;
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It was done.
    Done,
    /// The output is full; the retrieval is to go on at this key.
    Full(KeyIndex),
    /// It was done, and the dialogue ends with its reply.
    Close,
    /// It goes on a piece at a time; the request behind it waits.
    Pieces,
    /// Other clients hold the memory that a value needs. A retrieval is to go on at this key,
    /// another request is to be repeated.
    Starved(Option<KeyIndex>),
    /// Items are brought to memory first. The request is to be repeated then.
    Fetching,
}

/// Why not all jobs of a round were executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop<R> {
    /// The dialogue is over.
    Closed,
    /// There was no room for more replies, for this reason. The dialogue is to go on at `pos` of
    /// the input.
    NoRoom { pos: usize, reason: R },
    /// The last request is done a piece at a time, with turns of others in between. The dialogue
    /// is to go on at `pos` of the input.
    Pieces { pos: usize },
    /// Other clients hold the memory that a value needs. The dialogue is to go on at `pos` of the
    /// input when some was given back.
    Starved { pos: usize },
    /// Items are brought to memory first. The dialogue is to go on at `pos` of the input then.
    Fetching { pos: usize },
}

impl Dialogue {
    /// A dialogue in the protocol that `binding` prescribes.
    pub(crate) fn new(binding: Binding) -> Self {
        Self { cutter: Cutter::new(binding), pending: Pending::Nothing }
    }

    /// From the first byte on its client has this `access`.
    pub(crate) fn guard(&mut self, access: Access) {
        self.cutter.guard(access);
    }

    /// The protocol, once it is known.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn protocol(&self) -> Option<memproto::Protocol> {
        self.cutter.protocol()
    }

    /// What the next byte of input is.
    pub(crate) fn framing(&self) -> Framing {
        self.cutter.framing()
    }

    /// Whether the next request waits for items, and whether they have come.
    pub(crate) fn fetching(&self) -> Option<bool> {
        match &self.pending {
            Pending::Fetching(fetch) => Some(fetch.is_done()),
            _ => None,
        }
    }

    /// Whether the dialogue is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.cutter.is_closed()
    }

    /// Whether it is over because the client broke the protocol.
    pub(crate) fn is_at_fault(&self) -> bool {
        matches!(self.framing(), Framing::Closed { at_fault: true })
    }

    /// Whether the last request may be unanswered yet.
    #[inline]
    pub(crate) fn is_at_barrier(&self) -> bool {
        matches!(self.framing(), Framing::Barrier)
    }

    /// Whether it can go on without more input: the last request may be unanswered yet, or the
    /// value that was arriving is complete.
    pub(crate) fn wants_no_input(&self) -> bool {
        matches!(self.framing(), Framing::Barrier | Framing::Body { left: 0, tail: 0 })
    }

    /// Whether the next byte is the first of a request.
    pub(crate) fn is_between_requests(&self) -> bool {
        matches!(self.framing(), Framing::Command | Framing::Login)
    }

    /// Whether a part of a request has arrived, and more of it has to, if nothing of it is in the
    /// input.
    pub(crate) fn is_amid_request(&self) -> bool {
        matches!(
            self.framing(),
            Framing::Wait { .. }
                | Framing::Keys { .. }
                | Framing::Body { .. }
                | Framing::Swallow { .. }
                | Framing::SkipLine
        )
    }

    /// Whether a value is on its way.
    pub(crate) fn is_receiving(&self) -> bool {
        matches!(self.framing(), Framing::Body { .. } | Framing::Wait { .. })
    }

    /// Whether a value is on its way to its place in the cache.
    pub(crate) fn is_uploading(&self) -> bool {
        matches!(self.pending, Pending::Upload(_))
    }

    /// Whether an answer is sent, or other work done, piece by piece.
    pub(crate) fn is_streaming(&self) -> bool {
        matches!(self.pending, Pending::Stream(_) | Pending::Join(_))
    }

    /// How much input is known to be wanted soon.
    pub(crate) fn expected(&self) -> usize {
        match self.framing() {
            Framing::Body { left, tail } => left + tail,
            Framing::Swallow { left } => left,
            Framing::Wait { bytes } => bytes,
            _ => 0,
        }
    }

    /// What the client watches with from now on, if it asked for that and its dialogue is over.
    pub(crate) fn take_watch_permit(&mut self) -> Option<Box<WatchPermit>> {
        match std::mem::take(&mut self.pending) {
            Pending::Watch(permit) => Some(permit),
            other => {
                self.pending = other;
                None
            }
        }
    }

    /// Has `read` write the next bytes of the value that is arriving where they will lie, up to
    /// `most`, and takes them as received. `read` is given pieces of memory, none if no value is
    /// arriving or there is no memory for it, and whether they end where the value does; it returns
    /// how many bytes it has written to them.
    ///
    /// # Errors
    /// That of `read`.
    pub(crate) fn receive_in_place<E>(
        &mut self,
        most: usize,
        read: impl FnOnce(&mut [&mut [u8]], bool) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let Pending::Upload(upload) = &mut self.pending else { return read(&mut [], true) };
        let Ok(place) = &mut upload.place else { return read(&mut [], true) };
        let owed = place.remaining();
        let count = place.fill(most, |pieces| {
            let lent: usize = pieces.iter().map(|piece| piece.len()).sum();
            read(pieces, lent == owed)
        })?;
        self.cutter.skip_body(count);
        Ok(count)
    }

    /// Cuts up to `quota` jobs from the input, adds them to `batch` and moves the cursor behind
    /// them.
    #[inline]
    pub(crate) fn cut<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        quota: usize,
        batch: &mut Batch<'a>,
    ) -> ParseState {
        if self.is_at_barrier() {
            if self.pending.is_waiting() {
                return ParseState::Drained;
            }
            if self.is_streaming() || matches!(self.pending, Pending::Verifying(_)) {
                let work = Work::Continue;
                batch.jobs.push(Job { start: cursor.pos, before: Framing::Barrier, work });
                return ParseState::More;
            }
            if let Pending::Login(verdict) = self.pending {
                self.pending = Pending::Nothing;
                self.cutter.judge(verdict);
            }
            self.cutter.pass_barrier();
        }
        self.cutter.cut(cursor, quota, batch)
    }

    /// Executes the jobs of a round in order and appends their replies to `out`. When that is full,
    /// `make_room` is to send, or refuse for some reason, and the dialogue stops before the job
    /// that found no room.
    // Inlined into its few callers, because it is executed for every connection of every turn.
    #[inline(always)]
    pub(crate) fn execute<R>(
        &mut self,
        round: &Round<'_, '_>,
        exec: &mut impl Execute,
        out: &mut Output,
        mut make_room: impl FnMut(&mut Output) -> ControlFlow<R>,
    ) -> ControlFlow<Stop<R>> {
        for job in &round.batch.jobs[round.jobs.clone()] {
            // A watcher's socket is given away, so the replies that it is owed are sent first.
            let urgent = out.is_full() || matches!(job.work, Work::Watch(_));
            if urgent && let ControlFlow::Break(reason) = make_room(out) {
                return self.stop(job, reason);
            }
            match exec.execute(job, round.batch, &mut self.pending, out) {
                Flow::Done => {}
                Flow::Full(key) => self.go_on(job, key, round, exec, out, &mut make_room)?,
                Flow::Close => return self.end(),
                Flow::Pieces => return self.wait_behind(job, round),
                Flow::Starved(key) => return self.starve(*job, key, round),
                Flow::Fetching => return self.fetch(job),
            }
        }
        ControlFlow::Continue(())
    }

    /// Goes back to what follows a storage request that is not done yet.
    #[cold]
    fn wait_behind<R>(&mut self, job: &Job<'_>, round: &Round<'_, '_>) -> ControlFlow<Stop<R>> {
        let pos = match job.work {
            Work::Put { request, value, .. } => {
                offset(round.input, value) + value.len() + request.tail_len()
            }
            _ => {
                debug_assert!(false, "only values are stored in pieces: {job:?}");
                round.input.len()
            }
        };
        self.cutter.wait_for_answer();
        ControlFlow::Break(Stop::Pieces { pos })
    }

    /// Goes back to where a job found no memory.
    #[cold]
    fn starve<R>(
        &mut self,
        mut job: Job<'_>,
        key: Option<KeyIndex>,
        round: &Round<'_, '_>,
    ) -> ControlFlow<Stop<R>> {
        if let (Some(key), Work::Get(run)) = (key, &job.work)
            && key > run.first
        {
            resume_at(&mut job, key, round);
        }
        self.cutter.rewind(job.before);
        ControlFlow::Break(Stop::Starved { pos: job.start })
    }

    /// Goes back to a job that waits for items.
    #[cold]
    fn fetch<R>(&mut self, job: &Job<'_>) -> ControlFlow<Stop<R>> {
        self.cutter.rewind(job.before);
        ControlFlow::Break(Stop::Fetching { pos: job.start })
    }

    /// Goes on with a retrieval from `key` on, for which the output had no room.
    #[inline(never)]
    fn go_on<R>(
        &mut self,
        job: &Job<'_>,
        mut key: KeyIndex,
        round: &Round<'_, '_>,
        exec: &mut impl Execute,
        out: &mut Output,
        make_room: &mut impl FnMut(&mut Output) -> ControlFlow<R>,
    ) -> ControlFlow<Stop<R>> {
        let mut rest = *job;
        loop {
            resume_at(&mut rest, key, round);
            if let ControlFlow::Break(reason) = make_room(out) {
                return self.stop(&rest, reason);
            }
            match exec.execute(&rest, round.batch, &mut self.pending, out) {
                Flow::Done => return ControlFlow::Continue(()),
                Flow::Full(next) => key = next,
                Flow::Close => return self.end(),
                Flow::Pieces => return self.wait_behind(&rest, round),
                Flow::Starved(key) => return self.starve(rest, key, round),
                Flow::Fetching => return self.fetch(&rest),
            }
        }
    }

    /// Stops before `job`, for which there was no room.
    fn stop<R>(&mut self, job: &Job<'_>, reason: R) -> ControlFlow<Stop<R>> {
        self.cutter.rewind(job.before);
        ControlFlow::Break(Stop::NoRoom { pos: job.start, reason })
    }

    /// Ends the dialogue.
    fn end<R>(&mut self) -> ControlFlow<Stop<R>> {
        self.cutter.close();
        ControlFlow::Break(Stop::Closed)
    }
}

/// Turns a retrieval into what is left of it from `key` on.
fn resume_at(job: &mut Job<'_>, key: KeyIndex, round: &Round<'_, '_>) {
    let Work::Get(run) = &mut job.work else {
        debug_assert!(false, "only retrievals are executed in parts: {job:?}");
        return;
    };
    run.first = key;
    job.start = offset(round.input, round.batch.keys[key as usize].bytes());
    let left = run.line_end - job.start;
    job.before = Framing::Keys { verb: run.verb, left };
}
