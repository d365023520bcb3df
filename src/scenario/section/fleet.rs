//! `[fleet.NAME]`: devices that are alike.

use std::sync::{Arc, LazyLock};

use super::arrival::{ARRIVAL, arrival};
use super::auth::{self, AUTH};
use super::backoff::{BACKOFF, backoff};
use super::behaviour::{BEHAVIOUR, PresetBehaviour, presets};
use super::exchange::{close, exchange, in_flight};
use super::guarantee::guarantee;
use super::pattern::{PATTERNS, spread};
use super::payload;
use super::retry::{RETRY, retry};
use super::scaling;
use super::signal::{self, ANOMALIES, SIGNAL};
use super::subscriber::subscriber;
use super::tls::{TLS, tls};
use super::topic::topic;
use super::trace::{TRACE, trace};
use crate::arrival::ArrivalProcess;
use crate::fleet::DeviceModel;
use crate::language::{
    Entry, Field, Fields, Kind, Origin, Reporter, Section, Table, Value, check, conjunction, is_name,
    nearest, quote,
};
use crate::protocol::{Facts, driver, protocols, words};
use crate::record::Close;
use crate::scenario::model::{Behaviour, Fleet, Model, RunSettings};
use crate::service::Topic;
use crate::units::{Rate, Secret, Span};

/// Fleets of a scenario.
const MOST: usize = 256;
/// Devices of all fleets together.
const MOST_DEVICES: u64 = 1_000_000;
/// Readings that may wait in a device.
const MOST_BACKLOG: u64 = 65_536;
/// Longest instant within a run.
const LONGEST: Span = Span::from_ms(720 * 3_600_000);

/// The keys of a fleet, among them a table per protocol.
pub(super) static FLEET: LazyLock<Section> = LazyLock::new(|| {
    let own = protocols().filter_map(|facts| {
        let table = Kind::Table(facts.sections.first()?);
        Some(Field::with(facts.word(), table, "", facts.section_about))
    });
    let spoken = Field::required("protocol", Kind::Word(words()), "what its devices speak");
    let mut fields: Vec<Field> =
        [spoken].into_iter().chain(FIRST.iter().copied()).chain(own).chain(LAST.iter().copied()).collect();
    for field in &mut fields {
        if let Some(about) = about(field.name) {
            field.about = about.leak();
        }
    }
    Section {
        title: "[fleet.NAME]",
        about: "devices that are alike; each holds one connection of its own",
        by: None,
        fields: fields.leak(),
    }
});

/// What keys are about whose meaning depends on the protocol.
fn about(key: &str) -> Option<String> {
    let speaking = |which: &dyn Fn(&Facts) -> bool| {
        let words: Vec<_> = protocols().filter(|facts| which(facts)).map(Facts::word).collect();
        conjunction(&words)
    };
    Some(match key {
        "model" => format!(
            "open: readings come due by plan; closed: each waits for the answer to the last; subscriber: sends nothing, and hears \
             what others publish over {}",
            speaking(&|facts| facts.hears_others)
        ),
        "in_flight" => format!(
            "readings a device may have unanswered at once; 1 for {}, else 1 for closed fleets and 16 for open ones unless stated",
            speaking(&|facts| facts.serial)
        ),
        "close" => {
            let first = |close: Close| {
                let speaking = speaking(&|facts| facts.closes.first() == Some(&close));
                (!speaking.is_empty()).then(|| format!("{} for {speaking}", close.name()))
            };
            let firsts: Vec<_> = Close::ALL.into_iter().filter_map(first).collect();
            format!("what ends a reading; unless stated {}", firsts.join(", "))
        }
        "trace" => super::trace::about(speaking),
        _ => return None,
    })
}

