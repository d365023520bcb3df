//! `[[fault]]`: what goes wrong, and when.

mod effect;
mod table;

use crate::arrival::ArrivalProcess;
use crate::clock::Tick;
use crate::fault::{Action, DeviceFault, Effect, Fault, MessageKind, Schedule, Tampering};
use crate::language::{FieldValue, Fields, Node, Reporter, Table, Value, check, nearest, quote};
use crate::protocol::Facts;
use crate::scenario::model::{Fleet, Model};
use crate::units::Span;

pub(in crate::scenario) use table::{DELAY, FAULT, LONGEST, LOSS, NETWORK};

/// Faults of a scenario.
const MOST: usize = 64;

/// Activations of all faults together.
const MOST_ACTIVATIONS: u32 = 10_000;

/// The faults of a document, instants counted from the first phase, and every value that is not a default.
#[derive(Debug, Default)]
pub(super) struct CheckedFaults {
    pub(super) faults: Vec<Fault>,
    pub(super) canonical: String,
}

/// What the faults of a scenario are checked against.
pub(super) struct FaultContext<'f> {
    pub(super) fleets: &'f [(Fleet, Fields)],
    /// Whether every fleet of the document is among them.
    pub(super) all_sound: bool,
    /// All phases together.
    pub(super) measured: Span,
}

pub(super) fn faults(root: &Table, frame: &FaultContext<'_>, report: &mut Reporter<'_>) -> CheckedFaults {
    let mut checked = CheckedFaults::default();
    let Some(entry) = root.0.get("fault") else { return checked };
    let Value::List(items) = &entry.node.value else {
        let found = entry.node.value.described();
        let message = format!("expected a list of tables, found {found}");
        report.add(&entry.key, "fault", message, "open every fault with two brackets: [[fault]]");
        return checked;
    };
    if items.len() > MOST {
        let message = format!("{} faults are too many", items.len());
        report.add(&entry.node.origin, "fault", message, format!("keep to {MOST} faults"));
        return checked;
    }
    for (nth, item) in items.iter().enumerate() {
        let Value::Table(table) = &item.value else {
            let found = item.value.described();
            let help = "open every fault with two brackets: [[fault]]";
            report.add(&item.origin, "fault", format!("expected a table, found {found}"), help);
            continue;
        };
        let Some((fault, fields)) = fault(nth, item, table, frame, report) else { continue };
        if checked.faults.iter().any(|other| other.name == fault.name) {
            let message = format!("there is a fault `{}` already", fault.name);
            fields.refuse("name", report, message, "give every fault its own name");
        }
        fields.canonical("fault", &mut checked.canonical);
        checked.faults.push(fault);
    }
    let activations: u32 =
        checked.faults.iter().filter_map(|fault| fault.schedule).map(|when| when.times).sum();
    if activations > MOST_ACTIVATIONS {
        let message = format!("the faults have {activations} activations in all");
        report.add(&entry.node.origin, "fault", message, format!("keep to {MOST_ACTIVATIONS} with `times`"));
    }
    checked
}

fn fault(
    nth: usize,
    item: &Node,
    table: &Table,
    frame: &FaultContext<'_>,
    report: &mut Reporter<'_>,
) -> Option<(Fault, Fields)> {
    let path = match table.0.get("name").map(|entry| &entry.node.value) {
        Some(Value::Text(name)) => format!("fault.{}", quote(name)),
        _ => format!("fault[{}]", nth + 1),
    };
    let own = without_jitter(table, &path, report);
    let fields = check(&FAULT, &own, &path, &item.origin, report);
    let kind = fields.word("kind")?;
    let ramp = fields.span("ramp");
    let effect = effect::effect(kind, &fields, report);
    let instant = effect.as_ref().is_some_and(Effect::is_instant);
    let schedule = schedule((kind, instant), &fields, ramp, frame, report);
    let effect = effect?;
    let fleets = if effect.by_device() { fleets(&fields, frame, &effect, report) } else { Vec::new() };
    let fault = Fault {
        name: fields.text("name").unwrap_or_default().value().to_owned(),
        kind,
        schedule,
        fleets,
        share: if effect.by_device() { fields.number("share") } else { 1.0 },
        ramp_ns: ramp.as_ns(),
        new_only: fields.word("connections") == Some("new"),
        effect,
    };
    Some((fault, fields))
}

/// `table` without the key `jitter`, which many look for here: it is a key of what it spreads.
fn without_jitter(table: &Table, path: &str, report: &mut Reporter<'_>) -> Table {
    let mut own = table.clone();
    let Some(jitter) = own.0.remove("jitter") else { return own };
    let kind = own.0.get("kind").map(|entry| &entry.node.value);
    let help = match kind {
        Some(Value::Text(kind))
            if FAULT.field("delay").is_some_and(|delay| delay.only.contains(&kind.as_str())) =>
        {
            "it is a key of the delay: delay = { mean = \"100ms\", jitter = \"20ms\" }"
        }
        _ => {
            "`ramp` spreads whom it hits and when; how devices come back is the fleet's: backoff = { jitter = 1 }"
        }
    };
    report.add(&jitter.key, &format!("{path}.jitter"), "unknown key", help);
    own
}

