//! Runs patterns and traces: through a simulated policy, through the cache in this process with
//! one thread or several, and through a server with one connection or several.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use memcore::{Attrs, Cache, Expiry, Fetch, Fetched, ManualClock, Moment};

use super::pattern::{Kind, Pattern, Step};
use super::policy::{Access, Policy};
use crate::client::Client;
use crate::lru::Price;
use crate::replay::{Counts, ReplayError};
use crate::trace::{KeyInfo, Op, Trace};
use crate::value::push_value;
use crate::wire::{Reply, push_set_line};

/// Gets of one group, and how many hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Gets.
    pub gets: u64,
    /// Gets that found their key.
    pub hits: u64,
}

impl Group {
    /// Share of the gets that hit.
    #[must_use]
    pub fn ratio(self) -> f64 {
        self.hits as f64 / self.gets.max(1) as f64
    }
}

/// What a run of a pattern came to: its groups, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scores(pub Vec<Group>);

impl Scores {
    fn new(pattern: &Pattern) -> Self {
        Self(vec![Group::default(); usize::from(pattern.groups)])
    }

    fn count(&mut self, step: Step, hit: bool) {
        if let Some(group) = usize::from(step.group).checked_sub(1) {
            self.0[group].gets += 1;
            self.0[group].hits += u64::from(hit);
        }
    }

    fn add(&mut self, other: &Self) {
        for (sum, group) in self.0.iter_mut().zip(&other.0) {
            sum.gets += group.gets;
            sum.hits += group.hits;
        }
    }

    /// Share of all counted gets that hit.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        let sum = |of: fn(&Group) -> u64| self.0.iter().map(of).sum();
        Group { gets: sum(|group| group.gets), hits: sum(|group| group.hits) }.ratio()
    }
}

/// A simulated cache: a policy, and the expiries that it knows nothing of.
struct Simulation<'p> {
    policy: &'p mut dyn Policy,
    expiries: Vec<u32>,
}

impl Simulation<'_> {
    fn get(&mut self, access: Access, now: u32) -> bool {
        let there = self.policy.get(access);
        let expired = there && self.expiries[access.key as usize] <= now;
        if expired {
            self.policy.remove(access.key);
        }
        there && !expired
    }

    fn set(&mut self, access: Access, info: KeyInfo, now: u32) {
        self.expiries[access.key as usize] = if info.ttl == 0 { u32::MAX } else { now + info.ttl };
        // Writing is a use where the key is there.
        if !self.policy.get(access) {
            self.policy.insert(access);
        }
    }
}

/// For each access, the number of the next one to its key that reads it; [`u32::MAX`] for none.
fn next_reads(accesses: impl DoubleEndedIterator<Item = (u32, bool)>, keys: usize) -> Vec<u32> {
    let accesses: Vec<_> = accesses.collect();
    let mut seen = vec![u32::MAX; keys];
    let mut next = vec![u32::MAX; accesses.len()];
    for (i, &(key, reads)) in accesses.iter().enumerate().rev() {
        next[i] = seen[key as usize];
        // What is overwritten before it is read need not have been kept.
        seen[key as usize] = if reads { i as u32 } else { u32::MAX };
    }
    next
}

/// Runs a pattern through a policy; `charge` is what an item costs beyond its key and value.
pub fn simulate(pattern: &Pattern, policy: &mut dyn Policy, charge: u64) -> Scores {
    let next = next_reads(
        pattern.steps.iter().map(|step| (step.key, step.kind != Kind::Write)),
        pattern.keys.len(),
    );
    let mut cache = Simulation { policy, expiries: vec![0; pattern.keys.len()] };
    let mut scores = Scores::new(pattern);
    for (&step, next) in pattern.steps.iter().zip(next) {
        let info = pattern.keys[step.key as usize];
        let cost = u64::from(info.value_size) + u64::from(info.key_size) + charge;
        let access = Access { key: step.key, cost, next };
        let hit = step.kind != Kind::Write && cache.get(access, step.second);
        if step.kind != Kind::Write {
            scores.count(step, hit);
        }
        if step.kind == Kind::Write || (step.kind == Kind::Through && !hit) {
            cache.set(access, info, step.second);
        }
    }
    scores
}

