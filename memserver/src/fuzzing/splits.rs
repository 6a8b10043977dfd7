//! Target `session_splits`: the same bytes in any segmentation.

use memcore::Cursor;

use super::{Dialogue, Stage};
use crate::session::framing::Framing;

/// Input that a session may leave unread: a retrieval line that is not complete.
const PENDING_MAX: usize = memproto::limits::MAX_GET_LINE + 2;
/// The cheapest cache to build, because each stream gets two.
const SMALL: &[&str] = &["-m", "4"];

/// The first byte seeds the sizes of the pieces, the rest is the stream: whole, and in pieces to a
/// server that is short of memory and whose client hardly reads, it is answered the same and leaves
/// the same behind.
///
/// # Panics
/// If it does not, or if a buffer grows beyond what the protocol allows.
pub fn session_splits(data: &[u8]) {
    let Some((&seed, stream)) = data.split_first() else { return };
    // A binary client's statistics tell the processor time, which is never the same twice.
    if stream.windows(2).any(|bytes| bytes == [0x80, memproto::binary::Opcode::Stat as u8]) {
        return;
    }
    let (answer, end) = play(stream, Sizes::Whole);
    let pieces =
        play(stream, Sizes::Random { state: seed.into(), unit: if seed < 128 { 1 } else { 100 } });
    assert_eq!(answer, pieces.0, "the pieces made a difference to the answers");
    assert_eq!(end, pieces.1, "the pieces made a difference to what is left");
}

/// How large the pieces are.
enum Sizes {
    /// As large as can be.
    Whole,
    /// Up to forty units.
    Random { state: u32, unit: usize },
}

impl Sizes {
    fn next(&mut self) -> usize {
        let Self::Random { state, unit } = self else { return usize::MAX };
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (*state >> 24) as usize % 40 * *unit
    }
}

/// What there is to see when everything is said.
#[derive(Debug, PartialEq, Eq)]
struct End {
    framing: Framing,
    unread: Vec<u8>,
    /// Items with their meta data and values.
    items: Vec<(Vec<u8>, String, Vec<u8>)>,
    counts: String,
}

fn play(stream: &[u8], mut sizes: Sizes) -> (String, End) {
    let mut stage = Stage::new(SMALL);
    let mut dialogue = stage.connect();
    if let Sizes::Random { .. } = sizes {
        stage = stage.under_pressure();
        dialogue = dialogue.stuttering(2);
    }
    let mut answer = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(sizes.next()));
        answer.extend(dialogue.feed(now));
        assert!(dialogue.pending() <= PENDING_MAX, "{} bytes unread", dialogue.pending());
        rest = later;
    }
    (timeless(&answer), end(&stage, &dialogue))
}

fn end(stage: &Stage, dialogue: &Dialogue) -> End {
    let cache = &stage.shared.core.cache;
    let mut items = Vec::new();
    let mut cursor = Cursor::default();
    let mut more = true;
    while more {
        more = cache.scan(&mut cursor, 100, |key, meta| {
            items.push((key.to_vec(), format!("{meta:?}"), Vec::new()));
        });
    }
    for (key, _, value) in &mut items {
        *value = cache.get(&*key).unwrap_or_default();
    }
    items.sort();
    End {
        framing: dialogue.dialogue.framing(),
        unread: dialogue.input.clone(),
        items,
        counts: format!("{:?}", stage.shared.gauges.counts()),
    }
}

/// The answer in readable form, without statistics that differ between the two: the wall clock, the
/// processor time, and the memory for unsent replies.
fn timeless(answer: &[u8]) -> String {
    const DIFFERENT: [&[u8]; 3] = [b"STAT time ", b"STAT rusage_", b"STAT response_obj_bytes "];
    let differs = |line: &[u8]| DIFFERENT.iter().any(|name| line.starts_with(name));
    let lines = answer.split_inclusive(|byte| *byte == b'\n').filter(|line| !differs(line));
    lines.map(|line| line.escape_ascii().to_string() + "\n").collect()
}
