//! The direction of modules: what each may name, and that no two need each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, assert_none, has_word, sources};

/// The only files of the server that name both the engine and the wire. Requests meet the cache in
/// `exec`; the others write about items (dumps, watchers' lines) or play both sides (fuzzing).
const BOTH: [&str; 17] = [
    "memserver/src/exec/arith.rs",
    "memserver/src/exec/binary.rs",
    "memserver/src/exec/control.rs",
    "memserver/src/exec/expiries.rs",
    "memserver/src/exec/flash.rs",
    "memserver/src/exec/get.rs",
    "memserver/src/exec/meta.rs",
    "memserver/src/exec/mod.rs",
    "memserver/src/exec/observe.rs",
    "memserver/src/exec/store.rs",
    "memserver/src/exec/terms.rs",
    "memserver/src/exec/touch.rs",
    "memserver/src/fuzzing/mod.rs",
    "memserver/src/fuzzing/splits.rs",
    "memserver/src/report/stream/dump.rs",
    "memserver/src/report/stream/mod.rs",
    "memserver/src/watch/line.rs",
];
/// The only folders and files that drive a dialogue. They decide what its client may do.
const DRIVERS: [&str; 3] = ["event_loop/", "udp/", "fuzzing/"];

/// Files by module path, `a::b`, and what each names.
struct Graph {
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// The modules of a crate, as far as they name each other with `use` or by path. A module and
    /// those within it are one family, of which members may name each other.
    fn of_files(crate_: &str) -> Self {
        let root = format!("{crate_}/src/");
        let files: BTreeMap<String, Source> = sources(&[&root])
            .into_iter()
            .filter(|source| !source.is_test())
            .map(|source| (module(source.path.trim_start_matches(&root)), source))
            .collect();
        let mut edges = BTreeMap::new();
        for (name, source) in &files {
            let code: String = source.code().map(|(_, line)| line.to_owned() + "\n").collect();
            let named = named_paths(&code, name).into_iter();
            let found = named.filter_map(|path| nearest(&path, |name| files.contains_key(name)));
            let others = found.filter(|other| !is_within(other, name) && !is_within(name, other));
            edges.insert(name.clone(), others.collect());
        }
        Self { edges }
    }

    /// The same for the folders that the modules lie in.
    fn folders(&self) -> Self {
        let folder = |name: &str| name.split("::").next().unwrap_or_default().to_owned();
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in &self.edges {
            let all = edges.entry(folder(from)).or_default();
            all.extend(to.iter().map(|to| folder(to)).filter(|to| *to != folder(from)));
        }
        Self { edges }
    }

