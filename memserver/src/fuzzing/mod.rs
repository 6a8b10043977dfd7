//! The dialogue that is shipped, without sockets. Tests drive it, and the bodies of the fuzz
//! targets, which live here to be replayed on the committed corpus by an ordinary test; they are no
//! part of the API.

mod mixed;
mod reference;
mod splits;

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use memcore::{Cache, ManualClock, Moment};

use crate::auth::accounts::Accounts;
use crate::auth::guard::Guard;
use crate::cli::{self, Command, ParseContext};
use crate::config::Config;
use crate::exec::Exec;
use crate::net::socket::Peer;
use crate::session::access::Access;
use crate::session::batch::{Batch, Spare};
use crate::session::cut::{Cursor, ParseState};
use crate::session::dialogue::{self, Round, Stop};
use crate::session::output::Output;
use crate::state::budgets::{CLIENT_MEMORY, Permit};
use crate::state::clock::DrivenClock;
use crate::state::control::Detached;
use crate::state::core::{Core, Listening};
use crate::state::shared::Shared;
use crate::watch::Evictions;

pub use crate::auth::fuzzing::authfile;
pub use crate::cli::fuzzing::argv;
pub use mixed::mixed_stream;
pub use splits::session_splits;

/// Requests taken at once. Small, so that many a cut falls into the middle of a batch.
const QUOTA: usize = 3;
/// A moment in 2023.
const NOW: u32 = 1_700_000_000;
/// Bytes that may be copied for replies before they are sent: the least that makes a worker send,
/// and the longest reply to one key.
const COPIED_MAX: usize = (64 << 10) + (1 << 20) + (64 << 10);

/// A server without sockets, whose clock is moved by hand.
#[derive(Debug)]
pub struct Stage {
    shared: Arc<Shared>,
    clock: ManualClock,
    /// Memory for unsent replies that is taken by others.
    backlogs: Option<Permit>,
}

impl Stage {
    /// A server with an empty cache, started with `flags`.
    ///
    /// # Panics
    /// If the flags are wrong.
    #[must_use]
    pub fn new(flags: &[&str]) -> Self {
        let args = ["memserver"].iter().chain(flags).map(|arg| (*arg).to_owned());
        let args: Vec<String> = args.collect();
        let Ok(Command::Serve(options)) = cli::parse(&args, &ParseContext::default()) else {
            panic!("a server can't be started with {flags:?}")
        };
        // Clients raise the limit as far as the cache allows.
        let config = Config { threads: 1, memlimit_max: usize::MAX, ..options.config };
        let clock = ManualClock::new(Moment::from_secs(NOW));
        let builder = Cache::builder(config.memory_limit)
            .max_item_size(config.item_size_max)
            .evictions(config.evictions)
            .clock(clock.clone())
            // Always the same, so that an input that fails once fails again.
            .seed(1);
        let cache = builder.build().expect("settings that were checked");
        let driven = Arc::new(DrivenClock::new(clock.clone()));
        let accounts = Accounts::load(&config.users).expect("the users can be read");
        let core =
            Core::new(cache, config, Listening::default(), Some(driven)).with_accounts(accounts);
        let shared = Shared::new(core, Evictions::new(), Detached);
        Self { shared, clock, backlogs: None }
    }

    /// A new client.
    #[must_use]
    pub fn connect(&self) -> Dialogue {
        let mut dialogue = dialogue::Dialogue::new(self.shared.core.config.protocol);
        let Core { accounts, config, .. } = &self.shared.core;
        let guard =
            self.shared.core.has_guards().then(|| {
                Box::new(Guard::new(accounts.as_ref(), config.admin_only, Peer::Gone, None))
            });
        if accounts.is_some() {
            dialogue.guard(Access::Unknown);
        }
        Dialogue {
            shared: Arc::clone(&self.shared),
            dialogue,
            guard,
            input: Vec::new(),
            out: Output::default(),
            spare: Spare::default(),
            stutter: 0,
        }
    }

    /// The same server under pressure: memory for unsent replies is exhausted, so that replies are
    /// made in small pieces.
    #[must_use]
    fn under_pressure(mut self) -> Self {
        self.backlogs = Some(self.shared.budgets.backlogs.take_anyway(CLIENT_MEMORY / 2));
        self
    }

    /// What the clock shows, in seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u32 {
        self.shared.core.cache.now().as_secs()
    }

    /// Lets time go by, and the housekeeping that belongs to it.
    pub fn advance(&self, seconds: u32) {
        self.clock.advance(Duration::from_secs(seconds.into()));
        while self.shared.core.cache.maintain(1 << 10) {}
    }
}

/// One client and its server, without anything between them.
#[derive(Debug)]
pub struct Dialogue {
    shared: Arc<Shared>,
    dialogue: dialogue::Dialogue,
    guard: Option<Box<Guard>>,
    input: Vec<u8>,
    /// Empty between two inputs, but its memory is kept as a worker keeps it.
    out: Output,
    spare: Spare,
    /// See [`Dialogue::stutter`].
    stutter: usize,
}

impl Dialogue {
    /// A dialogue with an empty cache whose clock stands still.
    #[must_use]
    pub fn for_test() -> Self {
        Stage::new(&[]).connect()
    }

    /// Has the client take replies so slowly that the dialogue has to stop and go on later, one in
    /// `often` times that it has to make room.
    #[must_use]
    fn stuttering(mut self, often: usize) -> Self {
        self.stutter = often;
        self
    }

