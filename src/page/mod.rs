//! A run or a comparison on one page: a self-contained HTML file that loads nothing, whose charts are whole without scripts and styles.
//! The same files give the same bytes.
//!
//! Every number is made by the functions that make those of the terminal's report. The scripts add a cursor, zoom, keys and a theme.

pub(crate) mod capacity;
mod colour;
pub(crate) mod comparison;
mod curve;
mod escape;
pub(crate) mod exercise;
mod fault;
mod fleet;
mod head;
mod section;
mod service;
mod strip;
mod svg;
mod table;
mod target;
mod timeline;

use std::fmt::Write as _;

use colour::{GOOD, LINES, RESPONSE, SERVICE};
use curve::Series;
use escape::{Escaped, clip};
use head::Banner;
use timeline::Frame;

use crate::display::Style;
use crate::display::figure::{self, Marks};
use crate::record::Outcomes;
use crate::results::{History, Millis, Report, SummaryRow};
use crate::units::plural;

/// As the plain report of the terminal prints figures: what stands on one can be searched for in the other.
const STYLE: Style = Style::PLAIN;

const STYLES: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// What follows a run that goes on: the only script that asks for anything, and only where the page itself came from.
const LIVE: &str = include_str!("live.js");

/// The page of a run with its history, whose files lie at `base` as seen from where the page will be: a relative path, or nothing for
/// the same folder.
pub(crate) fn run(report: &Report, history: &History, base: &str) -> String {
    sheet(report, history, base).draw()
}

/// The page of a run under way, which follows what `/events` tells of it.
pub(crate) fn live(report: &Report, history: &History) -> String {
    Sheet { is_live: true, ..sheet(report, history, "") }.draw()
}

fn sheet(report: &Report, history: &History, base: &str) -> Sheet {
    let frame = Frame { history, faults: &report.faults };
    let data =
        || format!("<script type=\"application/json\" id=\"data\">{}</script>", timeline::data(&frame));
    let scripts = if history.columns.is_empty() {
        String::new()
    } else {
        data() + &format!("<script>{SCRIPT}</script>")
    };
    Sheet {
        title: head::title(report),
        banner: head::banner(report),
        is_muted: report.run.is_invalid(),
        is_live: false,
        first: head::reasons(report) + &head::tiles(report),
        parts: sections(report, &frame, base),
        source: clip(&report.run.run_id, 120),
        scripts,
    }
}

/// A page: what it has in common with all others is said here.
struct Sheet {
    title: String,
    banner: Banner,
    /// Whether its figures are no evidence.
    is_muted: bool,
    /// Whether it follows a run under way.
    is_live: bool,
    /// What stands before the parts.
    first: String,
    parts: Vec<Part>,
    /// What it was made from.
    source: String,
    scripts: String,
}

impl Sheet {
    fn draw(&self) -> String {
        let mut nav = String::new();
        for part in self.parts.iter().filter(|part| !part.body.is_empty()) {
            let _ = write!(nav, "<a href=\"#{}\">{}</a> ", part.anchor, part.word);
        }
        let (connect, bar, follow) = if self.is_live {
            (
                " connect-src 'self';",
                "<p id=\"live\" class=\"card\">the run is under way</p>",
                format!("<script>{LIVE}</script>"),
            )
        } else {
            ("", "", String::new())
        };
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width,initial-scale=1\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src \
             'none';{connect} style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action \
             'none'\"><title>{}</title><link rel=\"icon\" href=\"data:,\"><style>{STYLES}</style></head><body><a class=\"skip\" \
             href=\"#main\">to the figures</a>{}{bar}<main id=\"main\"{}>{}",
            Escaped(&self.title),
            self.banner.draw(&nav),
            if self.is_muted { " class=\"muted\"" } else { "" },
            self.first,
        );
        for part in &self.parts {
            part.draw(&mut out);
        }
        let _ = writeln!(
            out,
            "<footer>Made by squall from {}. This page loads nothing; it holds all it shows. Its charts work without JavaScript.\
             </footer></main>{}{follow}</body></html>",
            Escaped(&self.source),
            self.scripts
        );
        out
    }
}

/// A part of the page; left out where its body is empty.
struct Part {
    anchor: &'static str,
    /// In the list of parts.
    word: &'static str,
    title: &'static str,
    about: &'static str,
    body: String,
}

impl Part {
    fn draw(&self, out: &mut String) {
        let Self { anchor, title, about, body, .. } = self;
        if body.is_empty() {
            return;
        }
        let about = if about.is_empty() { String::new() } else { soft(about) };
        let _ = write!(
            out,
            "<section id=\"{anchor}\" aria-labelledby=\"h-{anchor}\"><h2 id=\"h-{anchor}\">{title}</h2>{about}{body}</section>"
        );
    }
}

