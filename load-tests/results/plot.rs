//! Plots as SVG documents: bars beside each other, and lines, both on logarithmic scales where
//! values differ by powers of ten.

use std::fmt::Write;

use super::table::number;

const WIDTH: f64 = 860.0;
const LABEL_WIDTH: f64 = 200.0;
const RIGHT: f64 = 90.0;
const BAR_HEIGHT: f64 = 11.0;
const GAP: f64 = 9.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 46.0;
const LINES_HEIGHT: f64 = 420.0;
const COLOURS: [&str; 6] = ["#0b6e99", "#5fa8c9", "#c4552d", "#d9a441", "#6b7f3a", "#7a5c99"];

/// One colour's values.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// A value for each label, or for each place; none where nothing was measured.
    pub(crate) values: Vec<Option<f64>>,
}

/// Horizontal bars: a group a label, a bar a series.
#[derive(Debug, Clone)]
pub(crate) struct Bars {
    pub(crate) title: String,
    pub(crate) unit: String,
    pub(crate) labels: Vec<String>,
    pub(crate) series: Vec<Series>,
    pub(crate) logarithmic: bool,
}

/// Lines over numbers, both axes logarithmic.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    pub(crate) title: String,
    pub(crate) x_unit: String,
    pub(crate) y_unit: String,
    pub(crate) xs: Vec<f64>,
    pub(crate) series: Vec<Series>,
}

/// An axis from a value to a value on so many pixels.
struct Axis {
    from: f64,
    until: f64,
    logarithmic: bool,
    pixels: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, logarithmic: bool, pixels: f64) -> Self {
        let values: Vec<f64> = values.filter(|v| v.is_finite() && *v > 0.0).collect();
        let largest = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        if !logarithmic {
            return Self { from: 0.0, until: largest, logarithmic, pixels };
        }
        let smallest = values.iter().copied().fold(largest, f64::min);
        let (from, until) = (smallest.log10().floor(), largest.log10().ceil());
        let until = if until > from { until } else { from + 1.0 };
        Self { from: 10f64.powf(from), until: 10f64.powf(until), logarithmic, pixels }
    }

    /// Pixels from the beginning of the axis.
    fn place(&self, value: f64) -> f64 {
        let part = if self.logarithmic {
            (value.max(self.from) / self.from).log10() / (self.until / self.from).log10()
        } else {
            value / self.until
        };
        part.clamp(0.0, 1.0) * self.pixels
    }

    fn ticks(&self) -> Vec<f64> {
        if !self.logarithmic {
            return (0..=4).map(|part| self.until * f64::from(part) / 4.0).collect();
        }
        let decades = (self.until / self.from).log10().round() as i32;
        (0..=decades).map(|decade| self.from * 10f64.powi(decade)).collect()
    }
}

impl Bars {
    pub(crate) fn svg(&self) -> String {
        let all = self.series.iter().flat_map(|series| series.values.iter().flatten().copied());
        let axis = Axis::new(all, self.logarithmic, WIDTH - LABEL_WIDTH - RIGHT);
        let group = self.series.len() as f64 * BAR_HEIGHT + GAP;
        let height = TOP + group * self.labels.len() as f64 + BOTTOM;
        let mut svg = Svg::new(height, &self.title);
        svg.legend(self.series.iter().map(|series| series.name.as_str()));
        for tick in axis.ticks() {
            let x = LABEL_WIDTH + axis.place(tick);
            svg.line((x, TOP), (x, height - BOTTOM), "#ddd", 1.0);
            svg.text((x, height - BOTTOM + 14.0), "middle", &short(tick));
        }
        svg.text((LABEL_WIDTH, height - 10.0), "start", &self.unit);
        for (row, label) in self.labels.iter().enumerate() {
            let top = TOP + group * row as f64 + GAP / 2.0;
            let middle = top + (group - GAP) / 2.0 + 4.0;
            svg.text((LABEL_WIDTH - 8.0, middle), "end", label);
            for (index, series) in self.series.iter().enumerate() {
                let Some(value) = series.values.get(row).copied().flatten() else { continue };
                let y = top + BAR_HEIGHT * index as f64;
                let width = axis.place(value).max(1.0);
                svg.bar(
                    (LABEL_WIDTH, y),
                    (width, BAR_HEIGHT - 1.0),
                    COLOURS[index % COLOURS.len()],
                );
                svg.text((LABEL_WIDTH + width + 4.0, y + 9.0), "start", &short(value));
            }
        }
        svg.finish()
    }
}

