//! Runs the filter as the kernel would, with every call there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use seccompiler::sock_filter;

use super::*;

/// Behind the last call of any kernel.
const NUMBERS: i64 = 1024;
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7;
/// What the kernel takes for "allow", and for "fail with EPERM".
const ALLOW: u32 = 0x7FFF_0000;
const REFUSE: u32 = 0x0005_0000 | EPERM as u32;

/// What `filter` says to a call with these arguments.
fn verdict(filter: &[sock_filter], arch: u32, number: i64, args: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend_from_slice(&(number as u32).to_ne_bytes());
    data.extend_from_slice(&arch.to_ne_bytes());
    data.extend_from_slice(&0_u64.to_ne_bytes());
    args.iter().for_each(|arg| data.extend_from_slice(&arg.to_ne_bytes()));
    let (mut at, mut word) = (0, 0_u32);
    loop {
        let sock_filter { code, jt, jf, k } = filter[at];
        let jump = |holds: bool| usize::from(if holds { jt } else { jf });
        at += 1;
        match code {
            // Load, and, jump (always, equal, greater, at least, any bit), return.
            0x20 => {
                let bytes = &data[k as usize..][..4];
                word = u32::from_ne_bytes(bytes.try_into().unwrap());
            }
            0x54 => word &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(word == k),
            0x25 => at += jump(word > k),
            0x35 => at += jump(word >= k),
            0x45 => at += jump(word & k != 0),
            0x06 => return k,
            _ => panic!("an instruction that no filter had before: {code:#x}"),
        }
    }
}

fn allowed(needs: &Needs, number: i64, args: [u64; 6]) -> bool {
    match verdict(&program(needs).unwrap(), ARCH, number, args) {
        ALLOW => true,
        REFUSE => false,
        other => panic!("call {number}: {other:#x}"),
    }
}

/// All calls that are allowed, whatever their arguments.
fn numbers(needs: &Needs) -> BTreeSet<i64> {
    let filter = program(needs).unwrap();
    let is_allowed = |&number: &i64| verdict(&filter, ARCH, number, [u64::MAX; 6]) == ALLOW;
    (0..NUMBERS).filter(is_allowed).collect()
}

fn listed(lists: &[&Calls]) -> BTreeSet<i64> {
    lists.iter().flat_map(|list| list.iter()).map(|&(_, number)| number).collect()
}

fn reading() -> Needs {
    Needs { read: vec![PathBuf::from("users")], ..Needs::default() }
}

#[test]
fn no_call_is_allowed_but_those_listed() {
    assert_eq!(numbers(&Needs::default()), listed(&[NEEDED, OLDER]));
    assert_eq!(numbers(&reading()), listed(&[NEEDED, OLDER, READING]));
    let file = Needs { memory_file: true, ..Needs::default() };
    assert_eq!(numbers(&file), listed(&[NEEDED, OLDER, CLOSING]));
    let flash = Needs { flash: true, ..Needs::default() };
    assert_eq!(numbers(&flash), listed(&[NEEDED, OLDER, AT_PLACES]));
}

#[test]
fn calls_of_other_processors_are_refused() {
    let filter = program(&Needs::default()).unwrap();
    for number in 0..NUMBERS {
        assert_ne!(verdict(&filter, 0x4000_0003, number, [0; 6]), ALLOW, "{number}");
        // The other numbers that one processor has for its calls.
        assert_eq!(verdict(&filter, ARCH, number | 0x4000_0000, [0; 6]), REFUSE, "{number}");
    }
}

#[test]
fn memory_is_never_executable() {
    let none = Needs::default();
    for call in [SYS_mmap, SYS_mprotect] {
        for protection in 0..16 {
            let protection = protection as libc::c_int;
            let args = [0, 0, protection as u64, 0, 0, 0];
            let is_data = protection & libc::PROT_EXEC == 0;
            assert_eq!(allowed(&none, call, args), is_data, "{call} {protection:#x}");
        }
    }
}

#[test]
fn files_are_opened_to_read_and_only_if_there_are_some() {
    let open = |needs: &Needs, flags: libc::c_int| {
        allowed(needs, SYS_openat, [0, 0, flags as u64, 0, 0, 0])
    };
    assert!(!open(&Needs::default(), libc::O_RDONLY));
    assert!(open(&reading(), libc::O_RDONLY | libc::O_CLOEXEC));
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC, libc::O_APPEND] {
        assert!(!open(&reading(), flags), "{flags:#o}");
    }
    let name = |what: libc::c_int| allowed(&reading(), SYS_prctl, [what as u64, 0, 0, 0, 0, 0]);
    assert!(name(libc::PR_SET_NAME) && !name(libc::PR_SET_DUMPABLE));
}

/// The calls in the row of the document that begins with `row`.
fn documented(row: &str) -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/hardening.md");
    let text = fs::read_to_string(path).unwrap();
    let row = text.lines().find(|line| line.starts_with(&format!("| {row} |")));
    let names = row.expect("a row for it").split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_document_has_all_of_them() {
    for (row, lists) in [
        ("always", &[NEEDED, OLDER][..]),
        ("files of users or of TLS", &[READING]),
        ("`-e`", &[CLOSING]),
        ("`ext_path`", &[AT_PLACES]),
    ] {
        let names = lists.iter().flat_map(|list| list.iter());
        let names = names.map(|(name, _)| name.trim_start_matches("SYS_").to_owned());
        let mut found = documented(row);
        found.retain(|name| !row.contains(name.as_str()));
        assert_eq!(found, names.collect(), "row {row}");
    }
}