fn sections(report: &Report, frame: &Frame<'_>, base: &str) -> Vec<Part> {
    let history = frame.history;
    let part =
        |anchor, [word, title]: [&'static str; 2], about, body| Part { anchor, word, title, about, body };
    let time = if history.columns.is_empty() { String::new() } else { timeline::figure(frame) };
    let curves_about = "Response time runs from the instant a reading was due; service time from the instant it was sent, as \
        closed-loop tools measure. The tinted gap is what they do not see. Lines end where fewer than 10 samples lie beyond.";
    let stages_about =
        "As the service says; network is the rest. Medians of parts need not add up to that of the whole.";
    let service_about = "As it counted, by when it did the work, not by when the readings were due.";
    let figures = if report.summary.is_empty() { String::new() } else { fleet::tables(report, history) };
    vec![
        part("time", ["Time line", "Time line"], "", time),
        part("curve", ["Percentiles", "Percentiles"], curves_about, curves(report, history)),
        part("fleets", ["Fleets", "Fleets and phases"], "", figures),
        part("stages", ["Where time goes", "Where the time goes"], stages_about, fleet::stage_bars(report)),
        part("service", ["Service", "The bundled service"], service_about, service::section(report)),
        part("failures", ["Failures", "Failures"], "", section::failures(report)),
        part("faults", ["Faults", "Faults and recovery"], "", fault::section(report)),
        part("budgets", ["Budgets", "Budgets"], "", section::budgets(report)),
        part(
            "delivery",
            ["Delivery", "Delivery"],
            "Over warm-up, measured phases and drain.",
            section::deliveries(report),
        ),
        part("detection", ["Detection", "Detection"], "", section::detections(report)),
        part("validity", ["Validity", "Can these figures be trusted?"], "", section::validity(report)),
        part("environment", ["Environment", "Environment"], "", section::environment(report, base)),
    ]
}

/// The smallest bound of a failed reading in the rows that `wanted` picks, nanoseconds.
fn floor(report: &Report, wanted: impl Fn(&SummaryRow) -> bool) -> Option<u64> {
    let rows = report.summary.iter().filter(|row| row.is_measured() && wanted(row));
    rows.filter_map(|row| row.figures.censored_floor_ms.map(Millis::as_ns)).min()
}

fn curves(report: &Report, history: &History) -> String {
    let curves = &history.curves;
    let mut whole = Vec::new();
    if let Some(times) = &curves.response {
        let floor = floor(report, |_| true);
        whole.push(Series { label: "response", colour: RESPONSE, times, dashes: "", floor });
    }
    if let Some(times) = &curves.service {
        whole.push(Series { label: "service", colour: SERVICE, times, dashes: "6 4", floor: None });
    }
    let has_failures = curves.censored.as_ref().is_some_and(|times| !times.is_empty());
    if let Some(times) = curves.ok.as_ref().filter(|_| has_failures) {
        whole.push(Series { label: "ok only", colour: GOOD, times, dashes: "2 3", floor: None });
    }
    let parts = |named: &'_ [(String, hdrhistogram::Histogram<u64>)], of: fn(&SummaryRow) -> &str| {
        let series: Vec<_> = named
            .iter()
            .zip(LINES)
            .map(|((name, times), colour)| {
                let floor = floor(report, |row| of(row) == name);
                Series { label: name, colour, times, dashes: "", floor }
            })
            .collect();
        if series.len() > 1 { curve::curves(&series, 530.0, 280.0) } else { String::new() }
    };
    let parts = [
        ("Response time by phase", parts(&curves.phases, |row| &row.phase)),
        ("Response time by fleet", parts(&curves.fleets, |row| &row.fleet)),
    ];
    curve::figures(&curve::curves(&whole, 1_080.0, 330.0), &parts)
}

/// How readings ended, in the order of [`colour::OUTCOMES`].
const fn outcome_counts(outcomes: &Outcomes) -> [u64; 6] {
    let Outcomes { ok, shed, error, timeout, lost, dropped, .. } = *outcomes;
    [ok, shed, error, timeout, lost, dropped]
}

/// A time as the report prints it.
fn span(ns: u64) -> String {
    figure::time(ns, STYLE)
}

/// A round time at an axis, without idle zeros.
fn tick(ns: u64) -> String {
    figure::round_time(ns, STYLE)
}

/// A chart with its caption, which scrolls where the screen is narrow.
fn figure(chart: &str, caption: &str) -> String {
    let caption = if caption.is_empty() {
        String::new()
    } else {
        format!("<figcaption>{}</figcaption>", Escaped(caption))
    };
    format!("<figure class=\"scroll\" tabindex=\"0\" aria-label=\"Chart\">{chart}{caption}</figure>")
}

/// Figures side by side; narrow screens have them one above the other.
fn two(figures: &[String]) -> String {
    if figures.is_empty() { String::new() } else { format!("<div class=\"two\">{}</div>", figures.concat()) }
}

fn card(body: &str) -> String {
    format!("<div class=\"card\">{body}</div>")
}

fn soft(text: &str) -> String {
    format!("<p class=\"soft\">{}</p>", Escaped(text))
}

/// That `more` of what `noun` names are not shown here, and the file that has them; nothing where all are shown.
fn omitted(more: usize, noun: &str, file: &str) -> String {
    let named = || soft(&format!("{} in {file}", plural(more as u64, &format!("further {noun}"))));
    if more > 0 { named() } else { String::new() }
}

fn footnotes(marks: Marks) -> String {
    let notes = figure::footnotes(marks);
    if notes.is_empty() { String::new() } else { soft(&notes.join(" · ")) }
}

#[cfg(test)]
mod tests;
