//! Tables of arguments and what becomes of them.

use std::path::Path;

use super::setting::Setting;
use super::{Command, Exit, Options, ParseContext, StartupError};
use crate::config::{Binding, Listen, Placing, Port};

fn parse(args: &[String]) -> Result<Command, StartupError> {
    super::parse(args, &ParseContext::default())
}

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
const UDP_LOGIN: &str =
    if cfg!(feature = "udp") { "nobody could log in over UDP" } else { "this build has no UDP" };
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
        "-m100MB",
        "-m|100 MiB",
        "-m100Mi",
        "-m102400k",
        "-m104857600b",
        "memcached|-m|100",
        "memserver|-m100",
    ] {
        assert_eq!(options(text).config.memory_limit, 100 << 20, "{text}");
    }
    assert_eq!(options("-n 1k").config.chunk_size, 1024);
    assert_eq!(options("-o slab_chunk_max=256KiB").config.slab_chunk_max, 256 << 10);
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
        #[cfg(feature = "udp")]
        ("-U5|-p6", |o| o.config.udp == Port::Fixed(5) && o.config.port == Port::Fixed(6)),
        #[cfg(feature = "udp")]
        ("-p6|-U5", |o| o.config.udp == Port::Fixed(5) && o.config.port == Port::Fixed(6)),
        #[cfg(feature = "udp")]
        ("-p11211|-U-1", |o| o.config.udp == Port::Ephemeral),
        #[cfg(feature = "udp")]
        ("-U 5", |o| o.config.udp == Port::Fixed(5) && o.config.port == Port::Fixed(5)),
        #[cfg(feature = "udp")]
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
        ("-o read_buf_mem_limit=512k", |o| o.config.read_buf_mem_limit == 512 << 10),
        ("-o watcher_logbuf_size=1MB", |o| o.config.watcher_logbuf_size == 1 << 20),
        ("-o listen_optional", |o| o.config.listen_optional),
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
        ("-N 2", |o| o.config.napi_ids == 2 && o.config.placing == Placing::ByQueue),
        ("-o incoming_cpu", |o| o.config.placing == Placing::ByProcessor),
        ("", |o| o.config.socket_buffers == 128 << 10),
        ("-o socket_buffers=2m", |o| o.config.socket_buffers == 2 << 20),
        ("-o socket_buffers=0", |o| o.config.socket_buffers == 0),
        ("-o busy_poll=50", |o| o.config.busy_poll == 50),
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
        ("-N 1|-o incoming_cpu", Exit::Usage, "in different ways"),
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
        ("-o accounts=/x|-U 1", Exit::Usage, UDP_LOGIN),
        ("-o audit=xml", Exit::Usage, "text or json"),
        ("-o admin_only=home", Exit::Usage, "loopback or unix"),
        ("-S|-B ascii", Exit::Usage, "-S: clients log in over -B binary only"),
        ("-S|-B auto", Exit::Usage, "-S: clients log in over -B binary only"),
        ("-Y /x|-B binary", Exit::Usage, "-Y: clients log in over -B ascii only"),
        ("-Y /x|-l proto[binary]:a", Exit::Usage, "nobody could log in over -l proto[binary]"),
        ("-S|-l a,proto[negotiating]:b", Exit::Usage, "over -l proto[auto-negotiate]"),
        ("-S|-U 11211", Exit::Usage, UDP_LOGIN),
        ("-Y /x|-U 11211", Exit::Usage, UDP_LOGIN),
        // Features of other builds.
        ("-Z", Exit::Usage, TLS),
        ("-o relaxed_privileges", Exit::Usage, "--no-sandbox"),
        ("-o ssl_verify_mode=4", if TLS == NO_TLS { Exit::Usage } else { Exit::Illegal }, TLS_MODE),
        ("-o ext_path=/x", Exit::Usage, "FILE:SIZE"),
        ("-o ext_path=:1g", Exit::Usage, "FILE:SIZE"),
        ("-o ext_path=/x:1q", Exit::Usage, "k, m, g or t"),
        ("-o ext_threads=0", Exit::Illegal, "between 1 and 256"),
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
        let name = format!("--{}", flag.long);
        let named = text.match_indices(&name).any(|(at, _)| ends(&text[at + name.len()..]));
        assert_eq!(named, flag.policy.is_listed(), "{flag:?}");
    }
    for word in super::words::WORDS {
        let name = format!("\n{}", word.name);
        let named = text.match_indices(&name).any(|(at, _)| ends(&text[at + name.len()..]));
        assert_eq!(named, word.policy.is_listed(), "{}", word.name);
    }
    // What scripts look for.
    assert!(text.contains("ext_path"));
    for absent in ["extstore", "proxy"] {
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
            Ok(Command::Check(_) | Command::Print(_)) => {}
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

/// ParseContext with these variables, `A=b|C=d`, where all files have this content.
fn context(variables: &str, read: fn(&Path) -> std::io::Result<Vec<u8>>) -> ParseContext {
    let variables = variables.split('|').filter_map(|text| text.split_once('='));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    ParseContext { variables, read, ..ParseContext::default() }
}

const NO_FILE: fn(&Path) -> std::io::Result<Vec<u8>> = |_| Err(std::io::ErrorKind::NotFound.into());

fn with(variables: &str, args: &str) -> Result<Options, StartupError> {
    match super::parse(&arguments(args), &context(variables, NO_FILE))? {
        Command::Serve(options) => Ok(*options),
        other => panic!("{variables} {args}: {other:?}"),
    }
}

#[test]
fn variables_set_what_flags_set() {
    type Check = fn(&Options) -> bool;
    let table: &[(&str, Check)] = &[
        ("MEMSERVER_MEMORY_LIMIT=512MB", |o| o.config.memory_limit == 512 << 20),
        ("MEMSERVER_THREADS=3", |o| o.config.threads == 3),
        ("MEMSERVER_LISTEN=127.0.0.1,::1", |o| o.config.listen.len() == 2),
        ("MEMSERVER_DISABLE_EVICTIONS=true", |o| !o.config.evictions),
        ("MEMSERVER_DISABLE_EVICTIONS=0", |o| o.config.evictions),
        ("MEMSERVER_VERBOSE=2", |o| o.config.verbosity == 2),
        ("MEMSERVER_VERBOSE=yes", |o| o.config.verbosity == 1),
        ("MEMSERVER_IDLE_TIMEOUT=7", |o| o.config.idle_timeout == 7),
        ("MEMSERVER_TRACK_SIZES=on", |o| o.config.runtime.track_sizes),
        ("MEMSERVER_EXTENDED=track_sizes,idle_timeout=7", |o| {
            o.config.runtime.track_sizes && o.config.idle_timeout == 7
        }),
        ("MEMSERVER_STAT_KEY_PREFIX=/", |o| o.config.stat_key_prefix == '/'),
        ("MEMSERVER_ADMIN_ADDR=localhost", |o| o.config.admin.is_some()),
        ("MEMSERVER_THREADS=", |o| o.config.threads == 4),
        ("MEMSERVER_PORT=tcp://10.0.0.7:11211", |o| o.config.port == Port::Fixed(11211)),
        ("MEMSERVER_SERVICE_HOST=10.0.0.7", |_| true),
        ("MEMCACHED_CACHE_SIZE=128|MEMCACHED_MAX_ITEM_SIZE=2m", |o| {
            o.config.memory_limit == 128 << 20 && o.config.item_size_max == 2 << 20
        }),
        ("MEMCACHED_MAX_CONNECTIONS=9|MEMCACHED_THREADS=2", |o| {
            o.config.max_connections == 9 && o.config.threads == 2
        }),
        ("MEMCACHED_PORT_NUMBER=7|MEMCACHED_LISTEN_ADDRESS=::1", |o| {
            o.config.port == Port::Fixed(7) && o.config.listen.len() == 1
        }),
        ("MEMCACHED_EXTRA_FLAGS=-v -o idle_timeout=7 -M", |o| {
            o.config.verbosity == 1 && o.config.idle_timeout == 7 && !o.config.evictions
        }),
        // The weaker comes first.
        ("MEMCACHED_THREADS=2|MEMCACHED_EXTRA_FLAGS=-t5", |o| o.config.threads == 5),
        ("MEMCACHED_EXTRA_FLAGS=-t5|MEMSERVER_THREADS=6", |o| o.config.threads == 6),
        ("MEMCACHED_VERSION=1.6.45|MEMCACHED_SERVICE_HOST=x", |_| true),
    ];
    for (variables, check) in table {
        let options = with(variables, "").unwrap_or_else(|error| panic!("{variables}: {error}"));
        assert!(check(&options), "{variables}: {options:?}");
        assert_eq!(options.warnings, Vec::<String>::new(), "{variables}");
    }
    let options =
        with("MEMSERVER_THREADS=6|MEMSERVER_LISTEN=::1|MEMSERVER_VERBOSE=3", "-t7|-l::2|-v");
    let config = options.unwrap().config;
    assert_eq!((config.threads, config.verbosity), (7, 1));
    assert_eq!(config.listen.len(), 1, "what a flag lists takes the place of the variable's");
}

#[test]
fn variables_that_are_wrong_are_named() {
    for (variables, exit, words) in [
        ("MEMSERVER_TREADS=3", Exit::Illegal, "did you mean MEMSERVER_THREADS?"),
        ("MEMSERVER_NOSUCHTHING=3", Exit::Illegal, "Illegal variable MEMSERVER_NOSUCHTHING"),
        ("MEMSERVER_HELP=1", Exit::Illegal, "Illegal variable MEMSERVER_HELP"),
        ("MEMSERVER_THREADS=x", Exit::Usage, "MEMSERVER_THREADS takes a whole number"),
        ("MEMSERVER_DISABLE_CAS=maybe", Exit::Usage, "MEMSERVER_DISABLE_CAS is true or false"),
        ("MEMSERVER_EXT_PATH=/x", Exit::Usage, "MEMSERVER_EXT_PATH takes FILE:SIZE"),
        ("MEMSERVER_EXTENDED=nosuch", Exit::Illegal, "Illegal suboption"),
        ("MEMCACHED_CACHE_SIZE=much", Exit::Usage, "MEMCACHED_CACHE_SIZE takes a whole number"),
        ("MEMCACHED_EXTRA_FLAGS=--nosuch", Exit::Illegal, "MEMCACHED_EXTRA_FLAGS: Illegal"),
        ("MEMCACHED_EXTRA_FLAGS=-h", Exit::Usage, "MEMCACHED_EXTRA_FLAGS: -h is for the command"),
        ("MEMCACHED_USERNAME=me", Exit::Usage, "MEMCACHED_USERNAME needs MEMCACHED_PASSWORD"),
        ("MEMCACHED_PASSWORD_FILE=/x", Exit::Usage, "MEMCACHED_PASSWORD_FILE: /x: "),
        ("MEMSERVER_CONFIG=/x", Exit::Usage, "--config: can't read /x: "),
    ] {
        let refusal = with(variables, "").unwrap_err();
        assert!(refusal.message.contains(words), "{variables}: {refusal}");
        assert_eq!(refusal.exit, exit, "{variables}: {refusal}");
        // What is asked for without a server is answered all the same.
        let printed = super::parse(&arguments("-V"), &context(variables, NO_FILE));
        assert!(matches!(printed, Ok(Command::Print(_))), "{variables}");
    }
    let warned = with("MEMSERVER_SLAB_GROWTH_FACTOR=1.5", "").unwrap().warnings;
    assert!(warned[0].starts_with("MEMSERVER_SLAB_GROWTH_FACTOR has no effect: "), "{warned:?}");
}

#[test]
fn a_user_of_the_environment_logs_in_either_way_unless_a_flag_names_one() {
    let users = |variables: &str, args: &str| with(variables, args).unwrap().config.users;
    let only = users("MEMCACHED_PASSWORD=secret", "");
    assert_eq!(only.login.as_ref().unwrap().user, "root");
    assert!(only.by_text() && only.by_sasl());
    assert!(!format!("{only:?}").contains("secret"));
    let sasl = users("MEMCACHED_USERNAME=me|MEMCACHED_PASSWORD=secret", "-S");
    assert!(sasl.login.as_ref().unwrap().user == "me" && sasl.by_sasl() && !sasl.by_text());
    let read = |_: &Path| Ok(b"from a file\nmore\n".to_vec());
    let context = context("MEMCACHED_PASSWORD_FILE=/run/secrets/x", read);
    let Ok(Command::Serve(options)) = super::parse(&arguments(""), &context) else { panic!() };
    assert_eq!(options.config.users.login.unwrap().password, "from a file");
    let refusal = with("MEMCACHED_PASSWORD=secret", "-U 5").unwrap_err();
    assert!(refusal.message.contains("MEMCACHED_PASSWORD: nobody could log in over UDP"));
}

fn in_file(text: &'static str, variables: &str, args: &str) -> Result<Options, StartupError> {
    thread_local!(static TEXT: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") });
    TEXT.set(text);
    let context = context(variables, |_| Ok(TEXT.get().as_bytes().to_vec()));
    match super::parse(&arguments(&format!("--config|/x.toml|{args}")), &context)? {
        Command::Serve(options) => Ok(*options),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_file_sets_what_flags_set() {
    let text = "memory-limit = '512Mi'\nthreads = 3\nlisten = ['127.0.0.1', '::1']\n\
                disable-evictions = true\nverbose = 2\nidle_timeout = 7\ntrack_sizes = true\n\
                evict_size_weight = 0.5\nno-sandbox = false\nslab_automove = true\n";
    let options = in_file(text, "", "").unwrap();
    let config = &options.config;
    assert_eq!((config.memory_limit, config.threads, config.listen.len()), (512 << 20, 3, 2));
    assert!(!config.evictions && config.verbosity == 2 && config.idle_timeout == 7);
    assert!(config.runtime.track_sizes && config.evict_size_weight == 0.5);
    assert_eq!(options.process.sandbox, super::SandboxMode::Possible);
    assert_eq!(options.warnings, Vec::<String>::new());
    // A variable counts before the file, and a flag before both.
    let strength = |variables, args| in_file(text, variables, args).unwrap().config.threads;
    assert_eq!(strength("MEMCACHED_THREADS=5", ""), 5);
    assert_eq!(strength("MEMSERVER_THREADS=6|MEMCACHED_THREADS=5", ""), 6);
    assert_eq!(strength("MEMSERVER_THREADS=6", "-t|7"), 7);
    let back = in_file(text, "MEMSERVER_DISABLE_EVICTIONS=false", "-o|idle_timeout=8").unwrap();
    assert!(back.config.evictions && back.config.idle_timeout == 8);
}

#[test]
fn a_file_that_is_wrong_is_named() {
    for (text, exit, words) in [
        ("treads = 3", Exit::Illegal, "Illegal key \"treads\" in /x.toml; did you mean threads?"),
        ("memory_limit = 3", Exit::Illegal, "did you mean memory-limit?"),
        ("config = 'y'", Exit::Illegal, "Illegal key"),
        ("help = true", Exit::Illegal, "Illegal key"),
        ("[server]\nport = 3", Exit::Illegal, "Illegal key \"server\""),
        ("a = 1\nb", Exit::Usage, "/x.toml: line 2: "),
        ("threads = 'x'", Exit::Usage, "threads in /x.toml takes a whole number"),
        ("threads = true", Exit::Usage, "threads in /x.toml takes a string or a number"),
        ("disable-cas = 1", Exit::Usage, "disable-cas in /x.toml takes true or false"),
        ("ext_path = '/y'", Exit::Usage, "ext_path in /x.toml takes FILE:SIZE"),
        ("idle_timeout = ''", Exit::Illegal, "idle_timeout in /x.toml requires a value"),
        ("memory-limit = 1", Exit::Usage, "half of the memory"),
    ] {
        let refusal = in_file(text, "", "").unwrap_err();
        assert!(refusal.message.contains(words), "{text}: {refusal}");
        assert_eq!(refusal.exit, exit, "{text}: {refusal}");
        assert!(!refusal.message.contains('\n'), "{text}");
    }
}

#[test]
fn what_is_printed_is_a_file_with_the_same_settings() {
    let args = "-m|1Gi|-vv|-l|127.0.0.1,::1|-l|a:80|-o|track_sizes,idle_timeout=7,slab_automove|\
                -M|-P|/x\"\\y|-D|/|--admin-addr|unix:/a|-o|evict_size_weight=0.25|-t|2|-t|3";
    let variables = "MEMSERVER_BACKLOG=|MEMSERVER_LISTEN_BACKLOG=9|MEMCACHED_PASSWORD=se:cret";
    let asked = format!("{args}|--print-config");
    let printed = super::parse(&arguments(&asked), &context(variables, NO_FILE));
    let Ok(Command::Print(text)) = printed else { panic!("{printed:?}") };
    assert!(text.contains("\nmemory-limit = \"1Gi\" # -m\n"), "{text}");
    assert!(text.contains("\nlisten-backlog = 9 # MEMSERVER_LISTEN_BACKLOG\n"), "{text}");
    assert!(text.contains("\nlisten = [\"127.0.0.1,::1\", \"a:80\"] # -l\n"), "{text}");
    assert!(text.contains("\nthreads = 3 # -t\n") && text.contains("\nverbose = 2 # -v\n"));
    assert!(text.contains("# conn-limit (default: 1024)\n"), "{text}");
    assert!(!text.contains("se:cret") && text.contains("MEMCACHED_PASSWORD is not shown"));
    let given = with(variables, args).unwrap();
    let again = in_file(text.leak(), "MEMCACHED_PASSWORD=se:cret", "").unwrap();
    assert_eq!(again.config, given.config);
    assert_eq!(again.process, given.process);
}

#[test]
fn checks_are_asked_for_by_arguments_only() {
    let check = parse(&arguments("--check-config|-m|128"));
    assert!(
        matches!(check, Ok(Command::Check(options)) if options.config.memory_limit == 128 << 20)
    );
    assert!(parse(&arguments("--check-config|-m|x")).is_err());
    assert!(with("MEMSERVER_CHECK_CONFIG=1", "").is_err());
}

#[test]
fn memory_and_processors_of_a_container_count() {
    let within = |args: &str| {
        let there =
            ParseContext { memory: Some(1 << 30), quota: Some(2), ..ParseContext::default() };
        match super::parse(&arguments(args), &there) {
            Ok(Command::Serve(options)) => Ok(options.config),
            Err(error) => Err(error.message),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(within("").unwrap().threads, 2);
    assert_eq!(within("-t 5").unwrap().threads, 5);
    assert_eq!(within("-m 50%").unwrap().memory_limit, 512 << 20);
    assert_eq!(within("-m auto").unwrap().memory_limit, 933 << 20);
    // The last one counts.
    assert_eq!(within("-m auto|-m 100").unwrap().memory_limit, 100 << 20);
    assert!(within("-m auto|-I 500m").unwrap_err().contains("half of the memory"));
    assert!(within("--strict-memory|-m 1000").unwrap_err().contains("there are only 1024m"));
    assert!(within("--strict-memory|-m auto").is_ok());
    assert!(parse(&arguments("-m auto")).unwrap_err().message.contains("can't find out"));
}

#[test]
fn every_setting_has_one_name() {
    let mut names: Vec<_> = Setting::all().map(Setting::name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
