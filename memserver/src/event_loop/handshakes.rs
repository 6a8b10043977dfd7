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
    /// Those that need memory to begin.
    waiting: VecDeque<usize>,
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

    /// Gives memory to the first that waits for it.
    fn admit(&mut self, conns: &mut [Option<Conn>], budgets: &Budgets) -> Option<usize> {
        loop {
            let index = *self.waiting.front()?;
            let conn = conns[index].as_mut();
            let waits = conn.and_then(|conn| conn.handshake.as_mut());
            if let Some(handshake) = waits.filter(|handshake| handshake.permit.is_none()) {
                handshake.permit = Some(budgets.handshakes.take(BYTES)?);
                self.waiting.pop_front();
                return Some(index);
            }
            self.waiting.pop_front();
        }
    }
}
