//! Taste and walls, checked: what each crate may name, where `unsafe` may stand, how long lines,
//! functions and files may get, and that the map of the code shows places that exist.

mod modules;

use std::fs;
use std::path::{Path, PathBuf};

/// The only files with `unsafe` in them.
const UNSAFE: [&str; 8] = [
    "memsys/src/heap.rs",
    "memsys/src/network.rs",
    "memcore/src/memory/bytes.rs",
    "memcore/src/memory/line.rs",
    "memcore/src/memory/region.rs",
    "memcore/src/memory/row.rs",
    "memcore/src/memory/system.rs",
    "memcore/src/ops/handle.rs",
];
/// The only files of the engine and the protocols that name a part of the system, and which. Of
/// `std::io` it is the error with which address space may be refused, and what snapshots go to.
const SYSTEM: [(&str, &str); 37] = [
    ("memcore/src/memory/system.rs", "std::fs"),
    ("memcore/src/memory/system.rs", "std::os"),
    ("memcore/src/memory/file.rs", "std::fs"),
    ("memcore/src/memory/file.rs", "std::io"),
    ("memcore/src/memory/file.rs", "std::os"),
    ("memcore/src/memory/file.rs", "std::path"),
    ("memcore/src/restart/superblock.rs", "std::io"),
    ("memcore/src/restart/mod.rs", "std::path"),
    ("memcore/src/restart/mod.rs", "std::io"),
    ("memcore/src/config.rs", "std::path"),
    ("memcore/src/size.rs", "std::fs"),
    ("memcore/src/size.rs", "std::path"),
    ("memcore/src/memory/system.rs", "std::io"),
    ("memcore/src/memory/system.rs", "std::time"),
    ("memcore/src/clock.rs", "std::time"),
    ("memcore/src/helper.rs", "std::io"),
    ("memcore/src/typed/stats.rs", "std::time"),
    ("memcore/src/index/mod.rs", "std::io"),
    ("memcore/src/memory/region.rs", "std::io"),
    ("memcore/src/snapshot/format.rs", "std::io"),
    ("memcore/src/snapshot/load.rs", "std::io"),
    ("memcore/src/snapshot/mod.rs", "std::io"),
    ("memcore/src/snapshot/save.rs", "std::io"),
    ("memcore/src/space/segments.rs", "std::io"),
    ("memcore/src/engine/build.rs", "std::io"),
    ("memcore/src/flash/device.rs", "std::fs"),
    ("memcore/src/flash/device.rs", "std::io"),
    ("memcore/src/flash/device.rs", "std::os"),
    ("memcore/src/flash/mod.rs", "std::io"),
    ("memcore/src/flash/options.rs", "std::io"),
    ("memcore/src/flash/options.rs", "std::path"),
    ("memcore/src/flash/place.rs", "std::fs"),
    ("memcore/src/flash/place.rs", "std::io"),
    ("memcore/src/flash/place.rs", "std::os"),
    ("memcore/src/flash/place.rs", "std::path"),
    ("memcore/src/flash/table.rs", "std::io"),
    ("memcore/src/flash/ticket.rs", "std::io"),
];
/// This file, which names what it looks for.
const SELF: &str = "memserver/tests/tidy.rs";
/// The only files of the server that know how events are delivered.
const EVENTS: [&str; 12] = [
    "memserver/src/event_loop/acceptor.rs",
    "memserver/src/event_loop/conn.rs",
    "memserver/src/http/mod.rs",
    "memserver/src/net/inherited.rs",
    "memserver/src/net/listener.rs",
    "memserver/src/net/socket.rs",
    "memserver/src/net/transport.rs",
    "memserver/src/os/signals.rs",
    "memserver/src/udp/mod.rs",
    "memserver/src/watch/logger.rs",
    "memserver/src/event_loop/worker.rs",
    "memserver/src/event_loop/worker_tests.rs",
];
/// All that the protocols depend on.
const PROTOCOL_DEPENDENCIES: [&str; 3] = ["base64", "percent-encoding", "thiserror"];
/// What belongs to the wire, not to the engine.
const WIRE_WORDS: [&str; 12] = [
    "noreply",
    "opcode",
    "exptime",
    "STORED",
    "NOT_FOUND",
    "CLIENT_ERROR",
    "SERVER_ERROR",
    "flush_all",
    "memcached",
    "memproto",
    "memserver",
    "mio",
];
/// What belongs to the engine, not to the wire.
const ENGINE_WORDS: [&str; 5] = ["memcore", "memserver", "Reservation", "Segment", "Evict"];

