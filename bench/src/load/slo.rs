//! The highest rate at which a server keeps a latency. The load is open: requests are due by the
//! clock, whatever the server does, and a latency begins when its request was due.

use std::str::FromStr;

use super::{Load, LoadError, Outcome, run};

/// A latency that a share of all requests may not exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slo {
    /// The share, 0 to 1.
    pub quantile: f64,
    /// The latency.
    pub most_ns: u64,
}

impl FromStr for Slo {
    type Err = String;

    /// Reads `p999=1ms`: the digits are those behind the point, the unit is `us`, `ms` or `s`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is not like p999=1ms");
        let (share, time) = text.split_once('=').ok_or_else(wrong)?;
        let digits = share.strip_prefix('p').filter(|digits| !digits.is_empty());
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let quantile = format!("0.{}", digits.ok_or_else(wrong)?).parse().map_err(|_| wrong())?;
        let unit = time.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
        let scale = match &time[unit..] {
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            _ => return Err(wrong()),
        };
        let number: f64 = time[..unit].parse().map_err(|_| wrong())?;
        if !(number > 0.0 && number.is_finite()) {
            return Err(wrong());
        }
        Ok(Self { quantile, most_ns: (number * scale) as u64 })
    }
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Requests per second that were due.
    pub rate: f64,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether the latency was kept, and the rate.
    pub kept: bool,
}

impl Slo {
    /// Searches the highest rate. The first attempt, without a rate, finds out what the server can
    /// take at most; `report` is told of all others. `None` if no rate kept the latency.
    ///
    /// # Errors
    /// The first failure of a run.
    pub fn search(
        self,
        load: &Load,
        mut report: impl FnMut(&Attempt),
    ) -> Result<Option<Attempt>, LoadError> {
        let closed = run(&Load { rate: None, ..load.clone() })?;
        let mut best = None;
        bisect(per_second(&closed), |rate| {
            let outcome = run(&Load { rate: Some(rate), preload: false, ..load.clone() })?;
            let latency = outcome.counts.latency.quantile(self.quantile);
            let kept = latency <= self.most_ns && per_second(&outcome) >= rate * KEPT;
            let attempt = Attempt { rate, outcome, kept };
            report(&attempt);
            if kept {
                best = Some(attempt);
            }
            Ok(kept)
        })?;
        Ok(best)
    }
}

/// Requests per second that were answered.
#[must_use]
pub fn per_second(outcome: &Outcome) -> f64 {
    outcome.counts.requests as f64 / outcome.elapsed.as_secs_f64()
}

/// Tries rates of up to `most` until the highest one that is kept is known to within
/// [`PRECISION`].
fn bisect(
    most: f64,
    mut keeps: impl FnMut(f64) -> Result<bool, LoadError>,
) -> Result<(), LoadError> {
    let (mut kept, mut missed) = (0.0, most);
    while missed - kept > most * PRECISION {
        let rate = f64::midpoint(kept, missed);
        match keeps(rate)? {
            true => kept = rate,
            false => missed = rate,
        }
    }
    Ok(())
}

/// The share of the highest rate that the search may be off.
const PRECISION: f64 = 0.02;
/// A rate is kept if this share of it was answered within the measured time.
const KEPT: f64 = 0.98;

#[cfg(test)]
mod tests {
    use memserver::TestServer;

    use super::*;
    use crate::load::{Bound, tests};
    use crate::value::Sizes;

    #[test]
    fn latencies_are_read() {
        let slo = |text: &str| Slo::from_str(text).ok();
        assert_eq!(slo("p999=1ms"), Some(Slo { quantile: 0.999, most_ns: 1_000_000 }));
        assert_eq!(slo("p50=1.5us"), Some(Slo { quantile: 0.5, most_ns: 1_500 }));
        assert_eq!(slo("p9=2s"), Some(Slo { quantile: 0.9, most_ns: 2_000_000_000 }));
        for wrong in ["", "p=1ms", "999=1ms", "p99=1", "p99=ms", "p99=-1ms", "p9x=1ms", "p99=1h"] {
            assert_eq!(slo(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_highest_rate_that_is_kept_is_found() {
        for least in [0.0, 0.3, 123.0, 777.0, 1000.0] {
            let mut best = 0.0_f64;
            bisect(1000.0, |rate| {
                let kept = rate <= least;
                best = if kept { best.max(rate) } else { best };
                Ok(kept)
            })
            .unwrap();
            assert!((best - least).abs() <= 20.0, "{best} for {least}");
        }
    }

    #[test]
    fn a_latency_that_every_rate_keeps_is_kept_up_to_the_limit_and_an_impossible_one_never() {
        let server = TestServer::start().unwrap();
        let load = Load {
            connections: 4,
            threads: 1,
            sizes: Sizes::Fixed(100),
            zipf: 0.0,
            bound: Bound::Requests(200),
            ..tests::load(&server)
        };
        let impossible = Slo { quantile: 0.5, most_ns: 0 };
        let mut attempts = 0;
        assert!(impossible.search(&load, |_| attempts += 1).unwrap().is_none());
        assert_eq!(attempts, 6);
        let easy = Slo { quantile: 0.5, most_ns: 3_600_000_000_000 };
        let mut rates = Vec::new();
        let best = easy.search(&load, |attempt| rates.push((attempt.rate, attempt.kept))).unwrap();
        let kept = rates.iter().rev().find(|(_, kept)| *kept).map(|(rate, _)| *rate);
        assert_eq!(best.map(|attempt| attempt.rate), kept);
    }
}
