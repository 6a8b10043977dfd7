//! Which right a request needs, and the answer to a client that does not have it.

use memproto::binary::{self, Command, Status, write};
use memproto::limits::MAX_KEY;
use memproto::meta::{MetaCommand, MetaRequest};
use memproto::text::write::{FLUSH_DISABLED, SHUTDOWN_DISABLED};
use memproto::{Admin, Args, Request};

use super::{Exec, error_lines, reply, say};
use crate::admin;
use crate::auth::account::Scope;
use crate::auth::audit::EventKind;
use crate::auth::guard::Guard;
use crate::auth::rights::{Right, Rights};
use crate::session::batch::Batch;
use crate::session::dialogue::{Flow, Round};
use crate::session::framing::Framing;
use crate::session::job::{Job, OwnedRequest, StoreRequest, Work};
use crate::session::output::Output;
use crate::session::pending::Pending;
use crate::watch::{self, attention};

const WATCH_DISABLED: &[u8] = b"CLIENT_ERROR watch commands not allowed\r\n";
const NOT_ALLOWED: &[u8] = b"CLIENT_ERROR not allowed\r\n";
/// Bytes of a request that a log shows.
const SHOWN_MAX: usize = 100;
#[cfg(feature = "udp")]
const TOO_LONG_FOR_UDP: &[u8] = b"SERVER_ERROR reply too large for UDP\r\n";

impl Rights {
    /// Whether they allow `work`.
    // Asked for every request.
    #[inline(always)]
    pub(crate) fn allow(self, work: &Work<'_>) -> bool {
        // Nearly every client may use all items, and then a look at the kind of request is enough.
        self.include(Self::ITEMS) && concerns_items(work) || self.allow_any(work)
    }

    /// The same whatever the rights are, and whatever the request.
    #[inline(never)]
    fn allow_any(self, work: &Work<'_>) -> bool {
        self.has(Right::OtherKeys) && self.allow_apart_from_keys(work)
    }

    /// Whether they allow `work` with keys that the client may use.
    fn allow_apart_from_keys(self, work: &Work<'_>) -> bool {
        right(work).is_none_or(|right| self.has(right))
    }
}

/// Whether `work` needs at most the rights to read, write and delete items. Others may do so too.
#[inline(always)]
fn concerns_items(work: &Work<'_>) -> bool {
    match work {
        Work::Text(request, _) => matches!(
            request,
            Request::Meta(_)
                | Request::Arith { .. }
                | Request::Touch { .. }
                | Request::Delete { .. }
                | Request::MetaNoop
        ),
        Work::Binary(request, _) => matches!(
            request.command,
            Command::Get { .. }
                | Command::Arith { .. }
                | Command::Touch { .. }
                | Command::Delete { .. }
                | Command::Noop
        ),
        Work::Watch(_) => false,
        _ => true,
    }
}

/// The right that `work` needs; none if every client may ask for it, or if it goes on with what was
/// allowed already.
fn right(work: &Work<'_>) -> Option<Right> {
    match work {
        Work::Get(run) => Some(if run.verb.verb.touches() { Right::Write } else { Right::Read }),
        Work::Put { .. } | Work::Begin { .. } | Work::BadDataChunk(_) => Some(Right::Write),
        Work::Text(Request::Meta(meta), _) => Some(of_meta(meta)),
        Work::Text(request, _) => of_text(request),
        Work::Binary(request, _) => of_binary(&request.command),
        Work::Watch(_) => Some(Right::Watch),
        Work::Body { .. } | Work::Continue | Work::Reject(_) | Work::RejectFrame { .. } => None,
        Work::Login(_) | Work::RefuseLogin(_) | Work::RefuseTls => None,
    }
}

fn of_text(request: &Request<'_>) -> Option<Right> {
    match request {
        Request::Get { verb, .. } if !verb.touches() => Some(Right::Read),
        Request::Get { .. } | Request::Store(_) => Some(Right::Write),
        Request::Arith { .. } | Request::Touch { .. } => Some(Right::Write),
        Request::Delete { .. } => Some(Right::Delete),
        Request::Meta(meta) => Some(of_meta(meta)),
        Request::FlushAll { .. } => Some(Right::Flush),
        Request::Verbosity { .. } => Some(Right::Verbosity),
        Request::Shutdown { .. } => Some(Right::Shutdown),
        Request::Stats { args } => Some(of_stats(*args)),
        Request::Admin { command, args, .. } => Some(of_admin(*command, *args)),
        Request::Version | Request::Quit | Request::MetaNoop => None,
        // A new kind of request needs much before it is listed here.
        _ => Some(Right::Admin),
    }
}