/// The keys before the protocols' own tables.
static FIRST: &[Field] = &[
    Field::required(
        "devices",
        Kind::Integer(1, MOST_DEVICES),
        "how many there are; at most a million in all fleets together",
    ),
    Field::with(
        "behaviour",
        Kind::List(&Kind::Short(&BEHAVIOUR)),
        "",
        "how connected devices are known to behave",
    ),
    Field::with(
        "model",
        Kind::Word(&["open", "closed", "subscriber"]),
        "open",
        "", // See `about`.
    ),
    Field::optional(
        "rate",
        Kind::Rate(1e-5, 1e5),
        "open only, and required there unless recorded: readings per second of one device",
    ),
    Field::with(
        "arrival",
        Kind::Short(&ARRIVAL),
        "",
        "open only: the law of the gaps between a device's readings",
    ),
    Field::with(
        "think",
        Kind::Span(Span::ZERO, Span::from_ms(3_600_000)),
        "0s",
        "closed only: pause between an answer and the next reading",
    ),
    Field::optional(
        "pattern",
        Kind::Word(PATTERNS),
        "subscriber only: what its devices are to hear; what ended ok at the sender is then due to them, heard or not",
    ),
    Field::optional(
        "from",
        Kind::Name,
        "with `pattern`: the fleet that they hear; all that send over the same protocol unless stated",
    ),
    Field::optional(
        "topic",
        Kind::Word(Topic::WORDS),
        "of the bundled service, in place of a path or an MQTT topic: what a fleet of subscribers hears; \"broadcast\" of a fleet that sends: what it sends is told to all who hear that",
    ),
    Field::optional(
        "join",
        Kind::Span(Span::ZERO, LONGEST),
        "when it begins to connect, from the beginning of the first phase; before anything is sent unless stated",
    ),
    Field::optional(
        "leave",
        Kind::Span(Span::ZERO, LONGEST),
        "when it begins to leave, from the beginning of the first phase; never unless stated",
    ),
    Field::optional(
        "connect_rate",
        Kind::Rate(0.1, 1e6),
        "devices per second that connect, or leave; that of [run] unless stated",
    ),
    Field::optional("in_flight", Kind::Integer(1, 1_024), ""),
    Field::with(
        "backlog",
        Kind::Integer(0, MOST_BACKLOG),
        "64",
        "open only: readings that may wait in a device before further ones are dropped; store-and-forward makes room for its outage",
    ),
    Field::with(
        "timeout",
        Kind::Span(Span::from_ms(1), Span::from_ms(60_000)),
        "5s",
        "a reading unanswered for this long is a time-out",
    ),
    Field::optional(
        "budget",
        Kind::Span(Span::from_ns(1_000), Span::from_ms(60_000)),
        "the latency budget of a reading, for the share within it",
    ),
    Field::optional("close", Kind::Word(&["response", "verdict", "reply", "ack", "delivery", "sent"]), ""),
    Field::optional(
        "expects",
        Kind::List(&Kind::Word(&["at-most-once", "at-least-once", "exactly-once", "ordered"])),
        "what the service promises of delivery; the run says whether it was kept",
    ),
];

/// The keys after them.
static LAST: &[Field] = &[
    Field::with("payload", Kind::Short(&payload::PAYLOAD), "", "how a reading is written down"),
    Field::optional("tls", Kind::Table(&TLS), TLS.about),
    Field::optional("auth", Kind::Table(&AUTH), AUTH.about),
    Field::optional(
        "credentials",
        Kind::Text,
        "CSV file with a row per device, from the directory of the scenario: device, and token, or username and password, or header:NAME",
    ),
    Field::optional("trace", Kind::Short(&TRACE), ""),
    Field::with("backoff", Kind::Table(&BACKOFF), "", "waits between attempts to reconnect"),
    Field::optional(
        "retry",
        Kind::Short(&RETRY),
        "sends a reading that failed again, so many times in all; never unless stated",
    ),
    Field::with(
        "refusal",
        Kind::Word(&["unexpected", "expected"]),
        "unexpected",
        "unexpected: the run ends once every device has been refused for good (4xx at the upgrade, CONNACK 1, 2, 4 or 5)",
    ),
    Field::with(
        "failure_body",
        Kind::Flag,
        "true",
        "whether the first 200 bytes of a reply to a failed reading are kept as a sample; secrets are masked",
    ),
    Field::with("signal", Kind::Short(&SIGNAL), "", "what the sensor shows"),
    Field::with(
        "channel",
        Kind::Map(&Kind::Short(&SIGNAL), "channel"),
        "",
        "several sensors by name, in place of `signal`",
    ),
    Field::with(
        "anomalies",
        Kind::Table(&ANOMALIES),
        "",
        "how often and how badly the sensor of `signal` misbehaves",
    ),
];

