//! One client's connection: it moves bytes between a transport and a dialogue and remembers what is
//! left over. What the bytes mean is not known here.

use std::io::{self, IoSliceMut};

use memcore::UpgradeError;
use mio::event::Event;
use mio::{Registry, Token};

use crate::auth::accounts::Accounts;
use crate::auth::audit::EventKind;
use crate::auth::guard::Guard;
use crate::config::{AdminOnly, AuditFormat, Binding};
use crate::event_loop::arena::{Arena, Input, READ_MIN};
use crate::event_loop::unfinished::Unfinished;
use crate::net::socket::Peer;
use crate::net::transport::{Readiness, Received, Transport};
use crate::session::access::Access;
use crate::session::dialogue::Dialogue;
use crate::session::output::Output;
use crate::state::budgets::Permit;
use crate::state::counters::Counters;

/// Bytes that a read asks for at least that goes on with a request.
const READ_ON_MIN: usize = 4 << 10;
/// Bytes that a read asks for at most.
const READ_MAX: usize = 128 << 10;
/// Pieces that a read may have.
const PIECES_MAX: usize = 8;
/// Bytes that a client who reads as fast as they are written is sent before others get their turn.
pub(crate) const SENT_MAX: usize = 1 << 20;
/// Seconds over which the pace of a connection is measured.
pub(crate) const PACE_TIME: u32 = 10;
/// Bytes per second that a connection moves at least if others need what it holds.
const PACE_MIN: usize = 8 << 10;
/// Left-over bytes that are moved to the front of their buffer at once. It takes longer with more
/// of them, and a long line can be left over many times.
const MOVED_MAX: usize = 64 << 10;
/// Unused capacity, beside as much as is used, with which a left-over buffer is not shrunk.
const SLACK: usize = 1 << 10;

/// One client. An idle one owns no buffer.
#[derive(Debug)]
pub(crate) struct Conn {
    /// Where its bytes come from and go.
    pub(crate) transport: Transport,
    /// What they mean.
    pub(crate) dialogue: Dialogue,
    /// What has to be agreed on before they mean anything.
    pub(crate) handshake: Option<Box<Unfinished>>,
    /// Bytes received that the dialogue has not used, behind others.
    pub(crate) input: Vec<u8>,
    /// Bytes of `input` that the dialogue has used.
    pub(crate) used: usize,
    /// What its next read will find.
    readiness: Readiness,
    /// What it waits for.
    schedule: Schedule,
    /// The budget's part that `input` takes unless it is small.
    pub(crate) input_permit: Option<Permit>,
    /// The other end, noted at the beginning if connections are watched: a connection that was
    /// reset can't be asked any more.
    pub(crate) peer: Option<Box<Peer>>,
    /// What is remembered about its client, if the server has users.
    pub(crate) guard: Option<Box<Guard>>,
    /// Whether it has waited for memory, and did not go on since.
    pub(crate) has_starved: bool,
    /// Second of the last bytes received, or sent by a connection that had been stuck.
    pub(crate) last_active: u32,
    /// Second of the last complete request.
    pub(crate) last_request: u32,
    /// Second by which the request that is arriving has to be complete.
    pub(crate) deadline: Option<u32>,
    /// Bytes received, and bytes sent after its client had not read for a while. They wrap around.
    moved: usize,
    /// The pace at which it moves bytes, while others may need what it holds.
    pace: Option<Pace>,
}

/// What a connection has moved at a moment.
#[derive(Clone, Copy, Debug)]
struct Pace {
    since: u32,
    moved: usize,
}

/// What a connection waits for.
#[derive(Debug)]
enum Schedule {
    /// An event of its transport.
    Parked,
    /// Its turn, in the worker's queue.
    Queued(Start),
    /// The answers of other workers.
    Waiting,
    /// Items that are on their way to memory. Nothing is read meanwhile.
    Fetching,
    /// Memory that other clients hold. Nothing is read meanwhile.
    Starved,
    /// Its client, who does not read. Nothing is read or executed before these replies are sent.
    Blocked { replies: Box<Output>, then: Start, seen: Option<usize> },
}

/// What a connection's turn begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Reading, if there may be bytes.
    Read,
    /// Requests that were read already, or the rest of an answer.
    Resume,
}

