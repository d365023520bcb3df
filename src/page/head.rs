//! The head of the page: what was run, how it is judged, and the run in two sentences.

use std::fmt::Write as _;

use super::colour::{BAD, CARD, Colour, GOOD, WARNING};
use super::escape::{Escaped, clip};
use super::table::class_of;
use super::{STYLE, fault, soft};
use crate::display::budget::counted;
use crate::display::figure::{Marks, count, percent, percent_up, rate, time};
use crate::display::{Tone, failure, verdict};
use crate::record::Judgement;
use crate::results::{
    BudgetResult, FleetTarget, Percentile, PlanAlteration, Recovery, Report, RunState, SummaryRow,
};
use crate::units::{Quantile, part_of, plural};

/// Chips for single faults and promises; of more, all together are counted.
const MOST_CHIPS: usize = 6;
const MOST_REASONS: usize = 12;

/// The headline row, if anything came due.
pub(super) fn headline(report: &Report) -> Option<&SummaryRow> {
    report.headline().filter(|row| row.figures.planned > 0)
}

/// The title of the page: tabs and previews show it.
pub(super) fn title(report: &Report) -> String {
    let run = &report.run;
    let not_recovered = report.faults.iter().any(|outage| outage.state == Recovery::NotRecovered);
    let word = if run.is_invalid() {
        "INVALID".to_owned()
    } else if run.state != RunState::Complete {
        run.ending().to_owned()
    } else if budgets(&run.budgets).0 > 0 {
        "budgets failed".to_owned()
    } else if report.unguarded_failures().is_some() {
        let figures = report.headline().map(|row| (row.figures.planned, row.figures.ok)).unwrap_or_default();
        format!("{} failed", percent_up(figures.0.saturating_sub(figures.1), figures.0))
    } else if not_recovered {
        "NOT RECOVERED".to_owned()
    } else {
        run.validity.as_ref().map_or("not judged", |validity| validity.verdict.name()).to_owned()
    };
    format!("{} · {word} · squall", clip(&run.scenario.name, 80))
}

/// How many budgets failed, and how many were not judged.
fn budgets(results: &[BudgetResult]) -> (usize, usize) {
    let unmet = results.iter().filter(|result| !result.met);
    let (open, failed): (Vec<_>, Vec<_>) = unmet.partition(|result| result.unjudged);
    (failed.len(), open.len())
}

/// What the scenario says it is about.
fn about(report: &Report) -> Option<String> {
    let document: toml::Table = report.run.scenario.text.parse().ok()?;
    Some(document.get("scenario")?.get("about")?.as_str()?.to_owned())
}

/// Everything above the figures.
pub(super) struct Banner {
    pub(super) name: String,
    pub(super) about: String,
    /// Markup, as are the chips and the lede.
    pub(super) facts: Vec<String>,
    pub(super) chips: String,
    pub(super) lede: String,
}

impl Banner {
    pub(super) fn draw(&self, nav: &str) -> String {
        let Self { name, about, facts, chips, lede } = self;
        let about = if about.is_empty() {
            String::new()
        } else {
            format!(" <small>{}</small>", Escaped(clip(about, 300)))
        };
        format!(
            "<header><div class=\"in\"><h1>{}{about}</h1><p class=\"meta\">{}</p><div class=\"chips\">{chips}</div><p \
             class=\"lede\">{lede}</p><nav aria-label=\"Sections\">{nav}<span class=\"sp\"></span><button hidden id=\"theme\" \
             type=\"button\">light / dark</button></nav></div></header>",
            Escaped(clip(name, 120)),
            facts.join(" · "),
        )
    }
}

pub(super) fn banner(report: &Report) -> Banner {
    let run = &report.run;
    let mut facts = vec![started(&run.started)];
    if !run.label.is_empty() {
        facts.push(format!("label <b>{}</b>", Escaped(clip(&run.label, 120))));
    }
    facts.push(format!("seed <b>{}</b>", Escaped(clip(&run.seed, 24))));
    facts.push(format!("plan <b>{}</b>", Escaped(clip(&run.plan_digest, 12).trim_end_matches('…'))));
    if let Some(row) = headline(report) {
        facts.push(format!("measured {}", time((row.duration_s * 1e9) as u64, STYLE)));
    }
    facts.push(format!("squall {}", Escaped(clip(&run.tool_version, 24))));
    Banner {
        name: run.scenario.name.clone(),
        about: about(report).unwrap_or_default(),
        facts,
        chips: chips(report),
        lede: lede(report),
    }
}

