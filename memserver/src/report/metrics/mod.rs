//! Everything that a server counts or is set to, each with its name, kind, unit, labels and value.
//! `stats` is one view of it. How a view writes a value is not known here, but for the text that
//! memcached gives it.

mod classes;
pub(crate) mod flash;
mod general;
mod settings;

use std::fmt::{self, Display};
use std::time::Duration;

use crate::state::shared::Shared;

/// A part of the statistics, which memcached prints as one list.
///
/// # Examples
/// ```
/// let cache = memcore::Cache::new(64 << 20)?;
/// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
/// let mut settings = Vec::new();
/// server.metrics(|metric| {
///     if metric.section == memserver::Section::Settings {
///         settings.push(metric.name.to_owned());
///     }
/// });
/// assert!(settings.iter().any(|name| name == "num_threads"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Section {
    /// The process, its clients and its commands: `stats`.
    General,
    /// Items by size class: `stats items`.
    Items,
    /// Memory by size class: `stats slabs`.
    Slabs,
    /// How the server is set up: `stats settings`.
    Settings,
}

impl Section {
    /// All sections.
    pub const ALL: [Self; 4] = [Self::General, Self::Items, Self::Slabs, Self::Settings];
}

/// What a metric does as time passes.
///
/// # Examples
/// ```
/// let cache = memcore::Cache::new(64 << 20)?;
/// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
/// let mut counters = Vec::new();
/// server.metrics(|metric| {
///     if metric.kind == memserver::Kind::Counter {
///         counters.push(metric.name.to_owned());
///     }
/// });
/// assert!(counters.iter().any(|name| name == "cmd_get"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// It only grows, but starts from zero when counters are reset or the server starts.
    Counter,
    /// It rises and falls.
    Gauge,
    /// It says how something is, and rarely changes.
    Info,
}

/// What a metric is measured in.
///
/// # Examples
/// ```
/// let cache = memcore::Cache::new(64 << 20)?;
/// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
/// let mut sizes = Vec::new();
/// server.metrics(|metric| {
///     if metric.unit == memserver::Unit::Bytes {
///         sizes.push(metric.name.to_owned());
///     }
/// });
/// assert!(sizes.iter().any(|name| name == "limit_maxbytes"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// A plain number or a text.
    None,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Microseconds.
    Microseconds,
}

/// The value of a metric. Displayed, it is what `stats` prints.
///
/// # Examples
/// ```
/// use memserver::Value;
///
/// assert_eq!(Value::Number(11).to_string(), "11");
/// assert_eq!(Value::Ratio(1.25).to_string(), "1.25");
/// assert_eq!(Value::Flag(true).to_string(), "yes");
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A number.
    Number(u64),
    /// A time with fractions of a second.
    Time(Duration),
    /// A number with fractions.
    Ratio(f64),
    /// Yes or no.
    Flag(bool),
    /// A text.
    Text(&'a dyn Display),
    /// memcached has this, but this server has nothing like it. `stats` prints 0.
    Absent,
}

impl Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Time(time) => write!(f, "{}.{:06}", time.as_secs(), time.subsec_micros()),
            Self::Ratio(ratio) => write!(f, "{ratio:.2}"),
            Self::Flag(true) => f.write_str("yes"),
            Self::Flag(false) => f.write_str("no"),
            Self::Text(text) => text.fmt(f),
            // Tools look for the name and expect a number.
            Self::Absent => f.write_str("0"),
        }
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Value<'_> {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<f64> for Value<'_> {
    fn from(ratio: f64) -> Self {
        Self::Ratio(ratio)
    }
}

impl From<bool> for Value<'_> {
    fn from(on: bool) -> Self {
        Self::Flag(on)
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// One number or text about a server, as [`Server::metrics`](crate::Server::metrics) reports it.
///
/// # Examples
/// ```
/// let cache = memcore::Cache::new(64 << 20)?;
/// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
/// let mut limit = None;
/// server.metrics(|metric| {
///     if metric.name == "limit_maxbytes" {
///         limit = Some(metric.value.to_string());
///     }
/// });
/// assert_eq!(limit.as_deref(), Some("67108864"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Metric<'a> {
    /// Where `stats` prints it.
    pub section: Section,
    /// memcached's name for it. With the section and the labels it is unique.
    pub name: &'a str,
    /// What tells it from others of this name: names and values, such as `class` and `3`.
    pub labels: &'a [(&'static str, u64)],
    /// What it does as time passes.
    pub kind: Kind,
    /// What it is measured in.
    pub unit: Unit,
    /// What it means, in one sentence.
    pub help: &'static str,
    /// Its present value.
    pub value: Value<'a>,
}