/// What fleets need to know of the rest of the scenario.
#[derive(Debug, Clone, Copy)]
pub(super) struct FleetContext<'f> {
    pub(super) run: &'f RunSettings,
    /// What `[target]` says.
    pub(super) target: &'f Fields,
    /// The measured phases together.
    pub(super) measured: Span,
    /// The most operational time that can pass, nanoseconds.
    pub(super) horizon_ns: f64,
    /// Factor on the load of every fleet that sends.
    pub(super) load: f64,
}

/// All fleets, sorted by name, with their fields.
pub(super) fn fleets(
    root: &Table,
    frame: FleetContext<'_>,
    report: &mut Reporter<'_>,
) -> Vec<(Fleet, Fields)> {
    let example = "add a fleet: [fleet.meters] with protocol = \"http\", devices = 10 and rate = \"1/s\"";
    let Some(entry) = root.0.get("fleet") else {
        report.add(&Origin::Whole, "fleet", "there is no fleet", example);
        return Vec::new();
    };
    let Value::Table(table) = &entry.node.value else {
        let found = entry.node.value.described();
        let message = format!("expected tables by name, found {found}");
        report.add(&entry.key, "fleet", message, "open every fleet with its name: [fleet.meters]");
        return Vec::new();
    };
    if table.0.is_empty() {
        report.add(&entry.key, "fleet", "there is no fleet", example);
    }
    if table.0.len() > MOST {
        let message = format!("{} fleets are too many", table.0.len());
        report.add(&entry.key, "fleet", message, format!("keep to {MOST} fleets"));
        return Vec::new();
    }
    let is_fleet =
        |entry: &Entry| matches!(&entry.node.value, Value::Table(table) if table.0.contains_key("protocol"));
    let whole: Vec<&str> =
        table.0.iter().filter(|(_, entry)| is_fleet(entry)).map(|(name, _)| name.as_str()).collect();
    let mut fleets = Vec::new();
    for (name, entry) in &table.0 {
        // A table of settings under a name that no fleet has was meant for a fleet of nearly that name.
        let meant = nearest(name, whole.iter().copied()).filter(|_| is_settings(entry));
        if let Some(meant) = meant {
            let message = format!("there is no fleet `{}`", quote(name));
            report.add(
                &entry.key,
                &format!("fleet.{name}"),
                message,
                format!("did you mean `fleet.{meant}`?"),
            );
        } else {
            fleets.extend(fleet(name, entry, frame, report));
        }
    }
    let devices: u64 = fleets.iter().map(|(fleet, _)| u64::from(fleet.devices)).sum();
    if devices > MOST_DEVICES {
        let message = format!("all fleets together have {devices} devices");
        report.add(&entry.key, "fleet", message, format!("keep to {MOST_DEVICES} devices"));
    }
    fleets
}

/// Whether a table has keys of a fleet, but none of those that every fleet must have.
fn is_settings(entry: &Entry) -> bool {
    let Value::Table(table) = &entry.node.value else { return false };
    let needed = ["protocol", "devices", "rate"];
    !table.0.is_empty() && needed.iter().all(|key| !table.0.contains_key(*key))
}