    /// Receives `bytes` and returns what is answered at once.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut input = std::mem::take(&mut self.input);
        // As in a worker, bytes of a value that is arriving bypass the buffer.
        let in_place = if input.is_empty() { self.receive_in_place(bytes) } else { 0 };
        input.extend_from_slice(&bytes[in_place..]);
        let mut replies = Vec::new();
        let mut out = std::mem::take(&mut self.out);
        out.adapt(&self.shared.budgets);
        let shared = Arc::clone(&self.shared);
        let mut batch = Batch::new(&shared.core.cache, std::mem::take(&mut self.spare));
        let mut exec = Exec::new(&shared, 0).without_waiting();
        if exec.has_guards() {
            exec.admit(self.guard.take());
        }
        let mut cursor = Cursor { input: &input, pos: 0 };
        loop {
            batch.clear();
            let state = self.dialogue.cut(&mut cursor, QUOTA, &mut batch);
            batch.prefetch();
            let round = Round { input: &input, jobs: 0..batch.jobs.len(), batch: &batch };
            let stop = self.execute(&round, &mut exec, &mut out, &mut replies);
            drain(&mut out, &mut replies);
            match stop {
                Some(Stop::Closed) => break,
                Some(
                    Stop::NoRoom { pos, .. }
                    | Stop::Starved { pos }
                    | Stop::Fetching { pos }
                    | Stop::Pieces { pos },
                ) => {
                    cursor.pos = pos;
                }
                None if state == ParseState::More => {}
                None => break,
            }
        }
        let used = cursor.pos;
        self.guard = exec.release();
        self.out = out;
        self.spare = batch.into_spare();
        if self.dialogue.take_watch_permit().is_some() {
            // There is no thread here to which the connection could be given.
            replies.extend_from_slice(memproto::text::write::OK);
        }
        if !self.dialogue.is_closed() {
            input.drain(..used);
            self.input = input;
        }
        replies
    }

    /// Whether the server has ended the dialogue.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.dialogue.is_closed()
    }

    /// Whether the client speaks the binary protocol.
    fn is_binary(&self) -> bool {
        self.dialogue.protocol() == Some(memproto::Protocol::Binary)
    }

    /// Bytes that wait for more.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.input.len()
    }

    /// Puts the first of `bytes` where they belong if they are of a value that is arriving; how
    /// many.
    fn receive_in_place(&mut self, bytes: &[u8]) -> usize {
        let filled = self.dialogue.receive_in_place::<Infallible>(bytes.len(), |pieces, _| {
            let mut rest = bytes;
            for piece in pieces {
                let (now, later) = rest.split_at(piece.len().min(rest.len()));
                piece[..now.len()].copy_from_slice(now);
                rest = later;
            }
            Ok(bytes.len() - rest.len())
        });
        let Ok(count) = filled;
        count
    }

    /// Executes a round. The client takes replies in odd steps.
    fn execute(
        &mut self,
        round: &Round<'_, '_>,
        exec: &mut Exec<'_>,
        out: &mut Output,
        replies: &mut Vec<u8>,
    ) -> Option<Stop<()>> {
        let often = self.stutter;
        let mut rooms = 0;
        let make_room = |out: &mut Output| {
            assert!(out.copied().len() <= COPIED_MAX, "{} bytes wait", out.copied().len());
            rooms += 1;
            if often > 0 && rooms % often == 0 {
                return ControlFlow::Break(());
            }
            drain(out, replies);
            ControlFlow::Continue(())
        };
        let stop = self.dialogue.execute(round, exec, out, make_room).break_value();
        assert!(out.copied().len() <= COPIED_MAX, "{} bytes wait", out.copied().len());
        stop
    }
}

/// Moves everything from `out` to `replies`, in odd steps.
fn drain(out: &mut Output, replies: &mut Vec<u8>) {
    while !out.is_empty() {
        let count = out.with_pieces(|pieces| {
            let mut count = 0;
            for piece in pieces {
                let part = &piece[..piece.len().min(60_007)];
                replies.extend_from_slice(part);
                count += part.len();
                if part.len() < piece.len() {
                    break;
                }
            }
            count
        });
        out.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items whose values are pinned and copied, and requests for many of them at once.
    fn conversation() -> Vec<u8> {
        let mut words = Vec::new();
        for number in 0..200 {
            let len = [10, 300, 20_000][number % 3];
            words.extend_from_slice(format!("set key{number} 0 0 {len}\r\n").as_bytes());
            words.resize(words.len() + len, b'a' + (number % 26) as u8);
            words.extend_from_slice(b"\r\n");
        }
        let keys: String = (0..400).map(|number| format!(" key{}", number % 300)).collect();
        for _ in 0..3 {
            words.extend_from_slice(format!("gets{keys}\r\nmg key2 v\r\nmn\r\n").as_bytes());
        }
        words
    }

    #[test]
    fn a_dialogue_that_has_to_stop_goes_on_where_it_stopped() {
        let words = conversation();
        let whole = Stage::new(&[]).connect().feed(&words);
        assert!(whole.len() > 3 << 20, "{} bytes", whole.len());
        for often in [1, 2, 3] {
            let stage = Stage::new(&[]).under_pressure();
            let mut client = stage.connect().stuttering(often);
            assert!(client.feed(&words) == whole, "stopped one in {often} times");
        }
    }

    #[test]
    fn values_that_are_received_in_place_are_the_same() {
        let words = conversation();
        let whole = Stage::new(&[]).connect().feed(&words);
        for size in [1_000, 7_001, 16_390] {
            let mut client = Stage::new(&[]).connect();
            let replies: Vec<u8> =
                words.chunks(size).flat_map(|piece| client.feed(piece)).collect();
            assert!(replies == whole, "in pieces of {size}");
        }
    }
}
