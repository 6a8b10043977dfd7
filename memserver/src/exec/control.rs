//! Commands about the server rather than one item: flush_all, verbosity, shutdown, statistics,
//! administration.

use std::sync::atomic::Ordering;

use memcore::Moment;
use memproto::text::write;
use memproto::{Admin, Args, ParseError, Shutdown};

use super::{Exec, NOT_EXECUTED, RELATIVE_MAX, error_lines, say};
use crate::admin;
use crate::os::log;
use crate::report::stats::{self, Answer};
use crate::report::stream::Format;
use crate::session::dialogue::Flow;
use crate::session::output::Output;
use crate::session::pending::Pending;

/// More changes nothing.
const VERBOSITY_MAX: u32 = 2;

impl Exec<'_> {
    /// flush_all.
    pub(super) fn flush(&self, delay: Result<i64, ParseError>, out: Option<&mut Output>) {
        self.count_flush();
        match delay {
            Ok(delay) => {
                self.flush_after(delay);
                say(out, write::OK);
            }
            Err(error) => say(out, error.reply()),
        }
    }

    /// Counts a flush; refused and malformed ones as well, as memcached does.
    pub(super) fn count_flush(&self) {
        self.counters.cmd_flush.add(1);
    }

    /// Makes all items invisible, at once or later. As memcached does, it acts a second early.
    pub(super) fn flush_after(&self, delay: i64) {
        let cache = &self.shared.core.cache;
        let now = cache.now().as_secs();
        let moment = match delay {
            1..=RELATIVE_MAX => i64::from(now) + delay - 1,
            // Zero and below come out negative, which is not a moment: at once.
            _ => delay.saturating_sub(1),
        };
        match u32::try_from(moment) {
            Ok(moment) if moment > now => cache.flush_at(Moment::from_secs(moment)),
            // No item is older than the server: this only cancels a flush that was planned.
            Ok(moment) if delay > 0 && moment < self.shared.core.started => {
                cache.flush_at(Moment::MAX)
            }
            _ => cache.flush(),
        }
    }

    /// verbosity.
    pub(super) fn set_verbosity(&self, level: u32, out: Option<&mut Output>) {
        self.shared.core.verbosity.store(level.min(VERBOSITY_MAX) as u8, Ordering::Relaxed);
        say(out, write::OK);
    }

    /// shutdown.
    pub(super) fn shutdown(
        &self,
        mode: Result<Shutdown, ParseError>,
        out: Option<&mut Output>,
    ) -> Flow {
        match mode {
            Ok(mode) => {
                log::log_shutdown(mode == Shutdown::Graceful, self.verbosity());
                // There is no reply: the client sees the connection close.
                self.shared.control.stop();
                Flow::Close
            }
            Err(error) => {
                say(out, error.reply());
                Flow::Done
            }
        }
    }

    /// stats.
    pub(super) fn stats(&mut self, args: Args<'_>, pending: &mut Pending, out: &mut Output) {
        let scope = self.scope();
        let bytes = out.bytes();
        let mut sink = |name: &[u8], value: &[u8]| write::stat(bytes, name, value);
        let answer = stats::report(self.shared, self.index, Format::Text, scope, args, &mut sink);
        // `stats detail` may have changed what is observed, and the next requests of this turn must
        // see it.
        self.refresh_attention();
        match answer {
            Ok(Answer::Listed) => out.put(write::END),
            Ok(Answer::Reset) => out.put(write::RESET),
            Ok(Answer::Done) => out.put(write::OK),
            Ok(Answer::Streamed(stream)) => pending.put(Pending::Stream(Box::new(stream))),
            Err(error) => out.put(error_lines::stats(error)),
        }
    }

    /// Administrative commands.
    pub(super) fn admin(
        &self,
        command: Admin,
        args: Args<'_>,
        pending: &mut Pending,
        out: Option<&mut Output>,
    ) {
        match admin::run(self.shared, command, args, self.scope()) {
            Ok(admin::Outcome::Done) => say(out, write::OK),
            Ok(admin::Outcome::Stream(stream)) if out.is_some() => {
                pending.put(Pending::Stream(Box::new(stream)));
            }
            // With `noreply` a dump would not be sent.
            Ok(admin::Outcome::Stream(_)) => {}
            Err(error) => say(out, error_lines::admin(error)),
        }
    }

    /// The next piece of a long answer, or of other long work.
    pub(super) fn stream(&mut self, pending: &mut Pending, out: &mut Output) {
        if matches!(pending, Pending::Verifying(_)) {
            return self.finish_login(pending, out);
        }
        if matches!(pending, Pending::Join(_)) {
            return self.go_on_joining(pending, out);
        }
        let Pending::Stream(stream) = pending else {
            debug_assert!(false, "no answer to go on with");
            return out.put(NOT_EXECUTED);
        };
        if !stream.step(&self.shared.core.cache, out.bytes()) {
            *pending = Pending::Nothing;
        }
    }
}
