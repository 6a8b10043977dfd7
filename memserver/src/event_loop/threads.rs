//! The handles of the threads that serve, as one way to reach them all.

use std::sync::Arc;

use crate::event_loop::acceptor::AcceptorHandle;
use crate::event_loop::worker::WorkerHandle;
use crate::state::control::{ConnQuery, Control};

/// The accept loop and the workers of one server.
#[derive(Clone, Debug)]
pub(crate) struct Threads {
    /// The accept loop. When it ends, the workers end.
    pub(crate) acceptor: AcceptorHandle,
    /// By number.
    pub(crate) workers: Vec<WorkerHandle>,
}

impl Control for Threads {
    fn stop(&self) {
        self.acceptor.stop();
    }

    fn query_connections(&self, query: &Arc<ConnQuery>) {
        let asker = &self.workers[query.asker];
        self.workers.iter().for_each(|worker| worker.query_connections(query, asker));
    }

    fn wake(&self, worker: usize) {
        self.workers[worker].wake();
    }

    fn connection_closed(&self) {
        self.acceptor.connection_closed();
    }

    fn wake_worker(&self, worker: usize) {
        if let Some(worker) = self.workers.get(worker) {
            worker.wake();
        }
    }
}
