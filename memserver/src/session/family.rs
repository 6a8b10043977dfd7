//! Which kind of command a job belongs to, for measurements.

use memproto::binary::Command;
use memproto::meta::MetaCommand;
use memproto::{Request, binary};

use crate::session::framing::Framing;
use crate::session::job::{Job, Work};
use crate::state::latency::Family;

/// The kind of the request that `job` answers or, if that takes several, completes; none if another
/// job is counted for the request.
pub(crate) fn family(job: &Job<'_>) -> Option<Family> {
    Some(match &job.work {
        // What follows the first keys of a long line.
        Work::Get(_) if matches!(job.before, Framing::Keys { .. }) => return None,
        Work::Get(_) => Family::Get,
        Work::Put { .. } | Work::BadDataChunk(_) => Family::Set,
        Work::Begin { .. } => return None,
        Work::Body { .. } if job.ends_request() => Family::Set,
        Work::Body { .. } | Work::Continue => return None,
        Work::Text(request, _) => of_text(request),
        Work::Binary(request, _) => of_binary(request),
        Work::Login(_)
        | Work::RefuseLogin(_)
        | Work::RefuseTls
        | Work::Watch(_)
        | Work::Reject(_)
        | Work::RejectFrame { .. } => Family::Other,
    })
}

fn of_text(request: &Request<'_>) -> Family {
    match request {
        Request::Arith { .. } => Family::Arith,
        Request::Touch { .. } => Family::Touch,
        Request::Delete { .. } => Family::Delete,
        Request::Meta(meta) => match meta.command {
            MetaCommand::Get => Family::Get,
            MetaCommand::Set => Family::Set,
            MetaCommand::Delete => Family::Delete,
            MetaCommand::Arith => Family::Arith,
            _ => Family::Other,
        },
        _ => Family::Other,
    }
}

fn of_binary(request: &binary::Request<'_>) -> Family {
    match request.command {
        Command::Get { .. } => Family::Get,
        Command::Store { .. } | Command::Extend { .. } => Family::Set,
        Command::Delete { .. } => Family::Delete,
        Command::Arith { .. } => Family::Arith,
        Command::Touch { .. } => Family::Touch,
        _ => Family::Other,
    }
}
