//! Requests for items on flash: their connection waits until the items are in memory, and then the
//! request is executed from its beginning.

use std::sync::Arc;

use memcore::Key;
use memcore::flash::{Located, Ticket};
use memproto::limits::MAX_KEY;
use memproto::{Request, StoreVerb};

use super::Exec;
use crate::session::batch::Batch;
use crate::session::dialogue::Flow;
use crate::session::job::{Job, StoreRequest, Work};
use crate::session::pending::Pending;
use crate::state::flash::{Fetching, FlashQueue};

impl Exec<'_> {
    /// Has what a job needs of the flash tier brought to memory; how the job goes on if it has to
    /// wait for that. A job that has waited is executed with what is there.
    #[cold]
    #[inline(never)]
    pub(super) fn bring_in(
        &self,
        queue: &FlashQueue,
        job: &Job<'_>,
        batch: &Batch<'_>,
        pending: &mut Pending,
    ) -> Option<Flow> {
        match pending {
            Pending::Nothing => {}
            Pending::Fetching(fetch) if fetch.is_done() => {
                *pending = Pending::Nothing;
                return None;
            }
            Pending::Fetching(_) => return Some(Flow::Fetching),
            // A value that is arriving, or an answer in pieces.
            _ => return None,
        }
        let mut fetch = None;
        self.each_key(job, batch, |key| {
            if let Located::OnFlash(ticket) = self.shared.core.cache.locate(key) {
                self.ask(queue, ticket, &mut fetch);
            }
        });
        // All may have arrived by now; then there is nothing to wait for, nor a wake-up to come.
        let fetch = fetch.filter(|fetch| !fetch.is_done())?;
        *pending = Pending::Fetching(fetch);
        Some(Flow::Fetching)
    }

    fn ask(&self, queue: &FlashQueue, ticket: Ticket, fetch: &mut Option<Arc<Fetching>>) {
        // Datagrams are served by a thread that has nothing else to do.
        if !self.can_wait {
            return queue.read(ticket);
        }
        queue.ask(ticket, self.index, fetch.get_or_insert_default());
    }

    /// Visits the keys whose items it matters to a job to find.
    fn each_key(&self, job: &Job<'_>, batch: &Batch<'_>, mut visit: impl FnMut(Key<'_>)) {
        let cache = &self.shared.core.cache;
        let mut scratch = [0; MAX_KEY];
        let index = match &job.work {
            Work::Get(run) => {
                return batch.keys[run.first as usize..run.end as usize]
                    .iter()
                    .for_each(|key| visit(*key));
            }
            Work::Put { request, key, .. } if depends_on_old(request) => match key {
                Some(_) => *key,
                None => return visit(cache.key(request.name(&mut scratch))),
            },
            Work::Begin { request, .. } if depends_on_old(request) => {
                return visit(cache.key(request.name(&mut scratch)));
            }
            Work::Text(Request::Meta(meta), None) => {
                return visit(cache.key(meta.key.bytes(&mut scratch)));
            }
            Work::Text(_, key) => *key,
            Work::Binary(_, key) => *key,
            _ => None,
        };
        if let Some(index) = index {
            visit(batch.keys[index as usize]);
        }
    }
}

/// Whether it matters to a request to store what is there.
fn depends_on_old(request: &StoreRequest<'_>) -> bool {
    match request {
        StoreRequest::Text(store) => store.verb != StoreVerb::Set,
        StoreRequest::Meta(meta) => meta.has(b'M') || meta.has(b'C'),
        StoreRequest::Binary(frame) => frame.verb != StoreVerb::Set || frame.cas != 0,
    }
}
