//! Overrides from the command line: amendments to a document, made before it is checked.

use super::section;
use crate::language::{
    Entry, Environment, Kind, Node, Origin, Refusal, Reporter, Section, Table, Value, nearest, quote,
    read_value, veiled,
};
use crate::seed::Seed;
use crate::units::Span;
use std::fmt;
use std::sync::Arc;

/// Everything the command line changes about a scenario.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--set` in the order given; a later one wins.
    pub set: Vec<Override>,
    /// `--seed`.
    pub seed: Option<Seed>,
    /// `--duration`: the measured phases together last this long, each scaled in proportion.
    pub duration: Option<Span>,
    /// `--load`: factor on the load of every fleet that sends, above 0: on the rate of open ones, on the devices of closed ones.
    pub load: Option<f64>,
    /// Where `${NAME}` is looked up.
    pub environment: Environment,
}

impl Overrides {
    /// As given on the command line, in one order, for the manifest.
    pub fn words(&self) -> Vec<String> {
        let set = self.set.iter().map(|set| veiled(&set.to_string()));
        let seed = self.seed.iter().map(|seed| format!("--seed {seed}"));
        let duration = self.duration.iter().map(|span| format!("--duration {span}"));
        let load = self.load.iter().map(|load| format!("--load {load}"));
        set.chain(seed).chain(duration).chain(load).collect()
    }
}

/// One `--set key=value`: `fleet.meters.rate=2/s`, `phase.burst.load=4`, `run.warm_up=0s`.
#[derive(Debug, Clone)]
pub struct Override {
    key: Vec<String>,
    value: String,
}

/// Why a text is not an override; the message says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a valid override; write KEY=VALUE, for example fleet.meters.rate=2/s or phase.burst.load=4"
)]
pub struct OverrideError(String);

impl Override {
    /// Parses `key=value`. The value is TOML if it parses as TOML, else it is taken as a text as it stands, so that
    /// spans and rates need no quotes.
    ///
    /// # Errors
    /// If there is no `=`, or the key is not two to five parts of `a`–`z`, `A`–`Z`, `0`–`9`, `_` and `-` joined by dots.
    pub fn parse(text: &str) -> Result<Self, OverrideError> {
        let fault = || OverrideError(quote(text));
        let (key, value) = text.split_once('=').ok_or_else(fault)?;
        let key: Vec<String> = key.trim().split('.').map(|part| part.trim().to_owned()).collect();
        let sound = |part: &String| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        if !(2..=5).contains(&key.len()) || !key.iter().all(sound) {
            return Err(fault());
        }
        Ok(Self { key, value: value.trim().to_owned() })
    }
}

impl std::str::FromStr for Override {
    type Err = OverrideError;
    fn from_str(text: &str) -> Result<Self, OverrideError> {
        Self::parse(text)
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--set {}={}", self.key.join("."), self.value)
    }
}

/// Amends `root` by every override in turn; one that names nothing goes to `report`.
pub(super) fn apply(root: &mut Table, overrides: &Overrides, report: &mut Reporter<'_>) {
    for amendment in &overrides.set {
        let key = amendment.key.join(".");
        let origin = Origin::Given(Arc::from(format!("--set {key}")));
        let node = read_value(&amendment.value, &origin);
        if let Err((message, help)) = place(root, &amendment.key, node, &origin) {
            report.add(&origin, "", message, help);
        }
    }
}

fn place(root: &mut Table, key: &[String], node: Node, origin: &Origin) -> Result<(), Refusal> {
    let [top, rest @ ..] = key else { return Ok(()) };
    let section = section::top(top);
    let (table, rest, example) = match (top.as_str(), rest) {
        ("phase", [name, rest @ ..]) => (listed(root, "phase", name)?, rest, "phase.steady.load=2"),
        ("fault", [name, rest @ ..]) => (listed(root, "fault", name)?, rest, "fault.outage.share=0.5"),
        ("budget", [name, rest @ ..]) => (listed(root, "budget", name)?, rest, "budget.quick.p99=<250ms"),
        ("scrape", [name, rest @ ..]) => (listed(root, "scrape", name)?, rest, "scrape.broker.every=5s"),
        ("fleet", [name, rest @ ..]) => (fleet(root, name)?, rest, "fleet.meters.rate=2/s"),
        (_, rest) => match opened(root, top, None, origin) {
            Ok(table) => (table, rest, "run.warm_up=0s"),
            Err(message) => return Err((message, "write for example run.warm_up=0s".into())),
        },
    };
    inside(table, section, rest, node, origin)
        .map_err(|message| (message, format!("write for example {example}")))
}

