//! Tables of arguments and what becomes of them.

use std::path::Path;

use super::{Command, Exit, Options, StartupError, parse};
use crate::config::{Binding, Listen, Port};

/// Splits at `|`, so that arguments may hold blanks.
fn arguments(text: &str) -> Vec<String> {
    let words = text.split('|').filter(|word| !word.is_empty()).map(str::to_owned);
    std::iter::once("memserver".to_owned()).chain(words).collect()
}

fn options(text: &str) -> Options {
    match parse(&arguments(text)) {
        Ok(Command::Serve(options)) => *options,
        other => panic!("{text}: {other:?}"),
    }
}

fn refusal(text: &str) -> StartupError {
    match parse(&arguments(text)) {
        Err(refusal) => refusal,
        other => panic!("{text}: {other:?}"),
    }
}

fn printed(args: &[&str]) -> String {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    match parse(&args) {
        Ok(Command::Print(text)) => text,
        other => panic!("{args:?}: {other:?}"),
    }
}

/// What a build without TLS says.
const NO_TLS: &str = "no TLS";
/// What this build says of `-Z` alone, and of a mode that does not exist.
const TLS: &str = if cfg!(feature = "rustls") { "needs a certificate" } else { NO_TLS };
const TLS_MODE: &str = if cfg!(feature = "rustls") { "between 0 and 3" } else { NO_TLS };

#[test]
fn nothing_is_memcacheds_default() {
    let Options { config, process, warnings, .. } = options("");
    assert_eq!(config, crate::config::Config::default());
    assert_eq!(config.memory_limit, 64 << 20);
    assert_eq!(config.max_connections, 1024);
    assert_eq!(config.threads, 4);
    assert_eq!(config.port, Port::Fixed(11211));
    assert_eq!(process, super::Process::default());
    assert!(warnings.is_empty());
}

#[test]
fn every_spelling_of_a_value() {
    for text in [
        "-m100",
        "-m|100",
        "-m 100",
        "--memory-limit=100",
        "--memory-limit|100",
        "--memory-limit= 100 ",
        "--memory-l=100",
        "--memory-l|100",
        "-vm100",
        "-vm|100",
        "-m1|-m100",
        "-m100m",
        "-m100M",
        "memcached|-m|100",
        "memserver|-m100",
    ] {
        assert_eq!(options(text).config.memory_limit, 100 << 20, "{text}");
    }
    assert_eq!(options("-vvkM").config.verbosity, 2);
    assert!(options("-vvkM").process.lock_memory);
    assert!(!options("-vvkM").config.evictions);
    assert_eq!(options("-v|-v|-v").config.verbosity, 3);
    assert_eq!(options("-l::1").config.listen[0].host.as_deref(), Some("::1"));
    assert_eq!(options("-s/run/x").config.unix_socket.as_deref(), Some(Path::new("/run/x")));
}

