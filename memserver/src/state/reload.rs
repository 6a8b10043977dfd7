//! Files that are to be read again: who wants that, and who does it, never meet.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// What is wanted of the thread that reads files.
#[derive(Debug, Default)]
pub(crate) struct Reload {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wanted {
    reload: bool,
    end: bool,
}

/// Why the thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Everything is to be read again.
    Reload,
    /// Time has passed.
    Time,
    /// It is to end.
    End,
}

impl Reload {
    /// Has everything read again, soon. Returns at once.
    pub(crate) fn ask(&self) {
        self.wanted.lock().reload = true;
        self.changed.notify_all();
    }

    /// Ends the thread.
    pub(crate) fn end(&self) {
        self.wanted.lock().end = true;
        self.changed.notify_all();
    }

    /// Waits until something is wanted, or for `most` if that is given.
    pub(crate) fn wait(&self, most: Option<Duration>) -> Wake {
        let mut wanted = self.wanted.lock();
        loop {
            if wanted.end {
                return Wake::End;
            }
            if std::mem::take(&mut wanted.reload) {
                return Wake::Reload;
            }
            match most {
                Some(most) if self.changed.wait_for(&mut wanted, most).timed_out() => {
                    return Wake::Time;
                }
                Some(_) => {}
                None => self.changed.wait(&mut wanted),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_before_is_not_lost() {
        let reload = Reload::default();
        let tick = Some(Duration::from_millis(1));
        assert_eq!(reload.wait(tick), Wake::Time);
        reload.ask();
        reload.ask();
        assert_eq!(reload.wait(None), Wake::Reload);
        assert_eq!(reload.wait(tick), Wake::Time);
        reload.ask();
        reload.end();
        assert_eq!(reload.wait(None), Wake::End);
    }
}
