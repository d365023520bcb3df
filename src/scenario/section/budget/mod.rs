//! `[[budget]]`: what the figures of a run must keep to.

mod table;

use crate::budget::{Budget, BudgetError, Condition, Figure, Metric, Scope, Subject, Times, Unit};
use crate::language::{
    Entry, Fields, NUMBER, Node, Origin, Reporter, Table, Value, check, harmless, join, nearest, quote, unfit,
};
use crate::scenario::model::{Fleet, Model};

pub(in crate::scenario) use table::BUDGET;

/// Budgets of a scenario, or of a file.
const MOST: usize = 100;
/// Conditions of one of them.
const MOST_CONDITIONS: usize = 100;
/// Characters of a name.
const LONGEST_NAME: usize = 80;

/// What budgets are checked against.
pub(in crate::scenario) struct BudgetContext<'f> {
    /// Those that are sound.
    pub(in crate::scenario) fleets: Vec<&'f Fleet>,
    /// Whether all are.
    pub(in crate::scenario) all_sound: bool,
    /// Names of measured phases, as far as they have one.
    pub(in crate::scenario) phases: Vec<&'f str>,
    /// The steps of those that have some: the name of the one, and that of the other.
    pub(in crate::scenario) steps: Vec<(&'f str, &'f str)>,
    pub(in crate::scenario) warm_up: bool,
    /// Names of faults, as far as they have one.
    pub(in crate::scenario) faults: Vec<&'f str>,
}

/// The names that the tables of the list `key` have.
pub(in crate::scenario) fn names<'r>(root: &'r Table, key: &str) -> Vec<&'r str> {
    let Some(Value::List(items)) = root.0.get(key).map(|entry| &entry.node.value) else { return Vec::new() };
    let name = |item: &'r Node| match &item.value {
        Value::Table(table) => match table.0.get("name").map(|entry| &entry.node.value) {
            Some(Value::Text(name)) => Some(name.as_str()),
            _ => None,
        },
        _ => None,
    };
    items.iter().filter_map(name).collect()
}

/// The budgets of a document.
pub(in crate::scenario) fn budgets(
    root: &Table,
    frame: &BudgetContext<'_>,
    report: &mut Reporter<'_>,
) -> Vec<Budget> {
    let Some(entry) = root.0.get("budget") else { return Vec::new() };
    let help = "open every budget with two brackets: [[budget]]";
    let Value::List(items) = &entry.node.value else {
        let message = format!("expected a list of tables, found {}", entry.node.value.described());
        report.add(&entry.key, "budget", message, help);
        return Vec::new();
    };
    if items.len() > MOST {
        let message = format!("{} budgets are too many", items.len());
        report.add(&entry.node.origin, "budget", message, format!("keep to {MOST} budgets"));
        return Vec::new();
    }
    let mut budgets = Vec::with_capacity(items.len());
    for (nth, item) in items.iter().enumerate() {
        if let Value::Table(table) = &item.value {
            let budget = budget(nth, item, table, frame, report);
            budgets.extend(by_step(budget, frame));
            if budgets.len() > MOST {
                let message = format!("a budget for every step makes more than {MOST}");
                report.add(&item.origin, "budget", message, "name single steps, or make fewer");
                return budgets;
            }
        } else {
            let message = format!("expected a table, found {}", item.value.described());
            report.add(&item.origin, "budget", message, help);
        }
    }
    budgets
}

/// The budget, or one for each step of the phase that it names: a step that fails is not made good by another.
fn by_step(budget: Budget, frame: &BudgetContext<'_>) -> Vec<Budget> {
    let meant = budget.scope.phase.as_deref();
    let steps = frame.steps.iter().filter(|(phase, _)| Some(*phase) == meant);
    let single = |(_, step): &(&str, &str)| {
        let scope = Scope { phase: Some((*step).to_owned()), ..budget.scope.clone() };
        Budget { scope, ..budget.clone() }
    };
    let each: Vec<_> = steps.map(single).collect();
    if each.is_empty() { vec![budget] } else { each }
}