/// Calls `visit` for every metric of `section`, in memcached's order.
pub(crate) fn each(shared: &Shared, section: Section, visit: &mut dyn FnMut(&Metric<'_>)) {
    let mut list = List { section, visit };
    match section {
        Section::General => general::report(shared, &mut list),
        Section::Items => classes::items(&shared.cache_stats(), &mut list),
        Section::Slabs => {
            classes::slabs(&shared.cache_stats(), &shared.gauges.counts(), &mut list);
        }
        Section::Settings => settings::report(shared, &mut list),
    }
}

/// The metrics of one section, and what is called for each.
struct List<'l> {
    section: Section,
    visit: &'l mut dyn FnMut(&Metric<'_>),
}

/// What a metric is, without its value.
struct About<'a> {
    name: &'a str,
    labels: &'a [(&'static str, u64)],
    kind: Kind,
    unit: Unit,
    help: &'static str,
}

impl List<'_> {
    fn add(&mut self, about: About<'_>, value: Value<'_>) {
        let About { name, labels, kind, unit, help } = about;
        (self.visit)(&Metric { section: self.section, name, labels, kind, unit, help, value });
    }

    /// A number that only grows.
    fn counter(&mut self, name: &str, count: u64, help: &'static str) {
        self.plain(name, Kind::Counter, Unit::None, Value::Number(count), help);
    }

    /// A number that rises and falls.
    fn gauge(&mut self, name: &str, number: usize, help: &'static str) {
        self.plain(name, Kind::Gauge, Unit::None, Value::Number(number as u64), help);
    }

    /// A number of bytes that rises and falls.
    fn bytes(&mut self, name: &str, bytes: u64, help: &'static str) {
        self.plain(name, Kind::Gauge, Unit::Bytes, Value::Number(bytes), help);
    }

    /// Something that does not change by itself.
    fn info(&mut self, name: &str, value: Value<'_>, help: &'static str) {
        self.plain(name, Kind::Info, Unit::None, value, help);
    }

    /// How something is set up.
    fn setting<'a>(&mut self, name: &str, value: impl Into<Value<'a>>, help: &'static str) {
        self.info(name, value.into(), help);
    }

    /// What memcached has and this server has not.
    fn absent(&mut self, names: &[&str]) {
        for name in names {
            self.info(name, Value::Absent, "Not applicable to this server.");
        }
    }

    fn plain(&mut self, name: &str, kind: Kind, unit: Unit, value: Value<'_>, help: &'static str) {
        self.add(About { name, labels: &[], kind, unit, help }, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::collections::HashSet;

    #[test]
    fn every_metric_is_unique_and_explained() {
        let cache = memcore::Cache::new(64 << 20).unwrap();
        cache.set(b"a", b"x", memcore::Attrs::default()).unwrap();
        let shared = Shared::without_threads(cache, Config::default());
        let mut seen = HashSet::new();
        for section in Section::ALL {
            each(&shared, section, &mut |metric| {
                let name = (section, metric.name.to_owned(), metric.labels.to_vec());
                assert!(seen.insert(name), "{metric:?} is reported twice");
                assert!(metric.help.ends_with('.'), "{metric:?}");
            });
        }
        assert!(seen.len() > 150, "{} metrics", seen.len());
    }

    #[test]
    fn values_are_printed_as_memcached_prints_them() {
        let time = Duration::new(3, 20_000);
        for (value, text) in [
            (Value::Number(7), "7"),
            (Value::Time(time), "3.000020"),
            (Value::Ratio(0.8), "0.80"),
            (Value::Flag(true), "yes"),
            (Value::Text(&"none"), "none"),
            (Value::Absent, "0"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }
}
