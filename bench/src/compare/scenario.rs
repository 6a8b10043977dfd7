//! What the servers are asked to do in a comparison.

use std::time::Duration;

use super::Contender;
use crate::launch::Recipe;
use crate::load::{Bound, Load};
use crate::value::Sizes;

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// The servers' memory limit in MiB.
    pub mib: u64,
    /// How many keys there are.
    pub keys: u32,
    /// Bytes of a value.
    pub value: u32,
    /// Exponent of the zipf distribution of keys; 0 is uniform.
    pub zipf: f64,
    /// Share of the requests that are gets.
    pub gets: f64,
    /// Keys in a get.
    pub width: usize,
    /// Requests on their way per connection.
    pub depth: usize,
}

/// All kinds of load, in the order of the tables.
pub const SCENARIOS: [Scenario; 8] = [
    Scenario { name: "get", ..SMALL },
    Scenario { name: "get-pipelined", depth: 32, ..SMALL },
    Scenario { name: "multiget", width: 50, ..SMALL },
    Scenario { name: "multiget-1g", width: 50, ..LARGE },
    Scenario { name: "set-evict", gets: 0.0, keys: 2_000_000, zipf: 0.0, depth: 32, ..SMALL },
    Scenario { name: "mix", gets: 0.95, ..SMALL },
    Scenario { name: "mix-64k", value: 64 << 10, keys: 4_000, ..HEAVY },
    // As large as memcached's default for the largest item allows.
    Scenario { name: "mix-1m", value: (1 << 20) - 512, keys: 250, ..HEAVY },
];

/// Items that fit into any server's 256 MiB.
const SMALL: Scenario = Scenario {
    name: "",
    mib: 256,
    keys: 100_000,
    value: 100,
    zipf: 0.99,
    gets: 1.0,
    width: 1,
    depth: 1,
};

/// Large values that fit into any server's GiB.
const HEAVY: Scenario = Scenario { mib: 1024, gets: 0.9, ..SMALL };

/// A GiB of items (7.5 million of 120 bytes and what a server adds to each), asked for evenly.
const LARGE: Scenario = Scenario { mib: 2048, keys: 7_500_000, zipf: 0.0, ..SMALL };

impl Scenario {
    /// The load on a server; one second to measure, which the caller changes.
    #[must_use]
    pub fn load(&self, contender: &Contender) -> Load {
        Load {
            addr: contender.server.addr,
            connections: CONNECTIONS,
            threads: 1,
            depth: self.depth,
            keys: self.keys,
            key_size: KEY_SIZE,
            sizes: Sizes::Fixed(self.value),
            zipf: self.zipf,
            gets: self.gets,
            width: self.width,
            preload: false,
            verify: contender.genuine,
            rate: None,
            warmup: Duration::from_millis(300),
            bound: Bound::Time(Duration::from_secs(1)),
            seed: 1,
            server_pid: Some(contender.server.pid()),
        }
    }

    /// A server's command line for this load.
    #[must_use]
    pub fn recipe(&self, recipe: &Recipe) -> Recipe {
        recipe.with("{mib}", self.mib)
    }

    /// The floor server's command line; `None` if requests are not all of one kind, which it can't
    /// answer.
    #[must_use]
    pub fn floor(&self, recipe: &Recipe) -> Option<Recipe> {
        let (values, lines) = match self.gets {
            1.0 => (self.width, 1),
            0.0 => (0, 2),
            _ => return None,
        };
        let mut recipe = recipe.clone();
        let value = self.value as usize;
        for (flag, number) in [("--values", values), ("--lines", lines), ("--value-size", value)] {
            recipe.words.extend([flag.to_owned(), number.to_string()]);
        }
        Some(recipe)
    }
}

const CONNECTIONS: usize = 16;
const KEY_SIZE: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_answers_what_is_asked() {
        let floor: Recipe = "floor=floor".parse().unwrap();
        let words = |name: &str| {
            let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
            scenario.floor(&floor).map(|recipe| recipe.words.join(" "))
        };
        assert_eq!(words("multiget").unwrap(), "floor --values 50 --lines 1 --value-size 100");
        assert_eq!(words("set-evict").unwrap(), "floor --values 0 --lines 2 --value-size 100");
        assert_eq!(words("mix"), None);
    }
}
