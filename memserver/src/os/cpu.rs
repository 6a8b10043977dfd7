//! Processor time that the process has used, in user and in system mode.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// User and system time. The sum is exact; how it divides is known to the system's tick only.
pub(crate) fn used() -> (Duration, Duration) {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    let total =
        Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or(0)) + Duration::from_nanos(nanos);
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let (user, system) = ticks(&stat).unwrap_or((1, 0));
    let part = f64::from(user) / f64::from(user.saturating_add(system).max(1));
    let user = total.mul_f64(part.clamp(0.0, 1.0)).min(total);
    (user, total - user)
}

/// The ticks in user and in system mode of a line of `/proc/<pid>/stat`.
fn ticks(stat: &str) -> Option<(u32, u32)> {
    // The command's name comes before, in parentheses, and may hold anything, blanks as well.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let line = "17 (a) b) S 1 17 17 0 -1 4194304 9 0 0 0 52 31 0 0 20 0 1 0 9 9 9";
        assert_eq!(ticks(line), Some((52, 31)));
        assert_eq!(ticks("17 (a) S 1"), None);
    }

    #[test]
    fn time_never_runs_backwards() {
        let (user, system) = used();
        let (later_user, later_system) = used();
        assert!(later_user + later_system >= user + system);
    }
}