/// When it began, as people write it.
pub(super) fn started(started: &str) -> String {
    format!("{} UTC", Escaped(started.get(..19).unwrap_or(started).replace('T', " ")))
}

pub(super) fn icon(tone: Tone) -> String {
    let (colour, ground, sign): (Colour, &str, &str) = match tone {
        Tone::Good => (GOOD, "<circle cx=\"7\" cy=\"7\" r=\"6.5\"", "M3.8 7.3l2.2 2.2 4.2-4.6"),
        Tone::Bad => {
            let square = "<rect x=\".8\" y=\".8\" width=\"12.4\" height=\"12.4\" rx=\"2\"";
            (BAD, square, "M4.2 4.2l5.6 5.6M9.8 4.2L4.2 9.8")
        }
        Tone::Warning | Tone::Strong | Tone::Faint => {
            (WARNING, "<path d=\"M7 .8L13.6 13H.4z\"", "M7 5v4M7 10.4v1.3")
        }
    };
    let (value, name, card) = (colour.value, colour.name, CARD.value);
    format!(
        "<svg width=\"14\" height=\"14\" viewBox=\"0 0 14 14\" aria-hidden=\"true\">{ground} fill=\"{value}\" class=\"f-{name}\"/>\
         <path d=\"{sign}\" stroke=\"{card}\" class=\"s-card\" stroke-width=\"1.7\" fill=\"none\"/></svg>"
    )
}

pub(super) fn chip(out: &mut String, tone: Tone, words: &str, section: &str) {
    let (icon, words) = (icon(tone), Escaped(clip(words, 120)));
    let _ = write!(out, "<a class=\"chip\" href=\"#{section}\">{icon}<span>{words}</span></a> ");
}

fn chips(report: &Report) -> String {
    let run = &report.run;
    let mut out = String::new();
    let (tone, words) = verdict::measurement(report);
    chip(&mut out, tone, &words, "validity");
    if run.state != RunState::Complete {
        chip(&mut out, Tone::Bad, &format!("run {}", run.ending()), "environment");
    }
    if !run.plan_altered.is_empty() {
        chip(&mut out, Tone::Warning, "plan altered", "environment");
    }
    if let (Some((text, tone)), false) = (failure::service(report, STYLE), run.is_invalid()) {
        chip(&mut out, tone, &text, if report.failures.is_empty() { "fleets" } else { "failures" });
    }
    if let (Some(row), false) = (headline(report), run.is_invalid())
        && let Some(within) = late(report, row)
    {
        let planned = row.figures.planned;
        // Where most are late, nobody argues about what is late.
        let tone = if within < planned / 2 { Tone::Bad } else { Tone::Warning };
        chip(&mut out, tone, &format!("within budget: {}", percent(within, planned)), "fleets");
    }
    let all = run.budgets.len();
    match (budgets(&run.budgets), run.is_invalid()) {
        _ if all == 0 => {}
        (_, true) => chip(&mut out, Tone::Warning, &counted(all, all, "not judged"), "budgets"),
        ((0, 0), _) => chip(&mut out, Tone::Good, &counted(all, all, "met"), "budgets"),
        ((0, open), _) => chip(&mut out, Tone::Warning, &counted(open, all, "not judged"), "budgets"),
        ((failed, _), _) => chip(&mut out, Tone::Bad, &counted(failed, all, "failed"), "budgets"),
    }
    // What was measured of an invalid run is not evidence, good or bad.
    if !run.is_invalid() {
        fault_chips(report, &mut out);
        promise_chips(report, &mut out);
    }
    out
}

fn fault_chips(report: &Report, out: &mut String) {
    let judged: Vec<_> = report.faults.iter().filter(|outage| fault::tone(outage).is_some()).collect();
    if judged.len() <= MOST_CHIPS {
        for outage in judged {
            let words = format!("{}: {}", outage.fault, fault::outcome(outage));
            chip(out, fault::tone(outage).unwrap_or(Tone::Faint), &words, "faults");
        }
        return;
    }
    let recovered = judged.iter().filter(|outage| outage.state == Recovery::Recovered).count();
    let tone = if recovered == judged.len() { Tone::Good } else { Tone::Bad };
    chip(
        out,
        tone,
        &format!("recovered from {} of faults", part_of(recovered as u64, judged.len() as u64, "activation")),
        "faults",
    );
}

