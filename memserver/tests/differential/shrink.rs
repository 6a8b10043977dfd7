//! Makes a stream shorter as long as it still shows a difference.

use crate::stream::{Part, Protocol, Unit};

/// The shortest stream that `fails`.
pub(crate) fn shrink(stream: &[Unit], mut fails: impl FnMut(&[Unit]) -> bool) -> Vec<Unit> {
    let mut shortest = stream.to_vec();
    let mut len = shortest.len().div_ceil(2);
    while len > 0 {
        let mut at = 0;
        while at < shortest.len() {
            let mut shorter = shortest.clone();
            shorter.drain(at..(at + len).min(shortest.len()));
            if !shorter.is_empty() && fails(&shorter) {
                shortest = shorter;
            } else {
                at += len;
            }
        }
        len /= 2;
    }
    for at in 0..shortest.len() {
        let mut word = 0;
        while let Some(unit) = without_word(&shortest[at], word) {
            let mut shorter = shortest.clone();
            shorter[at] = unit;
            if fails(&shorter) {
                shortest = shorter;
            } else {
                word += 1;
            }
        }
    }
    shortest
}

/// A line without the word behind one of its spaces.
fn without_word(unit: &Unit, word: usize) -> Option<Unit> {
    let [Part::Bytes(bytes)] = &unit.parts[..] else { return None };
    if unit.protocol != Protocol::Text {
        return None;
    }
    let end = bytes.iter().position(|byte| *byte == b'\r' || *byte == b'\n')?;
    let spaces = (0..end).filter(|at| bytes[*at] == b' ');
    let start = spaces.clone().nth(word)?;
    let stop = spaces.into_iter().nth(word + 1).unwrap_or(end);
    let parts = vec![Part::Bytes([&bytes[..start], &bytes[stop..]].concat())];
    Some(Unit { parts, ..unit.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Unit {
        let mut unit = Unit::new(Protocol::Text);
        unit.put(text);
        unit
    }

    #[test]
    fn what_is_not_needed_is_dropped() {
        let stream: Vec<Unit> = (0..37).map(|at| line(&format!("mg {at} v k\r\n"))).collect();
        let needs = |unit: &Unit, text: &str| unit.render(0).starts_with(text.as_bytes());
        let short = shrink(&stream, |stream| {
            stream.iter().any(|unit| needs(unit, "mg 5"))
                && stream.iter().any(|unit| needs(unit, "mg 30"))
        });
        assert_eq!(short, [line("mg 5\r\n"), line("mg 30\r\n")]);
    }
}
