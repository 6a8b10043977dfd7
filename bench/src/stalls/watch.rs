//! How long each operation of a thread takes, by the wall clock and by the thread's processor time,
//! and what it did where it was long.
//!
//! Operations are timed by the wall clock alone, which costs little. Every few operations the
//! processor time is read, and again after a long one. What the short ones in between took is
//! subtracted from the difference; the rest is the long one's.

use std::time::Instant;

use memcore::work::Work;
use nix::sys::resource::{UsageWho, getrusage};

use super::scenario::Op;
use crate::hist::Latencies;
use crate::inprocess::Time;

/// Operations of at least so many nanoseconds have their processor time taken.
const LONG_NS: u64 = 20_000;
/// Short operations between two readings of the processor time.
const READ_EVERY: u32 = 64;
/// Long operations that are kept with what they did.
const KEPT: usize = 4;

/// A long operation.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// What was asked for.
    pub op: Op,
    /// Nanoseconds of the wall clock.
    pub wall_ns: u64,
    /// Nanoseconds of processor time.
    pub cpu_ns: u64,
    /// Pages that the kernel had to bring, zeroed.
    pub faults: u64,
    /// How often the thread waited for another one, and how often it had to make way for others.
    pub waits: u64,
    /// See `waits`.
    pub preempted: u64,
    /// What the cache did, with that of a few short operations before.
    pub work: Work,
}

/// The times of a thread's operations, or of several threads'.
#[derive(Clone, Debug, Default)]
pub struct Times {
    short: Latencies,
    long_wall: Latencies,
    long_cpu: Latencies,
    /// The longest by processor time, the longest first.
    pub worst: Vec<Stall>,
    /// The longest by the wall clock of those that waited and were not preempted.
    pub waited: Vec<Stall>,
}

impl Times {
    /// Adds those of another thread.
    pub fn merge(&mut self, other: &Self) {
        self.short.merge(&other.short);
        self.long_wall.merge(&other.long_wall);
        self.long_cpu.merge(&other.long_cpu);
        other.worst.iter().chain(&other.waited).for_each(|stall| self.keep(*stall));
    }

    /// The times by the wall clock.
    #[must_use]
    pub fn wall(&self) -> Latencies {
        let mut all = self.short.clone();
        all.merge(&self.long_wall);
        all
    }

    /// The same with the processor time of those that were long.
    #[must_use]
    pub fn cpu(&self) -> Latencies {
        let mut all = self.short.clone();
        all.merge(&self.long_cpu);
        all
    }

    fn keep(&mut self, stall: Stall) {
        let has_waited = stall.waits > 0 && stall.preempted == 0;
        let (of, kept) = match has_waited {
            true => (wall_of as fn(&Stall) -> u64, &mut self.waited),
            false => (cpu_of as fn(&Stall) -> u64, &mut self.worst),
        };
        let place = kept.partition_point(|other| of(other) >= of(&stall));
        if place < KEPT {
            kept.insert(place, stall);
            kept.truncate(KEPT);
        }
    }
}

fn wall_of(stall: &Stall) -> u64 {
    stall.wall_ns
}

fn cpu_of(stall: &Stall) -> u64 {
    stall.cpu_ns
}

/// What the thread had used at some moment.
#[derive(Clone, Copy, Debug)]
struct Used {
    cpu_ns: u64,
    faults: u64,
    waits: u64,
    preempted: u64,
    work: Work,
}

impl Used {
    fn now() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("a thread has accounts");
        Self {
            cpu_ns: Time::Processor.now_ns() as u64,
            faults: (usage.minor_page_faults() + usage.major_page_faults()) as u64,
            waits: usage.voluntary_context_switches() as u64,
            preempted: usage.involuntary_context_switches() as u64,
            work: Work::of_thread(),
        }
    }
}

/// Times the operations of this thread, which follow one another.
#[derive(Debug)]
pub(super) struct Watch {
    times: Times,
    /// When the operation began that is running.
    began: Instant,
    used: Used,
    /// Short operations since `used` was taken, and what they took.
    short: u32,
    short_ns: u64,
}