/// Runs a trace through a policy. An item costs what `price` says of its key and value.
pub fn simulate_trace(
    trace: &Trace,
    policy: &mut dyn Policy,
    price: impl Fn(usize, usize) -> u64,
) -> Counts {
    let next = next_reads(
        trace.requests.iter().map(|request| (request.key, request.op == Op::Get)),
        trace.keys.len(),
    );
    let mut cache = Simulation { policy, expiries: vec![0; trace.keys.len()] };
    let mut counts = Counts::default();
    for (request, next) in trace.requests.iter().zip(next) {
        let info = trace.keys[request.key as usize];
        // A key is written with its number in front, which takes ten bytes.
        let cost = price(usize::from(info.key_size.max(10)), info.value_size as usize);
        let access = Access { key: request.key, cost, next };
        let set = match request.op {
            Op::Get => {
                let hit = cache.get(access, request.second);
                counts.count_get(info.value_size, hit);
                !hit
            }
            Op::Set => true,
            Op::Delete => {
                cache.policy.remove(request.key);
                false
            }
        };
        if set {
            cache.set(access, info, request.second);
        }
    }
    counts
}

/// What an item costs in a simulation.
pub fn charge(charge: Option<u64>) -> impl Fn(usize, usize) -> u64 {
    move |key, value| match charge {
        Some(charge) => (key + value) as u64 + charge,
        None => Price::Memcached.of(key, value),
    }
}

/// The cache in this process, and how many threads use it.
#[derive(Debug)]
pub struct Threads<'c> {
    /// The cache.
    pub cache: &'c Cache,
    /// Its clock.
    pub clock: &'c ManualClock,
    /// How many threads take turns.
    pub threads: usize,
}

/// Steps that a thread takes at once.
const TURN: usize = 32;
/// The second at which patterns begin.
const EPOCH: u32 = 1_000_000_000;

/// Runs a pattern through the cache in this process. Each thread takes the next few steps, so that
/// their order is nearly kept.
pub fn threads(pattern: &Pattern, target: &Threads<'_>) -> Scores {
    let cursor = AtomicUsize::new(0);
    let run = || {
        let mut scores = Scores::new(pattern);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        loop {
            let at = cursor.fetch_add(TURN, Ordering::Relaxed);
            let Some(steps) = pattern.steps.get(at..) else { return scores };
            let Some(first) = steps.first() else { return scores };
            target.clock.set(Moment::from_secs(EPOCH + first.second));
            for &step in &steps[..steps.len().min(TURN)] {
                let info = pattern.keys[step.key as usize];
                write_key(step.key, info, &mut key);
                let mut hit = false;
                if step.kind != Kind::Write {
                    value.clear();
                    let got = target.cache.fetch(&key[..], &Fetch::new(), &mut value, |_, _| {});
                    hit = !matches!(got, Fetched::Miss(_));
                    scores.count(step, hit);
                }
                if step.kind == Kind::Write || (step.kind == Kind::Through && !hit) {
                    value.clear();
                    push_value(&mut value, step.key, info.value_size as usize);
                    let expiry = match info.ttl {
                        0 => Expiry::Never,
                        ttl => Expiry::At(Moment::from_secs(EPOCH + step.second + ttl)),
                    };
                    // One that is refused is a miss later.
                    let _ = target.cache.set(&key[..], &value, Attrs::new().expiry(expiry));
                }
            }
            target.cache.maintain(TURN);
        }
    };
    let mut sum = Scores::new(pattern);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..target.threads).map(|_| scope.spawn(run)).collect();
        for thread in threads {
            sum.add(&thread.join().expect("a thread of the run"));
        }
    });
    sum
}

fn write_key(key: u32, info: KeyInfo, out: &mut Vec<u8>) {
    use std::io::Write as _;
    out.clear();
    // Writing to a vector can't fail.
    let _ = write!(out, "{key:08x}");
    out.resize(usize::from(info.key_size).max(out.len()), b'k');
}

/// Runs a pattern through the server at `addr` over so many connections, of which each takes the
/// next few steps. Times to live run by the wall clock there.
///
/// # Errors
/// The first failure of a connection.
///
/// # Panics
/// If a thread of the run panics.
pub fn over_wire(
    pattern: &Pattern,
    addr: SocketAddr,
    connections: usize,
) -> Result<Scores, ReplayError> {
    let cursor = AtomicUsize::new(0);
    let run = || -> Result<Scores, ReplayError> {
        let mut client = Client::connect(addr)?;
        let mut scores = Scores::new(pattern);
        loop {
            let at = cursor.fetch_add(TURN, Ordering::Relaxed);
            match pattern.steps.get(at..) {
                Some(steps) if !steps.is_empty() => {
                    exchange(pattern, &steps[..steps.len().min(TURN)], &mut client, &mut scores)?;
                }
                _ => return Ok(scores),
            }
        }
    };
    let mut sum = Scores::new(pattern);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(run)).collect();
        for thread in threads {
            sum.add(&thread.join().expect("a thread of the run")?);
        }
        Ok(sum)
    })
}

