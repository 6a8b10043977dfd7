//! Which worker a new connection goes to: the next one, or the one that has others whose packets
//! take the same way.

use std::sync::atomic::Ordering;

use crate::config::Placing;
use crate::net::socket::Socket;
use crate::state::gauges::Connections;

/// The choice of workers.
#[derive(Debug)]
pub(super) struct Placement {
    placing: Placing,
    workers: usize,
    next: usize,
    /// The way of each worker's connections, for the first ones.
    ways: Vec<u32>,
}

impl Placement {
    pub(super) fn new(placing: Placing, workers: usize) -> Self {
        Self { placing, workers, next: 0, ways: Vec::new() }
    }

    /// The worker for a connection.
    pub(super) fn choose(&mut self, socket: &Socket, counts: &Connections) -> usize {
        let way = match self.placing {
            Placing::InTurn => return self.in_turn(),
            Placing::ByQueue => memsys::network::queue_of(socket),
            Placing::ByProcessor => memsys::network::processor_of(socket),
        };
        self.by(way, counts)
    }

    fn in_turn(&mut self) -> usize {
        let worker = self.next;
        self.next = (worker + 1) % self.workers.max(1);
        worker
    }

    /// As in memcached: each way gets the first worker that has none yet. If there are more ways
    /// than workers, all are forgotten.
    fn by(&mut self, way: Option<u32>, counts: &Connections) -> usize {
        let Some(way) = way else {
            counts.in_turn_instead.fetch_add(1, Ordering::Relaxed);
            return self.in_turn();
        };
        if let Some(worker) = self.ways.iter().position(|&known| known == way) {
            return worker;
        }
        if self.ways.len() >= self.workers {
            counts.unexpected_ways.fetch_add(1, Ordering::Relaxed);
            self.ways.clear();
        }
        self.ways.push(way);
        self.ways.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_go_to_the_workers_in_turn() {
        let (ours, _theirs) = mio::net::UnixStream::pair().unwrap();
        let socket = Socket::from(ours);
        let mut placement = Placement::new(Placing::InTurn, 3);
        let counts = Connections::default();
        let chosen: Vec<_> = (0..5).map(|_| placement.choose(&socket, &counts)).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1]);
        assert_eq!(counts.in_turn_instead.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn those_of_one_way_go_to_one_worker() {
        let mut placement = Placement::new(Placing::ByQueue, 2);
        let counts = Connections::default();
        let mut by = |way| placement.by(way, &counts);
        assert_eq!([by(Some(7)), by(Some(9)), by(Some(7)), by(Some(9))], [0, 1, 0, 1]);
        // A third way for two workers: it begins anew.
        assert_eq!([by(Some(8)), by(Some(9)), by(Some(8))], [0, 1, 0]);
        assert_eq!([by(None), by(None), by(None)], [0, 1, 0]);
        assert_eq!(counts.unexpected_ways.load(Ordering::Relaxed), 1);
        assert_eq!(counts.in_turn_instead.load(Ordering::Relaxed), 3);
    }

    /// A Unix socket has no queue; with a list of them it goes where the others go.
    #[test]
    fn without_a_way_it_is_in_turn() {
        let (ours, _theirs) = mio::net::UnixStream::pair().unwrap();
        let socket = Socket::from(ours);
        let counts = Connections::default();
        let mut placement = Placement::new(Placing::ByQueue, 2);
        assert_eq!(
            [placement.choose(&socket, &counts), placement.choose(&socket, &counts)],
            [0, 1]
        );
        assert_eq!(counts.in_turn_instead.load(Ordering::Relaxed), 2);
    }
}
