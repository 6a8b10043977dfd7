//! Lines on standard error. No thread that serves ever waits for it: a thread of its own writes
//! what others have queued. Lines that come too fast, or while the queue is full because standard
//! error is not read, are dropped and counted. Callers decide by the verbosity whether a line is
//! worth logging.
//!
//! Lines are as memcached writes them, unless [`set_format`] asks for time and level.

use std::fmt::{self, Arguments, Display, Write as _};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::os::json;
use crate::os::time::Rfc3339;

/// Bytes of lines that may wait to be written.
const QUEUE_MAX: usize = 1 << 20;
/// Lines per second, and at once after a pause.
const RATE: u32 = 20_000;
/// How long a line waits for a full standard error before there is a thread that does.
const TIMEOUT: Duration = Duration::from_millis(100);

static LOG: Log =
    Log { queue: Mutex::new(Queue::new()), filled: Condvar::new(), emptied: Condvar::new() };

/// How lines are written; as memcached does until it is set.
static FORMAT: OnceLock<Format> = OnceLock::new();

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Time, level and text.
    Text,
    /// The same as an object.
    Json,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// A line with its time.
struct Entry<'e> {
    format: Option<Format>,
    level: Level,
    at: SystemTime,
    /// Whether the text is an object of JSON already.
    is_object: bool,
    text: Arguments<'e>,
}

struct Log {
    queue: Mutex<Queue>,
    /// There is something to write.
    filled: Condvar,
    /// Everything is written.
    emptied: Condvar,
}

struct Queue {
    /// Whole lines.
    text: String,
    /// Whether the thread runs.
    is_started: bool,
    /// Whether the thread has lines that are not written yet.
    is_writing: bool,
    /// Lines that were dropped since the last one that was not.
    dropped: u64,
    /// Lines that may still be queued.
    allowance: u32,
    /// When the allowance was last raised.
    refilled: Option<Instant>,
}

/// Has lines begin with time and level from now on.
pub(crate) fn set_format(format: Format) {
    // A process has one format.
    let _ = FORMAT.set(format);
}

/// Whether lines begin with time and level.
pub(crate) fn has_format() -> bool {
    FORMAT.get().is_some()
}

/// Logs one line.
pub(crate) fn line(text: Arguments<'_>) {
    entry(Level::Info, false, text);
}

/// Logs a line that is there for those who look for the cause of something.
pub(crate) fn debug(text: Arguments<'_>) {
    entry(Level::Debug, false, text);
}

/// Logs a line that is an object of JSON, which knows its time.
pub(crate) fn object(text: Arguments<'_>) {
    entry(Level::Info, true, text);
}

/// Logs a warning.
pub(crate) fn warning(text: &str) {
    entry(Level::Warning, false, format_args!("{text}"));
}

/// Logs why the program ends.
pub(crate) fn error(text: impl Display) {
    entry(Level::Error, false, format_args!("{text}"));
}

fn entry(level: Level, is_object: bool, text: Arguments<'_>) {
    let format = FORMAT.get().copied();
    let entry = Entry { format, level, at: SystemTime::now(), is_object, text };
    let mut queue = LOG.queue.lock();
    if queue.is_started {
        queue.add(&entry, Instant::now());
        LOG.filled.notify_one();
    } else {
        write_directly(&format!("{entry}\n"));
    }
}

/// Logs how the server ends, by a signal or by a client's request.
pub(crate) fn log_shutdown(graceful: bool, verbosity: u8) {
    if graceful {
        line(format_args!("Gracefully stopping"));
    } else if verbosity > 0 {
        line(format_args!("Exiting normally"));
    }
}

/// Has a thread write from now on. Before, each thread writes its own lines, because a
/// process that switches users must not have threads yet.
pub(crate) fn start() {
    let mut queue = LOG.queue.lock();
    if !queue.is_started {
        // Without the thread lines are written as before.
        queue.is_started = thread::Builder::new().name("log".into()).spawn(write_queued).is_ok();
    }
}

/// Waits until all lines are written, but no longer than `timeout`.
pub(crate) fn flush(timeout: Duration) {
    let deadline = Instant::now() + timeout;
    let mut queue = LOG.queue.lock();
    while queue.is_started && (queue.is_writing || !queue.text.is_empty()) {
        if LOG.emptied.wait_until(&mut queue, deadline).timed_out() {
            return;
        }
    }
}

