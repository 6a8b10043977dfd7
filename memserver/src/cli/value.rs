//! Values of flags, read strictly: what is not wholly a number is refused, never cut short.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::error::StartupError;

/// Units of sizes.
const SIZES: [(char, usize); 4] = [('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30), ('t', 1 << 40)];

/// Whether this may follow the letter of a unit.
fn is_size_suffix(text: &str) -> bool {
    matches!(text, "" | "b" | "i" | "ib")
}

/// A size with the largest unit that fits it.
fn shown(bytes: usize) -> String {
    let whole = |(_, unit): &&(char, usize)| bytes > 0 && bytes.is_multiple_of(*unit);
    let found = SIZES.iter().rev().find(whole);
    found.map_or_else(|| bytes.to_string(), |(letter, unit)| format!("{}{letter}", bytes / unit))
}

/// A value together with the name of its flag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    /// As the user wrote it.
    pub(super) name: &'a str,
    /// Empty if there is none.
    pub(super) text: &'a str,
}

impl<'a> Value<'a> {
    /// A whole number within `range`, in decimal digits.
    pub(super) fn number<T>(self, range: RangeInclusive<T>) -> Result<T, StartupError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Self { name, text } = self;
        // `parse` alone would also accept `+5`.
        let signless = text.strip_prefix('-').unwrap_or(text);
        if signless.is_empty() || !signless.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.unfit("a whole number"));
        }
        // Too large for the type is out of range as well.
        text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let least = range.start();
            let most = range.end();
            StartupError::illegal(format!("{name} must be between {least} and {most}, not {text}"))
        })
    }

    /// A finite number above `least` and at most `most`.
    pub(super) fn factor(self, least: f64, most: f64) -> Result<f64, StartupError> {
        let Self { name, text } = self;
        // `parse` alone would also accept `inf`, `nan`, signs and exponents.
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number: f64 =
            text.parse().ok().filter(|_| plain).ok_or_else(|| self.unfit("a number"))?;
        if number > least && number <= most && number.is_finite() {
            return Ok(number);
        }
        let most = if most.is_finite() { format!(" and at most {most}") } else { String::new() };
        Err(StartupError::illegal(format!("{name} must be greater than {least}{most}, not {text}")))
    }

    /// Bytes within `range`: a number of `unit` bytes, or one with a unit of its own, such as
    /// `512k`, `512KB`, `512Ki` or `512KiB`, which all mean the same.
    ///
    /// # Errors
    /// It is not a size, too large for any machine, or out of range.
    pub(super) fn size(
        self,
        unit: usize,
        range: RangeInclusive<usize>,
    ) -> Result<usize, StartupError> {
        let Self { name, text } = self;
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let letters = text[digits.len()..].to_ascii_lowercase();
        let unfit = || self.unfit("a whole number, optionally followed by k, m, g or t");
        let unit = match letters.as_str() {
            "" => unit,
            "b" => 1,
            letters => SIZES
                .iter()
                .find(|(letter, _)| letters.strip_prefix(*letter).is_some_and(is_size_suffix))
                .map(|(_, unit)| *unit)
                .ok_or_else(unfit)?,
        };
        let digits = digits.trim_end();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(unfit());
        }
        let too_large = || StartupError::usage(format!("{name} {text} is too large"));
        let bytes = digits.parse::<usize>().ok().and_then(|count| count.checked_mul(unit));
        bytes.ok_or_else(too_large).and_then(|bytes| {
            let (least, most) = (*range.start(), *range.end());
            if range.contains(&bytes) {
                return Ok(bytes);
            }
            let (least, most) = (shown(least), shown(most));
            let message = format!("{name} must be between {least} and {most}, not {text}");
            Err(StartupError::illegal(message))
        })
    }

    /// A time of at most `most`: a number of seconds, or one with `ms`, `s`, `m` or `h`.
    pub(super) fn duration(self, most: Duration) -> Result<Duration, StartupError> {
        let Self { name, text } = self;
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let millis = match &text[digits.len()..] {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(self.unfit("a time such as 30, 30s or 500ms")),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.unfit("a time such as 30, 30s or 500ms"));
        }
        let time = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(millis));
        time.map(Duration::from_millis).filter(|time| *time <= most).ok_or_else(|| {
            let most = most.as_secs();
            StartupError::illegal(format!("{name} must be at most {most} seconds, not {text}"))
        })
    }

    /// One ASCII character that can be seen.
    pub(super) fn character(self) -> Result<char, StartupError> {
        let mut chars = self.text.chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) if one.is_ascii_graphic() => Ok(one),
            _ => Err(self.unfit("one character")),
        }
    }

    /// Anything but nothing.
    pub(super) fn word(self) -> Result<&'a str, StartupError> {
        if self.text.is_empty() { Err(self.unfit("a value")) } else { Ok(self.text) }
    }

    /// A path.
    pub(super) fn path(self) -> Result<PathBuf, StartupError> {
        self.word().map(PathBuf::from)
    }

    /// Permission bits in octal.
    pub(super) fn mode(self) -> Result<u32, StartupError> {
        let octal = self.text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let bits = u32::from_str_radix(self.text, 8).ok().filter(|bits| octal && *bits <= 0o777);
        bits.ok_or_else(|| self.unfit("permission bits in octal, at most 777"))
    }

    /// Refuses it: it should have been `wanted`.
    pub(super) fn unfit(self, wanted: &str) -> StartupError {
        StartupError::usage(format!("{} takes {wanted}, not {:?}", self.name, self.text))
    }
}

