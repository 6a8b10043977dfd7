//! The documents, checked: links lead somewhere, and the guide to operations knows every flag.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All documents below a folder, but those of others, and links to documents elsewhere: packages
/// have the workspace's changelog.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && !["target", "node_modules"].contains(&name) {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") && !path.is_symlink()
        {
            found.push(path);
        }
    }
}

/// The text without blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// Where the links of a text lead.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let ends = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    ends.map(|(link, _)| link.to_owned()).collect()
}

/// The names under which headings can be reached.
fn anchors(text: &str) -> Vec<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let lower = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = lower.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

/// Why a link of `document` leads nowhere.
fn broken(document: &Path, link: &str) -> Option<String> {
    if link.contains("://") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, at)| (path, Some(at)));
    let target = match path {
        "" => document.to_owned(),
        _ => document.parent().unwrap().join(path),
    };
    let complaint = |what| Some(format!("{}: {link} {what}", document.display()));
    if !target.exists() {
        return complaint("is not there");
    }
    let reached = |anchor| anchors(&fs::read_to_string(&target).unwrap()).contains(anchor);
    match anchor.map(str::to_owned) {
        Some(anchor) if !reached(&anchor) => complaint("has no such heading"),
        _ => None,
    }
}

#[test]
fn links_lead_somewhere() {
    let mut found = Vec::new();
    documents(root(), &mut found);
    let (mut seen, mut complaints) = (0, Vec::new());
    for document in found {
        // What is included in a crate's documentation names items; rustdoc checks those.
        let names_item = |link: &String| link.starts_with("crate::");
        let links = links(&fs::read_to_string(&document).unwrap());
        for link in links.into_iter().filter(|link| !names_item(link)) {
            seen += 1;
            complaints.extend(broken(&document, &link));
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    assert!(seen > 20, "only {seen} links were recognised");
}

#[test]
fn operations_knows_every_flag() {
    let help = Command::new(env!("CARGO_BIN_EXE_memserver")).arg("-h").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let (flags, words) = help.split_once("\nWords of -o:\n").unwrap();
    let first = |line: &str| line.split([' ', '=', '[', ',']).next().unwrap_or("").to_owned();
    let long = |line: &str| line.split_once(", --").map(|(_, long)| format!("--{}", first(long)));
    let flags = flags.lines().filter(|line| line.starts_with('-'));
    let mut names: Vec<String> =
        flags.flat_map(|line| [Some(first(line)), long(line)]).flatten().collect();
    names.extend(words.lines().map(first).filter(|name| !name.is_empty()));
    assert!(names.len() > 90, "only {names:?} were recognised");

    let text = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    // Code spans are every second piece.
    let spans: Vec<String> = text.split('`').skip(1).step_by(2).map(first).collect();
    let unknown: Vec<_> = names.iter().filter(|name| !spans.contains(name)).collect();
    assert!(unknown.is_empty(), "docs/operations.md does not name {unknown:?}");
}

/// The checks above would find nothing if these were wrong.
#[test]
fn the_checks_see() {
    let text = "# One `-o`: two\n[a](b.md) and [c](#one)\n```sh\n# no [d](e)\n```\n[f](../g)\n";
    assert_eq!(links(text), ["b.md", "#one", "../g"]);
    assert_eq!(anchors(text), ["one--o-two"]);
    let document = root().join("README.md");
    assert!(broken(&document, "no-such.md").is_some());
    assert!(broken(&document, "README.md#no-such").is_some());
    assert_eq!(broken(&document, "#flags"), None);
}