/// Sends steps as far as no key is asked for twice, then what the misses need to be set.
fn exchange(
    pattern: &Pattern,
    steps: &[Step],
    client: &mut Client,
    scores: &mut Scores,
) -> Result<(), ReplayError> {
    let mut rest = steps;
    while !rest.is_empty() {
        let mut seen = HashSet::new();
        let len = rest.iter().take_while(|step| seen.insert(step.key)).count();
        let (now, later) = rest.split_at(len);
        rest = later;
        let mut key = Vec::new();
        for step in now {
            let info = pattern.keys[step.key as usize];
            write_key(step.key, info, &mut key);
            if step.kind == Kind::Write {
                push_set(client.output(), &key, info, step.key);
            } else {
                let out = client.output();
                out.extend_from_slice(b"get ");
                out.extend_from_slice(&key);
                out.extend_from_slice(b"\r\n");
            }
        }
        client.send()?;
        let mut missed = Vec::new();
        for &step in now {
            if step.kind == Kind::Write {
                stored(client)?;
                continue;
            }
            let hit = client.receive(|reply| matches!(reply, Reply::Value { .. }))?;
            if hit {
                client.receive(|_| ())?;
            } else if step.kind == Kind::Through {
                missed.push(step.key);
            }
            scores.count(step, hit);
        }
        for &missing in &missed {
            let info = pattern.keys[missing as usize];
            write_key(missing, info, &mut key);
            push_set(client.output(), &key, info, missing);
        }
        client.send()?;
        for _ in &missed {
            stored(client)?;
        }
    }
    Ok(())
}

fn push_set(out: &mut Vec<u8>, key: &[u8], info: KeyInfo, index: u32) {
    push_set_line(out, key, info.ttl, info.value_size as usize);
    push_value(out, index, info.value_size as usize);
    out.extend_from_slice(b"\r\n");
}

/// A set that is refused for lack of memory is a miss later.
fn stored(client: &mut Client) -> Result<(), ReplayError> {
    client.receive(|reply| match reply {
        Reply::Stored => Ok(()),
        Reply::Line(line) if line.starts_with(b"SERVER_ERROR") => Ok(()),
        other => Err(ReplayError::Unexpected(format!("{other:?} to a set"))),
    })?
}

#[cfg(test)]
mod tests {
    use super::super::policy;
    use super::*;

    #[test]
    fn a_pattern_counts_the_same_wherever_all_of_it_fits() {
        let pattern = Pattern::named("sessions-3", 300).unwrap();
        let mut lru = policy::Lru::new(1 << 30, pattern.keys.len());
        let expected = simulate(&pattern, &mut lru, 28);
        assert_eq!(expected.ratio(), 1.0);
        let clock = ManualClock::new(Moment::default());
        let cache = Cache::builder(32 << 20).clock(clock.clone()).build().unwrap();
        let target = Threads { cache: &cache, clock: &clock, threads: 1 };
        assert_eq!(threads(&pattern, &target), expected);
        let server = memserver::TestServer::start().unwrap();
        assert_eq!(over_wire(&pattern, server.address(), 1).unwrap(), expected);
    }

    #[test]
    fn in_a_simulation_values_expire_and_overwriting_ends_what_was_there() {
        let info = |ttl| KeyInfo { value_size: 10, ttl, key_size: 10 };
        let step = |key, kind, second| Step { key, kind, group: 1, second };
        let mut pattern = Pattern::default();
        pattern.keys = vec![info(5), info(0)];
        pattern.groups = 1;
        pattern.steps = vec![
            step(0, Kind::Write, 0),
            step(0, Kind::Read, 4),
            step(0, Kind::Read, 5),
            step(1, Kind::Through, 6),
            step(1, Kind::Through, 7),
        ];
        let scores = simulate(&pattern, &mut policy::Fifo::new(1000, 2), 0);
        assert_eq!(scores, Scores(vec![Group { gets: 4, hits: 2 }]));
        let next = next_reads([(0, true), (0, false), (0, true)].into_iter(), 1);
        assert_eq!(next, [u32::MAX, 2, u32::MAX]);
    }
}
