//! One source of traffic: reads anything, writes what is its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::door::Door;
use super::ledger::Ledger;
use super::{Stress, StressError, Totals};
use crate::rng::{RngExt as _, SplitMix64, mix, seeded};
use crate::value::{STAMPED_MIN, push_key, push_stamped};
use crate::zipf::Zipf;

/// An actor at its door.
#[derive(Debug)]
pub(super) struct Actor<'a> {
    number: usize,
    door: Door,
    ledger: &'a Ledger,
    rng: SplitMix64,
    zipf: Zipf,
    key: Vec<u8>,
    value: Vec<u8>,
    totals: Totals,
}

impl<'a> Actor<'a> {
    pub(super) fn new(number: usize, door: Door, ledger: &'a Ledger, stress: &Stress) -> Self {
        Self {
            number,
            door,
            ledger,
            rng: seeded(mix(stress.seed) ^ number as u64),
            zipf: Zipf::new(ledger.keys(), 0.8),
            key: Vec::new(),
            value: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// Acts until told to stop or until something is wrong.
    pub(super) fn run(&mut self, stop: &AtomicBool) -> Result<Totals, StressError> {
        while !stop.load(Ordering::Relaxed) {
            match self.rng.random_range(0..100) {
                0..=39 => self.read(1)?,
                40..=54 => {
                    let width = 2 + self.rng.random_range(0..30) as usize;
                    self.read(width)?;
                }
                55..=59 => self.hold()?,
                60..=91 => self.write()?,
                92..=96 => self.delete()?,
                _ => self.touch()?,
            }
        }
        Ok(self.totals)
    }

    fn read(&mut self, width: usize) -> Result<(), StressError> {
        let wanted: Vec<u32> = (0..width).map(|_| self.pick()).collect();
        let keys: Vec<_> = wanted.iter().map(|&key| key_of(key)).collect();
        let oldest: Vec<_> = wanted.iter().map(|&key| self.ledger.oldest(key)).collect();
        let totals = &mut self.totals;
        let ledger = self.ledger;
        let mut hits = 0;
        self.door.get(&keys, |place, value| {
            ledger.check(wanted[place], oldest[place], value)?;
            hits += 1;
            totals.bytes += value.len() as u64;
            Ok(())
        })?;
        totals.reads += 1;
        totals.hits += hits;
        totals.misses += width as u64 - hits;
        Ok(())
    }

    fn hold(&mut self) -> Result<(), StressError> {
        let key = self.pick();
        let ledger = self.ledger;
        let totals = &mut self.totals;
        let oldest = ledger.oldest(key);
        let held = self.door.hold(&key_of(key), thread::yield_now, |value| {
            totals.hits += 1;
            totals.bytes += value.len() as u64;
            ledger.check(key, oldest, value)
        })?;
        totals.reads += u64::from(held);
        Ok(())
    }

    fn write(&mut self) -> Result<(), StressError> {
        let key = self.own();
        let len = self.length();
        let ttl = self.ttl();
        push_own_key(&mut self.key, key);
        let number = self.ledger.begin(key);
        self.value.clear();
        push_stamped(&mut self.value, key, number, len);
        if self.door.set(&self.key, &self.value, ttl)? {
            self.ledger.finish(key, number);
            self.totals.stored += 1;
        } else {
            self.totals.refused += 1;
        }
        Ok(())
    }

    fn delete(&mut self) -> Result<(), StressError> {
        let key = self.own();
        push_own_key(&mut self.key, key);
        let number = self.ledger.begin(key);
        self.door.delete(&self.key)?;
        self.ledger.finish(key, number);
        self.totals.others += 1;
        Ok(())
    }

    fn touch(&mut self) -> Result<(), StressError> {
        let key = self.pick();
        let ttl = self.ttl();
        push_own_key(&mut self.key, key);
        self.totals.others += 1;
        self.door.touch(&self.key, ttl)
    }

    fn pick(&mut self) -> u32 {
        self.zipf.rank(&mut self.rng) - 1
    }

    fn own(&mut self) -> u32 {
        loop {
            let key = self.pick();
            if self.ledger.writes(self.number, key) {
                return key;
            }
        }
    }

    /// Mostly small, at times of several pieces, rarely huge.
    fn length(&mut self) -> usize {
        let most = match self.rng.random_range(0..1000) {
            0 => 500_000,
            1..=20 => 20_000,
            21..=200 => 2000,
            _ => 200,
        };
        STAMPED_MIN + self.rng.random_range(0..most) as usize
    }

    /// Mostly for ever, otherwise so short that many end while the traffic runs.
    fn ttl(&mut self) -> u32 {
        if self.rng.random_range(0..4) > 0 { 0 } else { 1 + self.rng.random_range(0..20) }
    }
}

fn key_of(key: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_own_key(&mut bytes, key);
    bytes
}

/// Keys of different lengths: neighbours in memory shall differ in shape.
fn push_own_key(out: &mut Vec<u8>, key: u32) {
    out.clear();
    push_key(out, key, 8 + (mix(u64::from(key)) % 60) as usize);
}
