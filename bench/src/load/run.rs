//! The phases of a run: store, warm up, measure. All threads begin and end each one together, with
//! no request on its way, so that the server's accounts belong to the phase.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::worker::{Task, Worker};
use super::{Bound, Counts, Load, LoadError, Outcome};
use crate::process;

/// Makes the load and measures.
///
/// # Errors
/// The first failure of any thread; wrong bytes are one.
pub fn run(load: &Load) -> Result<Outcome, LoadError> {
    let mut outcome = Outcome::default();
    let mut workers = Vec::new();
    let stop = AtomicBool::new(false);
    for thread in 0..load.threads {
        workers.push(Worker::new(load, thread, &stop)?);
    }
    if load.preload {
        phase(&mut workers, &stop, None, |thread| Task::Store(share(load.keys, load, thread)))?;
    }
    let mixed = |requests: u64| {
        let pace_ns = load.rate.map(|rate| 1e9 * load.threads as f64 / rate);
        move |_| Task::Mixed { requests, pace_ns }
    };
    if !load.warmup.is_zero() {
        phase(&mut workers, &stop, Some(load.warmup), mixed(u64::MAX))?;
    }
    let cpu_before = load.server_pid.map(process::cpu_ns).transpose()?;
    let began = Instant::now();
    outcome.counts = match load.bound {
        Bound::Time(time) => phase(&mut workers, &stop, Some(time), mixed(u64::MAX))?,
        Bound::Requests(n) => {
            phase(&mut workers, &stop, None, mixed(n.div_ceil(load.threads as u64)))?
        }
    };
    outcome.elapsed = began.elapsed();
    if let (Some(pid), Some(before)) = (load.server_pid, cpu_before) {
        outcome.server_cpu_ns = Some(process::cpu_ns(pid)?.saturating_sub(before));
        outcome.server_memory = Some(process::memory(pid)?);
    }
    Ok(outcome)
}

fn share(keys: u32, load: &Load, thread: usize) -> std::ops::Range<u32> {
    let edge = |i: usize| (u64::from(keys) * i as u64 / load.threads as u64) as u32;
    edge(thread)..edge(thread + 1)
}

fn phase(
    workers: &mut [Worker<'_>],
    stop: &AtomicBool,
    time: Option<Duration>,
    task: impl Fn(usize) -> Task,
) -> Result<Counts, LoadError> {
    stop.store(false, Ordering::Relaxed);
    let start = Barrier::new(workers.len() + 1);
    thread::scope(|scope| {
        let start = &start;
        let threads: Vec<_> = workers
            .iter_mut()
            .enumerate()
            .map(|(i, worker)| {
                let task = task(i);
                scope.spawn(move || {
                    start.wait();
                    let result = worker.perform(task);
                    if result.is_err() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    result
                })
            })
            .collect();
        start.wait();
        if let Some(time) = time {
            wait(time, stop);
            stop.store(true, Ordering::Relaxed);
        }
        let mut sum = Counts::default();
        for thread in threads {
            sum.merge(&thread.join().map_err(|_| LoadError::Stopped)??);
        }
        Ok(sum)
    })
}

fn wait(time: Duration, stop: &AtomicBool) {
    let until = Instant::now() + time;
    while !stop.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(Duration::from_millis(20)));
    }
}
