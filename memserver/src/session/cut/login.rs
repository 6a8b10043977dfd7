//! The requests of a client that has to log in, and of one that does so again. Which passwords are
//! right is not known here.

use memproto::binary::write::ReplyTo;
use memproto::binary::{Command, MAX_MECHANISM, Opcode, Status};
use memproto::text::{AuthStep, BLOCK_END, parse_auth};
use memproto::{MAX_AUTH_TOKEN, Protocol, binary};

use super::{Cursor, Cutter, LIMITS};
use crate::session::access::{Access, Login, Verdict};
use crate::session::batch::Batch;
use crate::session::framing::Framing;
use crate::session::job::{Job, Work};

impl Cutter {
    /// The first byte of a request of a client that is not logged in; false if more input is
    /// needed.
    pub(super) fn login<'a>(&mut self, cursor: &mut Cursor<'a>, batch: &mut Batch<'a>) -> bool {
        match self.protocol_at(cursor, batch) {
            Some(Protocol::Text) => self.login_line(cursor, batch),
            Some(Protocol::Binary) => self.login_frame(cursor, batch),
            None => self.is_closed(),
        }
    }

    fn login_line<'a>(&mut self, cursor: &mut Cursor<'a>, batch: &mut Batch<'a>) -> bool {
        let (start, before) = (cursor.pos, self.framing);
        let work = match parse_auth(cursor.rest(), &mut self.scan) {
            AuthStep::Partial => return false,
            AuthStep::Close => {
                self.framing = Framing::Closed { at_fault: true };
                return true;
            }
            AuthStep::Reject { consumed, error } => {
                cursor.pos += consumed;
                Work::RefuseLogin(error)
            }
            AuthStep::Block { consumed, len } => {
                let end = consumed + len as usize + BLOCK_END.len();
                let Some(block) = cursor.rest().get(consumed..end) else { return false };
                cursor.pos += end;
                self.framing = Framing::Barrier;
                Work::Login(Login::Text(block))
            }
        };
        batch.jobs.push(Job { start, before, work });
        true
    }

    fn login_frame<'a>(&mut self, cursor: &mut Cursor<'a>, batch: &mut Batch<'a>) -> bool {
        let (start, before) = (cursor.pos, self.framing);
        let (to, status) = match binary::parse(cursor.rest(), &mut self.scan, &LIMITS) {
            binary::Step::Partial => return false,
            binary::Step::Close => {
                self.framing = Framing::Closed { at_fault: true };
                return true;
            }
            binary::Step::Request { consumed, request } => {
                cursor.pos += consumed;
                match request.command {
                    Command::Version | Command::SaslList => {
                        batch.jobs.push(Job { start, before, work: Work::Binary(request, None) });
                        return true;
                    }
                    Command::SaslAuth { .. } => return self.sasl(cursor, start, &request, batch),
                    _ => (request.to, Status::AuthError),
                }
            }
            binary::Step::Reject { consumed, to, status, close, .. } => {
                cursor.pos += consumed;
                let keeps_status = is_open_to_all(to) || status == Status::UnknownCommand && close;
                (to, if keeps_status { status } else { Status::AuthError })
            }
        };
        batch.jobs.push(Job { start, before, work: Work::RejectFrame { to, status } });
        self.framing = Framing::Closed { at_fault: true };
        true
    }

    /// A login whose frame lies between `start` and the cursor, without its message.
    pub(super) fn sasl<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        start: usize,
        request: &binary::Request<'a>,
        batch: &mut Batch<'a>,
    ) -> bool {
        let Command::SaslAuth { mechanism, data_len, step } = request.command else { return true };
        let (to, before) = (request.to, self.framing);
        let len = data_len as usize;
        let status = if mechanism.len() > MAX_MECHANISM {
            Status::InvalidArguments
        } else if data_len > MAX_AUTH_TOKEN {
            Status::OutOfMemory
        } else {
            let Some(message) = cursor.rest().get(..len) else {
                cursor.pos = start;
                return false;
            };
            cursor.pos += len;
            let step = step.then_some(self.login_began);
            self.framing = Framing::Barrier;
            let login = Login::Sasl { to, mechanism, message, step };
            batch.jobs.push(Job { start, before, work: Work::Login(login) });
            return true;
        };
        batch.jobs.push(Job { start, before, work: Work::RejectFrame { to, status } });
        if len > 0 {
            self.framing = Framing::Swallow { left: len };
        }
        true
    }

    /// Takes note of what came of a login.
    pub(in crate::session) fn judge(&mut self, verdict: Verdict) {
        self.access = if verdict.granted { Access::Granted } else { Access::Unknown };
        self.login_began = verdict.goes_on;
    }
}

/// Whether a frame of this kind needs no login.
fn is_open_to_all(to: ReplyTo) -> bool {
    matches!(
        Opcode::from_byte(to.opcode),
        Some(Opcode::Version | Opcode::SaslList | Opcode::SaslAuth | Opcode::SaslStep)
    )
}
