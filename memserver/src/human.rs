//! Formats numbers, sizes and times for people.

use std::fmt::Write as _;

/// A number with commas.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size with three digits and a unit.
pub(crate) fn bytes(bytes: f64) -> String {
    let (number, unit) = scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"]);
    format!("{} {unit}", three_digits(number))
}

/// Something per second.
pub(crate) fn rate(per_second: f64) -> String {
    let (number, unit) = scaled(per_second, 1000.0, &["", "k", "M", "G"]);
    format!("{}{unit}/s", three_digits(number))
}

fn scaled(number: f64, step: f64, units: &[&'static str]) -> (f64, &'static str) {
    let mut rest = number;
    for unit in units {
        if rest < step - 0.5 || Some(unit) == units.last() {
            return (rest, unit);
        }
        rest /= step;
    }
    (rest, "")
}

fn three_digits(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        number if number < 9.995 => format!("{number:.2}"),
        number if number < 99.95 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    }
}

/// A share from 0 to 1.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A share of `all`; none of nothing.
pub(crate) fn share_of(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

/// The same as text; a dash for a share of nothing.
pub(crate) fn percent_of(part: u64, all: u64) -> String {
    share_of(part, all).map_or_else(|| "\u{2013}".to_owned(), percent)
}

/// Seconds in the two largest units.
pub(crate) fn duration(secs: u64) -> String {
    let units = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];
    let first = units.iter().position(|(_, unit)| secs >= *unit).unwrap_or(units.len() - 1);
    let mut text = String::new();
    let mut rest = secs;
    for (name, unit) in &units[first..units.len().min(first + 2)] {
        // Writing to a string can't fail.
        let _ = write!(text, "{}{} {name}", if text.is_empty() { "" } else { " " }, rest / unit);
        rest %= unit;
    }
    text
}

/// A time in microseconds, with a unit.
pub(crate) fn micros(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros} \u{b5}s"),
        1000..1_000_000 => format!("{} ms", micros / 1000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(["7", "1,234", "12,345,678"], [7, 1234, 12_345_678].map(count)[..]);
        let sizes = [0.0, 1023.0, 1536.0, 64.0 * 1_048_576.0, 3.3e12].map(bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.50 KiB", "64.0 MiB", "3.00 TiB"]);
        assert_eq!([0.0, 0.5, 999.0, 12_345.0].map(rate), ["0/s", "0.50/s", "999/s", "12.3k/s"]);
        let times = [0, 59, 3600, 90_061].map(duration);
        assert_eq!(times, ["0 s", "59 s", "1 h 0 min", "1 d 1 h"]);
        assert_eq!([50, 2000, 1_000_000].map(micros), ["50 \u{b5}s", "2 ms", "1 s"]);
        assert_eq!((percent_of(1, 3), percent_of(0, 0)), ("33.3 %".into(), "\u{2013}".into()));
    }
}