/// How a connection leaves its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has requests left.
    More,
    /// There is more to send, but not in this turn.
    Later,
    /// It needs more bytes.
    Drained,
    /// Its dialogue is over, and everything is sent.
    Closing,
    /// The transport takes no more replies for now.
    Blocked,
    /// It needs items that are on their way to memory.
    Fetching,
    /// It needs memory that other clients hold.
    Starved,
    /// The connection is broken.
    Broken,
}

/// What is to be done for a connection after its turn, or after its client has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: an event will say when there is something to do.
    Park,
    /// To be queued for another turn.
    Queue,
    /// To be queued when another worker has answered.
    Wait,
    /// Nothing before its client has read.
    Block,
    /// To be queued when other clients may have given memory back.
    Starve,
    /// To be closed.
    Close,
}

impl Conn {
    /// A connection that has just been accepted, whose client speaks `binding`.
    pub(crate) fn new(transport: Transport, binding: Binding, now: u32) -> Self {
        Self {
            transport,
            dialogue: Dialogue::new(binding),
            handshake: None,
            input: Vec::new(),
            used: 0,
            readiness: Readiness::Drained,
            schedule: Schedule::Parked,
            input_permit: None,
            has_starved: false,
            peer: None,
            guard: None,
            last_active: now,
            last_request: now,
            deadline: None,
            moved: 0,
            pace: None,
        }
    }

    /// Has its client do only what is allowed to it, for which it has to log in if there are
    /// `accounts`.
    pub(crate) fn guard(&mut self, accounts: Option<&Accounts>, admin_only: AdminOnly) -> &Guard {
        let (peer, uid) = (self.transport.peer(), self.transport.uid());
        let guard = Guard::new(accounts, admin_only, peer, uid);
        if accounts.is_some() {
            let is_known = guard.account.is_some();
            self.dialogue.guard(if is_known { Access::Granted } else { Access::Unknown });
        }
        self.guard.insert(Box::new(guard))
    }

    /// Finds out who its client is by the certificate that it has shown, once it has sent
    /// something, and whether it is still who it was. None of what it sent has been looked at. The
    /// first is written down if there is an `audit`.
    pub(crate) fn recognise(&mut self, accounts: &Accounts, audit: Option<AuditFormat>) {
        let Some(guard) = &mut self.guard else { return };
        if !std::mem::replace(&mut guard.is_recognised, true) && guard.account.is_none() {
            let subject = self.transport.subject();
            guard.account = subject.and_then(|subject| accounts.of_subject(&subject));
            if guard.account.is_some() {
                self.dialogue.guard(Access::Granted);
                if let Some(format) = audit {
                    guard.audit(format, EventKind::Login("certificate"));
                }
            }
        }
        let generation = accounts.generation();
        // Amid a request it is still the user who began it.
        if guard.generation == generation || !self.dialogue.is_between_requests() {
            return;
        }
        guard.generation = generation;
        if let Some(account) = guard.account.take() {
            guard.account = accounts.renew(&account);
            if guard.account.is_none() {
                self.dialogue.guard(Access::Unknown);
            }
        }
    }

    /// Whether it waits for the rest of a request.
    pub(crate) fn is_amid_request(&self) -> bool {
        let has_begun = !self.input.is_empty() && self.dialogue.is_between_requests();
        has_begun || self.dialogue.is_amid_request() || self.transport.is_amid_record()
    }

    /// Whether it has moved less than [`PACE_MIN`] bytes per second over [`PACE_TIME`]. It is asked
    /// every second while the connection `holds` something.
    pub(crate) fn is_slow(&mut self, holds: bool, now: u32) -> bool {
        let moved = self.moved;
        let pace = match &mut self.pace {
            Some(pace) if holds => pace,
            pace => {
                *pace = holds.then_some(Pace { since: now, moved });
                return false;
            }
        };
        let time = now.saturating_sub(pace.since);
        if time < PACE_TIME {
            return false;
        }
        let bytes = moved.wrapping_sub(pace.moved);
        *pace = Pace { since: now, moved };
        bytes < time as usize * PACE_MIN
    }

