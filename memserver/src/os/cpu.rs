//! CPU time that the process has used.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// Time in user and in system mode; zero if the system does not tell.
pub(crate) fn used() -> (Duration, Duration) {
    getrusage(UsageWho::RUSAGE_SELF).map_or_else(
        |_| Default::default(),
        |usage| (duration(usage.user_time()), duration(usage.system_time())),
    )
}

fn duration(time: TimeVal) -> Duration {
    let secs = u64::try_from(time.tv_sec()).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec()).unwrap_or(0);
    Duration::from_secs(secs) + Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards() {
        let (user, system) = used();
        let (later_user, later_system) = used();
        assert!(later_user >= user && later_system >= system);
    }

    /// Ticks of a hundredth of a second, as a 32-bit number, end after 497 days of CPU time.
    #[test]
    fn years_of_time_are_told() {
        let year = 365 * 24 * 60 * 60;
        let used = duration(TimeVal::new(3 * year, 250_000));
        assert_eq!(used, Duration::from_secs(3 * year as u64) + Duration::from_millis(250));
    }
}