fn fleet(
    name: &str,
    entry: &Entry,
    frame: FleetContext<'_>,
    report: &mut Reporter<'_>,
) -> Option<(Fleet, Fields)> {
    let path = format!("fleet.{name}");
    let Value::Table(table) = &entry.node.value else {
        let message = format!("expected a fleet's table, found {}", entry.node.value.described());
        let help = if FLEET.field(name).is_some() {
            format!("give the fleet a name: [fleet.meters] and under it {name} = …")
        } else {
            format!("open the fleet with [fleet.{}] on a line of its own", quote(name))
        };
        report.add(&entry.key, &path, message, help);
        return None;
    };
    if !is_name(name) {
        let message = format!("`{}` is not a valid name", quote(name));
        report.add(&entry.key, &path, message, "write 1 to 64 of a-z, 0-9 and -");
    }
    let fields = check(&FLEET, table, &path, &entry.node.origin, report);
    let spoken = fields.word("protocol")?;
    let facts = protocols().find(|facts| facts.protocol.name() == spoken)?;
    let protocol = facts.protocol;
    let driver = driver(protocol)?;
    let mut canonical = String::new();
    // Where files lie, what the target is called and what is secret is not part of the plan.
    fields.canonical_without(&["tls", "auth", "credentials"], "fleet", &mut canonical);
    let presets = presets(&fields, report);
    let channels = signal::channels(&fields, &mut canonical, report);
    let payload = payload::payload(&fields, &channels, (facts.names_run, presets.cut), report);
    let spread = spread(&fields, facts, report);
    let topic = topic(&fields, facts, report);
    let hearing = (spread.as_ref(), topic);
    let exchange = exchange(&fields, (name, driver), hearing, (&channels, &payload.format), report);
    let trace = trace(&fields, (facts, &channels, &payload), &*exchange, report);
    let timeout = fields.span("timeout");
    let budget = budget(&fields, timeout, report);
    let model = model(&fields, facts, &presets, frame, &mut canonical, report);
    scaling::canonical(&model, frame.load, &mut canonical);
    let devices = scaling::devices(fields.integer("devices") as u32, &model, frame.load);
    let tls = tls(&fields, frame.target, (name, devices), report);
    if let Some(tls) = &tls {
        tls.settings.canonical("fleet.tls", &mut canonical);
    }
    let credentials = auth::credentials(&fields, driver, (name, devices), &mut canonical, report);
    let device_model = DeviceModel { fleet: name.into(), channels, payload, clock: presets.clock, trace };
    let expects = guarantee(&fields, model == Model::Subscriber, report);
    let close = close(&fields, facts, &*exchange, report);
    let fleet = Fleet {
        name: name.to_owned(),
        protocol,
        facts,
        devices,
        tls,
        behaviour: behaviour(&fields, &presets, frame, report),
        retry: retry(&fields, timeout, (&model, close, &*exchange), report),
        model,
        in_flight: in_flight(&fields, facts, report),
        timeout,
        budget,
        expects,
        close,
        spread,
        topic,
        exchange,
        refusal_expected: fields.word("refusal") == Some("expected"),
        failure_body: fields.flag("failure_body"),
        credentials,
        backoff: backoff(&fields, report),
        device_model: Arc::new(device_model),
        canonical: Secret::new(canonical),
    };
    Some((fleet, fields))
}

/// The latency budget of a reading.
fn budget(fields: &Fields, timeout: Span, report: &mut Reporter<'_>) -> Option<Span> {
    let budget = fields.optional_span("budget");
    if budget.is_some_and(|budget| budget > timeout && timeout > Span::ZERO) {
        let message = format!("a budget beyond the time-out ({timeout}) is always met or never");
        fields.refuse("budget", report, message, "lower the budget or raise `timeout`");
    }
    budget
}