fn budget(
    nth: usize,
    item: &Node,
    table: &Table,
    frame: &BudgetContext<'_>,
    report: &mut Reporter<'_>,
) -> Budget {
    let path = match table.0.get("name").map(|entry| &entry.node.value) {
        Some(Value::Text(name)) => format!("budget.{}", quote(name)),
        _ => format!("budget[{}]", nth + 1),
    };
    let (metrics, own): (Vec<_>, Vec<_>) = table.0.iter().partition(|(key, _)| Metric::parse(key).is_some());
    let (forms, own): (Vec<_>, Vec<_>) = own
        .into_iter()
        .partition(|(key, _)| key.contains(NUMBER) && BUDGET.fields.iter().any(|field| field.name == *key));
    let (misnamed, own): (Vec<_>, Vec<_>) =
        own.into_iter().partition(|(key, entry)| BUDGET.field(key).is_none() && is_share(&entry.node));
    let own = Table(own.into_iter().map(|(key, entry)| (key.clone(), entry.clone())).collect());
    let fields = check(&BUDGET, &own, &path, &item.origin, report);
    for (key, entry) in &forms {
        let help = format!("write a number for {NUMBER}, for example {}", key.replace(NUMBER, "99"));
        report.add(&entry.key, &join(&path, key), "names no percentile", help);
    }
    for (key, entry) in &misnamed {
        let help = match rate_named(key) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("a share can be demanded of: {}", shares().collect::<Vec<_>>().join(", ")),
        };
        report.add(&entry.key, &join(&path, key), "unknown key", help);
    }
    let scope = scope(&fields, frame, report);
    let mut conditions = Vec::new();
    for (key, entry) in &metrics {
        let place = join(&path, key);
        for (condition, at) in stated(key, entry, &place, report) {
            fits(&condition, (&place, &at), &scope, frame, report);
            conditions.push((order(&at), condition));
        }
    }
    // Tables do not keep the order in which they were written.
    conditions.sort_by_key(|(order, _)| *order);
    if metrics.is_empty() && forms.is_empty() && misnamed.is_empty() {
        report.add(&item.origin, &path, "demands nothing", "add a condition, for example p99 = \"<250ms\"");
    } else if conditions.len() > MOST_CONDITIONS {
        let message = format!("{} conditions are too many", conditions.len());
        report.add(&item.origin, &path, message, format!("keep to {MOST_CONDITIONS}"));
    }
    let (abort_on_fail, grace) = (fields.flag("abort_on_fail"), fields.span("grace"));
    if !abort_on_fail {
        fields.refuse_given(&["grace"], report, "requires `abort_on_fail`");
    }
    let conditions = conditions.into_iter().map(|(_, condition)| condition).collect();
    Budget { name: name(&fields, report), scope, conditions, abort_on_fail, grace }
}

/// Whether a condition asks for a share: `"<1%"`.
fn is_share(node: &Node) -> bool {
    match &node.value {
        Value::Text(text) => text.trim_end().ends_with('%'),
        Value::List(items) => items.iter().any(is_share),
        _ => false,
    }
}

/// The keys of figures that are shares.
fn shares() -> impl Iterator<Item = &'static str> {
    Figure::ALL.iter().filter(|figure| figure.unit() == Unit::Share).map(|figure| figure.key())
}

/// The share that `key` was probably meant to be: `error_rate` for `errors`.
fn rate_named(key: &str) -> Option<&'static str> {
    let stem = key.strip_suffix('s').unwrap_or(key);
    nearest(key, shares()).or_else(|| nearest(&format!("{stem}_rate"), shares()))
}

fn order(at: &Origin) -> usize {
    match at {
        Origin::Text(range) => range.start,
        Origin::Given(_) | Origin::Whole => usize::MAX,
    }
}

fn name(fields: &Fields, report: &mut Reporter<'_>) -> Option<String> {
    let name = fields.text("name")?.value().trim().to_owned();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        let help = format!("write 1 to {LONGEST_NAME} characters on one line, or take it out");
        fields.refuse("name", report, "is not a valid name", help);
    }
    Some(name)
}

/// The conditions that `key` states, and where each was written.
fn stated(key: &str, entry: &Entry, place: &str, report: &mut Reporter<'_>) -> Vec<(Condition, Origin)> {
    let one = std::slice::from_ref(&entry.node);
    let nodes = if let Value::List(items) = &entry.node.value { items.as_slice() } else { one };
    let mut found = Vec::new();
    for node in nodes {
        match condition(key, node, report) {
            Ok(condition) => found.push((condition, node.origin.clone())),
            Err((message, help)) => report.add(&node.origin, place, message, help),
        }
    }
    if nodes.is_empty() {
        report.add(&entry.node.origin, place, "demands nothing", "write a condition, or take this out");
    }
    found
}

