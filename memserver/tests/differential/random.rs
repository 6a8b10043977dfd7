//! Numbers that look random and are the same for the same seed.

#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
    /// Nothing is wrong with what is made from these numbers.
    orderly: bool,
}

impl Random {
    /// The numbers of one stream of one seed.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let state = seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mut random = Self { state, orderly: false };
        random.next();
        // Most mistakes end a stream early if the servers are of different versions.
        random.orderly = random.percent(60);
        random
    }

    /// SplitMix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True so many times in a hundred.
    pub(crate) fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    /// True once in so many times, or never: time for a mistake.
    pub(crate) fn errs(&mut self, times: usize) -> bool {
        !self.orderly && self.below(times) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}