    /// Whether nothing is under way on it: all that has come is answered, and all that was answered
    /// is sent.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.schedule, Schedule::Parked)
            && !self.is_amid_request()
            && !self.dialogue.is_uploading()
    }

    /// The replies that its client does not read.
    pub(crate) fn blocked_replies(&self) -> Option<&Output> {
        match &self.schedule {
            Schedule::Blocked { replies, .. } => Some(replies),
            _ => None,
        }
    }

    /// Whether its client does not read its replies.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked_replies().is_some()
    }

    /// Bytes of the clients' budget that it holds.
    pub(crate) fn held(&self) -> usize {
        let input = self.input_permit.as_ref().map_or(0, Permit::amount);
        input + self.blocked_replies().map_or(0, Output::held)
    }

    /// Bytes of memory that its buffers take.
    pub(crate) fn memory(&self) -> usize {
        self.input.capacity() + self.blocked_replies().map_or(0, Output::held)
    }

    /// Whether it waits for its turn.
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self.schedule, Schedule::Queued(_))
    }

    /// Whether it waits for other workers.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.schedule, Schedule::Waiting)
    }

    /// Whether it waits for items.
    pub(crate) fn is_fetching(&self) -> bool {
        matches!(self.schedule, Schedule::Fetching)
    }

    /// Has it go on if the items that it waits for have come; whether it does.
    pub(crate) fn go_on_with_items(&mut self) -> bool {
        let goes_on = self.is_fetching() && self.dialogue.fetching() != Some(false);
        if goes_on {
            self.schedule = Schedule::Queued(Start::Resume);
        }
        goes_on
    }

    /// Whether it waits for memory that other clients hold.
    pub(crate) fn is_starved(&self) -> bool {
        matches!(self.schedule, Schedule::Starved)
    }

    /// Has it try again to get memory.
    pub(crate) fn retry(&mut self) {
        debug_assert!(self.is_starved(), "it does not wait, but {:?}", self.schedule);
        self.schedule = Schedule::Queued(Start::Resume);
    }

    /// Takes note of an event.
    #[inline]
    pub(crate) fn on_event(&mut self, event: &Event) {
        if self.transport.on_event(event) {
            self.note_readable();
        }
    }

    /// Has it wait for its turn; false if it does already, or has to wait for its client first.
    pub(crate) fn enqueue(&mut self) -> bool {
        let is_free = matches!(self.schedule, Schedule::Parked | Schedule::Waiting);
        if is_free {
            self.schedule = Schedule::Queued(Start::Read);
        }
        is_free
    }

    /// Its turn has come; what that begins with.
    pub(crate) fn begin_turn(&mut self) -> Option<Start> {
        let Schedule::Queued(start) = self.schedule else {
            debug_assert!(false, "its turn, though {:?}", self.schedule);
            return None;
        };
        self.schedule = Schedule::Parked;
        Some(start)
    }

    /// Has it wait until its client has taken `replies`.
    pub(crate) fn block(&mut self, replies: Output) {
        let replies = Box::new(replies);
        self.schedule = Schedule::Blocked { replies, then: self.next_start(), seen: None };
    }

    /// Gives up what its replies pin for others if its client has read nothing since this was
    /// called last.
    pub(crate) fn loosen(&mut self) {
        let Schedule::Blocked { replies, seen, .. } = &mut self.schedule else { return };
        if seen.replace(self.moved) == Some(self.moved) {
            replies.loosen();
        }
    }

    /// Arranges what it waits for after a turn that it left in `state`.
    #[inline]
    pub(crate) fn end_turn(&mut self, state: State) -> Next {
        let start = match state {
            State::Broken | State::Closing => return Next::Close,
            // It is blocked already, as its replies could not be sent.
            State::Blocked => return Next::Block,
            State::Fetching => {
                self.schedule = Schedule::Fetching;
                return Next::Wait;
            }
            State::Starved => {
                self.schedule = Schedule::Starved;
                return Next::Starve;
            }
            State::Drained if self.dialogue.is_at_barrier() => {
                self.schedule = Schedule::Waiting;
                return Next::Wait;
            }
            State::Drained => Start::Read,
            State::More | State::Later => self.next_start(),
        };
        match (start, self.readiness) {
            (Start::Read, Readiness::Ended) => Next::Close,
            (Start::Read, Readiness::Drained) => Next::Park,
            (Start::Read, Readiness::Readable) | (Start::Resume, _) => {
                self.schedule = Schedule::Queued(start);
                Next::Queue
            }
        }
    }

    /// What its next turn begins with if it has not done all it could in this one.
    fn next_start(&self) -> Start {
        let has_work = self.dialogue.wants_no_input() || !self.input.is_empty();
        if has_work { Start::Resume } else { Start::Read }
    }

    /// Goes on sending to a client that had not read its replies.
    ///
    /// # Errors
    /// The connection is broken, or the value that it was sent is gone.
    pub(crate) fn unblock(
        &mut self,
        registry: &Registry,
        token: Token,
        counters: &Counters,
    ) -> io::Result<Next> {
        let Schedule::Blocked { replies, then, .. } = &mut self.schedule else {
            debug_assert!(false, "not blocked, but {:?}", self.schedule);
            return Ok(Next::Park);
        };
        match replies.hold() {
            Ok(()) => {}
            Err(UpgradeError::Full) => return Ok(Next::Starve),
            Err(_) => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        let then = *then;
        let mut sent = 0;
        let all = send(&mut self.transport, replies, counters, &mut sent)?;
        self.moved = self.moved.wrapping_add(sent);
        if !all {
            // More may be taken at once, which is reported again only when it is asked for.
            self.transport.rearm(registry, token, true)?;
            return Ok(Next::Block);
        }
        let spent = self.readiness == Readiness::Ended && then == Start::Read;
        if self.dialogue.is_closed() || spent {
            return Ok(Next::Close);
        }
        self.transport.rearm(registry, token, false)?;
        self.note_readable();
        self.schedule = Schedule::Queued(then);
        Ok(Next::Queue)
    }

    /// The input with which a turn begins. It is read into the arena if nothing is left over from
    /// before. `None` if there is nothing to look at.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        start: Start,
        arena: &mut Arena,
        counters: &Counters,
    ) -> io::Result<Option<Input>> {
        if self.dialogue.wants_no_input() {
            return Ok(Some(Input::Own(std::mem::take(&mut self.input))));
        }
        let reads = start == Start::Read && self.readiness == Readiness::Readable;
        if self.input.is_empty() {
            return if reads { self.fill_arena(arena, counters) } else { Ok(None) };
        }
        let mut input = std::mem::take(&mut self.input);
        if reads {
            // With thousands of clients whose values come in parts, room for more would add up.
            let missing = self.dialogue.expected().saturating_sub(input.len());
            let room = missing.clamp(READ_ON_MIN, READ_MAX);
            if input.len() < READ_MAX {
                input.reserve_exact(room);
            } else {
                // A long line would be copied for every piece of it.
                input.reserve(room);
            }
            let received = self.transport.read_spare(&mut input)?;
            self.note_received(received, counters);
        }
        Ok(Some(Input::Own(input)))
    }

    /// Reads once; what belongs to a value that is arriving goes to its place in the cache, the
    /// rest into the arena.
    #[inline]
    fn fill_arena(&mut self, arena: &mut Arena, counters: &Counters) -> io::Result<Option<Input>> {
        let mut in_place = 0;
        let received = if self.dialogue.is_uploading() {
            self.receive_value(arena, &mut in_place)?
        } else {
            let room = self.dialogue.expected().clamp(READ_MIN, READ_MAX);
            self.transport.read(arena.room(room))?
        };
        self.note_received(received, counters);
        // A part of a record is no input, but has to be accounted for as well.
        let any = received.bytes > 0
            || received.next == Readiness::Ended
            || self.transport.is_amid_record()
            || self.transport.has_unsent();
        Ok(any.then(|| arena.keep(received.bytes - in_place)))
    }

    /// Reads once, first the value that is arriving and then what follows it. The first `in_place`
    /// of the bytes went to the value's place in the cache.
    fn receive_value(&mut self, arena: &mut Arena, in_place: &mut usize) -> io::Result<Received> {
        let expected = self.dialogue.expected();
        let Self { transport, dialogue, .. } = self;
        let mut received = Received { bytes: 0, next: Readiness::Drained };
        *in_place = dialogue.receive_in_place(READ_MAX, |pieces, whole| {
            let behind = if pieces.is_empty() {
                // There is no place for the value.
                expected.clamp(READ_MIN, READ_MAX)
            } else if whole {
                READ_MIN
            } else {
                0
            };
            let mut list: [IoSliceMut<'_>; PIECES_MAX] =
                std::array::from_fn(|_| IoSliceMut::new(&mut []));
            let mut count = 0;
            let mut lent = 0;
            for (slot, piece) in list.iter_mut().zip(pieces).take(PIECES_MAX - 1) {
                lent += piece.len();
                *slot = IoSliceMut::new(piece);
                count += 1;
            }
            if behind > 0 {
                list[count] = IoSliceMut::new(arena.room(behind));
                count += 1;
            }
            received = transport.read_vectored(&mut list[..count])?;
            Ok::<_, io::Error>(received.bytes.min(lent))
        })?;
        Ok(received)
    }

    /// There may be something to read.
    pub(super) fn note_readable(&mut self) {
        if self.readiness == Readiness::Drained {
            self.readiness = Readiness::Readable;
        }
    }

    /// Takes note of what a read has brought.
    #[inline]
    fn note_received(&mut self, received: Received, counters: &Counters) {
        counters.bytes_read.add(received.bytes as u64);
        self.moved = self.moved.wrapping_add(received.bytes);
        self.readiness = received.next;
    }

    /// Takes back the input from `pos` on.
    #[inline]
    pub(crate) fn keep(&mut self, arena: &Arena, input: &mut Input, pos: usize) {
        match input {
            Input::Arena { len, .. } => {
                if pos < *len {
                    self.input = arena.get(input)[pos..].to_vec();
                }
            }
            Input::Own(bytes) => self.keep_own(std::mem::take(bytes), pos),
        }
    }

    /// The same for a buffer of its own.
    fn keep_own(&mut self, mut bytes: Vec<u8>, pos: usize) {
        let left = bytes.len() - pos;
        self.used = if left > MOVED_MAX.max(pos) { pos } else { 0 };
        if left == 0 {
            return;
        }
        if self.used == 0 {
            bytes.drain(..pos);
        }
        if bytes.capacity() - bytes.len() > bytes.len().max(SLACK) {
            bytes.shrink_to_fit();
        }
        self.input = bytes;
    }
}

