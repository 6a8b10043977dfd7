//! Drives the text parser the way a connection does: bytes arrive in pieces, steps come out.

use memproto::{Limits, Request, Scan, Step, text};

/// A step in a form that outlives its buffer.
pub(crate) fn describe(step: &Step<'_>) -> String {
    match step {
        Step::Request { request: Request::Get { verb, exptime, keys }, .. } => {
            let keys: Vec<_> =
                keys.map(|key| key.map(|key| key.escape_ascii().to_string())).collect();
            format!("{verb:?} {exptime} {keys:?}")
        }
        other => format!("{other:?}"),
    }
}

/// Bytes of a data block, its terminator included, that follow the consumed ones.
pub(crate) fn block(request: &Request<'_>) -> usize {
    match request {
        Request::Store(store) => store.len as usize + 2,
        Request::Meta(meta) if meta.command == memproto::meta::MetaCommand::Set => {
            meta.len as usize + 2
        }
        _ => 0,
    }
}

/// The steps of a stream whose bytes arrive in pieces that end at `cuts`.
pub(crate) fn steps(stream: &[u8], cuts: &[usize]) -> Vec<String> {
    let (mut scan, limits) = (Scan::new(), Limits::default());
    let (mut start, mut out) = (0, Vec::new());
    for &end in cuts.iter().chain([&stream.len()]) {
        while start < end {
            let step = text::parse(&stream[start..end], &mut scan, &limits);
            start += match &step {
                Step::Partial => break,
                Step::Close(_) => {
                    out.push(describe(&step));
                    return out;
                }
                Step::Request { consumed, request } => consumed + block(request),
                Step::Reject { consumed, swallow, .. } => consumed + *swallow as usize,
            };
            out.push(describe(&step));
        }
    }
    out
}