impl Watch {
    /// Begins with the first operation.
    pub(super) fn start() -> Self {
        let used = Used::now();
        Self { times: Times::default(), began: Instant::now(), used, short: 0, short_ns: 0 }
    }

    /// An operation has ended; the next one begins.
    #[inline]
    pub(super) fn lap(&mut self, op: Op) {
        let now = Instant::now();
        let wall_ns = now.duration_since(self.began).as_nanos() as u64;
        self.began = now;
        if wall_ns < LONG_NS && self.short < READ_EVERY {
            self.times.short.record(wall_ns);
            self.short += 1;
            self.short_ns += wall_ns;
        } else {
            self.read(op, wall_ns);
        }
    }

    /// What is done until the next [`Self::lap`] is timed anew.
    pub(super) fn skip(&mut self) {
        self.used = Used::now();
        (self.short, self.short_ns) = (0, 0);
        self.began = Instant::now();
    }

    /// The times so far.
    pub(super) fn finish(self) -> Times {
        self.times
    }

    #[cold]
    fn read(&mut self, op: Op, wall_ns: u64) {
        if wall_ns < LONG_NS {
            self.times.short.record(wall_ns);
        } else {
            let used = Used::now();
            let cpu_ns = (used.cpu_ns - self.used.cpu_ns).saturating_sub(self.short_ns);
            let stall = Stall {
                op,
                wall_ns,
                cpu_ns: cpu_ns.min(wall_ns),
                faults: used.faults - self.used.faults,
                waits: used.waits - self.used.waits,
                preempted: used.preempted - self.used.preempted,
                work: used.work.since(&self.used.work),
            };
            self.times.long_wall.record(wall_ns);
            self.times.long_cpu.record(stall.cpu_ns);
            self.times.keep(stall);
        }
        self.skip();
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    fn spin(time: Duration) {
        let began = Time::Processor.now_ns();
        while Time::Processor.now_ns() - began < time.as_nanos() as f64 {
            black_box(());
        }
    }

    #[test]
    fn waiting_is_no_work_and_work_is_no_waiting() {
        let mut watch = Watch::start();
        sleep(Duration::from_millis(20));
        watch.lap(Op::Get);
        spin(Duration::from_millis(5));
        watch.lap(Op::Set);
        (0..1000).for_each(|_| watch.lap(Op::Get));
        let times = watch.finish();
        let (work, wait) = (times.worst[0], times.waited[0]);
        assert_eq!((work.op, wait.op), (Op::Set, Op::Get));
        assert!(work.cpu_ns >= 4_500_000 && work.wall_ns >= 5_000_000, "{work:?}");
        assert!(wait.cpu_ns < 4_000_000 && wait.wall_ns >= 20_000_000, "{wait:?}");
        assert_eq!((times.wall().total(), times.cpu().total()), (1002, 1002));
    }

    #[test]
    fn pages_of_the_kernel_are_counted() {
        let mut watch = Watch::start();
        let pages = vec![1_u8; 32 << 20];
        watch.lap(Op::Set);
        black_box(&pages);
        assert!(watch.finish().worst[0].faults >= 16);
    }

    #[test]
    fn the_longest_are_kept_in_order() {
        let mut times = Times::default();
        let (op, work) = (Op::Get, Work::of_thread());
        for cpu_ns in [30, 10, 50, 20, 40, 60] {
            let wall_ns = cpu_ns;
            let stall = Stall { op, wall_ns, cpu_ns, faults: 0, waits: 0, preempted: 0, work };
            times.keep(stall);
            times.keep(Stall { waits: 1, wall_ns: 100 * cpu_ns, ..stall });
        }
        let kept: Vec<u64> = times.worst.iter().map(cpu_of).collect();
        assert_eq!(kept, [60, 50, 40, 30]);
        let kept: Vec<u64> = times.waited.iter().map(wall_of).collect();
        assert_eq!(kept, [6000, 5000, 4000, 3000]);
    }
}