/// Writes queued lines, for ever.
fn write_queued() {
    let mut lines = String::new();
    loop {
        let mut queue = LOG.queue.lock();
        queue.is_writing = false;
        while queue.text.is_empty() {
            LOG.emptied.notify_all();
            LOG.filled.wait(&mut queue);
        }
        // `flush` must also wait for lines that have left the queue and are not written yet.
        queue.is_writing = true;
        lines.clear();
        // Both buffers keep their memory, and nothing is written under the lock.
        std::mem::swap(&mut lines, &mut queue.text);
        drop(queue);
        // A closed standard error is no reason to stop serving.
        let _ = io::stderr().write_all(lines.as_bytes());
    }
}

/// Writes a line with one system call, unless standard error stays full.
fn write_directly(line: &str) {
    let stderr = io::stderr();
    let timeout = Timespec { tv_sec: 0, tv_nsec: TIMEOUT.subsec_nanos().into() };
    let mut waiting = [PollFd::new(&stderr, PollFlags::OUT)];
    if poll(&mut waiting, Some(&timeout)).is_ok_and(|ready| ready > 0) {
        let _ = stderr.lock().write_all(line.as_bytes());
    }
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, level, at, is_object, text } = self;
        let (time, name) = (Rfc3339(*at), level.name());
        match format {
            None if *level == Level::Warning => write!(f, "WARNING: {text}"),
            None => write!(f, "{text}"),
            Some(Format::Text) => write!(f, "{time} {name} {text}"),
            Some(Format::Json) if *is_object => write!(f, "{text}"),
            Some(Format::Json) => {
                let text = json::Escaped(text);
                write!(f, "{{\"time\":\"{time}\",\"level\":\"{name}\",\"message\":\"{text}\"}}")
            }
        }
    }
}

impl Queue {
    const fn new() -> Self {
        Self {
            text: String::new(),
            is_started: false,
            is_writing: false,
            dropped: 0,
            allowance: RATE,
            refilled: None,
        }
    }

    fn add(&mut self, entry: &Entry<'_>, now: Instant) {
        self.refill(now);
        if self.allowance == 0 || self.text.len() >= QUEUE_MAX {
            self.dropped += 1;
            return;
        }
        self.allowance -= 1;
        if self.dropped > 0 {
            let text = format_args!("{} log lines were dropped", self.dropped);
            let lost = Entry { level: Level::Warning, is_object: false, text, ..*entry };
            // Writing to a string can't fail.
            let _ = writeln!(self.text, "{lost}");
            self.dropped = 0;
        }
        let _ = writeln!(self.text, "{entry}");
    }

    fn refill(&mut self, now: Instant) {
        let since = self.refilled.map_or(Duration::MAX, |then| now.saturating_duration_since(then));
        let earned = since.as_micros().saturating_mul(RATE.into()) / 1_000_000;
        // Otherwise the time stays, so that fractions of a line add up.
        if earned > 0 {
            let sum = u128::from(self.allowance).saturating_add(earned).min(RATE.into());
            self.allowance = u32::try_from(sum).unwrap_or(RATE);
            self.refilled = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: Arguments<'_>) -> Entry<'_> {
        let at = SystemTime::UNIX_EPOCH;
        Entry { format: None, level: Level::Info, at, is_object: false, text }
    }

    #[test]
    fn formats_have_time_and_level() {
        let text = format_args!("a \"b\"\n");
        let warning = Entry { level: Level::Warning, ..plain(text) };
        assert_eq!(warning.to_string(), "WARNING: a \"b\"\n");
        let warning = Entry { format: Some(Format::Text), ..warning };
        assert_eq!(warning.to_string(), "1970-01-01T00:00:00.000Z warning a \"b\"\n");
        let warning = Entry { format: Some(Format::Json), ..warning };
        let object =
            r#"{"time":"1970-01-01T00:00:00.000Z","level":"warning","message":"a \"b\"\u000a"}"#;
        assert_eq!(warning.to_string(), object);
        let object = Entry { is_object: true, text: format_args!("{{}}"), ..warning };
        assert_eq!(object.to_string(), "{}");
    }

    #[test]
    fn lines_that_come_too_fast_are_dropped_and_counted() {
        let mut queue = Queue::new();
        let now = Instant::now();
        for _ in 0..RATE + 7 {
            queue.add(&plain(format_args!("x")), now);
        }
        assert_eq!((queue.text.lines().count(), queue.dropped), (RATE as usize, 7));
        queue.text.clear();
        queue.add(&plain(format_args!("y")), now + Duration::from_millis(1));
        assert_eq!(queue.text, "WARNING: 7 log lines were dropped\ny\n");
    }

    #[test]
    fn a_full_queue_drops_lines() {
        let mut queue = Queue::new();
        let long = "x".repeat(QUEUE_MAX / 2);
        let now = Instant::now();
        for _ in 0..5 {
            queue.add(&plain(format_args!("{long}")), now);
        }
        assert_eq!((queue.text.lines().count(), queue.dropped), (2, 3));
    }
}