#[inline(always)]
fn of_meta(meta: &MetaRequest<'_>) -> Right {
    match meta.command {
        // T changes the expiry, and N creates an item.
        MetaCommand::Get if meta.has(b'T') || meta.has(b'N') => Right::Write,
        MetaCommand::Get | MetaCommand::Debug => Right::Read,
        MetaCommand::Set | MetaCommand::Arith => Right::Write,
        MetaCommand::Delete => Right::Delete,
    }
}

#[cold]
fn of_stats<'w>(mut words: impl Iterator<Item = &'w [u8]>) -> Right {
    match words.next() {
        Some(b"detail" | b"cachedump") => Right::Dump,
        // These change counters or settings, or tell what other clients do.
        Some(b"conns" | b"reset" | b"sizes_enable" | b"sizes_disable") => Right::Admin,
        Some(b"hotkeys") => Right::HotKeys,
        _ => Right::Stats,
    }
}

#[cold]
fn of_admin(command: Admin, mut args: Args<'_>) -> Right {
    match (command, args.next(), args.next()) {
        (Admin::Watch, ..) => Right::Watch,
        (Admin::LruCrawler, Some(b"metadump" | b"mgdump"), Some(_)) => Right::Dump,
        _ => Right::Admin,
    }
}

fn of_binary(command: &Command<'_>) -> Option<Right> {
    match command {
        Command::Get { touch: None, .. } => Some(Right::Read),
        Command::Get { .. } | Command::Store { .. } | Command::Extend { .. } => Some(Right::Write),
        Command::Arith { .. } | Command::Touch { .. } => Some(Right::Write),
        Command::Delete { .. } => Some(Right::Delete),
        Command::Flush { .. } => Some(Right::Flush),
        Command::Stat { key } => Some(of_stats(words(key))),
        Command::Noop | Command::Version | Command::Quit => None,
        Command::SaslList | Command::SaslAuth { .. } => None,
        _ => Some(Right::Admin),
    }
}

/// Whether a command is about the connection that it comes over.
#[cfg(feature = "udp")]
pub(crate) fn concerns_connection(command: &Command<'_>) -> bool {
    matches!(command, Command::Quit | Command::SaslList | Command::SaslAuth { .. })
}

/// The words of a binary client's `stats`.
pub(super) fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    key.split(|&byte| byte == b' ').filter(|word| !word.is_empty())
}

/// Whether all keys of `job` are ones that the client may use.
fn owns_keys(guard: &Guard, job: &Job<'_>, batch: &Batch<'_>) -> bool {
    let mut scratch = [0; MAX_KEY];
    match &job.work {
        Work::Get(run) => {
            let keys = &batch.keys[run.first as usize..run.end as usize];
            keys.iter().all(|key| guard.owns(key.bytes()))
        }
        Work::Put { request, .. } | Work::Begin { request, .. } | Work::BadDataChunk(request) => {
            guard.owns(request.name(&mut scratch))
        }
        Work::Text(Request::Meta(meta), _) => guard.owns(meta.key.bytes(&mut scratch)),
        Work::Text(_, key) | Work::Binary(_, key) => {
            key.is_none_or(|key| guard.owns(batch.keys[key as usize].bytes()))
        }
        _ => true,
    }
}

/// Whether `work` concerns nothing but the keys that `scope` has.
fn is_within(scope: &Scope, work: &Work<'_>) -> bool {
    match work {
        _ if scope.has_all() => true,
        Work::Text(Request::Stats { args }, _) => keeps_counting(*args),
        Work::Binary(binary::Request { command: Command::Stat { key }, .. }, _) => {
            keeps_counting(words(key))
        }
        // Whatever else can be watched tells who is connected, or shows keys among other words.
        Work::Watch(args) => {
            watch::kinds(*args).is_none_or(|kinds| kinds & !attention::SCOPED == 0)
        }
        _ => true,
    }
}

/// Whether a request for statistics leaves alone what is counted.
fn keeps_counting<'w>(mut words: impl Iterator<Item = &'w [u8]>) -> bool {
    words.next() != Some(b"detail") || words.next().is_none_or(|word| word == b"dump")
}

/// What is shown of a request in a log.
fn shown(job: &Job<'_>, input: &[u8]) -> String {
    match &job.work {
        Work::Binary(request, _) => match request.command {
            Command::Stat { key } => format!("stat {}", key.escape_ascii()),
            Command::Flush { delay } => format!("flush {delay}"),
            _ => format!("opcode {}", request.to.opcode),
        },
        _ => {
            let line = input.get(job.start..).unwrap_or_default();
            let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let shown = &line[..end.unwrap_or(line.len()).min(SHOWN_MAX)];
            shown.escape_ascii().to_string()
        }
    }
}

