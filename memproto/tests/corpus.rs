//! Replays the committed corpus of every fuzz target, so that a find stays found and the
//! targets cannot rot between fuzzing runs.

use std::path::Path;

use memproto::fuzzing;

fn replay(target: &str, at_least: usize, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        body(&std::fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs >= at_least, "only {inputs} inputs in {}", corpus.display());
}

#[test]
fn text_line() {
    replay("text_line", 17, fuzzing::text_line);
}

#[test]
fn meta_flags() {
    replay("meta_flags", 17, fuzzing::meta_flags);
}

#[test]
fn binary_frame() {
    replay("binary_frame", 14, fuzzing::binary_frame);
}

#[test]
fn client_replies() {
    replay("client_replies", 10, fuzzing::client_replies);
}
