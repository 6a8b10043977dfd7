//! Commands about the server rather than one item: flush_all, verbosity, shutdown, administration.

use std::sync::atomic::Ordering;

use memproto::text::write;
use memproto::{Admin, Args, ParseError};

use super::{Exec, Flow, RELATIVE_MAX, say};
use crate::output::Output;
use crate::stats::{self, Answer};

/// More changes nothing.
const VERBOSITY_MAX: u32 = 2;
/// Megabytes below which `cache_memlimit` is refused.
const MEMLIMIT_MIN: u64 = 8;

impl Exec<'_> {
    /// flush_all.
    pub(super) fn flush(&self, delay: i64, out: Option<&mut Output>) {
        if !self.shared.config.flush_enabled {
            return say(out, write::FLUSH_DISABLED);
        }
        self.flush_after(delay);
        say(out, write::OK);
    }

    /// Makes all items invisible, at once or later.
    pub(super) fn flush_after(&self, delay: i64) {
        self.counters.cmd_flush.add(1);
        let cache = &self.shared.cache;
        let now = cache.now();
        let moment = match delay {
            1..=RELATIVE_MAX => i64::from(now) + delay,
            _ => delay,
        };
        match u32::try_from(moment) {
            Ok(moment) if moment > now => cache.flush_at(moment),
            _ => cache.flush(),
        }
    }

    /// verbosity.
    pub(super) fn set_verbosity(&self, level: u32, out: Option<&mut Output>) {
        self.shared.verbosity.store(level.min(VERBOSITY_MAX) as u8, Ordering::Relaxed);
        say(out, write::OK);
    }

    /// shutdown.
    pub(super) fn shutdown(&self, graceful: bool, out: &mut Output) -> Flow {
        match self.shared.stop.get() {
            Some(stop) if self.shared.config.shutdown_command => {
                stop(graceful);
                Flow::Close
            }
            _ => {
                out.put(write::SHUTDOWN_DISABLED);
                Flow::Done
            }
        }
    }

    /// stats.
    pub(super) fn stats(&self, mut args: Args<'_>, out: &mut Output) {
        let section = args.next().unwrap_or_default();
        let bytes = out.bytes();
        let mut sink = |name: &[u8], value: &[u8]| write::stat(bytes, name, value);
        let answer = stats::report(self.shared, section, &mut sink);
        out.put(match answer {
            Answer::Listed => write::END,
            Answer::Reset => write::RESET,
            Answer::Unknown => ParseError::UnknownCommand.reply(),
        });
    }

    /// Administrative commands.
    pub(super) fn admin(&self, command: Admin, args: Args<'_>, out: Option<&mut Output>) {
        match command {
            Admin::CacheMemlimit => self.memlimit(args, out),
            Admin::RefreshCerts => say(out, b"Error TLS not enabled\r\n"),
            _ => say(out, ParseError::UnknownCommand.reply()),
        }
    }

    /// cache_memlimit.
    fn memlimit(&self, mut args: Args<'_>, out: Option<&mut Output>) {
        let Some(megabytes) = args.next().and_then(memproto::number::parse_u64) else {
            return say(out, ParseError::UnknownCommand.reply());
        };
        if megabytes < MEMLIMIT_MIN {
            return say(out, b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n");
        }
        let bytes = usize::try_from(megabytes).ok().and_then(|count| count.checked_mul(1 << 20));
        match bytes.map(|bytes| self.shared.cache.set_limit(bytes)) {
            Some(Ok(())) => say(out, write::OK),
            _ => say(out, b"MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n"),
        }
    }
}