#[test]
fn flags_have_their_effect() {
    type Check = fn(&Options) -> bool;
    let table: &[(&str, Check)] = &[
        ("-p 80", |o| o.config.port == Port::Fixed(80)),
        ("-p0|-s/x", |o| o.config.port == Port::Off),
        ("-s/x", |o| !o.config.network),
        ("-s/x|-p5", |o| o.config.network && o.config.port == Port::Fixed(5)),
        ("-s/x|-p5|-l ::1", |o| o.config.network && o.config.listen.len() == 1),
        ("-p0|-U5", |o| o.config.network && o.config.port == Port::Off),
        ("-d", |o| o.process.daemon),
        ("-p-1", |o| o.config.port == Port::Ephemeral),
        ("-p|-1", |o| o.config.port == Port::Ephemeral),
        ("-U0", |o| o.config.udp == Port::Off && o.config.port == Port::Fixed(11211)),
        ("-U5|-p6", |o| o.config.udp == Port::Fixed(5) && o.config.port == Port::Fixed(6)),
        ("-p6|-U5", |o| o.config.udp == Port::Fixed(5) && o.config.port == Port::Fixed(6)),
        ("-p11211|-U-1", |o| o.config.udp == Port::Ephemeral),
        ("-U 5", |o| o.config.udp == Port::Fixed(5) && o.config.port == Port::Fixed(5)),
        ("-o udp_public,udp_writes", |o| o.config.udp_public && o.config.udp_writes),
        ("-a777", |o| o.config.unix_mask == 0o777),
        ("-a 0750", |o| o.config.unix_mask == 0o750),
        ("-A", |o| o.config.shutdown_command),
        ("-u nobody", |o| o.process.user.as_deref() == Some("nobody")),
        ("-m 8g", |o| o.config.memory_limit == 8 << 30),
        ("-m1024|-I 512m", |o| o.config.item_size_max == 512 << 20),
        ("-M", |o| !o.config.evictions),
        ("-c 7", |o| o.config.max_connections == 7),
        ("-P /x/pid", |o| o.process.pid_file.as_deref() == Some(Path::new("/x/pid"))),
        ("-D-", |o| o.config.detail_enabled && o.config.stat_key_prefix == '-'),
        ("-t3", |o| o.config.threads == 3),
        ("-tauto", |o| o.config.threads >= 1),
        ("-R 5", |o| o.config.max_reqs_per_event == 5),
        ("-C", |o| !o.config.cas_enabled),
        ("-L", |o| o.config.large_pages),
        ("-b 9", |o| o.config.tcp_backlog == 9),
        ("-B ascii", |o| o.config.protocol == Binding::Ascii),
        ("-B binary", |o| o.config.protocol == Binding::Binary),
        ("-B auto", |o| o.config.protocol == Binding::Auto),
        ("-I 1024", |o| o.config.item_size_max == 1024),
        ("-I 2K", |o| o.config.item_size_max == 2048),
        ("-I 5m", |o| o.config.item_size_max == 5 << 20),
        ("-F", |o| !o.config.flush_enabled),
        ("-X", |o| !o.config.dump_enabled),
        ("-W", |o| !o.config.watch_enabled),
        ("-o no_maxconns_fast", |o| !o.config.maxconns_fast),
        ("-o idle_timeout=7", |o| o.config.idle_timeout == 7),
        ("-o track_sizes,idle_timeout=3,", |o| {
            o.config.runtime.track_sizes && o.config.idle_timeout == 3
        }),
        ("-o track_sizes|-o idle_timeout=3", |o| {
            o.config.runtime.track_sizes && o.config.idle_timeout == 3
        }),
        ("-o watcher_logbuf_size=1,worker_logbuf_size=2", |o| {
            o.config.watcher_logbuf_size == 1 << 10 && o.config.worker_logbuf_size == 2 << 10
        }),
        ("-o read_buf_mem_limit=3", |o| o.config.read_buf_mem_limit == 3 << 20),
        ("-o maxconns_fast,slab_reassign,slab_automove,slab_automove=1,lru_crawler", |_| true),
        ("-o lru_maintainer,no_drop_privileges", |_| true),
    ];
    for (text, check) in table {
        let options = options(text);
        assert!(check(&options), "{text}: {options:?}");
        assert_eq!(options.warnings, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_has_no_effect_says_so_once() {
    for text in [
        "-f 1.5",
        "-n 100",
        "-N 2",
        "-t 65",
        "-o hashpower=20",
        "-o no_hashexpand",
        "-o no_slab_reassign",
        "-o slab_automove=2",
        "-o slab_automove=0",
        "-o no_slab_automove",
        "-o slab_automove_ratio=0.5",
        "-o slab_automove_window=30",
        "-o slab_automove_freeratio=0.1",
        "-o slab_chunk_max=256",
        "-o slab_sizes=96-128-256",
        "-o slab_sizes=96-90",
        "-o slab_sizes=x",
        "-o no_chunked_items",
        "-o tail_repair_time=60",
        "-o hash_algorithm=jenkins",
        "-o no_lru_crawler",
        "-o lru_crawler_sleep=500",
        "-o lru_crawler_tocrawl=10",
        "-o no_lru_maintainer",
        "-o hot_lru_pct=30",
        "-o warm_lru_pct=30",
        "-o hot_max_factor=0.3",
        "-o warm_max_factor=3",
        "-o temporary_ttl=10",
        "-o resp_obj_mem_limit",
        "-o resp_obj_mem_limit=3",
        "-o inline_ascii_resp",
        "-o no_inline_ascii_resp",
        "-o modern",
        "-o no_modern",
        "-o sock_cookie_id=3",
        "-o track_sizes=1",
        "-n 48|-n 48",
        "start",
        "-vv|>>",
        "--|x",
        "memcached|memcached",
        "-l 127.0.0.1,",
        "-l ,a",
        "-o track_sizes,,idle_timeout=3",
        "-s/x|-l127.0.0.1",
    ] {
        let warnings = options(text).warnings;
        assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
        assert!(!warnings[0].contains('\n'), "{text}");
    }
}

#[test]
fn what_cannot_be_had_is_refused() {
    let table: &[(&str, Exit, &str)] = &[
        // Flags and words that do not exist.
        ("-q", Exit::Illegal, "Illegal argument"),
        ("-vq", Exit::Illegal, "Illegal argument"),
        ("--nosuch", Exit::Illegal, "Illegal argument"),
        ("--memory-limt=3", Exit::Illegal, "did you mean --memory-limit?"),
        ("-o nosuch", Exit::Illegal, "Illegal suboption"),
        ("-o modern,nosuch", Exit::Illegal, "Illegal suboption"),
        ("-m", Exit::Illegal, "requires a value"),
        ("--port", Exit::Illegal, "requires a value"),
        ("--enable-shutdown=1", Exit::Illegal, "takes no value"),
        ("--disable=1", Exit::Illegal, "ambiguous"),
        ("-o idle_timeout", Exit::Illegal, "requires a value"),
        // Numbers.
        ("-p 80a", Exit::Usage, "whole number"),
        ("-p 65536", Exit::Usage, "between -1 and 65535"),
        ("-p -2", Exit::Usage, "between"),
        ("-c 0", Exit::Illegal, "between 1"),
        ("-t 0", Exit::Illegal, "between 1"),
        ("-R 0", Exit::Illegal, "between 1"),
        ("-b x", Exit::Usage, "whole number"),
        ("-f 1", Exit::Illegal, "greater than 1"),
        ("-n 0", Exit::Illegal, "between 1"),
        ("-a 888", Exit::Usage, "octal"),
        ("-D ab", Exit::Usage, "one character"),
        ("-B http", Exit::Usage, "auto, ascii or binary"),
        // Sizes.
        ("-m 0", Exit::Usage, "-m must be at least 1, not 0"),
        ("-m 1", Exit::Usage, "half of the memory"),
        ("-m abc", Exit::Usage, "whole number"),
        ("-m 64x", Exit::Usage, "whole number"),
        ("-m 0%", Exit::Usage, "between 1 and 100"),
        ("-m 99999999999999999999", Exit::Usage, "too large"),
        ("-I 1000", Exit::Usage, "between 1k and 1g"),
        ("-I 2g", Exit::Usage, "between 1k and 1g"),
        ("-m 64|-I 33m", Exit::Usage, "half of the memory"),
        ("-o slab_chunk_max=300", Exit::Usage, "divide"),
        ("-o hashpower=40", Exit::Illegal, "between 12 and 32"),
        ("-o hash_algorithm=md5", Exit::Illegal, "jenkins, murmur3 or xxh3"),
        ("-N 5", Exit::Usage, "exceeds the number of threads"),
        ("-N 3|-t 2", Exit::Usage, "exceeds the number of threads"),
        ("-o hot_lru_pct=60,warm_lru_pct=30", Exit::Usage, "must not exceed 80"),
        ("-o lru_crawler_sleep=1000001", Exit::Illegal, "between 0"),
        ("-o slab_automove_window=2", Exit::Illegal, "between 3"),
        ("-o tail_repair_time=9", Exit::Illegal, "between 10"),
        // Places.
        ("-l :80", Exit::Usage, "addresses"),
        ("-l a:b:c", Exit::Usage, "addresses"),
        ("-l host:99999", Exit::Usage, "between 0 and 65535"),
        ("-l notls:127.0.0.1", Exit::Usage, "need -Z"),
        ("-l proto[proxy]:127.0.0.1", Exit::Usage, "no proxy"),
        ("-l tag[]:127.0.0.1", Exit::Usage, "tags"),
        ("-l tag[waytoolong]:127.0.0.1", Exit::Usage, "tags"),
        ("-p 0", Exit::Usage, "nothing to listen on"),
        ("-p 0|-l 127.0.0.1", Exit::Usage, "nothing to listen on"),
        ("-l ,", Exit::Usage, "addresses"),
        // Logins.
        ("-S|-Y /x", Exit::Usage, "exclude each other"),
        ("-S|-o accounts=/x", Exit::Usage, "stands in for -S and -Y"),
        ("-o accounts=/x|-U 1", Exit::Usage, "over UDP"),
        ("-o audit=xml", Exit::Usage, "text or json"),
        ("-o admin_only=home", Exit::Usage, "loopback or unix"),
        ("-S|-B ascii", Exit::Usage, "-S: clients log in over -B binary only"),
        ("-S|-B auto", Exit::Usage, "-S: clients log in over -B binary only"),
        ("-Y /x|-B binary", Exit::Usage, "-Y: clients log in over -B ascii only"),
        ("-Y /x|-l proto[binary]:a", Exit::Usage, "nobody could log in over -l proto[binary]"),
        ("-S|-l a,proto[negotiating]:b", Exit::Usage, "over -l proto[auto-negotiate]"),
        ("-S|-U 11211", Exit::Usage, "nobody could log in over UDP"),
        ("-Y /x|-U 11211", Exit::Usage, "nobody could log in over UDP"),
        // Features of other builds.
        ("-Z", Exit::Usage, TLS),
        ("-o relaxed_privileges", Exit::Usage, "--no-sandbox"),
        ("-o ssl_verify_mode=4", if TLS == NO_TLS { Exit::Usage } else { Exit::Illegal }, TLS_MODE),
        ("-o ext_path=/x:1G", Exit::Usage, "no extstore"),
        ("-o proxy_config=/x", Exit::Usage, "no proxy"),
    ];
    for (text, exit, words) in table {
        let refusal = refusal(text);
        assert!(refusal.message.contains(words), "{text}: {refusal}");
        assert_eq!(refusal.exit, *exit, "{text}: {refusal}");
        assert!(!refusal.message.contains('\n'), "{text}");
    }
}

#[test]
fn places_are_collected() {
    let of = |text: &str| options(text).config.listen;
    let place = |host: &str, port| Listen { host: Some(host.into()), port, ..Listen::default() };
    assert_eq!(of("-l 127.0.0.1,::1"), [place("127.0.0.1", None), place("::1", None)]);
    assert_eq!(
        of("-l a;b:8|-l[::1]:9"),
        [place("a", None), place("b", Some(8)), place("::1", Some(9)),]
    );
    assert_eq!(of("-l a|-l b,a"), [place("a", None), place("b", None)]);
    assert_eq!(of("-l *"), [Listen::default()]);
    let binding = |text: &str| of(text)[0].binding;
    assert_eq!(binding("-l proto[ascii]:a"), Some(Binding::Ascii));
    assert_eq!(binding("-l proto[binary]:a:80"), Some(Binding::Binary));
    assert_eq!(binding("-l proto[negotiating]:a"), Some(Binding::Auto));
    for text in ["-l tag[in]:proto[ascii]:a", "-l proto[ascii]:tag_in_:a"] {
        assert_eq!(of(text)[0].tag.as_deref(), Some("in"), "{text}");
        assert_eq!(of(text)[0].host.as_deref(), Some("a"), "{text}");
    }
    assert_eq!(options("-l a|-l b:80").config.inter.as_deref(), Some("a,b:80"));
}

#[test]
fn names_and_versions() {
    let own = concat!("memserver ", env!("CARGO_PKG_VERSION"), " (memcached 1.6.45 compatible)\n");
    assert_eq!(printed(&["memserver", "-V"]), own);
    assert_eq!(printed(&["/usr/bin/memserver", "--version"]), own);
    for args in [
        &["memcached", "-V"][..],
        &["/opt/bin/memcached", "--version"],
        &["memserver", "memcached", "-V"],
        &["memcached", "-Z", "--version"],
        &["memcached", "-vV", "--nosuch"],
        &["memcached", "-vVq", "64"],
        &["memcached", "-m", "64", "-V"],
    ] {
        assert_eq!(printed(args), "memcached 1.6.45\n", "{args:?}");
    }
    assert!(printed(&["memcached", "-h"]).starts_with("memcached 1.6.45\n"));
    assert!(printed(&["memserver", "--help"]).starts_with("memserver "));
    assert!(printed(&["memserver", "-i"]).starts_with("memserver "));
}

#[test]
fn the_help_names_every_flag_and_word_that_is_taken_within_the_width() {
    let text = printed(&["memserver", "-h"]);
    let ends = |rest: &str| rest.starts_with([' ', '=', '[', ',', '\n']);
    for flag in super::flags::FLAGS {
        let name = match (flag.short, flag.long) {
            (Some(letter), "") => format!("\n-{letter}"),
            (_, long) => format!("--{long}"),
        };
        let named = text.match_indices(&name).any(|(at, _)| ends(&text[at + name.len()..]));
        assert_eq!(named, !flag.policy.refuses(), "{flag:?}");
    }
    for word in super::words::WORDS {
        let name = format!("\n{}", word.name);
        let named = text.match_indices(&name).any(|(at, _)| ends(&text[at + name.len()..]));
        assert_eq!(named, !word.policy.refuses(), "{}", word.name);
    }
    // What scripts look for.
    for absent in ["extstore", "ext_path", "proxy"] {
        assert!(!text.contains(absent), "{absent}");
    }
    assert!(text.lines().all(|line| line.len() <= 100 && line.trim_end() == line));
}

#[test]
fn any_arguments_end_in_settings_or_one_line() {
    const PIECES: &[&str] = &[
        "-",
        "--",
        "-m",
        "64",
        "-o",
        "=",
        ",",
        "idle_timeout",
        "modern",
        "-l",
        "[::1]",
        ":",
        "80",
        "tag_",
        "_:",
        "proto[",
        "]:",
        "ascii",
        "*",
        "-vv",
        "%",
        "g",
        "\u{e9}",
        " ",
        "",
        "-1",
        "99999999999999999999",
        "--mem",
        "--port",
        "0",
        ".",
        "1e9",
        "\n",
        ";",
        "-I",
        "-D",
        "-p",
    ];
    let mut state = 1_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    let (mut served, mut refused) = (0, 0);
    for _ in 0..50_000 {
        let mut args = vec!["memserver".to_owned()];
        for _ in 0..random(5) {
            args.push((0..=random(4)).map(|_| PIECES[random(PIECES.len())]).collect());
        }
        match parse(&args) {
            Ok(Command::Serve(options)) => {
                let config = &options.config;
                assert!(config.item_size_max <= config.memory_limit / 2, "{args:?}");
                assert!(config.threads > 0 && config.max_connections > 0, "{args:?}");
                assert!(options.warnings.iter().all(|line| !line.contains('\n')), "{args:?}");
                served += 1;
            }
            Ok(Command::Print(_)) => {}
            Err(refusal) => {
                let text = refusal.to_string();
                assert!(!text.is_empty() && !text.contains('\n'), "{args:?}: {text}");
                refused += 1;
            }
        }
    }
    assert!(served > 1_000 && refused > 1_000, "{served} {refused}");
}

#[test]
fn empty_words_come_from_variables_that_are_not_set() {
    let args = |words: &[&str]| -> Vec<String> {
        ["memserver"].iter().chain(words).map(|word| (*word).to_owned()).collect()
    };
    for words in [&[""][..], &["-o", ""], &["-P", ""], &["-v", "", "-P", "/x"]] {
        let Ok(Command::Serve(options)) = parse(&args(words)) else { panic!("{words:?}") };
        assert_eq!(options.warnings.len(), 1, "{words:?}: {:?}", options.warnings);
    }
    // Without an address it would be all of them.
    assert!(parse(&args(&["-l", ""])).is_err());
}