/// Puts a value that could be read into its place.
pub(super) fn put<T>(place: &mut T, value: Result<T, StartupError>) -> Result<(), StartupError> {
    *place = value?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value<'_> {
        Value { name: "-x", text }
    }

    #[test]
    fn numbers_are_read_to_the_end() {
        assert_eq!(value("80").number(0..=100u16), Ok(80));
        assert_eq!(value("-1").number(-1..=100i32), Ok(-1));
        for bad in ["", "-", "80a", " 80", "+80", "8 0", "0x10", "1e3", "\u{663}"] {
            assert_eq!(value(bad).number(0..=100u16).unwrap_err().exit, super::super::Exit::Usage);
        }
        for far in ["101", "99999999999999999999", "-1"] {
            assert_eq!(
                value(far).number(0..=100u16).unwrap_err().exit,
                super::super::Exit::Illegal
            );
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("3", 3),
            ("3b", 3),
            ("3K", 3072),
            ("3kb", 3072),
            ("3Ki", 3072),
            ("3KiB", 3072),
            ("3 MB", 3 << 20),
            ("2g", 2 << 30),
            ("1Ti", 1 << 40),
        ] {
            assert_eq!(value(text).size(1, 0..=usize::MAX), Ok(bytes), "{text}");
        }
        assert_eq!(value("3").size(1 << 20, 0..=usize::MAX), Ok(3 << 20));
        for bad in ["", "k", "3kk", "3bk", "3kib2", "-3", "1.5g", "3x", "\u{663}", "3\u{212a}"] {
            let refusal = value(bad).size(1, 0..=usize::MAX).unwrap_err();
            assert!(refusal.message.contains("whole number"), "{bad}: {refusal}");
        }
        for far in ["99999999999999999999", "18446744073709551615k"] {
            assert!(value(far).size(1, 0..=usize::MAX).unwrap_err().message.contains("too large"));
        }
        let refusal = value("2000000k").size(1, 1024..=1 << 30).unwrap_err();
        assert_eq!(refusal.message, "-x must be between 1k and 1g, not 2000000k");
    }

    #[test]
    fn times_have_units() {
        let most = Duration::from_secs(7200);
        for (text, millis) in [
            ("0", 0),
            ("30", 30_000),
            ("2s", 2_000),
            ("500ms", 500),
            ("3m", 180_000),
            ("2h", 7_200_000),
        ] {
            assert_eq!(value(text).duration(most), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "s", "-1", "1.5", "3d", "3 s", "3h", "7201", "99999999999999999999"] {
            assert!(value(bad).duration(most).is_err(), "{bad}");
        }
    }

    #[test]
    fn factors_are_plain_decimals() {
        assert_eq!(value("1.25").factor(1.0, f64::INFINITY), Ok(1.25));
        for bad in ["", "1", "inf", "nan", "1e9", "-2", "1.2x", "."] {
            assert!(value(bad).factor(1.0, f64::INFINITY).is_err(), "{bad}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(value("0777").mode(), Ok(0o777));
        for bad in ["", "8", "1777", "+7", "-7", "rwx"] {
            assert!(value(bad).mode().is_err(), "{bad}");
        }
    }
}
