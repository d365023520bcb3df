//! Drawing: SVG whose sizes and colours are attributes, so that it is whole where styles and scripts are forbidden. Classes let the
//! style sheet replace the colours.

use std::fmt::{self, Display, Write as _};

use super::colour::{CARD, Colour, GRID, SOFT};
use super::escape::Escaped;

/// A length in pixels, to a tenth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Px(pub(super) f64);

impl Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        let (whole, rest) = (tenths.abs() / 10, tenths.abs() % 10);
        let sign = if tenths < 0 { "-" } else { "" };
        if rest == 0 { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{rest}") }
    }
}

/// Where a text stands on its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// How a text is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pen {
    pub(super) colour: Colour,
    pub(super) anchor: Anchor,
    /// With an edge in the colour of the ground, to be read on a chart.
    pub(super) halo: bool,
    /// The time it belongs to, so that zooming moves it.
    pub(super) at_s: Option<f64>,
}

impl Pen {
    pub(super) const fn new(colour: Colour, anchor: Anchor) -> Self {
        Self { colour, anchor, halo: false, at_s: None }
    }

    /// The label of an axis.
    pub(super) const fn axis() -> Self {
        Self::new(SOFT, Anchor::End)
    }

    pub(super) const fn halo(self) -> Self {
        Self { halo: true, ..self }
    }

    pub(super) const fn at(self, at_s: f64) -> Self {
        Self { at_s: Some(at_s), ..self }
    }
}

pub(super) fn text(out: &mut String, (x, y): (f64, f64), words: impl Display, pen: Pen) {
    let Pen { colour, anchor, halo, at_s } = pen;
    let _ = write!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"{}\" fill=\"{}\" \
         class=\"t-{}{}\"",
        Px(x),
        Px(y),
        anchor.name(),
        colour.value,
        colour.name,
        if halo { " s-card" } else { "" }
    );
    if halo {
        let _ = write!(out, " paint-order=\"stroke\" stroke=\"{}\" stroke-width=\"3.5\"", CARD.value);
    }
    if let Some(at_s) = at_s {
        let _ = write!(out, " data-t=\"{at_s:.3}\"");
    }
    let _ = write!(out, ">{}</text>", Escaped(words));
}

/// About how wide a text is; nothing measures it without a browser.
pub(super) fn width_of(words: &str) -> f64 {
    6.3 * words.chars().count() as f64
}

/// A filled rectangle.
pub(super) fn rect(out: &mut String, [x, y, width, height]: [f64; 4], fill: Colour, opacity: f64) {
    let _ = write!(
        out,
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\" class=\"f-{}\"{}/>",
        Px(x),
        Px(y),
        Px(width),
        Px(height),
        fill.value,
        fill.name,
        Opacity("fill", opacity)
    );
}

struct Opacity(&'static str, f64);

impl Display for Opacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 < 1.0 { write!(f, " {}-opacity=\"{}\"", self.0, self.1) } else { Ok(()) }
    }
}

/// A filled path.
pub(super) fn area(out: &mut String, data: &str, fill: Colour, opacity: f64) {
    if !data.is_empty() {
        let (value, name, opacity) = (fill.value, fill.name, Opacity("fill", opacity));
        let _ = write!(out, "<path d=\"{data}\" fill=\"{value}\" class=\"f-{name}\"{opacity}/>");
    }
}

/// A line of `width` pixels, however its chart is stretched; `dashes` as in `stroke-dasharray`, or empty.
pub(super) fn line(out: &mut String, data: &str, colour: Colour, width: f64, dashes: &str) {
    if data.is_empty() {
        return;
    }
    let Colour { name, value } = colour;
    let _ = write!(
        out,
        "<path d=\"{data}\" class=\"s-{name}\" stroke=\"{value}\" stroke-width=\"{width}\" fill=\"none\" \
         stroke-linejoin=\"round\" vector-effect=\"non-scaling-stroke\""
    );
    if !dashes.is_empty() {
        let _ = write!(out, " stroke-dasharray=\"{dashes}\"");
    }
    out.push_str("/>");
}

/// The data of a line through `points`.
pub(super) fn through(points: &[(f64, f64)]) -> String {
    let mut data = String::new();
    for (place, (x, y)) in points.iter().enumerate() {
        let _ = write!(data, "{}{},{}", if place == 0 { 'M' } else { 'L' }, Px(*x), Px(*y));
    }
    data
}

/// The data of lines through stretches of points, broken where there is none. A point alone is a short dash.
pub(super) fn broken(points: &[Option<(f64, f64)>]) -> String {
    let mut data = String::new();
    for stretch in points.split(Option::is_none) {
        let stretch: Vec<_> = stretch.iter().copied().flatten().collect();
        match stretch.as_slice() {
            [] => {}
            [(x, y)] => {
                let _ = write!(data, "M{},{}h2", Px(x - 1.0), Px(*y));
            }
            points => data += &through(points),
        }
    }
    data
}

/// `points` without those that a picture cannot show.
pub(super) fn thinned(points: &[(f64, f64)], least: f64) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for point in points {
        let near = |last: &(f64, f64)| (last.0 - point.0).abs() < least && (last.1 - point.1).abs() < least;
        if !kept.last().is_some_and(near) {
            kept.push(*point);
        }
    }
    if let (Some(last), Some(end)) = (kept.last(), points.last())
        && last != end
    {
        kept.push(*end);
    }
    kept
}