fn condition(key: &str, node: &Node, report: &Reporter<'_>) -> Result<Condition, (String, String)> {
    let unit = Metric::parse(key).and_then(Result::ok).map_or(Unit::Time, Metric::unit);
    let example = format!("write for example {}", unit.example());
    let written = match &node.value {
        Value::Text(written) => written.clone(),
        Value::Flag(flag) if unit == Unit::Truth => flag.to_string(),
        other => return Err((format!("expected a condition, found {}", other.described()), example)),
    };
    let text = report.expand(&written)?;
    match Condition::parse(key, &text) {
        Some(Ok(condition)) => Ok(condition),
        // The message must not tell what the variable stands for.
        Some(Err(_)) if text != written => Err((unfit(&written), example)),
        Some(Err(BudgetError { message, help })) => {
            let meant = rate_named(key).filter(|_| unit == Unit::Count && is_share(node));
            let help = meant.map_or(help, |meant| format!("did you mean `{meant}`?"));
            Err((harmless(&message), harmless(&help)))
        }
        None => Err(("names no figure".to_owned(), "take this out".to_owned())),
    }
}

fn scope(fields: &Fields, frame: &BudgetContext<'_>, report: &mut Reporter<'_>) -> Scope {
    let text = |key: &str| fields.text(key).map(|text| text.value().to_owned());
    let scope = Scope {
        fleet: text("fleet"),
        protocol: fields.word("protocol").map(str::to_owned),
        phase: text("phase"),
        subject: fields.word("kind").and_then(Subject::of).unwrap_or_default(),
        fault: text("fault"),
    };
    if let Some(fault) = &scope.fault {
        exists(fields, "fault", fault, &frame.faults, report);
        let because = "does not apply to a fault, whose figures cover all fleets";
        fields.refuse_given(&["fleet", "protocol", "phase", "kind"], report, because);
        return scope;
    }
    if let Some(phase) = &scope.phase {
        let mut phases = frame.phases.clone();
        phases.extend(frame.steps.iter().map(|(_, step)| *step));
        if frame.warm_up {
            phases.push("warm-up");
        }
        if matches!(scope.subject, Subject::Connections | Subject::Handshakes) {
            phases.push("connect");
        }
        exists(fields, "phase", phase, &phases, report);
    }
    let names: Vec<&str> = frame.fleets.iter().map(|fleet| fleet.name.as_str()).collect();
    if let Some(fleet) = &scope.fleet
        && frame.all_sound
    {
        exists(fields, "fleet", fleet, &names, report);
    }
    let meant = meant(&scope, frame);
    if !frame.all_sound || scope.fleet.as_deref().is_some_and(|fleet| !names.contains(&fleet)) {
        return scope;
    }
    if meant.is_empty() {
        fields.refuse(
            "protocol",
            report,
            "there is no such fleet that speaks this",
            "take this out, or name another",
        );
    } else if scope.subject == Subject::Readings && meant.iter().all(|fleet| fleet.model == Model::Subscriber)
    {
        let at = if scope.fleet.is_some() { "fleet" } else { "protocol" };
        let help = "name a fleet that sends, or write kind = \"delivery\" for what it hears, or \"connect\" for its connections";
        fields.refuse(at, report, "only listens: it sends no readings, and has no error rate", help);
    } else if scope.subject == Subject::Deliveries
        && meant.iter().all(|fleet| fleet.model != Model::Subscriber)
    {
        let help = "write model = \"subscriber\" for the fleet that is to hear, or take `kind` out";
        fields.refuse("kind", report, "is of fleets that only hear, and none is meant", help);
    }
    scope
}