impl Exec<'_> {
    /// Logs the requests of a round that take an administrative right.
    pub(crate) fn audit(&self, round: &Round<'_, '_>) {
        let Some(format) = self.shared.core.config.audit else { return };
        let Some(guard) = &self.guard else { return };
        for job in &round.batch.jobs[round.jobs.clone()] {
            let Some(right) = right(&job.work) else { continue };
            if Rights::administrative().has(right) {
                let text = shown(job, round.input);
                guard.audit(format, EventKind::Command(&text, self.rights.has(right)));
            }
        }
    }

    /// Whether the client may ask for this, although its rights are limited.
    #[cold]
    pub(super) fn allows_to_guarded(&self, job: &Job<'_>, batch: &Batch<'_>) -> bool {
        let guard = self.guard.as_deref();
        self.rights.allow_apart_from_keys(&job.work)
            && guard.is_some_and(|guard| {
                owns_keys(guard, job, batch) && is_within(&guard.scope(), &job.work)
            })
    }

    /// Answers what the client has no right to ask for.
    #[cold]
    pub(super) fn refuse(&self, job: &Job<'_>, pending: &mut Pending, out: &mut Output) -> Flow {
        match &job.work {
            Work::Get(run) => {
                out.put(NOT_ALLOWED);
                // Behind a part of the answer the client would take what follows for the rest.
                let is_whole = run.last && !matches!(job.before, Framing::Keys { .. });
                return if is_whole { Flow::Done } else { Flow::Close };
            }
            Work::Put { request, .. } | Work::BadDataChunk(request) => refuse_value(request, out),
            // The answer belongs behind the value.
            Work::Begin { request, header, .. } => {
                pending.put(Pending::Refused(Box::new(OwnedRequest::new(request, header))));
            }
            work => self.refuse_line(work, out),
        }
        Flow::Done
    }

    /// Answers a request without a value.
    fn refuse_line(&self, work: &Work<'_>, out: &mut Output) {
        match work {
            Work::Text(Request::FlushAll { noreply, .. }, _) => {
                self.count_flush();
                say(reply(out, *noreply), FLUSH_DISABLED);
            }
            Work::Text(Request::Shutdown { noreply, .. }, _) => {
                say(reply(out, *noreply), SHUTDOWN_DISABLED);
            }
            Work::Text(Request::Verbosity { noreply, .. }, _) => {
                say(reply(out, *noreply), NOT_ALLOWED);
            }
            Work::Text(Request::Stats { args }, _) => out.put(refused_stats(*args)),
            Work::Text(Request::Admin { args, noreply, .. }, _) => {
                say(reply(out, *noreply), self.refused_dump(*args));
            }
            Work::Watch(_) => out.put(WATCH_DISABLED),
            Work::Binary(request, _) => {
                let status = match request.command {
                    Command::Stat { .. } => Status::NotFound,
                    _ => Status::AuthError,
                };
                write::error(out.bytes(), request.to, status);
            }
            Work::Text(
                Request::Arith { noreply, .. }
                | Request::Touch { noreply, .. }
                | Request::Delete { noreply, .. },
                _,
            ) => say(reply(out, *noreply), NOT_ALLOWED),
            _ => out.put(NOT_ALLOWED),
        }
    }

    /// The answer to `lru_crawler metadump` and `mgdump`.
    fn refused_dump(&self, mut words: Args<'_>) -> &'static [u8] {
        let runs = self.shared.core.runtime.lock().lru_crawler;
        match words.next() {
            _ if !runs => error_lines::admin(admin::AdminError::CrawlerDisabled),
            Some(b"metadump") => b"ERROR metadump not allowed\r\n",
            Some(b"mgdump") => b"ERROR key dump not allowed\r\n",
            _ => NOT_ALLOWED,
        }
    }
}

/// Answers a request to store that is not allowed.
pub(super) fn refuse_value(request: &StoreRequest<'_>, out: &mut Output) {
    match request {
        StoreRequest::Binary(frame) => write::error(out.bytes(), frame.to, Status::AuthError),
        StoreRequest::Text(_) | StoreRequest::Meta(_) if request.is_mute() => {}
        StoreRequest::Text(_) | StoreRequest::Meta(_) => out.put(NOT_ALLOWED),
    }
}

