//! The page of a search for a capacity: the answer, the curve behind it, every probe, and how it was made.

mod curve;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::escape::{Escaped, clip};
use super::head::{Banner, alert, chip, started, tile};
use super::section::{address, facts, machine, scenario};
use super::table::{Align, Cell, Table, class_of};
use super::{Part, SCRIPT, STYLE, Sheet, card, figure, soft};
use crate::capacity::{Finding, Scalability, Verdict};
use crate::display::Tone;
use crate::display::capacity::{HEADER, Outline, factor, finding, remarks, row, shown, tone};
use crate::display::figure::rate;
use crate::results::Manifest;
use crate::units::{part_of, plural};

/// Probes in the table.
const MOST_ROWS: usize = 250;

/// What the answer itself does not say: how the search was made, and where its files are.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// How it was made, by name.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// The directory of each probe's run.
    pub(crate) runs: Vec<PathBuf>,
    /// The files of the search.
    pub(crate) files: Vec<PathBuf>,
    /// When it began, RFC 3339.
    pub(crate) started: String,
    pub(crate) tool_version: String,
    /// The manifest of a probe, if there is one.
    pub(crate) first: Option<Manifest>,
}

/// The page of a search that was made as `origin` says; `link` gives the way to a file as seen from where the page will be, a relative
/// path.
pub(crate) fn page(outline: &Outline<'_>, origin: &Origin, link: &dyn Fn(&Path) -> String) -> String {
    let (tone, answer) = finding(outline);
    let edge = match tone {
        Tone::Good => "card alert good-edge",
        Tone::Bad => "card alert bad-edge",
        _ => "card alert",
    };
    let why = remarks(outline);
    let why: Vec<&str> = why.iter().map(String::as_str).collect();
    let part =
        |anchor, [word, title]: [&'static str; 2], about, body| Part { anchor, word, title, about, body };
    let curves_about = "Every mark is a run. Goodput is what was answered ok while the load lasted; the dotted line is all that was \
                        offered. The band is the interval of the answer.";
    let sheet = Sheet {
        title: format!("{}: {} · squall", clip(outline.scenario, 80), clip(&answer, 80)),
        banner: banner(outline, origin, (tone, &answer)),
        is_muted: false,
        is_live: false,
        first: alert(edge, "Why.", &why) + &tiles(outline),
        parts: vec![
            part("curve", ["Curve", "Offered load, goodput and p99"], curves_about, curves(outline)),
            part("probes", ["Probes", "Every probe"], "", probes(outline, origin, link)),
            part("made", ["How it was made", "How it was made"], "", made(origin, link)),
        ],
        source: format!("a search for the capacity of {}", clip(outline.scenario, 120)),
        scripts: format!("<script>{SCRIPT}</script>"),
    };
    sheet.draw()
}

fn banner(outline: &Outline<'_>, origin: &Origin, (tone, answer): (Tone, &str)) -> Banner {
    let probes = outline.answer.probes.len() as u64;
    let mut facts = vec![started(&origin.started), format!("<b>{}</b>", Escaped(plural(probes, "probe")))];
    facts.push(Escaped(crate::display::length(outline.took_s)).to_string());
    facts.push(format!("squall {}", Escaped(clip(&origin.tool_version, 24))));
    let mut chips = String::new();
    let word = match outline.answer.finding {
        Finding::Knee { .. } => "knee found",
        Finding::Open { .. } => "not yet as close as asked for",
        Finding::AtLeast { .. } => "beyond what was probed",
        Finding::AtMost { .. } => "below what was probed",
        Finding::Unsteady { .. } => "did not hold still",
        Finding::Unknown => "unknown",
    };
    chip(&mut chips, tone, word, "curve");
    let of = |verdict: Verdict| {
        let own = outline.answer.probes.iter().filter(|probe| probe.verdict == verdict);
        own.count() as u64
    };
    for (verdict, words) in
        [(Verdict::GeneratorLimited, "limited by the generator"), (Verdict::Unjudged, "not judged")]
    {
        if of(verdict) > 0 {
            let words = format!("{} {words}", part_of(of(verdict), probes, "probe"));
            chip(&mut chips, Tone::Warning, &words, "probes");
        }
    }
    let mut sentence = answer.to_owned();
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Banner {
        name: outline.scenario.to_owned(),
        about: format!("the highest load at which {} holds", outline.demands.join(" and ")),
        facts,
        chips,
        lede: format!("<b class=\"{}\">{}</b>.", class_of(tone), Escaped(sentence)),
    }
}

/// The answer's figures.
fn tiles(outline: &Outline<'_>) -> String {
    let answer = outline.answer;
    let mut out = String::new();
    if let Finding::Knee { factor: knee, low, high } | Finding::Open { factor: knee, low, high } =
        answer.finding
    {
        let sure = format!("{} to {}, {:.0} % sure", factor(low), factor(high), answer.confidence * 100.0);
        tile(&mut out, "capacity, times the load", &factor(knee), &sure, "");
        if outline.planned_per_s > 0.0 {
            let at = |load: f64| rate(outline.planned_per_s * load, STYLE);
            tile(&mut out, "in readings", &at(knee), &format!("{} to {}", at(low), at(high)), "");
        }
    }
    let most = answer.probes.iter().max_by(|one, other| one.goodput_per_s.total_cmp(&other.goodput_per_s));
    if let Some(most) = most {
        let offered = format!("at {} offered", rate(most.offered_per_s, STYLE));
        tile(&mut out, "most goodput", &rate(most.goodput_per_s, STYLE), &offered, "");
    }
    let held = answer.probes.iter().filter(|probe| probe.verdict == Verdict::Met);
    if let Some(most) = held.max_by(|one, other| one.factor.total_cmp(&other.factor)) {
        let probe = format!("probe {}", most.number);
        tile(&mut out, "highest load that held", &factor(most.factor), &probe, "");
    }
    if out.is_empty() { out } else { format!("<div class=\"tiles\">{out}</div>") }
}

fn curves(outline: &Outline<'_>) -> String {
    let (goodput, p99) = curve::charts(outline.answer);
    let mut out = String::new();
    for (chart, caption) in [(goodput, "Goodput"), (p99, "Response time, p99")] {
        if !chart.is_empty() {
            out += &figure(&chart, caption);
        }
    }
    out + &outline.answer.scalability.map(|law| soft(&law_sentence(&law))).unwrap_or_default()
}

/// What the law says, as far as it was measured.
fn law_sentence(law: &Scalability) -> String {
    let peak = law.peak().map_or_else(
        || "by it, more load never makes less goodput".to_owned(),
        |peak| {
            let measured = if peak.is_extrapolated { ", which is beyond what was measured" } else { "" };
            format!(
                "by it, goodput is largest, {}, at {} times the load{measured}",
                rate(peak.goodput_per_s, STYLE),
                factor(peak.factor)
            )
        },
    );
    format!(
        "The thin line is the Universal Scalability Law, off by {:.1} %: contention {:.4}, coherency {:.6}; {peak}",
        law.error * 100.0,
        law.contention,
        law.coherency
    )
}

/// Every probe in the order of loads, with a link to its run.
fn probes(outline: &Outline<'_>, origin: &Origin, link: &dyn Fn(&Path) -> String) -> String {
    let columns = HEADER.into_iter().map(|name| (name, Align::Right));
    let columns = columns.chain([("run", Align::Left), ("measurement", Align::Left)]);
    let mut table = Table::new("every probe", columns);
    let places = shown(outline.answer, MOST_ROWS);
    for place in &places {
        let (probe, trial) = (&outline.answer.probes[*place], outline.trials.get(*place));
        let mut cells: Vec<_> = row(probe, trial, STYLE).iter().map(|text| Cell::text(text)).collect();
        if let Some(tone) = tone(probe) {
            let verdict = Cell::text(probe.verdict.name()).toned(tone);
            if let Some(cell) = cells.iter_mut().rev().nth(1) {
                *cell = verdict;
            }
        }
        cells.push(
            origin.runs.get(*place).map_or_else(|| Cell::text(""), |run| Cell::markup(anchor(run, link))),
        );
        let reason = trial.map_or_else(String::new, |trial| {
            let reasons = trial.reasons.first().map(|reason| format!(": {reason}"));
            format!("{}{}", trial.validity, reasons.unwrap_or_default())
        });
        cells.push(Cell::text(&clip(&reason, 200)).wrapped());
        table.row(cells);
    }
    let more = outline.answer.probes.len() - places.len();
    let more = if more > 0 {
        format!("{} in capacity.csv · ", plural(more as u64, "further probe"))
    } else {
        String::new()
    };
    let note =
        format!("{more}used: how much of its bound the tightest budget took · probe: in the order of time");
    card(&(table.draw() + &soft(&note)))
}

fn made(origin: &Origin, link: &dyn Fn(&Path) -> String) -> String {
    let mut rows = origin.facts.clone();
    if let Some(first) = &origin.first {
        rows.push(("generator", machine(&first.host)));
        rows.extend(
            first.fleets.iter().take(20).map(|fleet| ("target of the first probe", fleet.sentence())),
        );
    }
    let mut out = facts(&rows);
    out += &origin.first.as_ref().map(|first| scenario(&first.scenario.text)).unwrap_or_default();
    let files: Vec<_> = origin.files.iter().map(|file| anchor(file, link)).collect();
    if !files.is_empty() {
        let _ = write!(
            out,
            "<p class=\"soft\">Files of the search, as long as this page stands where it was written: {}</p>",
            files.join(", ")
        );
    }
    card(&out)
}

fn anchor(path: &Path, link: &dyn Fn(&Path) -> String) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let reference = address(&link(path));
    format!("<a href=\"{}\">{}</a>", reference.trim_end_matches('/'), Escaped(clip(&name, 60)))
}
