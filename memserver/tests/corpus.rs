//! Replays the committed corpus of the fuzz targets whose bodies live here, so that a find stays
//! found and the targets cannot rot between fuzzing runs.

use std::path::Path;

use memserver::fuzzing;

fn replay(target: &str, at_least: usize, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        body(&std::fs::read(path).unwrap());
        inputs += 1;
    }
    assert!(inputs >= at_least, "only {inputs} inputs in {}", corpus.display());
}

#[test]
fn argv() {
    replay("argv", 17, fuzzing::argv);
}

#[test]
fn authfile() {
    replay("authfile", 15, fuzzing::authfile);
}

#[test]
fn session_splits() {
    replay("session_splits", 19, fuzzing::session_splits);
}

#[test]
fn mixed_stream() {
    replay("mixed_stream", 14, fuzzing::mixed_stream);
}
