//! `[[scrape]]`: the target's own figures, taken beside the run.

use super::tls::{self, TLS};
use crate::language::{
    Field, FieldValue, Fields, Kind, Node, Origin, Reporter, Section, Table, Value, check, quote,
};
use crate::metric::Selection;
use crate::protocol::scrape::{PAGE, headers};
use crate::scenario::scrape::{Scrape, ScrapeSource};
use crate::units::Span;

/// Sources of a scenario.
const MOST: usize = 16;
/// Patterns of one, and bytes of each.
const MOST_PATTERNS: usize = 64;
const LONGEST_PATTERN: usize = 400;

/// The keys of which one says where figures come from.
const SOURCES: [&str; 4] = ["url", "pid", "pid_file", "bundled"];
/// Those that only a page has.
const OF_PAGES: [&str; 2] = ["headers", "tls"];

pub(super) static SCRAPE: Section = Section {
    title: "[[scrape]]",
    about: "the target's own figures, taken on the run's clock into `target.csv`: counters as rates per second. One of `url`, `pid`, \
            `pid_file` and `bundled` says whose. One that cannot be had is an event of the run, never its error",
    by: None,
    fields: &[
        Field::optional("name", Kind::Name, "what to call it; scrape-1, scrape-2, … unless stated"),
        Field::optional(
            "url",
            Kind::Address(&PAGE),
            "a page in the text format of Prometheus; without a path, /metrics",
        ),
        Field::optional(
            "pid",
            Kind::Integer(1, 4_194_304),
            "a process of this machine: processor time, memory, threads, open descriptors",
        ),
        Field::optional(
            "pid_file",
            Kind::Text,
            "the same of the process whose number stands in this file, from the directory of the scenario",
        ),
        Field::with(
            "bundled",
            Kind::Flag,
            "false",
            "the page of the bundled service; left out of runs whose target is another",
        ),
        Field::with(
            "every",
            Kind::Span(Span::from_ms(100), Span::from_ms(3_600_000)),
            "1s",
            "from one time that it is asked to the next",
        ),
        Field::with(
            "select",
            Kind::List(&Kind::Text),
            "",
            "names of metrics, in which * stands for anything; with a brace in it, name and labels: http_requests_total{*code=\"5*}; all \
             but buckets and quantiles unless stated",
        ),
        Field::with("headers", Kind::Map(&Kind::Text, "name"), "", "further header fields of the request"),
        Field::optional("tls", Kind::Table(&TLS), TLS.about),
    ],
};

/// The sources of a document.
pub(super) fn scrapes(root: &Table, report: &mut Reporter<'_>) -> Vec<Scrape> {
    let Some(entry) = root.0.get("scrape") else { return Vec::new() };
    let help = "open every one with two brackets: [[scrape]]";
    let Value::List(items) = &entry.node.value else {
        let message = format!("expected a list of tables, found {}", entry.node.value.described());
        report.add(&entry.key, "scrape", message, help);
        return Vec::new();
    };
    if items.len() > MOST {
        let message = format!("{} of them are too many", items.len());
        report.add(&entry.node.origin, "scrape", message, format!("keep to {MOST}"));
        return Vec::new();
    }
    let mut scrapes: Vec<Scrape> = Vec::with_capacity(items.len());
    for (nth, item) in items.iter().enumerate() {
        let Value::Table(table) = &item.value else {
            let message = format!("expected a table, found {}", item.value.described());
            report.add(&item.origin, "scrape", message, help);
            continue;
        };
        let Some((scrape, fields)) = scrape(nth, item, table, report) else { continue };
        if scrapes.iter().any(|other| other.name == scrape.name) {
            let message = format!("there is one named `{}` already", scrape.name);
            fields.refuse("name", report, message, "give each its own name");
        }
        scrapes.push(scrape);
    }
    scrapes
}

fn scrape(nth: usize, item: &Node, table: &Table, report: &mut Reporter<'_>) -> Option<(Scrape, Fields)> {
    let path = match table.0.get("name").map(|entry| &entry.node.value) {
        Some(Value::Text(name)) => format!("scrape.{}", quote(name)),
        _ => format!("scrape[{}]", nth + 1),
    };
    let fields = check(&SCRAPE, table, &path, &item.origin, report);
    let name =
        fields.text("name").map_or_else(|| format!("scrape-{}", nth + 1), |name| name.value().to_owned());
    let select = selection(&fields, report);
    let source = source(&fields, &item.origin, report)?;
    Some((Scrape { name, source, every: fields.span("every"), select }, fields))
}

/// Where the figures come from, if the section says so once.
fn source(fields: &Fields, origin: &Origin, report: &mut Reporter<'_>) -> Option<ScrapeSource> {
    let is_stated = |key: &&&str| match **key {
        "bundled" => fields.flag("bundled"),
        key => fields.given(key).is_some(),
    };
    let stated: Vec<&str> = SOURCES.iter().filter(is_stated).copied().collect();
    match stated.as_slice() {
        [] => {
            let help = "write one of url, pid, pid_file and bundled = true";
            report.add(origin, &fields.path, "says of nothing whose figures are wanted", help);
            return None;
        }
        [_] => {}
        [first, others @ ..] => {
            for other in others {
                fields.refuse(other, report, format!("stands beside `{first}`"), "take one of the two out");
            }
            return None;
        }
    }
    if stated != ["url"] {
        fields.refuse_given(&OF_PAGES, report, "is of a page, and needs `url`");
    }
    let directory = &report.context().directory;
    let file = |name: &str| directory.join(name);
    match stated[0] {
        "url" => Some(ScrapeSource::Page {
            url: fields.text("url")?,
            headers: headers(fields, report),
            tls: tls::tls(fields, &Fields::defaults(&SCRAPE), ("scrape", 1), report),
        }),
        "pid" => Some(ScrapeSource::Process(u32::try_from(fields.optional_integer("pid")?).ok()?)),
        "pid_file" => Some(ScrapeSource::PidFile(file(fields.text("pid_file")?.value()))),
        _ => Some(ScrapeSource::Bundled),
    }
}

fn selection(fields: &Fields, report: &mut Reporter<'_>) -> Selection {
    let listed = fields.list("select");
    if listed.len() > MOST_PATTERNS {
        let message = format!("{} patterns are too many", listed.len());
        fields.refuse("select", report, message, format!("keep to {MOST_PATTERNS}, with * in them"));
    }
    let mut patterns = Vec::with_capacity(listed.len());
    for (origin, found) in listed {
        let FieldValue::Text(text) = found else { continue };
        if text.value().is_empty() || text.value().len() > LONGEST_PATTERN {
            let key = format!("{}.select", fields.path);
            let help = format!("write 1 to {LONGEST_PATTERN} bytes, for example \"process_*\"");
            report.add(origin, &key, "is not the name of a metric, nor a pattern of names", help);
        }
        patterns.push(text.value().to_owned());
    }
    Selection::new(patterns)
}