/// Puts `node` at `key` below `table`, which is of `section`, opening tables on the way.
fn inside(
    table: &mut Table,
    mut section: Option<&'static Section>,
    key: &[String],
    node: Node,
    origin: &Origin,
) -> Result<(), String> {
    let Some((last, way)) = key.split_last() else { return Err("a key is missing after the name".into()) };
    let mut at = table;
    for part in way {
        let kind = section.and_then(|section| section.field(part)).map(|field| field.kind);
        at = opened(at, part, kind, origin)?;
        section = kind.and_then(|kind| kind.section());
    }
    at.0.insert(last.clone(), Entry { key: origin.clone(), node });
    Ok(())
}

/// The table at `part`, made if there is none. The bare value that stands for a table's first key becomes that table.
fn opened<'t>(
    table: &'t mut Table,
    part: &str,
    kind: Option<Kind>,
    origin: &Origin,
) -> Result<&'t mut Table, String> {
    let empty = || Node { value: Value::Table(Table::default()), origin: origin.clone() };
    let entry =
        table.0.entry(part.to_owned()).or_insert_with(|| Entry { key: origin.clone(), node: empty() });
    let short = match kind {
        Some(Kind::Short(section) | Kind::List(&Kind::Short(section))) => section.fields.first(),
        _ => None,
    };
    if let Some(first) = short.filter(|_| !matches!(entry.node.value, Value::Table(_) | Value::List(_))) {
        let long = Node { value: Value::Table(Table::default()), origin: entry.node.origin.clone() };
        let bare = Entry { key: entry.key.clone(), node: std::mem::replace(&mut entry.node, long) };
        if let Value::Table(table) = &mut entry.node.value {
            table.0.insert(first.name.to_owned(), bare);
        }
    }
    let found = entry.node.value.described();
    match &mut entry.node.value {
        Value::Table(inner) => Ok(inner),
        _ => Err(format!("`{part}` is {found}, not a table")),
    }
}

fn fleet<'t>(root: &'t mut Table, name: &str) -> Result<&'t mut Table, Refusal> {
    let Some(Entry { node: Node { value: Value::Table(fleets), .. }, .. }) = root.0.get_mut("fleet") else {
        return Err(("the scenario has no fleets".into(), "add one to the file".into()));
    };
    let names: Vec<String> = fleets.0.keys().cloned().collect();
    match fleets.0.get_mut(name).map(|entry| &mut entry.node.value) {
        Some(Value::Table(fleet)) => Ok(fleet),
        _ => Err(nameless("fleet", name, &names)),
    }
}

/// The table named `name` of a list of tables.
fn listed<'t>(root: &'t mut Table, what: &str, name: &str) -> Result<&'t mut Table, Refusal> {
    let Some(Entry { node: Node { value: Value::List(items), .. }, .. }) = root.0.get_mut(what) else {
        return Err((format!("the scenario has no {what}s"), "add one to the file".into()));
    };
    let mut names = Vec::new();
    let mut wanted = None;
    for item in items {
        let Value::Table(table) = &mut item.value else { continue };
        let Some(Value::Text(own)) = table.0.get("name").map(|entry| &entry.node.value) else { continue };
        names.push(own.clone());
        if own == name {
            wanted = wanted.or(Some(table));
        }
    }
    wanted.ok_or_else(|| nameless(what, name, &names))
}

fn nameless(what: &str, name: &str, names: &[String]) -> Refusal {
    let help = match nearest(name, names.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{}`?", quote(meant)),
        None => format!("there are: {}", quote(&names.join(", "))),
    };
    (format!("there is no {what} `{}`", quote(name)), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_print_as_they_were_given() {
        for text in
            ["fleet.meters.rate=2/s", "phase.burst.load=4", "fleet.a.signal.kind=\"walk\"", "run.a=b=c"]
        {
            assert_eq!(Override::parse(text).unwrap().to_string(), format!("--set {text}"));
        }
    }

    #[test]
    fn what_is_no_override_says_how_to_write_one() {
        for text in ["", "=", "a=1", "a.b", "a..b=1", ".a=1", "a.b.c.d.e.f=1", "a b.c=1", "ä.b=1"] {
            let error = Override::parse(text).unwrap_err().to_string();
            assert!(error.contains("write KEY=VALUE"), "{text}: {error}");
        }
    }
}
