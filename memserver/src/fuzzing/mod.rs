//! A whole dialogue without sockets: bytes in, replies out. Tests drive it, and the bodies of the
//! fuzz targets, which live here to be replayed on the committed corpus by an ordinary test; they
//! are no part of the API.

mod mixed;
mod reference;
mod splits;

use std::sync::Arc;
use std::time::Duration;

use memcore::{Cache, ManualClock, Moment};

use crate::cli::{self, Command};
use crate::config::Config;
use crate::exec::{Exec, Flow};
use crate::session::batch::{Batch, Job, Spare};
use crate::session::output::Output;
use crate::session::{Pace, Session};
use crate::state::clock::DrivenClock;
use crate::state::control::Detached;
use crate::state::core::{Core, Listening};
use crate::state::shared::Shared;
use crate::watch::Evictions;

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
        let Ok(Command::Serve(options)) = cli::parse(&args) else {
            panic!("a server can't be started with {flags:?}")
        };
        let config = Config { threads: 1, ..options.config };
        let clock = ManualClock::new(Moment::from_secs(NOW));
        let builder = Cache::builder(config.memory_limit)
            .max_item_size(config.item_size_max)
            .evictions(config.evictions)
            .clock(clock.clone())
            .seed(1);
        let cache = builder.build().expect("settings that were checked");
        let driven = Arc::new(DrivenClock::new(clock.clone()));
        let core = Core::new(cache, config, Listening::default(), Some(driven));
        let shared = Shared::new(core, Evictions::new(), Detached);
        Self { shared, clock }
    }

    /// A new client.
    #[must_use]
    pub fn connect(&self) -> Dialogue {
        let shared = Arc::clone(&self.shared);
        let session = Session::new(shared.core.config.protocol);
        let (input, out, spare) = (Vec::new(), Output::default(), Spare::default());
        Dialogue { shared, session, input, out, spare }
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
    session: Session,
    input: Vec<u8>,
    /// Empty between two inputs, but its memory is kept as a worker keeps it.
    out: Output,
    spare: Spare,
}

impl Dialogue {
    /// A dialogue with an empty cache whose clock stands still.
    #[must_use]
    pub fn for_test() -> Self {
        Stage::new(&[]).connect()
    }

    /// Receives `bytes` and returns what is answered at once.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        let (mut pos, mut out, mut replies) = (0, std::mem::take(&mut self.out), Vec::new());
        let shared = Arc::clone(&self.shared);
        let mut batch = Batch::new(&shared.core.cache, std::mem::take(&mut self.spare));
        let exec = Exec::new(&shared, 0);
        loop {
            batch.clear();
            let pace = self.session.parse(&input, &mut pos, QUOTA, &mut batch);
            batch.prefetch();
            for job in &batch.jobs {
                if !self.run(job, &batch, (&exec, &input), (&mut out, &mut replies)) {
                    drain(&mut out, &mut replies);
                    return replies;
                }
            }
            if pace != Pace::More {
                break;
            }
        }
        drain(&mut out, &mut replies);
        (self.out, self.spare) = (out, batch.into_spare());
        if !self.session.is_closed() {
            input.drain(..pos);
            self.input = input;
        }
        replies
    }

    /// Whether the server has ended the dialogue.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    /// Whether the client speaks the binary protocol.
    fn is_binary(&self) -> bool {
        self.session.protocol() == Some(memproto::Protocol::Binary)
    }

    /// Bytes that wait for more.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.input.len()
    }

    fn run(
        &mut self,
        job: &Job<'_>,
        batch: &Batch<'_>,
        (exec, input): (&Exec<'_>, &[u8]),
        (out, replies): (&mut Output, &mut Vec<u8>),
    ) -> bool {
        let mut flow = self.attempt(job, batch, exec, (&mut *out, &mut *replies));
        if let Flow::Full(_) = flow {
            let mut rest = *job;
            while let Flow::Full(key) = flow {
                rest.resume_at(key, input, batch);
                flow = self.attempt(&rest, batch, exec, (&mut *out, &mut *replies));
            }
        }
        if flow == Flow::Close {
            if self.session.watch.take().is_some() {
                // There is nobody here who would take over.
                out.put(memproto::text::write::OK);
            }
            self.session.close();
        }
        flow != Flow::Close
    }

    /// Executes as much of a job as the output has room for.
    fn attempt(
        &mut self,
        job: &Job<'_>,
        batch: &Batch<'_>,
        exec: &Exec<'_>,
        (out, replies): (&mut Output, &mut Vec<u8>),
    ) -> Flow {
        if out.is_full() {
            drain(out, replies);
        }
        let flow = exec.run(job, batch, &mut self.session, out);
        assert!(out.copied().len() <= COPIED_MAX, "{} bytes wait", out.copied().len());
        flow
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
