//! Every example runs and says what its comments promise.

use std::path::PathBuf;
use std::process::Command;

/// Runs an example, which `cargo test` has built, and returns what it prints.
fn run(name: &str, args: &[&str]) -> String {
    // The tests are in target/PROFILE/deps, the examples in target/PROFILE/examples.
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path: PathBuf = path.join("examples").join(name);
    let output = Command::new(&path).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}, {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn says(name: &str, lines: &[&str]) {
    says_with(name, &[], lines);
}

fn says_with(name: &str, args: &[&str], lines: &[&str]) {
    let said = run(name, args);
    for line in lines {
        assert!(said.contains(line), "{name} does not say `{line}` but\n{said}");
    }
}

#[test]
fn embed() {
    says("embed", &["Some(Ok(\"logged in\"))", "is None after 90 seconds", "473 items"]);
}

#[test]
fn serve_embedded() {
    says("serve_embedded", &["the wire says Some(Ok(\"hello\"))", "sees Some(Ok(\"hi\"))"]);
}

#[test]
fn rate_limiter() {
    let lines = [
        "192.0.2.1, 100 are admitted",
        "192.0.2.2, 100 are admitted",
        "a minute later, 100",
        "clients: 7 MiB",
        "192.0.2.1 is refused",
    ];
    says("rate_limiter", &lines);
}

#[test]
fn dns_cache() {
    says("dns_cache", &["nowhere.example: None", "180 lookups within a minute, 10 questions"]);
}

#[test]
fn shop() {
    says("shop", &["[/: hat 20, shoes 75] drawn again", "[/heads: hat 20] cached"]);
}

#[test]
fn async_loader() {
    says("async_loader", &["1000 answers, made 1 times", "one gave up: true", "on Tuesday"]);
}

#[test]
fn tower_layer() {
    let lines = [
        "100 requests, the service was asked 1 time",
        "meanwhile: /home, drawn 1",
        "who renews it: /home, drawn 2",
    ];
    says("tower_layer", &lines);
}

#[test]
fn web_pages() {
    let lines = [
        "100 requests, drawn 1 time",
        "meanwhile <h1>news</h1><p>page 1",
        "the one that renews <h1>news</h1><p>page 2",
    ];
    says("web_pages", &lines);
}

#[test]
fn query_cache() {
    let lines = [
        "1000 requests to a table of 4000 orders",
        "hit ratio ",
        "8 threads miss a report together: databases are asked 1 time(s)",
    ];
    says_with("query_cache", &["4000"], &lines);
}

/// Each file in `examples/` has a test here.
#[test]
fn none_is_left_out() {
    let own = include_str!("run.rs");
    for file in std::fs::read_dir("examples").unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap().replace(".rs", "");
        assert!(own.contains(&format!("(\"{name}\"")), "{name} is not run");
    }
}