/// Folders whose public types and free functions each have an example.
const WITH_EXAMPLES: [&str; 4] = ["memcore/src", "memproto/src", "memsys/src", "memserver/src"];
/// Files with public items that the documentation does not show.
const HIDDEN: [&str; 6] = [
    "memcore/src/flash/fuzzing.rs",
    "memcore/src/typed/fuzzing.rs",
    "memserver/src/auth/fuzzing.rs",
    "memserver/src/cli/fuzzing.rs",
    "memserver/src/os/heap.rs",
    "memserver/src/program.rs",
];

/// Files with lines that are too long; to shrink.
const WIDE: [&str; 3] =
    ["memcore/src/ops/handle.rs", "memcore/src/space/append.rs", "memcore/src/space/segments.rs"];

const LINE_MAX: usize = 100;
const FUNCTION_MAX: usize = 70;
const FILE_MAX: usize = 900;

/// A source file.
struct Source {
    /// Its path from the root of the workspace.
    path: String,
    text: String,
}

impl Source {
    /// Whether all of it is there for tests.
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.contains("/tests/") || name.ends_with("tests.rs")
    }

    /// The lines above the tests at its end, with their numbers.
    fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take_while(|line| *line != "#[cfg(test)]");
        lines.enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The same without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.product().map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
    }

    /// Lines of code in which `word` stands for itself.
    fn naming(&self, word: &str) -> Vec<String> {
        let found = self.code().filter(|(_, line)| has_word(line, word));
        found.map(|(number, _)| format!("{}:{number} names {word}", self.path)).collect()
    }

    /// Name, first line and length of every function.
    fn functions(&self) -> Vec<(usize, usize)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let starts = lines.iter().enumerate().filter(|(_, line)| is_function(line));
        starts
            .filter_map(|(start, line)| Some((start + 1, length(&lines[start..], line)?)))
            .collect()
    }
}

/// Whether a function begins in this line.
fn is_function(line: &str) -> bool {
    const BEFORE: [&str; 7] =
        ["pub", "pub(crate)", "pub(super)", "const", "unsafe", "extern", "\"C\""];
    let mut words = line.split_whitespace().skip_while(|word| BEFORE.contains(word));
    // A name with a dollar is a pattern of a macro.
    words.next() == Some("fn") && words.next().is_some_and(|name| !name.starts_with('$'))
}

/// Lines of the function that begins with the first of `lines`; none if it has no body. The
/// sources are formatted, so that a closing brace stands below the beginning.
fn length(lines: &[&str], first: &str) -> Option<usize> {
    let indent = first.len() - first.trim_start().len();
    let level = |line: &str| line.len() - line.trim_start().len() == indent;
    let head = lines.iter().position(|line| level(line) && line.ends_with(['{', '}', ';']))?;
    if !lines[head].ends_with('{') {
        return lines[head].ends_with('}').then_some(head + 1);
    }
    let body = lines[head + 1..].iter().position(|line| level(line) && line.trim() == "}")?;
    Some(head + 1 + body + 1)
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part)
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All sources below folders of the workspace.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push(Source { text: fs::read_to_string(&path).unwrap(), path: name });
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {folders:?}");
    found
}

fn all_sources() -> Vec<Source> {
    let members = ["memcore", "memproto", "memsys", "memserver", "bench", "examples"];
    let mut found = sources(&members);
    found.extend(sources(&["fuzz/fuzz_targets"]));
    found
}

