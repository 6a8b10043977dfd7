//! The thread that collects lines and sends them to the watchers. It sleeps until a line is written
//! or a watcher's socket has an event.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mio::{Events, Poll, Token, Waker};

use super::watcher::Watcher;
use super::{End, Hub, Line, Page, attention};

const WAKE: Token = Token(usize::MAX);

/// The collector of lines.
#[derive(Debug)]
pub(super) struct Logger {
    hub: Arc<Hub>,
    poll: Poll,
    watchers: Vec<Option<Watcher>>,
    /// Emptied pages, to be filled again.
    pages: Vec<Page>,
}

/// What wakes the collector.
#[derive(Debug)]
pub(super) struct LoggerWaker(Waker);

impl LoggerWaker {
    /// Wakes it.
    pub(super) fn wake(&self) {
        // A wake-up that fails means that the event counter is full: it is awake anyway.
        let _ = self.0.wake();
    }
}

impl Logger {
    /// A collector, and what wakes it.
    pub(super) fn new(hub: Arc<Hub>) -> io::Result<(Self, LoggerWaker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let pages = hub.pages.iter().map(|_| Page::default()).collect();
        Ok((Self { hub, poll, watchers: Vec::new(), pages }, LoggerWaker(waker)))
    }

    /// Works until the hub is stopped.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(64);
        // Pairs with the store in `Hub::stop`.
        while !self.hub.stop.load(Ordering::Acquire) {
            // Only interruptions by signals fail here; the events of the last call are gone then.
            if self.poll.poll(&mut events, None).is_err() {
                events.clear();
            }
            for event in &events {
                let Token(index) = event.token();
                // Nothing that a watcher sends matters, but reading tells that it has closed. The
                // index of the waker is out of range.
                if let Some(Some(watcher)) = self.watchers.get_mut(index)
                    && watcher.transport.on_event(event)
                    && watcher.listen().is_err()
                {
                    self.leave(index, End::Normal);
                }
            }
            self.accept_pending();
            self.collect();
            self.flush();
        }
        for index in 0..self.watchers.len() {
            self.leave(index, End::Shutdown);
        }
    }

    /// Registers clients that have just begun to watch.
    fn accept_pending(&mut self) {
        let arrivals = std::mem::take(&mut *self.hub.arrivals.lock());
        for arrival in arrivals {
            let vacant = self.watchers.iter().position(Option::is_none);
            let index = vacant.unwrap_or(self.watchers.len());
            // Places are reused, because the index is also the token of the events.
            if vacant.is_none() {
                self.watchers.push(None);
            }
            let mut watcher = Watcher::new(arrival, self.hub.buffer_max);
            let registry = self.poll.registry();
            let registered = watcher.transport.register(registry, Token(index), true).is_ok();
            self.watchers[index] = Some(watcher);
            if !registered {
                self.leave(index, End::Error);
            }
        }
    }

    /// Sends all lines written so far to the watchers of their categories, in order.
    fn collect(&mut self) {
        let Self { hub, watchers, pages, .. } = self;
        let mut lines: Vec<(Line, &[u8])> = Vec::new();
        // The pages are exchanged for empty ones, so that workers wait for two pointers and not for
        // the sockets.
        for (full, page) in pages.iter_mut().zip(&hub.pages) {
            full.text.clear();
            full.lines.clear();
            std::mem::swap(full, &mut *page.lock());
        }
        for page in &*pages {
            let mut start = 0;
            for line in &page.lines {
                lines.push((*line, &page.text[start..line.end]));
                start = line.end;
            }
        }
        // Merges the pages. A line may still come behind a later one if its page was exchanged
        // first.
        lines.sort_unstable_by_key(|(line, _)| line.number);
        for (line, text) in lines {
            let interested =
                watchers.iter_mut().flatten().filter(|watcher| watcher.wants(line.kind, text));
            for watcher in interested {
                let counts = &hub.counts;
                let count =
                    if watcher.add(text) { &counts.watcher_sent } else { &counts.watcher_skipped };
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn flush(&mut self) {
        for index in 0..self.watchers.len() {
            if self.watchers[index].as_mut().is_some_and(|watcher| watcher.flush().is_err()) {
                self.leave(index, End::Error);
            }
        }
    }

    /// Closes a connection. Categories that only it watched become inactive.
    fn leave(&mut self, index: usize, end: End) {
        let Some(watcher) = self.watchers[index].take() else { return };
        // Any number beyond the workers' is the page of all other threads.
        let others = self.hub.pages.len();
        self.hub.closed(others, watcher.transport.number(), &watcher.peer, end);
        let number = watcher.transport.number();
        self.hub.watching.lock().retain(|(info, _)| info.number != number);
        // This closes the socket. The connection is counted as closed only at the end: by then its
        // place can be had.
        let closed = watcher.close();
        // Locked until the categories are set, so that a client that begins to watch meanwhile does
        // not lose its own.
        let arrivals = self.hub.arrivals.lock();
        let here = self.watchers.iter().flatten().map(Watcher::kinds);
        let coming = arrivals.iter().map(|arrival| arrival.permit.kinds);
        let kinds = here.chain(coming).fold(0, |all, kinds| all | kinds);
        self.hub.attention.fetch_and(kinds | attention::DETAIL, Ordering::Relaxed);
        drop(arrivals);
        self.hub.evictions.review();
        closed();
    }
}
