//! Strict decimal numbers from and to bytes, without allocation: no sign on unsigned numbers, no
//! blanks, no partial parse, no more than 20 digits.

/// The digits of 00 to 99: one division yields two digits.
const PAIRS: [[u8; 2]; 100] = pairs();

const fn pairs() -> [[u8; 2]; 100] {
    let mut table = [[0; 2]; 100];
    let mut rest: &mut [[u8; 2]] = &mut table;
    let mut value = 0;
    // A const function can't iterate, and indexing is denied in this crate.
    while let Some((pair, tail)) = rest.split_first_mut() {
        *pair = [b'0' + value / 10, b'0' + value % 10];
        value += 1;
        rest = tail;
    }
    table
}

/// The digits of a number below 100.
#[inline]
fn two_digits(value: usize) -> [u8; 2] {
    debug_assert!(value < 100);
    PAIRS.get(value).copied().unwrap_or(*b"??")
}

/// Digits of the longest number, leading zeroes included.
const MAX_DIGITS: usize = 20;

/// Digits only, at least one and at most 20, up to 2^64 - 1.
///
/// ```
/// use memproto::number::parse_u64;
///
/// assert_eq!(parse_u64(b"007"), Some(7));
/// assert_eq!(parse_u64(b"7 "), None);
/// ```
#[must_use]
#[inline]
pub fn parse_u64(digits: &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    if (1..MAX_DIGITS).contains(&digits.len()) {
        // 19 digits cannot overflow, so the common case needs no check per digit.
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        }
        return Some(value);
    }
    parse_longest(digits)
}

/// A number of as many digits as there may be.
#[cold]
fn parse_longest(digits: &[u8]) -> Option<u64> {
    // The largest number of 64 bits has 20 digits, so that only this length needs checked sums.
    if digits.len() != MAX_DIGITS {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Digits only, at most 2^32 - 1.
///
/// ```
/// use memproto::number::parse_u32;
///
/// assert_eq!(parse_u32(b"4294967295"), Some(u32::MAX));
/// assert_eq!(parse_u32(b"4294967296"), None);
/// ```
#[must_use]
#[inline]
pub fn parse_u32(digits: &[u8]) -> Option<u32> {
    u32::try_from(parse_u64(digits)?).ok()
}

/// Digits with an optional minus sign, in the range of i32. A minus sign alone is 0, as in
/// memcached.
///
/// ```
/// use memproto::number::parse_i32;
///
/// assert_eq!(parse_i32(b"-1"), Some(-1));
/// assert_eq!(parse_i32(b"-"), Some(0));
/// assert_eq!(parse_i32(b"2147483648"), None);
/// ```
#[must_use]
#[inline]
pub fn parse_i32(bytes: &[u8]) -> Option<i32> {
    match bytes.split_first() {
        Some((b'-', digits)) => parse_negative(digits),
        _ => i32::try_from(parse_u64(bytes)?).ok(),
    }
}

/// What follows a minus sign. Not inlined, as nearly all numbers are positive.
#[cold]
fn parse_negative(digits: &[u8]) -> Option<i32> {
    if digits.is_empty() {
        return Some(0);
    }
    let magnitude = i64::try_from(parse_u64(digits)?).ok()?;
    // The negation can't overflow: as an i64 the magnitude is at most `i64::MAX`.
    i32::try_from(-magnitude).ok()
}

/// Digits with an optional minus sign, in the range of i64.
///
/// ```
/// use memproto::number::parse_i64;
///
/// assert_eq!(parse_i64(b"-2147483649"), Some(-2147483649));
/// assert_eq!(parse_i64(b"+1"), None);
/// ```
#[must_use]
pub fn parse_i64(bytes: &[u8]) -> Option<i64> {
    match bytes.split_first() {
        // Subtracted from 0, because the magnitude of `i64::MIN` does not fit an i64.
        Some((b'-', digits)) => 0_i64.checked_sub_unsigned(parse_u64(digits)?),
        _ => i64::try_from(parse_u64(bytes)?).ok(),
    }
}

/// A number as decimal digits on the stack.
///
/// ```
/// assert_eq!(memproto::number::Decimal::new(1234).as_bytes(), b"1234");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    /// Room for any number, written from the end.
    pairs: [[u8; 2]; 10],
    start: usize,
}

impl Decimal {
    /// The digits of `value`.
    #[must_use]
    #[inline]
    pub fn new(value: u64) -> Self {
        let mut pairs = [[b'0'; 2]; 10];
        let mut start = pairs.as_flattened().len();
        let mut rest = value;
        for pair in pairs.iter_mut().rev() {
            *pair = two_digits((rest % 100) as usize);
            rest /= 100;
            start = start.saturating_sub(2);
            if rest == 0 {
                // The first pair may be a single digit.
                start += usize::from(pair[0] == b'0');
                break;
            }
        }
        Self { pairs, start }
    }

    /// The digits, most significant first.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        let digits = self.pairs.as_flattened();
        debug_assert!(self.start < digits.len());
        digits.get(self.start..).unwrap_or(digits)
    }
}

