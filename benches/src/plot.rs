//! Curves as SVG, for documents: panels side by side, each with its own steps on the horizontal axis.

use std::fmt::Write;

use crate::report::Spread;

/// One plot.
pub(crate) struct Panel {
    pub(crate) title: String,
    /// What stands under each step.
    pub(crate) steps: Vec<String>,
    pub(crate) curves: Vec<Curve>,
}

/// A line through medians, with a bar from the lowest to the highest at each.
pub(crate) struct Curve {
    pub(crate) name: String,
    /// One for each step, at most.
    pub(crate) values: Vec<Spread>,
}

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 300.0;
/// Between the border of a panel and its axes.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 72.0;
/// Dark enough on white, and told apart without seeing red or green.
const COLOURS: [&str; 4] = ["#0060a8", "#c04000", "#007a5e", "#7a4a8c"];

/// The panels in a row. `unit` stands beside the vertical axes, which begin at zero.
pub(crate) fn svg(panels: &[Panel], unit: &str) -> String {
    let width = WIDTH * panels.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (i, panel) in panels.iter().enumerate() {
        put(&mut out, format_args!("<g transform=\"translate({} 0)\">", WIDTH * i as f64));
        panel.draw(unit, &mut out);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

impl Panel {
    fn draw(&self, unit: &str, out: &mut String) {
        let values = self.curves.iter().flat_map(|curve| &curve.values);
        let scale = Scale::up_to(values.map(|value| value.max).fold(0.0, f64::max));
        put(out, format_args!("<text x=\"{LEFT}\" y=\"16\" font-weight=\"bold\">{}</text>", escaped(&self.title)));
        put(out, format_args!("<text x=\"{LEFT}\" y=\"30\" fill=\"#666\">{}</text>", escaped(unit)));
        for line in scale.lines() {
            let y = scale.y(line);
            let right = WIDTH - RIGHT;
            put(out, format_args!("<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>"));
            put(out, format_args!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{line}</text>", LEFT - 6.0, y + 4.0));
        }
        for (i, step) in self.steps.iter().enumerate() {
            let (x, y) = (self.x(i), HEIGHT - BOTTOM + 16.0);
            put(out, format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", escaped(step)));
        }
        for (i, (curve, colour)) in self.curves.iter().zip(COLOURS.iter().cycle()).enumerate() {
            self.draw_curve(curve, colour, &scale, out);
            let (x, y) = (LEFT + 90.0 * (i % 3) as f64, HEIGHT - 34.0 + 16.0 * (i / 3) as f64);
            put(out, format_args!("<path d=\"M{x} {}h14\" stroke=\"{colour}\" stroke-width=\"2\"/>", y - 4.0));
            put(out, format_args!("<text x=\"{}\" y=\"{y}\">{}</text>", x + 18.0, escaped(&curve.name)));
        }
    }

    fn draw_curve(&self, curve: &Curve, colour: &str, scale: &Scale, out: &mut String) {
        let mut line = String::new();
        for (i, value) in curve.values.iter().enumerate() {
            let (x, y) = (self.x(i), scale.y(value.median));
            let _ = write!(line, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
            let (low, high) = (scale.y(value.min), scale.y(value.max));
            put(out, format_args!("<path d=\"M{x:.1} {low:.1}V{high:.1}\" stroke=\"{colour}\" opacity=\"0.4\"/>"));
            put(out, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"/>"));
        }
        put(out, format_args!("<path d=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
    }

    /// Steps are evenly spread, half a step from the borders.
    fn x(&self, step: usize) -> f64 {
        let each = (WIDTH - LEFT - RIGHT) / self.steps.len().max(1) as f64;
        LEFT + each * (step as f64 + 0.5)
    }
}

/// The vertical axis: from zero to a round number.
struct Scale {
    step: f64,
    top: f64,
}

impl Scale {
    /// Three to six lines up to `most` and a little more.
    fn up_to(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let decade = 10_f64.powf((most / 4.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * decade).into_iter().find(|step| step * 5.0 >= most);
        let step = step.unwrap_or(10.0 * decade);
        Self { step, top: (most / step).ceil() * step }
    }

    fn lines(&self) -> impl Iterator<Item = f64> {
        (0..=(self.top / self.step).round() as u32).map(|i| f64::from(i) * self.step)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top
    }
}

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(what);
    out.push('\n');
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(values: &[f64]) -> Panel {
        let values: Vec<_> = values.iter().map(|value| Spread::of([*value])).collect();
        let steps = (0..values.len()).map(|i| format!("<{i}>")).collect();
        Panel { title: "a & b".into(), steps, curves: vec![Curve { name: "ours".into(), values }] }
    }

    #[test]
    fn every_value_has_its_point_and_every_text_is_escaped() {
        let text = svg(&[panel(&[4500.0, 9000.0]), panel(&[1.0])], "ns");
        assert_eq!(text.matches("<circle").count(), 3);
        assert_eq!(text.matches("<g ").count(), text.matches("</g>").count());
        for part in ["a &amp; b", "&lt;1&gt;", ">ours<", "viewBox=\"0 0 680 300\"", ">10000<"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("<0>") && !text.contains("NaN"), "{text}");
    }

    #[test]
    fn the_axis_ends_at_a_round_number_that_is_high_enough() {
        for (most, top) in [(9000.0, 10_000.0), (4.2, 5.0), (0.0, 1.0), (123.0, 150.0), (7.0, 8.0)] {
            let scale = Scale::up_to(most);
            assert_eq!(scale.top, top, "{most}");
            assert!((3..=7).contains(&scale.lines().count()), "{most}");
        }
    }

    #[test]
    fn a_plot_of_nothing_is_a_plot() {
        assert!(!svg(&[panel(&[])], "ns").contains("NaN"));
    }
}