/// Fails with every complaint at once.
fn assert_none(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The names below a heading of a manifest.
fn dependencies(member: &str) -> Vec<String> {
    let manifest = read(&format!("{member}/Cargo.toml"));
    let below = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = below.take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_protocols_stand_alone() {
    assert_eq!(dependencies("memproto"), PROTOCOL_DEPENDENCIES);
}

#[test]
fn the_engine_knows_neither_wire_nor_server() {
    let names = dependencies("memcore");
    assert!(names.contains(&"parking_lot".to_owned()), "{names:?}");
    for other in ["mio", "memproto", "memserver"] {
        assert!(!names.contains(&other.to_owned()), "memcore depends on {other}");
    }
    let engine = sources(&["memcore/src"]);
    assert_none(
        engine.iter().flat_map(|source| WIRE_WORDS.map(|word| source.naming(word))).flatten(),
    );
}

#[test]
fn the_protocols_know_no_engine() {
    let wire = sources(&["memproto/src"]);
    assert_none(
        wire.iter().flat_map(|source| ENGINE_WORDS.map(|word| source.naming(word))).flatten(),
    );
}

#[test]
fn engine_and_protocols_leave_the_system_alone() {
    const PARTS: [&str; 6] = ["net", "io", "fs", "env", "process", "time"];
    let mut complaints = Vec::new();
    for source in sources(&["memcore/src", "memproto/src"]) {
        if source.is_test() {
            continue;
        }
        for part in PARTS {
            let name = format!("std::{part}");
            if !SYSTEM.contains(&(source.path.as_str(), name.as_str())) {
                complaints.extend(source.naming(&name));
            }
        }
        complaints.extend(source.naming("thread::spawn"));
        let grouped = source.code().filter(|(_, line)| line.contains("std::{"));
        complaints.extend(grouped.map(|(n, _)| format!("{}:{n} imports a group", source.path)));
    }
    assert_none(complaints);
}

#[test]
fn unsafe_stands_where_it_is_expected() {
    let expected = |source: &Source| UNSAFE.contains(&source.path.as_str()) || source.path == SELF;
    let elsewhere = all_sources().into_iter().filter(|source| !expected(source));
    assert_none(elsewhere.flat_map(|source| source.naming("unsafe")));
    for path in UNSAFE.iter().filter(|path| root().join(path).exists()) {
        assert!(read(path).contains("unsafe"), "{path} needs no exception any more");
    }
}

#[test]
fn libraries_stay_behind_their_fronts() {
    let mut complaints = Vec::new();
    for source in sources(&["memserver/src"]) {
        if !EVENTS.contains(&source.path.as_str()) {
            complaints.extend(source.naming("mio"));
        }
    }
    for source in sources(&["memcore/src"]) {
        if source.path != "memcore/src/memory/sync.rs" {
            complaints.extend(source.naming("parking_lot"));
        }
    }
    assert_none(complaints);
}

/// The first lines of public types and free functions whose documentation has no example.
fn without_example(source: &Source) -> Vec<String> {
    let lines: Vec<(usize, &str)> = source.product().collect();
    let mut complaints = Vec::new();
    for (index, (number, line)) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix("pub ") else { continue };
        let kind = rest.strip_prefix("const ").unwrap_or(rest);
        if !["fn ", "struct ", "enum ", "trait "].iter().any(|start| kind.starts_with(start)) {
            continue;
        }
        let above = lines[..index].iter().rev().map(|(_, line)| line.trim_start());
        let mut docs = above.take_while(|line| line.starts_with("///") || line.starts_with("#["));
        if !docs.any(|line| line.starts_with("/// ```") || line == "#[doc(hidden)]") {
            complaints.push(format!("{}:{number} has no example", source.path));
        }
    }
    complaints
}

#[test]
fn public_items_have_an_example() {
    let sources = sources(&WITH_EXAMPLES);
    let shown = sources.iter().filter(|source| {
        !source.path.contains("/fuzzing/") && !HIDDEN.contains(&source.path.as_str())
    });
    assert_none(shown.filter(|source| !source.is_test()).flat_map(without_example));
}

/// `ci/msrv.sh` tries the rest; chains are what one writes without thinking.
#[test]
fn the_libraries_build_with_an_old_compiler() {
    let mut complaints = Vec::new();
    for Source { path, text } in sources(&["memcore/src", "memproto/src"]) {
        let chained = text.lines().enumerate().filter(|(_, line)| line.contains("&& let "));
        complaints.extend(chained.map(|(n, _)| format!("{path}:{} needs Rust 1.88", n + 1)));
    }
    assert_none(complaints);
}

#[test]
fn lines_fit() {
    let mut complaints = Vec::new();
    for Source { path, text } in all_sources() {
        for (index, line) in text.lines().enumerate() {
            if line.len() > LINE_MAX && !WIDE.contains(&path.as_str()) {
                complaints.push(format!("{path}:{} has {} columns", index + 1, line.len()));
            }
            if !line.is_ascii() {
                complaints.push(format!("{path}:{} is not ASCII", index + 1));
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn functions_fit_a_screen() {
    let mut complaints = Vec::new();
    let mut seen = 0;
    // Tables of tests may be as long as they like.
    for source in all_sources().into_iter().filter(|source| !source.is_test()) {
        for (line, length) in source.functions() {
            seen += 1;
            if length > FUNCTION_MAX {
                complaints.push(format!("{}:{line} has {length} lines", source.path));
            }
        }
    }
    assert_none(complaints);
    assert!(seen > 500, "only {seen} functions were recognised");
}

#[test]
fn files_have_one_purpose_and_say_which() {
    let mut complaints = Vec::new();
    for source in all_sources() {
        let lines = source.product().count();
        if lines > FILE_MAX && !source.is_test() {
            complaints.push(format!("{} has {lines} lines", source.path));
        }
        if !source.text.starts_with("//!") && !source.is_test() {
            complaints.push(format!("{} does not say what it is for", source.path));
        }
    }
    assert_none(complaints);
}

#[test]
fn the_map_shows_places_that_exist() {
    let map = read("ARCHITECTURE.md");
    let is_path = |span: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
        span.contains(['/', '.']) && span.chars().all(plain) && !span.starts_with(['-', '/'])
    };
    // Code spans are every second piece of a line.
    let spans = map.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let paths: Vec<&str> = spans.filter(is_path).collect();
    assert!(paths.len() > 10, "the map names only {paths:?}");
    let missing = paths.into_iter().filter(|path| !root().join(path).exists());
    assert_none(missing.map(|path| format!("ARCHITECTURE.md names {path}, which is not there")));
}

/// The checks above would find nothing if these were wrong.
#[test]
fn the_checks_see() {
    let text = "//! A file.\nfn one() {}\n\nimpl X {\n    pub(crate) unsafe fn two(\n        \
                a: u8,\n    ) {\n        // no unsafe\n        call();\n    }\n}\n\n\
                trait T {\n    fn three();\n}\n#[cfg(test)]\nmod tests {}\n";
    let source = Source { path: "x/src/y.rs".to_owned(), text: text.to_owned() };
    assert_eq!(source.functions(), [(2, 1), (5, 6)]);
    let text =
        "/// A.\n///\n/// ```\n/// ```\n#[must_use]\npub const fn a() {}\n/// B.\npub enum B {}\n";
    let documented = Source { path: "z.rs".to_owned(), text: text.to_owned() };
    assert_eq!(without_example(&documented), ["z.rs:8 has no example"]);
    assert_eq!(source.naming("unsafe"), ["x/src/y.rs:5 names unsafe"]);
    assert_eq!(source.naming("mod"), [""; 0]);
    assert!(has_word("use std::io;", "std::io") && !has_word("std::iota", "std::io"));
}
