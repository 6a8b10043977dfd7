//! Charts as SVG.

use std::path::Path;

use plotters::prelude::*;

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What it shows.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A chart of hit ratios.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What stands above it.
    pub title: String,
    /// What the horizontal axis counts.
    pub across: String,
    /// Its lines.
    pub curves: Vec<Curve>,
}

const SIZE: (u32, u32) = (760, 420);

impl Chart {
    /// Writes the chart to a file.
    ///
    /// # Errors
    /// What the drawing or the file system says.
    pub fn write(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let mut text = String::new();
        self.draw(SVGBackend::with_string(&mut text, SIZE)).map_err(|error| error.to_string())?;
        std::fs::write(path, text)?;
        Ok(())
    }

    fn draw(&self, backend: SVGBackend<'_>) -> Result<(), Box<dyn std::error::Error + '_>> {
        let area = backend.into_drawing_area();
        area.fill(&WHITE)?;
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let left = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let right = points().map(|point| point.0).fold(left + 1.0, f64::max);
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(48)
            .build_cartesian_2d(left..right, 0.0..1.0)?;
        chart.configure_mesh().x_desc(&self.across).y_desc("hit ratio").draw()?;
        for (i, curve) in self.curves.iter().enumerate() {
            let color = Palette99::pick(i).stroke_width(2);
            chart
                .draw_series(LineSeries::new(curve.points.iter().copied(), color))?
                .label(&curve.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .position(SeriesLabelPosition::LowerRight)
            .draw()?;
        area.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_names_its_curves() {
        let curve =
            |name: &str, y| Curve { name: name.to_owned(), points: vec![(1.0, y), (2.0, 1.0)] };
        let chart = Chart {
            title: "a title".to_owned(),
            across: "windows".to_owned(),
            curves: vec![curve("one", 0.25), curve("two", 0.5)],
        };
        let path = std::env::temp_dir().join(format!("chart-{}.svg", std::process::id()));
        chart.write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text.starts_with("<svg") && text.matches("<polyline").count() >= 2, "{text}");
        for word in ["a title", "windows", "hit ratio", "one", "two"] {
            assert!(text.contains(word), "{word}");
        }
    }
}
