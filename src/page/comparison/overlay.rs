//! The curves of both builds on one chart: of every run, and of all runs together.

use std::fmt::Write as _;

use super::run::Build;
use crate::page::colour::{Colour, RESPONSE, SERVICE};
use crate::page::curve::{Chart, Point, points};
use crate::page::svg::through;

/// Base and candidate, here and in the other charts.
pub(super) const COLOURS: [Colour; 2] = [RESPONSE, SERVICE];
/// Single runs are drawn this coarsely, pixels: there are many of them.
const NEAR: f64 = 4.0;

/// The chart; nothing without a sample of either build.
pub(super) fn chart(builds: &[Build; 2], labels: &[String; 2]) -> String {
    let pooled = builds.each_ref().map(|build| build.times.as_ref().map(points).unwrap_or_default());
    let most = builds.iter().filter_map(|build| Some(build.times.as_ref()?.len())).max().unwrap_or(0);
    let every = || builds.iter().flat_map(|build| &build.lines).chain(&pooled).flatten();
    let times = every().map(|point| point.ns);
    let Some(chart) = Chart::around(times, most, (1_080.0, 340.0)) else { return String::new() };
    let [base, candidate] = labels;
    let mut out = chart.open(&format!(
        "Percentile curves of response times of {base} and {candidate}, run by run and pooled"
    ));
    for (build, colour) in builds.iter().zip(COLOURS) {
        thin(&mut out, &chart, &build.lines, colour);
    }
    let (mut ends, mut dotted) = (Vec::new(), false);
    for nth in [0, 1] {
        dotted |= chart.curve(&mut out, &pooled[nth], builds[nth].floor, (COLOURS[nth], ""));
        ends.push((labels[nth].as_str(), COLOURS[nth], pooled[nth].last()));
    }
    chart.close(out, &ends, dotted)
}

/// Single runs, as one path.
fn thin(out: &mut String, chart: &Chart, lines: &[Vec<Point>], Colour { name, value }: Colour) {
    let whole = |(x, y): (f64, f64)| (x.round(), y.round());
    let path =
        |points: &Vec<Point>| through(&chart.place(points, NEAR).into_iter().map(whole).collect::<Vec<_>>());
    let data: String = lines.iter().map(path).collect();
    if !data.is_empty() {
        let _ = write!(
            out,
            "<path d=\"{data}\" class=\"s-{name}\" stroke=\"{value}\" stroke-width=\"0.8\" stroke-opacity=\"0.4\" fill=\"none\" \
             stroke-linejoin=\"round\"/>"
        );
    }
}
