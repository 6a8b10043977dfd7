//! Files that are damaged on purpose.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const PAGE: u64 = 4_096;

/// Where whole pages of a file begin that hold anything.
pub(crate) fn pages_in_use(path: &Path) -> Vec<u64> {
    let file = File::open(path).expect("the file is there");
    let pages = file.metadata().expect("it has a length").len() / PAGE;
    let mut page = [0; PAGE as usize];
    let holds_anything = |at: &u64| {
        file.read_exact_at(&mut page, *at).expect("it can be read");
        page.iter().any(|&byte| byte != 0)
    };
    (0..pages).map(|number| number * PAGE).filter(holds_anything).collect()
}

/// Bits of such pages, drawn at random.
pub(crate) struct Flips {
    pages: Vec<u64>,
    random: u64,
}

impl Flips {
    pub(crate) fn new(pages: Vec<u64>, seed: u64) -> Self {
        Self { pages, random: seed | 1 }
    }

    /// Flips one in the file; where.
    pub(crate) fn flip(&mut self, path: &Path) -> u64 {
        let step = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = step.wrapping_add(1_442_695_040_888_963_407);
        let random = self.random >> 16;
        let page = self.pages[(random >> 15) as usize % self.pages.len()];
        let (at, bit) = (page + (random >> 3) % PAGE, random % 8);
        let file = File::options().read(true).write(true).open(path).expect("the file is there");
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("it can be read");
        file.write_all_at(&[byte[0] ^ 1 << bit], at).expect("it can be written");
        at
    }
}