fn promise_chips(report: &Report, out: &mut String) {
    let asked: Vec<_> =
        report.delivery.iter().filter(|fleet| fleet.kept.is_some() || fleet.untested.is_some()).collect();
    let word = |kept: Option<bool>| match kept {
        Some(true) => (Tone::Good, "kept"),
        Some(false) => (Tone::Bad, "broken"),
        None => (Tone::Warning, "not tested"),
    };
    if asked.len() <= MOST_CHIPS {
        for fleet in asked {
            let (tone, word) = word(fleet.kept);
            chip(out, tone, &format!("{}: promise of delivery {word}", fleet.fleet), "delivery");
        }
        return;
    }
    let kept = asked.iter().filter(|fleet| fleet.kept == Some(true)).count();
    let tone = if kept == asked.len() { Tone::Good } else { Tone::Bad };
    chip(out, tone, &format!("{kept} of {} promises of delivery kept", asked.len()), "delivery");
}

/// The run in two sentences at most.
fn lede(report: &Report) -> String {
    if report.run.is_invalid() {
        return "<b class=\"bad\">The generator was the bottleneck: nothing below is evidence about the service.</b>"
            .to_owned();
    }
    let Some(row) = headline(report) else { return "Nothing was measured.".to_owned() };
    let mut said = readings(report, row);
    if report.run.state != RunState::Complete {
        let _ =
            write!(said, " The run is {}: the figures go as far as it did.", Escaped(report.run.ending()));
        return said;
    }
    said += &after_faults(report);
    said
}

/// `at least 5 s`, as percentiles say it on screens with a sign.
fn spelt(text: &str) -> String {
    let text = text.trim_start_matches('~');
    match text.strip_prefix('>') {
        Some(bound) => format!("at least <b>{}</b>", Escaped(bound)),
        None => format!("<b>{}</b>", Escaped(text)),
    }
}

fn readings(report: &Report, row: &SummaryRow) -> String {
    let figures = &row.figures;
    let (planned, ended) = (figures.planned, figures.ended());
    let mut marks = Marks::default();
    let mut tail = |quantile| marks.tail(figures.percentile(quantile), quantile, ended, STYLE);
    let (p50, p99) = (tail(Quantile::P50), tail(Quantile::P99));
    let known = |text: &str| text.contains(|letter: char| letter.is_ascii_digit());
    let mut said = format!("Of {} that came due, ", plural(planned, "reading"));
    if figures.ok == planned {
        said += "all were answered ok";
    } else {
        let _ = write!(said, "<b>{}</b> failed", percent_up(planned.saturating_sub(figures.ok), planned));
    }
    if let Some(within) = late(report, row) {
        let _ = write!(said, ", and only <b>{}</b> within their budget", percent(within, planned));
    }
    if known(&p99) {
        let longer = if p99.contains('>') { "" } else { " or longer" };
        let _ = write!(said, "; one in a hundred took {}{longer}", spelt(&p99));
        let response = figures.percentile(Quantile::P99).map_or(0, |p99| p99.ns);
        if let Some(service) = figures.service_p99_ms.filter(|service| hides(service.as_ns(), response)) {
            let _ =
                write!(said, ", where a closed-loop tool would have said {}", time(service.as_ns(), STYLE));
        }
    }
    if known(&p50) {
        let _ = write!(said, "; the median was {}", spelt(&p50).replace("<b>", "").replace("</b>", ""));
    }
    said + "."
}

/// How many readings were answered within the budget that their fleet states, where that is clearly not all of them.
fn late(report: &Report, row: &SummaryRow) -> Option<u64> {
    let within = verdict::within_budget(report, row)?;
    (within.saturating_mul(100) < row.figures.planned.saturating_mul(99)).then_some(within)
}

/// Whether a p99 that begins when a reading is sent says much less than one that begins when it is due.
fn hides(service: u64, response: u64) -> bool {
    response as f64 > 1.3 * service as f64
}

fn after_faults(report: &Report) -> String {
    let of =
        |state: Recovery| -> Vec<_> { report.faults.iter().filter(|outage| outage.state == state).collect() };
    let named = |outage: &crate::results::Outage| {
        format!("<b>{}</b> ({})", Escaped(clip(&outage.fault, 60)), Escaped(clip(&outage.kind, 40)))
    };
    match (of(Recovery::NotRecovered).as_slice(), of(Recovery::Recovered).as_slice()) {
        ([], []) => String::new(),
        ([], [one]) => format!(" From {} the service {}.", named(one), Escaped(fault::outcome(one))),
        ([], many) => format!(" The service recovered from all {} activations of faults.", many.len()),
        ([one], _) => {
            format!(" From {} the service had <b>not recovered</b> when the run ended.", named(one))
        }
        (many, good) => format!(
            " From {} of {} activations of faults the service had <b>not recovered</b> when the run ended.",
            many.len(),
            many.len() + good.len()
        ),
    }
}