/// A line of the grid from `x` to `to` at `y`, and the label before it.
pub(super) fn grid_line(out: &mut String, (x, to): (f64, f64), y: f64, label: impl Display) {
    line(out, &format!("M{},{}H{}", Px(x), Px(y), Px(to)), GRID, 1.0, "");
    text(out, (x - 8.0, y + 4.0), label, Pen::axis());
}

/// The beginning of a chart of its own, which `describe` describes to those who do not see it.
pub(super) fn open(width: f64, height: f64, class: &str, describe: &str) -> String {
    let (width, height, describe) = (Px(width), Px(height), Escaped(describe));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" class=\"{class}\" role=\"img\" aria-label=\"{describe}\" font-size=\"11.5\" \
         font-family=\"sans-serif\">"
    )
}

/// A small chart within a line of text or a cell.
pub(super) fn small(width: f64, height: f64, class: &str, describe: &str) -> String {
    let describe = Escaped(describe);
    format!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" class=\"{class}\" role=\"img\" \
         aria-label=\"{describe}\">"
    )
}

/// A logarithmic scale of times, nanoseconds, from `low` at `bottom` to `high` at `top`.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogScale {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl LogScale {
    /// Half decades around all of `values`, and at least one decade; `None` without a value.
    pub(super) fn around(values: impl Iterator<Item = u64>, top: f64, bottom: f64) -> Option<Self> {
        let (mut least, mut most) = (u64::MAX, 0);
        for value in values {
            (least, most) = (least.min(value.max(1)), most.max(value.max(1)));
        }
        if most == 0 {
            return None;
        }
        let half = |value: f64, round: fn(f64) -> f64| round(libm::log10(value) * 2.0) / 2.0;
        let low = half(least as f64, f64::floor).max(0.0);
        let high = half(most as f64 * 1.08, f64::ceil).max(low + 1.0);
        Some(Self { low: libm::pow(10.0, low), high: libm::pow(10.0, high), top, bottom })
    }

    pub(super) fn decades(&self) -> f64 {
        libm::log10(self.high / self.low)
    }

    pub(super) fn y(&self, ns: u64) -> f64 {
        let value = (ns as f64).clamp(self.low, self.high);
        self.bottom - (self.bottom - self.top) * libm::log10(value / self.low) / self.decades()
    }

    /// Whole decades, nanoseconds.
    pub(super) fn ticks(&self) -> impl Iterator<Item = u64> {
        let (low, high) = (self.low * 0.999, self.high * 1.001);
        let decades = (0..19).map(|decade| 10_u64.pow(decade));
        decades.filter(move |tick| (low..=high).contains(&(*tick as f64)))
    }
}

/// A scale from 0 at `bottom` to somewhat above `most` at `top`.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinearScale {
    pub(super) most: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl LinearScale {
    pub(super) fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * value / (self.most.max(1e-9) * 1.04)
    }

    /// At most `count` round steps from 0 on.
    pub(super) fn ticks(&self, count: f64) -> Vec<f64> {
        let most = self.most.max(1e-9);
        let nice = libm::pow(10.0, libm::log10(most).floor());
        let steps = [0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * nice);
        let step = steps.into_iter().find(|step| most / step <= count).unwrap_or(most);
        (0..=(most / step + 1e-9) as u32).map(|nth| f64::from(nth) * step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short_and_lines_break_where_there_is_nothing() {
        let shown = [0.0, -0.04, 1.25, 12.0, -3.51].map(|x| Px(x).to_string());
        assert_eq!(shown, ["0", "0", "1.3", "12", "-3.5"]);
        let points = [Some((0.0, 1.0)), Some((2.0, 3.5)), None, Some((5.0, 6.0)), None];
        assert_eq!(broken(&points), "M0,1L2,3.5M4,6h2");
        assert_eq!(thinned(&[(0.0, 0.0), (0.2, 0.1), (3.0, 0.0), (3.1, 0.0)], 0.6).len(), 3);
    }

    #[test]
    fn scales_have_room_for_every_value_and_round_ticks() {
        let scale = LogScale::around([412_000, 5_000_000_000].into_iter(), 0.0, 100.0).unwrap();
        assert_eq!(scale.ticks().count(), 5, "1 ms to 10 s, and half a decade below");
        assert!(scale.y(412_000) <= 100.0 && scale.y(5_000_000_000) >= 0.0 && scale.y(1) <= 100.0);
        let one = LogScale::around([1_000].into_iter(), 0.0, 1.0).unwrap();
        assert!(one.decades() >= 1.0 - 1e-9 && LogScale::around([].into_iter(), 0.0, 1.0).is_none());
        for (most, ticks) in [(4_116.0, 5), (1.0, 5), (0.4, 5), (30.0, 4), (0.0, 5)] {
            let scale = LinearScale { most, top: 0.0, bottom: 1.0 };
            assert!(scale.ticks(4.0).len() <= ticks, "{most}: {:?}", scale.ticks(4.0));
        }
    }

    #[test]
    fn texts_are_escaped() {
        let mut out = String::new();
        text(&mut out, (1.0, 2.0), "<b>", Pen::axis().halo().at(1.5));
        insta::assert_snapshot!(out, @r##"<text x="1" y="2" text-anchor="end" fill="#59616d" class="t-soft s-card" paint-order="stroke" stroke="#ffffff" stroke-width="3.5" data-t="1.500">&lt;b&gt;</text>"##);
    }
}
