//! Calls to the system, by seccomp: those that are not needed fail.

use std::collections::BTreeMap;

use super::Needs;
use libc::{EPERM, SYS_mmap, SYS_mprotect, SYS_openat, SYS_prctl};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

/// Calls with their names.
type Calls = [(&'static str, libc::c_long)];

macro_rules! calls {
    ($($(#[$attr:meta])* $name:ident),* $(,)?) => {
        &[$($(#[$attr])* (stringify!($name), libc::$name)),*]
    };
}

/// Bits of the flags of `openat` that change something.
const CHANGES: libc::c_int = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;

/// What a server needs, whatever its clients do.
const NEEDED: &Calls = calls![
    // Connections.
    SYS_accept4,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_sendto,
    SYS_sendmsg,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_shutdown,
    SYS_close,
    SYS_fcntl,
    // Events.
    SYS_epoll_pwait,
    SYS_epoll_ctl,
    SYS_ppoll,
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    // Memory; what could be executed is not among it.
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    // Threads and time.
    SYS_futex,
    // Threads that have just been started make these before their first own.
    SYS_rseq,
    SYS_set_robust_list,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getpid,
    SYS_gettid,
    SYS_tgkill,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_gettimeofday,
    SYS_getrandom,
    SYS_getrusage,
    SYS_uname,
    SYS_rt_sigreturn,
    SYS_rt_sigprocmask,
    SYS_rt_sigaction,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_exit,
    SYS_exit_group,
    // Files that were opened before, or are removed at the end.
    SYS_fstat,
    SYS_lseek,
    SYS_unlinkat,
];

/// Calls that newer processors have others for.
#[cfg(target_arch = "x86_64")]
const OLDER: &Calls = calls![SYS_epoll_wait, SYS_poll, SYS_unlink, SYS_nanosleep];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &Calls = &[];

/// What reading a file takes, apart from opening it.
const READING: &Calls = calls![
    SYS_statx,
    SYS_newfstatat,
    #[cfg(target_arch = "x86_64")]
    SYS_stat,
];

/// What closing a memory file takes, which was opened before.
const CLOSING: &Calls = calls![SYS_pwrite64, SYS_fsync];

/// What reading and writing at any place of a file takes, which was opened before.
const AT_PLACES: &Calls = calls![SYS_pread64, SYS_pwrite64];

/// Has the system refuse all other calls, to all threads, but for what is needed.
///
/// # Errors
/// The system can't, or this program has no list for its processor.
pub(super) fn filter(needs: &Needs) -> Result<(), Error> {
    seccompiler::apply_filter_all_threads(&program(needs)?)
}

fn program(needs: &Needs) -> Result<BpfProgram, Error> {
    // Files are opened again.
    let reads = !needs.read.is_empty();
    let always = NEEDED.iter().chain(OLDER);
    let needed = always.chain(READING.iter().filter(|_| reads));
    let needed = needed.chain(CLOSING.iter().filter(|_| needs.memory_file));
    let needed = needed.chain(AT_PLACES.iter().filter(|_| needs.flash));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        needed.map(|&(_, number)| (number, Vec::new())).collect();
    let no_code = only(2, libc::PROT_EXEC, 0)?;
    rules.insert(SYS_mmap, vec![no_code.clone()]);
    rules.insert(SYS_mprotect, vec![no_code]);
    // Threads get names.
    rules.insert(SYS_prctl, vec![only(0, -1, libc::PR_SET_NAME)?]);
    if reads {
        rules.insert(SYS_openat, vec![only(2, CHANGES, libc::O_RDONLY)?]);
        #[cfg(target_arch = "x86_64")]
        rules.insert(libc::SYS_open, vec![only(1, CHANGES, libc::O_RDONLY)?]);
    }
    // Refused calls fail, instead of ending the process: to a client that finds a way to make one
    // the difference is small, to a server whose library makes a new call it is not.
    let refused = SeccompAction::Errno(EPERM as u32);
    let arch = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)?.try_into()?)
}

/// Argument number `index`, with the bits outside `mask` put aside, is `value`.
fn only(index: u8, mask: libc::c_int, value: libc::c_int) -> Result<SeccompRule, Error> {
    let bits = SeccompCmpOp::MaskedEq(mask as u64);
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, bits, value as u64)?;
    Ok(SeccompRule::new(vec![condition])?)
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
