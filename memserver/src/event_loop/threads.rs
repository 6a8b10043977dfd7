//! The handles of the threads that serve, as one way to reach them all.

use std::sync::Arc;
use std::time::Duration;

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
        if let Some(worker) = self.workers.get(worker) {
            worker.wake();
        }
    }

    fn longest_silence(&self) -> Option<(usize, Duration)> {
        let silences = self.workers.iter().map(WorkerHandle::probe).enumerate();
        silences.filter_map(|(index, silence)| Some((index, silence?))).max_by_key(|(_, s)| *s)
    }

    fn connection_closed(&self) {
        self.acceptor.connection_closed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::event_loop::acceptor::AcceptorSetup;
    use crate::event_loop::worker::{Worker, WorkerSetup};
    use crate::state::shared::Shared;

    #[test]
    fn a_worker_that_hangs_is_found() {
        let setups = [WorkerSetup::new().unwrap(), WorkerSetup::new().unwrap()];
        let acceptor = AcceptorSetup::new().unwrap().handle();
        let threads =
            Threads { acceptor, workers: setups.iter().map(WorkerSetup::handle).collect() };
        let cache = memcore::Cache::new(64 << 20).unwrap();
        let shared = Shared::without_threads(cache, Config { threads: 2, ..Config::default() });
        let [lively, _hangs] = setups;
        let worker = Worker::new(0, lively, shared);
        let running = std::thread::spawn(move || worker.run());
        assert_eq!(threads.longest_silence(), None);
        // The other one answers sooner or later, and then it is this one alone.
        while threads.workers[0].probe().is_some() {}
        std::thread::sleep(Duration::from_millis(20));
        let (worker, silence) = threads.longest_silence().unwrap();
        assert_eq!(worker, 1);
        assert!(silence >= Duration::from_millis(20));
        threads.workers[0].stop();
        running.join().unwrap();
    }
}