    /// A way from a module back to it, for each that has one.
    fn circles(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        for start in self.edges.keys() {
            let mut seen = BTreeSet::new();
            let mut waiting: Vec<&String> = self.edges[start].iter().collect();
            while let Some(next) = waiting.pop() {
                if seen.insert(next) {
                    waiting.extend(self.edges.get(next).into_iter().flatten());
                }
            }
            if seen.contains(start) {
                found.insert(start.clone());
            }
        }
        let of = |name: &String| {
            let to: Vec<_> = self.edges[name].iter().filter(|to| found.contains(*to)).collect();
            format!("{name} is on a circle through {to:?}")
        };
        found.iter().map(of).collect()
    }
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`.
fn module(path: &str) -> String {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if matches!(path, "lib" | "main") { String::new() } else { path.replace('/', "::") }
}

fn is_within(name: &str, other: &str) -> bool {
    other.is_empty() || name == other || name.starts_with(&format!("{other}::"))
}

/// The module that a path leads into.
fn nearest(path: &str, is_module: impl Fn(&str) -> bool) -> Option<String> {
    let mut path = path.to_owned();
    loop {
        if is_module(&path) {
            return Some(path);
        }
        path.truncate(path.rfind("::")?);
    }
}

/// The paths within the crate that the code of module `name` writes, without `crate::` in front.
fn named_paths(code: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, word) in [("crate::", 0), ("super::", 1)] {
        for (at, _) in code.match_indices(start) {
            let is_whole =
                !code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:$".contains(c));
            if !is_whole {
                continue;
            }
            let mut base: Vec<&str> = if word == 0 { vec![] } else { name.split("::").collect() };
            let mut rest = &code[at..];
            while let Some(tail) = rest.strip_prefix("super::") {
                base.pop();
                rest = tail;
            }
            rest = rest.strip_prefix("crate::").unwrap_or(rest);
            expand(rest, &base.join("::"), &mut found);
        }
    }
    found
}

/// Adds the paths of a tree like `a::{b, c::d}` behind `base`; what follows the tree.
fn expand<'c>(code: &'c str, base: &str, found: &mut Vec<String>) -> &'c str {
    let code = code.trim_start();
    let joined = |word: &str| {
        if base.is_empty() { word.to_owned() } else { format!("{base}::{word}") }
    };
    if let Some(mut rest) = code.strip_prefix('{') {
        loop {
            rest = expand(rest, base, found).trim_start();
            rest = match rest.strip_prefix(',') {
                Some(tail) => tail.trim_start(),
                None => return rest.strip_prefix('}').unwrap_or(rest),
            };
            if let Some(behind) = rest.strip_prefix('}') {
                return behind;
            }
        }
    }
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*');
    let (word, rest) = code.split_at(end.unwrap_or(code.len()));
    if let Some(tail) = rest.strip_prefix("::") {
        return expand(tail, &joined(word), found);
    }
    found.push(joined(word));
    // A name of its own is not a path: `a as b`.
    let renamed = rest.trim_start().strip_prefix("as ");
    renamed.map_or(rest, |tail| tail.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
}

#[test]
fn modules_do_not_need_each_other() {
    let mut complaints = Vec::new();
    for crate_ in ["memcore", "memproto", "memserver"] {
        let files = Graph::of_files(crate_);
        assert!(files.edges.values().flatten().count() > 20, "{crate_}: too little was understood");
        complaints.extend(files.circles());
    }
    complaints.extend(Graph::of_files("memserver").folders().circles());
    assert_none(complaints);
}

#[test]
fn engine_and_wire_meet_where_it_is_expected() {
    let mut complaints = Vec::new();
    for source in sources(&["memserver/src"]) {
        let both = ["memcore", "memproto"].map(|name| !source.naming(name).is_empty());
        let is_listed = BOTH.contains(&source.path.as_str());
        if source.is_test() || both == [is_listed; 2] || (!is_listed && both != [true; 2]) {
            continue;
        }
        let what = if is_listed { "needs no exception any more" } else { "names engine and wire" };
        complaints.push(format!("{} {what}", source.path));
    }
    assert_none(complaints);
}

#[test]
fn replies_are_written_where_requests_are_executed() {
    const LINES: [&str; 4] = ["b\"CLIENT_ERROR", "b\"SERVER_ERROR", "b\"ERROR", "b\"WATCHER"];
    let elsewhere = sources(&["memserver/src"]).into_iter();
    // Tools are clients: they read replies.
    let elsewhere = elsewhere
        .filter(|source| !["/exec/", "/tools/"].iter().any(|part| source.path.contains(part)));
    assert_none(elsewhere.filter(|source| !source.is_test()).flat_map(|source| {
        let found = source.code().filter(|(_, line)| LINES.iter().any(|l| line.contains(l)));
        let found: Vec<_> =
            found.map(|(n, _)| format!("{}:{n} writes a reply", source.path)).collect();
        found
    }));
}

#[test]
fn dialogues_are_driven_where_it_is_expected() {
    let mut complaints = Vec::new();
    for source in sources(&["memserver/src"]) {
        let path = source.path.trim_start_matches("memserver/src/");
        let inside = path.starts_with("exec/") || path.starts_with("session/");
        if !inside && !DRIVERS.iter().any(|driver| path.starts_with(driver)) {
            complaints.extend(source.naming("Exec"));
            complaints.extend(source.naming("Dialogue"));
        }
    }
    assert_none(complaints);
}

#[test]
fn parameters_are_not_packed_into_tuples() {
    let is_packed = |line: &str| {
        line.match_indices("): (").any(|(end, _)| {
            let names = line[..end].rsplit('(').next().unwrap_or_default();
            let plain = |c: char| c.is_alphanumeric() || "_, ".contains(c);
            names.contains(',')
                && names.chars().all(plain)
                && !line.trim_start().starts_with("let ")
        })
    };
    assert!(is_packed("        (start, pos): (usize, &mut usize),"));
    assert!(!is_packed("    let (start, pos): (usize, usize) = twins();"));
    let mut complaints = Vec::new();
    for source in sources(&["memcore/src", "memproto/src", "memserver/src"]) {
        let found = source.code().filter(|(_, line)| is_packed(line));
        complaints.extend(found.map(|(n, _)| format!("{}:{n} hides parameters", source.path)));
    }
    assert_none(complaints);
}

/// The checks above would find nothing if these were wrong.
#[test]
fn the_graph_is_understood() {
    let code = "use super::{Exec, gate};\nuse crate::state::{core::Core, gauges as g};\n\
                fn f() { crate::os::log::line(super::super::net::x()) }\n";
    let mut found = named_paths(code, "exec::get");
    found.sort();
    let expected = [
        "exec::Exec",
        "exec::gate",
        "net::x",
        "os::log::line",
        "state::core::Core",
        "state::gauges",
    ];
    assert_eq!(found, expected);
    let edge = |from: &str, to: &[&str]| {
        (from.to_owned(), to.iter().map(|to| (*to).to_owned()).collect::<BTreeSet<_>>())
    };
    let edges = [edge("a", &["b"]), edge("b", &["c"]), edge("c", &["b"])].into();
    assert_eq!(Graph { edges }.circles().len(), 2);
    assert!(has_word("exec::get", "get") && is_within("exec::get", "exec"));
}