fn schedule(
    (kind, instant): (&str, bool),
    fields: &Fields,
    ramp: Span,
    frame: &FaultContext<'_>,
    report: &mut Reporter<'_>,
) -> Option<Schedule> {
    if instant {
        fields.refuse_given(&["duration"], report, "is not valid for a fault that happens at an instant");
    }
    let Some(start) = fields.optional_span("start") else {
        fields.refuse_given(&["every", "times"], report, "is not valid without `start`");
        if kind == "spike" {
            let message =
                "is required: the readings of a spike are part of the plan, so it cannot be started by hand";
            fields.refuse("start", report, message, "state when it begins");
        }
        return None;
    };
    let measured = frame.measured;
    if measured < Span::from_ms(1) {
        // What is wrong with the phases is reported already.
        return None;
    }
    if start >= measured {
        let message = format!("{start} is not within the {measured} of the phases");
        fields.refuse("start", report, message, "begin earlier, or make the phases longer");
        return None;
    }
    let left_ns = measured.as_ns() - start.as_ns();
    let stated = fields.optional_span("duration").map(Span::as_ns);
    let every = fields.optional_span("every").map(Span::as_ns);
    // What happens at an instant is over when the last device is hit.
    let duration_ns = if instant { ramp.as_ns() } else { stated.unwrap_or(left_ns) };
    if stated.is_none() && !instant && every.is_some() {
        fields.refuse("duration", report, "is missing", "state how long each activation lasts");
    } else if every.is_some_and(|every| every < duration_ns.max(ramp.as_ns())) {
        let message = "it would begin again before it ends";
        fields.refuse("every", report, message, "make it longer than `duration` and `ramp`");
    }
    if !instant && ramp.as_ns() > duration_ns {
        fields.refuse("ramp", report, "is longer than the fault lasts", "make it shorter than `duration`");
    }
    if every.is_none() {
        fields.refuse_given(&["times"], report, "is not valid without `every`");
    }
    let fitting = every.map_or(1, |every| (left_ns - 1) / every.max(1) + 1);
    let times = fields.optional_integer("times").unwrap_or(fitting).min(fitting);
    Some(Schedule {
        start: Tick(start.as_ns()),
        duration_ns,
        every_ns: every.unwrap_or(0),
        times: u32::try_from(times).unwrap_or(u32::MAX).min(MOST_ACTIVATIONS + 1),
    })
}

/// The fleets that are meant, sorted; empty if all are.
fn fleets(
    fields: &Fields,
    frame: &FaultContext<'_>,
    effect: &Effect,
    report: &mut Reporter<'_>,
) -> Vec<String> {
    let names: Vec<&str> = frame.fleets.iter().map(|(fleet, _)| fleet.name.as_str()).collect();
    if fields.given("fleets").is_some() && fields.list("fleets").is_empty() {
        fields.refuse(
            "fleets",
            report,
            "names no fleet",
            "name at least one, or remove the key to select all",
        );
    }
    let mut wanted = Vec::new();
    for (origin, found) in fields.list("fleets") {
        let FieldValue::Text(name) = found else { continue };
        if names.contains(&name.value()) || !frame.all_sound {
            wanted.push(name.value().to_owned());
            continue;
        }
        let help = match nearest(name.value(), names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are: {}", quote(&names.join(", "))),
        };
        let message = format!("there is no fleet `{}`", quote(name.value()));
        report.add(origin, &format!("{}.fleets", fields.path), message, help);
    }
    let endpoint = fields.word("endpoint");
    let narrowed = !wanted.is_empty() || endpoint.is_some();
    if narrowed && wanted.len() < fields.list("fleets").len() {
        return Vec::new();
    }
    let meant = frame.fleets.iter().map(|(fleet, _)| fleet).filter(|fleet| {
        (wanted.is_empty() || wanted.contains(&fleet.name))
            && endpoint.is_none_or(|protocol| fleet.protocol.name() == protocol)
    });
    let (fit, misfit): (Vec<&Fleet>, Vec<&Fleet>) = meant.partition(|fleet| suits(effect, fleet));
    let is_named = |fleet: &&Fleet| wanted.contains(&fleet.name);
    if let Some(fleet) = misfit.iter().find(|fleet| is_named(fleet)) {
        let message = format!("cannot act on fleet `{}`", fleet.name);
        fields.refuse("fleets", report, message, "remove it");
    } else if fit.is_empty() && frame.all_sound {
        let at = if endpoint.is_some() { "endpoint" } else { "kind" };
        fields.refuse(at, report, "there is no fleet that it could act on", "add one, or remove the fault");
    }
    if !narrowed && misfit.is_empty() {
        return Vec::new();
    }
    fit.into_iter().map(|fleet| fleet.name.clone()).collect()
}

/// Whether the fault can act on devices of this fleet at all.
fn suits(effect: &Effect, fleet: &Fleet) -> bool {
    let sends = fleet.model != Model::Subscriber;
    let Facts { serial, messages, .. } = *fleet.facts;
    match effect {
        // One request is under way at a time: there is nothing that could overtake.
        Effect::Message(Tampering { act: Action::Reorder { .. }, .. }) if serial => false,
        Effect::Message(Tampering { message, .. }) => {
            messages.contains(message)
                && (sends || !matches!(message, MessageKind::Reading | MessageKind::Verdict))
        }
        Effect::Device(DeviceFault::Spike { .. }) => {
            matches!(&fleet.model, Model::Open { arrival, .. } if !matches!(arrival, ArrivalProcess::Recorded { .. }))
        }
        effect if effect.on_readings() => sends,
        _ => true,
    }
}