impl Lines {
    pub(crate) fn svg(&self) -> String {
        let ys = self.series.iter().flat_map(|series| series.values.iter().flatten().copied());
        let bottom = LINES_HEIGHT - BOTTOM;
        let left = 70.0;
        let x_axis = Axis::new(self.xs.iter().copied(), true, WIDTH - left - RIGHT);
        let y_axis = Axis::new(ys, true, bottom - TOP);
        let mut svg = Svg::new(LINES_HEIGHT, &self.title);
        svg.legend(self.series.iter().map(|series| series.name.as_str()));
        for tick in y_axis.ticks() {
            let y = bottom - y_axis.place(tick);
            svg.line((left, y), (WIDTH - RIGHT, y), "#ddd", 1.0);
            svg.text((left - 6.0, y + 4.0), "end", &short(tick));
        }
        for x in &self.xs {
            let place = left + x_axis.place(*x);
            svg.line((place, TOP), (place, bottom), "#eee", 1.0);
            svg.text((place, bottom + 16.0), "middle", &short(*x));
        }
        svg.text((WIDTH / 2.0, LINES_HEIGHT - 10.0), "middle", &self.x_unit);
        svg.text((left - 6.0, TOP - 8.0), "end", &self.y_unit);
        for (index, series) in self.series.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let points: Vec<(f64, f64)> = self
                .xs
                .iter()
                .zip(&series.values)
                .filter_map(|(x, y)| y.map(|y| (left + x_axis.place(*x), bottom - y_axis.place(y))))
                .collect();
            points.windows(2).for_each(|pair| svg.line(pair[0], pair[1], colour, 2.0));
            points.iter().for_each(|(x, y)| svg.bar((x - 3.0, y - 3.0), (6.0, 6.0), colour));
        }
        svg.finish()
    }
}

/// A number on an axis or at a bar.
fn short(value: f64) -> String {
    let text = number(value);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// The document as it grows.
struct Svg(String);

impl Svg {
    fn new(height: f64, title: &str) -> Self {
        let mut svg = Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        ));
        svg.push(format_args!(
            "<text x=\"12\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
            escape(title)
        ));
        svg
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("writing to memory does not fail");
    }

    fn legend<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let mut x = 12.0;
        for (index, name) in names.enumerate() {
            self.bar((x, 34.0), (11.0, 11.0), COLOURS[index % COLOURS.len()]);
            self.text((x + 16.0, 44.0), "start", name);
            x += 34.0 + 6.2 * name.chars().count() as f64;
        }
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: &str, text: &str) {
        let text = escape(text);
        self.push(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n"
        ));
    }

    fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str) {
        self.push(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{colour}\"/>\n"
        ));
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        self.push(format_args!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" \
             stroke-width=\"{width}\"/>\n",
            from.0, from.1, to.0, to.1
        ));
    }

    fn finish(mut self) -> String {
        self.0 += "</svg>\n";
        self.0
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, values: &[Option<f64>]) -> Series {
        Series { name: name.to_owned(), values: values.to_vec() }
    }

    #[test]
    fn longer_bars_are_larger_values_and_absent_ones_have_none() {
        let bars = Bars {
            title: "a < b".to_owned(),
            unit: "ms".to_owned(),
            labels: vec!["one".to_owned(), "two".to_owned()],
            series: vec![series("x", &[Some(1.0), None]), series("y", &[Some(10.0), Some(100.0)])],
            logarithmic: true,
        };
        let svg = bars.svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("a &lt; b"), "{svg}");
        let bars: Vec<&str> = svg.lines().filter(|line| line.contains("height=\"10.0\"")).collect();
        assert_eq!(bars.len(), 3, "{svg}");
    }

    #[test]
    fn axes_cover_their_values() {
        let axis = Axis::new([0.4, 250.0].into_iter(), true, 100.0);
        assert!((axis.from - 0.1).abs() < 1e-9 && (axis.until - 1000.0).abs() < 1e-6);
        assert_eq!(axis.ticks().len(), 5);
        assert!(axis.place(0.4) < axis.place(250.0) && axis.place(250.0) < 100.0);
        let axis = Axis::new(std::iter::empty(), true, 100.0);
        assert!(axis.place(1.0).is_finite());
        let axis = Axis::new([5.0].into_iter(), false, 100.0);
        assert_eq!((axis.place(0.0), axis.place(5.0)), (0.0, 100.0));
    }

    #[test]
    fn lines_have_a_mark_for_each_value() {
        let lines = Lines {
            title: "t".to_owned(),
            x_unit: "h".to_owned(),
            y_unit: "ms".to_owned(),
            xs: vec![1.0, 6.0, 24.0],
            series: vec![series("x", &[Some(1.0), None, Some(3.0)])],
        };
        assert_eq!(lines.svg().matches("height=\"6.0\"").count(), 2);
    }

    #[test]
    fn short_numbers() {
        let texts = [(0.001, "0.001"), (0.1, "0.1"), (12.0, "12"), (123.4, "123"), (0.0, "0")];
        for (value, text) in texts {
            assert_eq!(short(value), text);
        }
    }
}