/// Why the figures are to be read with care, word for word; nothing where all is well.
pub(super) fn reasons(report: &Report) -> String {
    let validity = report.run.validity.as_ref();
    let (class, words) = match validity.map(|validity| validity.verdict) {
        Some(Judgement::Invalid) => ("card alert bad-edge", "Do not use these figures."),
        Some(Judgement::Suspect) => ("card alert", "Read these figures with care."),
        Some(Judgement::Valid) => ("card alert", "Worth knowing."),
        None => ("card alert", "This run was not judged."),
    };
    let mut reasons: Vec<&str> = report.rebuilt.iter().map(String::as_str).collect();
    reasons.extend(validity.iter().flat_map(|validity| &validity.reasons).map(String::as_str));
    reasons.extend(report.run.refused.as_deref());
    let altered: Vec<String> = report.run.plan_altered.iter().map(altered).collect();
    reasons.extend(altered.iter().map(String::as_str));
    let warning = failure::warning(report);
    reasons.extend(warning.as_deref());
    let insecure: Vec<String> = report.run.fleets.iter().filter_map(FleetTarget::insecurity).collect();
    reasons.extend(insecure.iter().map(String::as_str));
    alert(class, words, &reasons)
}

/// That a part of the plan was left out, and what follows from it.
fn altered(altered: &PlanAlteration) -> String {
    format!("{}: not comparable with other runs of this plan", altered.sentence())
}

/// What is to be read before any figure; nothing without a reason.
pub(super) fn alert(class: &str, words: &str, reasons: &[&str]) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let mut items = String::new();
    for reason in reasons.iter().take(MOST_REASONS) {
        let _ = write!(items, "<li>{}</li>", Escaped(clip(reason, 600)));
    }
    format!("<div class=\"{class}\" role=\"note\"><b>{words}</b><ul>{items}</ul></div>")
}

pub(super) fn tile(out: &mut String, name: &str, value: &str, beneath: &str, class: &str) {
    let (value, beneath) = (Escaped(value), Escaped(beneath));
    let _ = write!(
        out,
        "<div class=\"tile\"><div class=\"k\">{name}</div><div class=\"v {class}\">{value}</div><div class=\"d\">{beneath}</div></div>"
    );
}

/// The headline's figures.
pub(super) fn tiles(report: &Report) -> String {
    let Some(row) = headline(report) else { return soft("nothing was measured") };
    let figures = &row.figures;
    let mut marks = Marks::default();
    let mut tail = |quantile| marks.tail(figures.percentile(quantile), quantile, figures.ended(), STYLE);
    let [p50, p99, p99_9] = [Quantile::P50, Quantile::P99, Quantile::P99_9].map(&mut tail);
    let service = figures.service_p99_ms.map(|ms| Percentile { ns: ms.as_ns(), censored: false });
    let service = marks.tail(service, Quantile::P99, figures.ok, STYLE);
    let max = marks.bounded(figures.max(), STYLE);
    let mut out = String::new();
    let beneath =
        |figure: &str, words: &'static str| if figure == "n/a" { "too few readings" } else { words };
    tile(&mut out, "p50 response", &p50, beneath(&p50, "half took longer"), "");
    tile(&mut out, "p99 response", &p99, &format!("service {service}"), "");
    tile(&mut out, "p99.9 response", &p99_9, beneath(&p99_9, "one in a thousand took longer"), "");
    tile(&mut out, "max", &max, "the slowest one", "");
    if row.duration_s > 0.0 {
        let offered = rate(figures.planned as f64 / row.duration_s, STYLE);
        tile(&mut out, "came due", &offered, &format!("ok {}", rate(figures.rate_per_s, STYLE)), "");
    }
    let failed = figures.planned.saturating_sub(figures.ok);
    let share = percent_up(failed, figures.planned);
    let of = format!("{} of {}", count(failed, STYLE), count(figures.planned, STYLE));
    tile(&mut out, "failed", &share, &of, if failed > 0 { class_of(Tone::Bad) } else { "" });
    if let Some(within) = verdict::within_budget(report, row) {
        tile(&mut out, "within budget", &percent(within, figures.planned), "ok and in time", "");
    }
    format!("<div class=\"tiles\">{out}</div>")
}