fn exists(fields: &Fields, key: &str, name: &str, known: &[&str], report: &mut Reporter<'_>) {
    if known.contains(&name) {
        return;
    }
    let help = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{}`?", quote(meant)),
        None if known.is_empty() => "take this out".to_owned(),
        None => format!("there are: {}", quote(&known.join(", "))),
    };
    fields.refuse(key, report, format!("there is no {key} `{}`", quote(name)), help);
}

/// The fleets that a scope means.
fn meant<'f>(scope: &Scope, frame: &BudgetContext<'f>) -> Vec<&'f Fleet> {
    let named = |fleet: &&&Fleet| scope.fleet.as_ref().is_none_or(|name| *name == fleet.name);
    let speaks = |fleet: &&&Fleet| scope.protocol.as_ref().is_none_or(|word| word == fleet.protocol.name());
    frame.fleets.iter().filter(named).filter(speaks).copied().collect()
}

/// Refuses a figure that can never be known of what is meant.
fn fits(
    condition: &Condition,
    (place, at): (&str, &Origin),
    scope: &Scope,
    frame: &BudgetContext<'_>,
    report: &mut Reporter<'_>,
) {
    let mut refuse = |message: &str, help: &str| report.add(at, place, message, help);
    match (condition.metric, &scope.fault) {
        (Metric::Recovery(_), None) => refuse("is known of faults only", "add fault = \"NAME\""),
        (Metric::Percentile(..), Some(_)) => {
            refuse("is not known of a fault", "write worst_p99, or take `fault` out");
        }
        (Metric::Figure(figure), Some(_)) if !figure.is_of_faults() => {
            refuse("is not known of a fault", "write another figure, or take `fault` out");
        }
        (Metric::Figure(Figure::Resumed | Figure::ResumedRate), None)
            if scope.subject != Subject::Handshakes =>
        {
            refuse("is known of TLS handshakes only", "add kind = \"tls\"");
        }
        (Metric::Figure(Figure::ConnectErrorRate), None) if scope.subject == Subject::Handshakes => {
            refuse("is of connections", "write error_rate for handshakes");
        }
        (Metric::Figure(Figure::ConnectErrorRate), None)
            if matches!(scope.subject, Subject::Readings | Subject::Deliveries) =>
        {
            refuse(
                "is known of connections only",
                "add kind = \"connect\", or write error_rate for readings",
            );
        }
        (Metric::Figure(Figure::ErrorRate | Figure::FailedRate), None)
            if scope.subject == Subject::Connections =>
        {
            refuse("is of readings", "write connect_error_rate, or take `kind` out");
        }
        (metric, None) if scope.subject == Subject::Deliveries && !is_of_deliveries(metric) => {
            refuse("is not measured of deliveries", "take this out, or `kind`");
        }
        (metric, None)
            if matches!(scope.subject, Subject::Connections | Subject::Handshakes)
                && !is_of_connections(metric) =>
        {
            refuse("is not measured of connections", "take this out, or `kind`");
        }
        (Metric::Figure(figure), None)
            if figure.is_of_fleet_budgets()
                && frame.all_sound
                && meant(scope, frame).iter().all(|fleet| fleet.budget.is_none()) =>
        {
            refuse(
                "no fleet that is meant has a latency budget",
                "give one to the fleet: budget = \"250ms\"",
            );
        }
        _ => {}
    }
}

/// Whether deliveries have it.
const fn is_of_deliveries(metric: Metric) -> bool {
    is_of_connections(metric)
        || matches!(
            metric,
            Metric::Figure(
                Figure::Duplicated
                    | Figure::DuplicatedRate
                    | Figure::Reordered
                    | Figure::ReorderedRate
                    | Figure::Late
            )
        )
}

/// Whether attempts to connect have it.
const fn is_of_connections(metric: Metric) -> bool {
    match metric {
        Metric::Percentile(times, _) => matches!(times, Times::Response | Times::Ok),
        Metric::Figure(figure) => !matches!(
            figure,
            Figure::WithinBudget
                | Figure::WithinBudgetRate
                | Figure::FoundRate
                | Figure::FalseAlarmRate
                | Figure::ServiceMax
                | Figure::Duplicated
                | Figure::DuplicatedRate
                | Figure::Reordered
                | Figure::ReorderedRate
                | Figure::Late
                | Figure::Retried
                | Figure::RetriesDenied
                | Figure::Resent
                | Figure::Anomalies
                | Figure::AnomaliesFound
                | Figure::JudgedNormal
                | Figure::FalseAlarms
        ),
        Metric::Recovery(_) => false,
    }
}
