//! Pictures for the page, in SVG: lines over time, and bars.

use std::fmt::Write as _;

use super::text::escaped;

/// The size of a chart in its own units.
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 90.0;

/// A chart of values over time.
pub(super) struct Chart<'c> {
    pub(super) title: &'c str,
    /// Names and values of the lines, the oldest first. What is not known is a gap.
    pub(super) lines: &'c [(&'c str, Vec<Option<f64>>)],
    /// The upper end of the scale, if it does not follow the values.
    pub(super) top: Option<f64>,
    /// How values are written.
    pub(super) unit: fn(f64) -> String,
}

impl Chart<'_> {
    /// The chart with its title and legend.
    pub(super) fn draw(&self, out: &mut String) {
        let Self { title, lines, top, unit } = self;
        let all = lines.iter().flat_map(|(_, values)| values).flatten();
        let highest = all.fold(0.0, |highest: f64, value| highest.max(*value));
        let top = top.unwrap_or(highest).max(f64::MIN_POSITIVE);
        let title = escaped(title);
        // Writing to a string can't fail.
        let _ = write!(
            out,
            "<figure><figcaption>{title}<span class=top>{}</span></figcaption>\
             <svg class=chart viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=none \
             role=img aria-label=\"{title}\">\
             <path class=grid d=\"M0 0.5H{WIDTH}M0 45H{WIDTH}M0 89.5H{WIDTH}\"/>",
            (unit)(if highest > 0.0 || self.top.is_some() { top } else { 0.0 }),
        );
        for (index, (_, values)) in lines.iter().enumerate() {
            let _ = write!(out, "<path class=l{index} d=\"{}\"/>", path(values, top));
        }
        out.push_str("</svg><p class=legend>");
        for (index, (name, values)) in lines.iter().enumerate() {
            let last = values.last().copied().flatten();
            let last = last.map_or_else(|| "\u{2013}".to_owned(), unit);
            let name = escaped(name);
            let _ = write!(out, "<span><i class=l{index}></i>{name} <b>{last}</b></span>");
        }
        out.push_str("</p></figure>");
    }
}

/// The line through the values that are known.
fn path(values: &[Option<f64>], top: f64) -> String {
    let mut path = String::new();
    let step = WIDTH / values.len().saturating_sub(1).max(1) as f64;
    let mut is_open = false;
    for (index, value) in values.iter().enumerate() {
        let Some(value) = value else {
            is_open = false;
            continue;
        };
        let x = step * index as f64;
        let y = (HEIGHT - 1.0) * (1.0 - (value / top).clamp(0.0, 1.0)) + 0.5;
        let _ = write!(path, "{}{x:.1} {y:.1}", if is_open { 'L' } else { 'M' });
        is_open = true;
    }
    path
}

/// A bar for a share from 0 to 1.
pub(super) fn bar(share: f64) -> String {
    stacked(&[share])
}

/// A bar of several shares, which together are at most 1.
pub(super) fn stacked(shares: &[f64]) -> String {
    let mut bar = String::from(
        "<svg class=bar viewBox=\"0 0 100 8\" preserveAspectRatio=none aria-hidden=true>\
         <rect class=rest width=100 height=8 />",
    );
    let mut at = 0.0;
    for (index, share) in shares.iter().enumerate() {
        let width = (100.0 * share).clamp(0.0, 100.0 - at);
        let _ = write!(bar, "<rect class=l{index} x={at:.2} width={width:.2} height=8 />");
        at += width;
    }
    bar.push_str("</svg>");
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_gaps_where_nothing_is_known() {
        let values = [Some(0.0), Some(5.0), None, Some(20.0)];
        assert_eq!(path(&values, 10.0), "M0.0 89.5L106.7 45.0M320.0 0.5");
        assert_eq!(path(&[], 1.0), "");
    }

    #[test]
    fn bars_stay_within_their_width() {
        let bar = stacked(&[0.75, 0.5]);
        assert!(bar.contains("class=l0 x=0.00 width=75.00") && bar.contains("x=75.00 width=25.00"));
    }
}
