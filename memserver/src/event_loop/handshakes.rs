//! Connections of one worker that have to agree on their encryption first. Each goes on by one read
//! at a time, between the turns of others, and only a limited number at once.

use std::collections::VecDeque;
use std::io;

use crate::event_loop::conn::Conn;
use crate::event_loop::unfinished::{BYTES, Unfinished};
use crate::net::transport::Handshake;
use crate::state::budgets::Budgets;

/// The handshakes of one worker.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// Connections with something to do.
    ready: VecDeque<usize>,
    /// Those that need memory to begin, the newest last.
    waiting: VecDeque<usize>,
    /// Whether the newest of them goes before the oldest.
    newest_is_next: bool,
    /// How many are not done.
    unfinished: usize,
}

/// What a handshake has come to.
pub(crate) struct Step {
    /// Whose it is.
    pub(crate) conn: usize,
    /// How far it is.
    pub(crate) result: io::Result<Handshake>,
}

impl Handshakes {
    /// Whether there is something to do at once.
    pub(crate) fn are_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether there will be something to do when memory is given back.
    pub(crate) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many are not done.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// `conn` has just been accepted.
    pub(crate) fn begin(&mut self, conn: &mut Conn, now: u32) {
        conn.handshake = Some(Box::new(Unfinished::new(now)));
        self.unfinished += 1;
    }

    /// That of `conn` is over, one way or the other.
    pub(crate) fn end(&mut self, conn: &mut Conn) {
        self.unfinished -= usize::from(conn.handshake.take().is_some());
    }

    /// Something has happened to connection number `index`.
    pub(crate) fn enqueue(&mut self, index: usize, handshake: &mut Unfinished) {
        if std::mem::replace(&mut handshake.is_queued, true) {
            return;
        }
        match handshake.permit {
            Some(_) => self.ready.push_back(index),
            None => self.waiting.push_back(index),
        }
    }

    /// Has one connection go on; none if none can.
    pub(crate) fn step(&mut self, conns: &mut [Option<Conn>], budgets: &Budgets) -> Option<Step> {
        loop {
            let index = match self.ready.pop_front() {
                Some(index) => index,
                None => self.admit(conns, budgets)?,
            };
            // One that was closed meanwhile has left its number, perhaps to another.
            let Some(conn) = conns[index].as_mut() else { continue };
            let Some(handshake) = &mut conn.handshake else { continue };
            if handshake.permit.is_none() {
                continue;
            }
            handshake.is_queued = false;
            let result = conn.transport.shake_hands();
            if matches!(result, Ok(Handshake::GoesOn)) {
                self.enqueue(index, handshake);
            }
            return Some(Step { conn: index, result });
        }
    }

    /// Gives memory to one that waits for it: in turns to the oldest, so that in a crowd all get
    /// some, and to the newest, so that those who never go on keep nobody out.
    fn admit(&mut self, conns: &mut [Option<Conn>], budgets: &Budgets) -> Option<usize> {
        // Those that have left have left their numbers.
        while self.waiting.front().is_some_and(|&index| waits(conns, index).is_none()) {
            self.waiting.pop_front();
        }
        while self.waiting.back().is_some_and(|&index| waits(conns, index).is_none()) {
            self.waiting.pop_back();
        }
        let next = if self.newest_is_next { self.waiting.back() } else { self.waiting.front() };
        let index = *next?;
        waits(conns, index)?.permit = Some(budgets.handshakes.take(BYTES)?);
        if self.newest_is_next {
            self.waiting.pop_back();
        } else {
            self.waiting.pop_front();
        }
        self.newest_is_next = !self.newest_is_next;
        Some(index)
    }
}

/// What is kept of connection number `index`, if that waits for memory.
fn waits(conns: &mut [Option<Conn>], index: usize) -> Option<&mut Unfinished> {
    let handshake = conns[index].as_mut()?.handshake.as_mut()?;
    handshake.permit.is_none().then_some(handshake)
}