fn refused_stats(mut words: Args<'_>) -> &'static [u8] {
    match words.next() {
        Some(b"detail") => b"CLIENT_ERROR stats detail not allowed\r\n",
        Some(b"cachedump") => b"CLIENT_ERROR stats cachedump not allowed\r\n",
        _ => NOT_ALLOWED,
    }
}

/// Answers what is not to be had over UDP, for which `line` is the reason.
#[cfg(feature = "udp")]
#[cold]
fn refuse_datagram(work: &Work<'_>, line: &[u8], answer: &mut Vec<u8>) {
    let to = match work {
        Work::Binary(request, _) => Some(request.to),
        Work::Put { request: StoreRequest::Binary(frame), .. } => Some(frame.to),
        _ => None,
    };
    match to {
        Some(to) => write::error(answer, to, Status::UnknownCommand),
        None => answer.extend_from_slice(line),
    }
}

/// Answers a request that may not come in a datagram.
#[cfg(feature = "udp")]
pub(crate) fn refuse_over_udp(work: &Work<'_>, answer: &mut Vec<u8>) {
    refuse_datagram(work, b"CLIENT_ERROR not allowed over UDP\r\n", answer);
}

/// Answers a request whose reply is too long for datagrams.
#[cfg(feature = "udp")]
pub(crate) fn refuse_long_reply(work: &Work<'_>, answer: &mut Vec<u8>) {
    refuse_datagram(work, TOO_LONG_FOR_UDP, answer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use memproto::{Limits, Scan, Step, text};

    /// The right that a line needs, of which the shortcut for nearly all requests knows as well.
    fn needed(line: &str) -> Option<Right> {
        let line = format!("{line}\r\n");
        let request = match text::parse(line.as_bytes(), &mut Scan::new(), &Limits::new()) {
            Step::Request { request, .. } => request,
            step => panic!("{line:?} is {step:?}"),
        };
        let right = of_text(&request);
        let work = Work::Text(request, None);
        for shutdown_command in [false, true] {
            let rights = Rights::of_connections(&Config { shutdown_command, ..Config::default() });
            let reads = Rights::of_datagrams(&Config::default());
            assert_eq!(reads.allow(&work), right.is_none_or(|right| right == Right::Read));
            // Whose keys are the user's own has to be looked at.
            assert!(!rights.without(Rights::of(&[Right::OtherKeys])).allow(&work), "{line}");
            assert_eq!(rights.allow(&work), right != Some(Right::Shutdown) || shutdown_command);
            assert_eq!(rights.allow(&work), rights.allow_any(&work), "{line}");
        }
        right
    }

    #[test]
    fn every_request_needs_its_right() {
        for (right, lines) in [
            (Some(Right::Read), &["get a b", "gets a", "mg a v", "mg a v R30", "me a"][..]),
            (Some(Right::Write), &["set a 0 0 1", "incr a 1", "touch a 1", "gat 1 a", "ma a"]),
            (Some(Right::Write), &["mg a T30", "mg a N30 v", "ms a 1"]),
            (Some(Right::Delete), &["delete a", "md a", "md a I"]),
            (Some(Right::Flush), &["flush_all", "flush_all 10 noreply"]),
            (Some(Right::Stats), &["stats", "stats items", "stats settings"]),
            (Some(Right::Admin), &["stats conns", "stats reset", "cache_memlimit 64", "slabs"]),
            (Some(Right::HotKeys), &["stats hotkeys"]),
            (Some(Right::Verbosity), &["verbosity 1", "verbosity 1 noreply"]),
            (Some(Right::Admin), &["lru_crawler enable", "lru_crawler metadump"]),
            (Some(Right::Dump), &["stats cachedump 1 1", "stats detail on"]),
            (Some(Right::Dump), &["lru_crawler metadump all", "lru_crawler mgdump all"]),
            (Some(Right::Watch), &["watch", "watch fetchers"]),
            (Some(Right::Shutdown), &["shutdown", "shutdown graceful"]),
            (None, &["version", "mn", "quit"]),
        ] {
            for line in lines {
                assert_eq!(needed(line), right, "{line}");
            }
        }
    }

    #[test]
    fn settings_take_rights_away() {
        let open = Rights::of_connections(&Config { shutdown_command: true, ..Config::default() });
        let closed = Rights::of_connections(&Config::embedded());
        for right in [Right::Flush, Right::Dump, Right::Watch, Right::Verbosity, Right::Shutdown] {
            assert!(open.has(right) && !closed.has(right), "{right:?}");
        }
        let writes = Rights::of_datagrams(&Config { udp_writes: true, ..Config::default() });
        let reads = Rights::of_datagrams(&Config::default());
        assert!(writes.has(Right::Delete) && reads.has(Right::Read) && !reads.has(Right::Write));
        assert!(!writes.has(Right::Stats) && !writes.has(Right::Flush));
    }
}
