//! Calls to the system, by seccomp: those that are not needed fail.

use std::collections::BTreeMap;

use super::Needs;
use libc::{EPERM, SYS_mmap, SYS_mprotect, SYS_openat, SYS_prctl};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

/// Bits of the flags of `openat` that change something.
const CHANGES: libc::c_int = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;

/// What a server needs, whatever its clients do.
const NEEDED: &[libc::c_long] = &[
    // Connections.
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_close,
    libc::SYS_fcntl,
    // Events.
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_ctl,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    // Memory; what could be executed is not among it.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    // Threads and time.
    libc::SYS_futex,
    // Threads that have just been started make these before their first own.
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_uname,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Files that were opened before, or are removed at the end.
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_unlinkat,
];

/// Calls that newer processors have others for.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] =
    &[libc::SYS_epoll_wait, libc::SYS_poll, libc::SYS_unlink, libc::SYS_nanosleep];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];

/// What reading a file takes, apart from opening it.
const READING: &[libc::c_long] = &[
    libc::SYS_statx,
    libc::SYS_newfstatat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
];

/// What closing a memory file takes, which was opened before.
const CLOSING: &[libc::c_long] = &[libc::SYS_pwrite64, libc::SYS_fsync];

/// What reading and writing at any place of a file takes, which was opened before.
const AT_PLACES: &[libc::c_long] = &[libc::SYS_pread64, libc::SYS_pwrite64];

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
        needed.map(|&number| (number, Vec::new())).collect();
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
