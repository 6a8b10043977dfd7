//! Metrics in the two texts that Prometheus reads: its own, and OpenMetrics for those who ask for
//! it. How the text is carried is not known here.

mod exporter;
mod own;

use std::fmt::{Display, Write as _};

use crate::state::shared::Shared;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// That of Prometheus, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// Its media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a family of samples does as time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// All metrics of a server as text.
pub(crate) fn exposition(shared: &Shared, format: Format) -> String {
    let mut page = Page { text: String::with_capacity(64 << 10), format };
    exporter::report(shared, &mut page);
    own::report(shared, &mut page);
    if format == Format::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    page.text
}

/// A text in the making. Writing to it can't fail.
struct Page {
    text: String,
    format: Format,
}

/// Names and values that tell a sample from others of its family.
type Labels<'l> = &'l [(&'l str, &'l dyn Display)];

impl Page {
    /// Begins a family, whose samples follow.
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind_name = match kind {
            // OpenMetrics has no counters whose samples are not called so. Such a family of
            // memcached's exporter keeps its name rather than its kind.
            Kind::Counter if self.is_open() && !name.ends_with("_total") => "unknown",
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let name = match kind {
            Kind::Counter if self.is_open() => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind_name}\n");
    }

    /// A sample of the family that was begun last.
    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.text.push_str(name);
        for (index, (label, of)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{label}=\"{of}\"", if index == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }

    /// A family of one sample.
    fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The samples of one histogram. `buckets` are the upper bounds and how many are in each, those
    /// below not included; `beyond` are above all bounds, and `sum` is the sum of all.
    fn histogram(
        &mut self,
        name: &str,
        labels: Labels<'_>,
        buckets: impl Iterator<Item = (f64, u64)>,
        beyond: u64,
        sum: Option<f64>,
    ) {
        let bucket_name = format!("{name}_bucket");
        let mut count = 0;
        let bounds = buckets.map(|(bound, more)| (canonical(bound), more));
        for (bound, more) in bounds.chain([("+Inf".to_owned(), beyond)]) {
            count += more;
            let all = [labels, &[("le", &bound)]].concat();
            self.sample(&bucket_name, &all, count);
        }
        if let Some(sum) = sum {
            self.sample(&format!("{name}_sum"), labels, sum);
            self.sample(&format!("{name}_count"), labels, count);
        }
    }

    fn is_open(&self) -> bool {
        self.format == Format::OpenMetrics
    }
}

/// A bound as OpenMetrics has it, so that different servers have the same series: exponents of two
/// digits below 0.0001 and from a million on, and always a fraction or an exponent.
fn canonical(bound: f64) -> String {
    let is_plain = bound < 1e6 && (bound >= 1e-4 || bound == 0.0);
    if is_plain {
        return format!("{bound:?}");
    }
    let text = format!("{bound:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(("+", exponent), |rest| ("-", rest));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests;