fn model(
    fields: &Fields,
    facts: &Facts,
    presets: &PresetBehaviour,
    frame: FleetContext<'_>,
    canonical: &mut String,
    report: &mut Reporter<'_>,
) -> Model {
    let Some(word) = fields.word("model") else {
        // Its own fault is reported; which other keys fit is anyone's guess.
        return Model::Closed { think: Span::ZERO };
    };
    if !facts.sends() && word != "subscriber" {
        let message = format!("{} only hears: nothing can be sent by it", facts.title);
        fields.refuse("model", report, message, "write model = \"subscriber\"");
        return Model::Closed { think: Span::ZERO };
    }
    if word == "closed" {
        let because = "does not apply to a closed fleet, which sends when it is answered";
        fields.refuse_given(&["rate", "arrival", "backlog"], report, because);
        if presets.jitter.is_some() || presets.aligned.is_some() {
            fields.refuse("behaviour", report, because, "take this preset out, or write model = \"open\"");
        }
        return Model::Closed { think: fields.span("think") };
    }
    if word == "subscriber" {
        return subscriber(fields, report);
    }
    fields.refuse_given(&["think"], report, "does not apply to an open fleet, which sends by plan");
    let mut found = arrival(fields, frame.horizon_ns, canonical, report);
    let preset = presets.jitter.map(|jitter| ArrivalProcess::Constant { jitter });
    let preset = preset.or(presets.aligned.map(|spread| ArrivalProcess::Aligned { spread }));
    if let Some(process) = preset {
        let because = "stands beside a preset that is a law of arrival itself";
        fields.refuse_given(&["arrival"], report, because);
        if let ArrivalProcess::Aligned { spread } = process
            && spread.as_secs_f64() * found.rate.as_per_second() > 1.0
        {
            let message = format!("a spread of {spread} is longer than the time between two readings");
            fields.refuse("behaviour", report, message, "shorten `spread` or lower `rate`");
        }
        found.process = process;
    }
    let rate = scaling::rate(found.rate, &found.process, frame.load, fields, report);
    Model::Open {
        rate,
        arrival: found.process,
        recorded_rate: found.recorded_rate,
        backlog: backlog(fields, presets, rate),
    }
}

/// Readings that may wait. What an outage makes wait finds room unless the author says how much there is.
fn backlog(fields: &Fields, presets: &PresetBehaviour, rate: Rate) -> u32 {
    let stated = fields.integer("backlog");
    let stored = match (presets.flush, presets.cut) {
        (Some(_), Some(cut)) if fields.given("backlog").is_none() => {
            (2.0 * rate.as_per_second() * cut.away.as_secs_f64()).ceil() as u64
        }
        _ => 0,
    };
    (stated + stored).min(MOST_BACKLOG) as u32
}

fn behaviour(
    fields: &Fields,
    presets: &PresetBehaviour,
    frame: FleetContext<'_>,
    report: &mut Reporter<'_>,
) -> Behaviour {
    let (join, leave) = (fields.optional_span("join"), fields.optional_span("leave"));
    let late = |at: Span| at >= frame.measured && frame.measured > Span::ZERO;
    for (key, at) in [("join", join), ("leave", leave), ("behaviour", presets.cut.map(|cut| cut.at))] {
        if let Some(at) = at.filter(|at| late(*at)) {
            let message = format!("{at} is not before the end of the last phase, {}", frame.measured);
            fields.refuse(key, report, message, "choose an earlier instant, or lengthen the phases");
        }
    }
    if let (Some(join), Some(leave)) = (join, leave)
        && leave <= join
    {
        let message = format!("the fleet would leave at {leave}, before it joins at {join}");
        fields.refuse("leave", report, message, "let it leave later");
    }
    Behaviour {
        connect_rate: fields.optional_rate("connect_rate").unwrap_or(frame.run.connect_rate),
        join,
        leave,
        cut: presets.cut,
        sleepy: presets.sleepy,
        flush: presets.flush,
        repeat_one_in: presets.repeat_one_in,
    }
}