/// Sends as much of `out` as the transport takes and others can wait for, and adds to `sent`; false
/// if some is left.
///
/// # Errors
/// The connection is broken.
#[inline]
pub(crate) fn send(
    transport: &mut Transport,
    out: &mut Output,
    counters: &Counters,
    sent: &mut usize,
) -> io::Result<bool> {
    let mut here = 0;
    while !out.is_empty() {
        if here >= SENT_MAX {
            return Ok(false);
        }
        let count = match out.plain() {
            Some(bytes) => transport.write(bytes)?,
            None => out.with_pieces(|pieces| transport.write_vectored(pieces))?,
        };
        if count == 0 {
            return Ok(false);
        }
        counters.bytes_written.add(count as u64);
        here += count;
        *sent += count;
        out.advance(count);
    }
    transport.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::socket::Socket;

    #[test]
    fn what_is_left_over_takes_little_more_room_than_it_needs() {
        let mut arena = Arena::new();
        let (ours, _theirs) = mio::net::UnixStream::pair().unwrap();
        let mut conn = Conn::new(Socket::from(ours).into(), Binding::Auto, 0);
        for len in [1, 100, READ_MIN - 1, READ_MIN, READ_MAX] {
            let mut read = Vec::with_capacity(READ_MAX + 200);
            read.resize(len + 100, b'x');
            conn.keep(&arena, &mut Input::Own(read), 100);
            assert_eq!(conn.input.len() - conn.used, len);
            let held = conn.input.capacity();
            assert!(held <= len + len.max(SLACK), "{held} bytes for {len}");
        }
        let mut input = arena.keep(1_000);
        conn.keep(&arena, &mut input, 900);
        assert_eq!(conn.input.capacity(), 100);
    }

    #[test]
    fn a_long_line_is_moved_a_few_times_however_often_it_is_left_over() {
        let (ours, _theirs) = mio::net::UnixStream::pair().unwrap();
        let mut conn = Conn::new(Socket::from(ours).into(), Binding::Auto, 0);
        let arena = Arena::new();
        let len = 16 << 20;
        conn.input = vec![b'x'; len];
        let mut moves = 0;
        for step in 1..len / 1_000 {
            let pos = conn.used + 1_000;
            let bytes = std::mem::take(&mut conn.input);
            moves += usize::from(bytes.len() - pos > MOVED_MAX);
            conn.keep(&arena, &mut Input::Own(bytes), pos);
            moves -= usize::from(conn.used > 0);
            assert_eq!(conn.input.len() - conn.used, len - step * 1_000);
        }
        assert!(moves < 10, "{moves} times");
    }
}