/// Appends `value` in decimal.
///
/// ```
/// let mut out = b"cas=".to_vec();
/// memproto::number::push_u64(&mut out, 42);
/// assert_eq!(out, b"cas=42");
/// ```
#[inline]
pub fn push_u64(out: &mut Vec<u8>, value: u64) {
    match value {
        // Client flags and many lengths have one digit.
        0..10 => out.push(b'0' + value as u8),
        10..10_000 => push_up_to_four(out, value as usize),
        _ => push_longer(out, value),
    }
}

/// Not inlined, so that short numbers need no space on the stack.
#[inline(never)]
fn push_longer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(Decimal::new(value).as_bytes());
}

/// Most numbers are this short: four digits, of which the leading zeroes are shifted out.
#[inline]
fn push_up_to_four(out: &mut Vec<u8>, value: usize) {
    debug_assert!(value < 10_000);
    let [a, b] = two_digits(value / 100);
    let [c, d] = two_digits(value % 100);
    let zeroes = usize::from(value < 10) + usize::from(value < 100) + usize::from(value < 1000);
    // The first digit is in the lowest byte, so that a shift to the right drops the leading zeroes.
    let digits = u32::from_le_bytes([a, b, c, d]) >> (8 * zeroes);
    // Always four bytes, which is a single store; the surplus is cut off again.
    out.extend_from_slice(&digits.to_le_bytes());
    out.truncate(out.len() - zeroes);
}

/// Appends `value` in decimal, with a minus sign when negative.
///
/// ```
/// let mut out = b"exp=".to_vec();
/// memproto::number::push_i64(&mut out, -1);
/// assert_eq!(out, b"exp=-1");
/// ```
#[inline]
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_u64(out, value.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_numbers_read_back() {
        let mut numbers = vec![0, 9, 10, 99, 100, 12_345, u64::MAX];
        numbers.extend((0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]));
        numbers.extend((0..20).flat_map(|power| [10_u64.pow(power) - 1, 10_u64.pow(power)]));
        for number in numbers {
            let mut out = Vec::new();
            push_u64(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
            assert_eq!(Decimal::new(number).as_bytes(), out);
            assert_eq!(parse_u64(&out), Some(number));
            assert_eq!(parse_u32(&out), u32::try_from(number).ok());
            for signed in [number as i64, (number as i64).wrapping_neg()] {
                out.clear();
                push_i64(&mut out, signed);
                assert_eq!(out, signed.to_string().as_bytes());
                assert_eq!(parse_i64(&out), Some(signed));
                assert_eq!(parse_i32(&out), i32::try_from(signed).ok());
            }
        }
    }

    #[test]
    fn what_is_no_number() {
        for text in
            ["", "-", "+1", " 1", "1 ", "1x", "x1", "--1", "1-", "0x10", "1.0", "\0", "/", ":"]
        {
            assert_eq!(parse_u64(text.as_bytes()), None, "{text}");
            assert_eq!(
                parse_i32(text.as_bytes()),
                if text == "-" { Some(0) } else { None },
                "{text}"
            );
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_u64(b"-1"), None);
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"99999999999999999999999999"), None);
        assert_eq!(parse_u64(b"00000000000000000001"), Some(1));
        assert_eq!(parse_u64(b"000000000000000000001"), None);
        assert_eq!(parse_u32(b"4294967296"), None);
        assert_eq!(parse_i32(b"2147483648"), None);
        assert_eq!(parse_i32(b"-2147483649"), None);
        assert_eq!(parse_i32(b"-18446744073709551615"), None);
        assert_eq!(parse_i64(b"9223372036854775808"), None);
        assert_eq!(parse_i64(b"-9223372036854775809"), None);
        assert_eq!(parse_i32(b"-0"), Some(0));
    }
}
