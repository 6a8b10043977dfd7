//! The end of a process that was told to stop and does not: a thread may be in the middle of
//! something, or wait for a file that never answers.

use std::io::{ErrorKind, Read as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use signal_hook::low_level::{self, pipe};

use crate::os::log;
use crate::os::signals;

/// How long threads may take to end once clients have been let finish. With the usual time for that
/// the process ends within a second.
const GRACE: Duration = Duration::from_millis(400);
/// Signals of one sender that come so close together are one.
const TOGETHER: Duration = Duration::from_millis(100);
/// How long the last line may take.
const LAST_LINE: Duration = Duration::from_millis(20);

/// Hears the signals that stop the process, whatever all others do.
#[derive(Debug)]
pub(crate) struct LastResort(UnixStream);

impl LastResort {
    /// Hears of signals from now on.
    ///
    /// # Errors
    /// The system refused a socket pair or a handler.
    pub(crate) fn new() -> io::Result<Self> {
        let (told, hears) = UnixStream::pair()?;
        for signal in signals::STOPPING {
            pipe::register(signal, told.try_clone()?)?;
        }
        Ok(Self(hears))
    }

    /// Ends the process if a thread still runs some time after a signal. Clients may finish for
    /// `drain` before that, unless there is a second signal. `files` are removed.
    ///
    /// # Errors
    /// The system refused a thread.
    pub(crate) fn start(self, drain: Duration, files: Vec<PathBuf>) -> io::Result<()> {
        let wait = move || {
            if self.wait_for(drain).is_ok() {
                end(&files);
            }
        };
        thread::Builder::new().name("last-resort".into()).spawn(wait)?;
        Ok(())
    }

    /// Returns when the process is to have ended.
    fn wait_for(mut self, drain: Duration) -> io::Result<()> {
        self.hear(None)?;
        let first = Instant::now();
        let mut end = first + drain + GRACE;
        while self.hear(Some(end))? {
            let now = Instant::now();
            if now >= first + TOGETHER {
                end = end.min(now + GRACE);
            }
        }
        Ok(())
    }

    /// Waits for a signal; false if there is none before `end`.
    fn hear(&mut self, end: Option<Instant>) -> io::Result<bool> {
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            self.0.set_read_timeout(left)?;
            match self.0.read(&mut [0]) {
                Ok(1..) => return Ok(true),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if is_passing(error.kind()) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Ends the process. Nothing is waited for, locks included, but for a line and the files.
fn end(files: &[PathBuf]) -> ! {
    log::warning("not all threads ended in time: what they did is given up");
    log::flush(LAST_LINE);
    for file in files {
        // It may be gone already, or its folder may have become out of reach.
        let _ = fs::remove_file(file);
    }
    low_level::exit(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn clients_may_finish_unless_there_is_a_second_signal() {
        let waits = |drain, second: bool| {
            let (mut told, hears) = UnixStream::pair().unwrap();
            let tells = thread::spawn(move || {
                told.write_all(b"xx").unwrap();
                thread::sleep(2 * TOGETHER);
                told.write_all(&b"x"[..usize::from(second)]).unwrap();
                told
            });
            let start = Instant::now();
            LastResort(hears).wait_for(drain).unwrap();
            let waited = start.elapsed();
            drop(tells.join());
            waited
        };
        let drain = Duration::from_millis(700);
        assert!(waits(drain, false) >= drain + GRACE);
        assert!(waits(Duration::from_secs(3_600), true) >= GRACE);
    }
}
