//! What `POST /v1/faults` asks for, read and checked: every complaint names the field and says what to write.

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::fault::ServiceFault;
use crate::reference::whole::Whole;
use crate::seed::Seed;
use crate::service::FaultKind;
use crate::units::Span;

/// Longest name of a fault, bytes.
const LONGEST_NAME: usize = 64;

/// A fault that is to be switched on.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::reference) struct Order {
    pub(in crate::reference) name: String,
    pub(in crate::reference) kind: FaultKind,
    pub(in crate::reference) effect: ServiceFault,
    pub(in crate::reference) seed: Seed,
    /// The service undoes it by itself after so long.
    pub(in crate::reference) lasts: Option<Span>,
}

/// A number that a kind of fault needs.
#[derive(Debug, Clone, Copy)]
struct Parameter {
    name: &'static str,
    least: f64,
    most: f64,
    is_whole: bool,
    /// A value that makes sense.
    example: f64,
}

impl Parameter {
    const fn real(name: &'static str, least: f64, most: f64, example: f64) -> Self {
        Self { name, least, most, is_whole: false, example }
    }

    const fn whole(name: &'static str, least: f64, most: f64, example: f64) -> Self {
        Self { name, least, most, is_whole: true, example }
    }

    /// What to write.
    fn hint(self) -> String {
        let Self { name, least, most, is_whole, example } = self;
        let number = if is_whole { "whole number" } else { "number" };
        format!("\"{name}\":{example}, a {number} from {least} to {most}")
    }

    /// Its value; `None` if it is not there.
    fn read(self, fields: &Map<String, Value>) -> Result<Option<f64>, String> {
        let Some(value) = fields.get(self.name) else { return Ok(None) };
        let fits = |number: &f64| {
            (self.least..=self.most).contains(number) && !(self.is_whole && number.fract() != 0.0)
        };
        let number = value.as_f64().filter(fits);
        number.map(Some).ok_or_else(|| format!("`{}` is wrong: write {}", self.name, self.hint()))
    }
}

const FACTOR: Parameter = Parameter::real("factor", 1.0, 1e6, 10.0);
const WORKERS: Parameter = Parameter::whole("workers", 1.0, 1e6, 1.0);
const CHANCE: Parameter = Parameter::real("chance", 0.0, 1.0, 0.1);
const RETRY_AFTER: Parameter = Parameter::real("retry_after_ms", 0.0, 3.6e6, 1_000.0);
const CAPACITY: Parameter = Parameter::whole("capacity", 1.0, 1e6, 100.0);
const INSTANCE: Parameter = Parameter::whole("instance", 1.0, 64.0, 1.0);
const DELAY: Parameter = Parameter::real("delay_ms", 0.0, 600_000.0, 200.0);
/// At the most a year.
const LASTS: Parameter = Parameter::real("for_ms", 1.0, 31_536_000_000.0, 60_000.0);

/// The parameters of a kind; it needs all of them.
const fn parameters(kind: FaultKind) -> &'static [Parameter] {
    match kind {
        FaultKind::Slow => &[FACTOR],
        FaultKind::Crash => &[WORKERS],
        FaultKind::Errors | FaultKind::VerdictDrop | FaultKind::VerdictDuplicate => &[CHANCE],
        FaultKind::Overload => &[CHANCE, RETRY_AFTER],
        FaultKind::QueueShrink => &[CAPACITY],
        FaultKind::VerdictDelay | FaultKind::BusDelay => &[DELAY],
        FaultKind::InstanceKill | FaultKind::BusPartition => &[INSTANCE],
        FaultKind::Stall
        | FaultKind::CacheFlush
        | FaultKind::CacheOff
        | FaultKind::PubackWithheld
        | FaultKind::Refuse => &[],
    }
}

impl Order {
    /// Reads `{"operation":"start",…}`.
    ///
    /// # Errors
    /// The first field that is missing or wrong, with what to write.
    pub(in crate::reference) fn read(fields: &Map<String, Value>) -> Result<Self, String> {
        let name = name(fields)?;
        let kinds = || FaultKind::WORDS.join(", ");
        let kind = match fields.get("kind").map(Value::as_str) {
            None => return Err(format!("`kind` is missing: write one of {}", kinds())),
            Some(word) => word.and_then(FaultKind::of),
        };
        let kind = kind.ok_or_else(|| format!("`kind` is wrong: write one of {}", kinds()))?;
        let known = parameters(kind);
        let usual = ["operation", "name", "kind", "seed", LASTS.name];
        let allowed = || usual.into_iter().chain(known.iter().map(|parameter| parameter.name));
        if let Some(other) = fields.keys().find(|key| allowed().all(|name| name != **key)) {
            let names = allowed().collect::<Vec<_>>().join(", ");
            return Err(format!("`{other}` is not a field of `{}`: write {names}", kind.name()));
        }
        let whole = |value: &Value| Whole::deserialize(value).ok().map(|whole| whole.0);
        let seed = fields.get("seed").map_or(Some(0), whole);
        let seed = seed.ok_or_else(|| {
            format!("`seed` is wrong: write \"seed\":1, a whole number from 0 to {}", u64::MAX)
        })?;
        let lasts = LASTS.read(fields)?.map(span);
        Ok(Self { name, kind, effect: effect(kind, fields)?, seed: Seed(seed), lasts })
    }
}

/// The name in a command.
///
/// # Errors
/// What is wrong with it.
pub(in crate::reference) fn name(fields: &Map<String, Value>) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let Some(value) = fields.get("name") else {
        return Err("`name` is missing: write \"name\":\"slow-1\"".to_owned());
    };
    let fits = |name: &&str| (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_plain);
    value.as_str().filter(fits).map(str::to_owned).ok_or_else(|| {
        format!("`name` is wrong: write 1 to {LONGEST_NAME} of a–z, 0–9 and -, such as \"name\":\"slow-1\"")
    })
}

fn effect(kind: FaultKind, fields: &Map<String, Value>) -> Result<ServiceFault, String> {
    let number = |parameter: Parameter| {
        parameter.read(fields)?.ok_or_else(|| {
            format!("`{}` of `{}` is missing: write {}", parameter.name, kind.name(), parameter.hint())
        })
    };
    Ok(match kind {
        FaultKind::Slow => ServiceFault::Slow { factor: number(FACTOR)? },
        FaultKind::Crash => ServiceFault::Crash { workers: number(WORKERS)? as u32 },
        FaultKind::Stall => ServiceFault::Stall,
        FaultKind::Errors => ServiceFault::Errors { chance: number(CHANCE)? },
        FaultKind::Overload => {
            ServiceFault::Overload { chance: number(CHANCE)?, retry_after: span(number(RETRY_AFTER)?) }
        }
        FaultKind::CacheFlush => ServiceFault::CacheFlush,
        FaultKind::CacheOff => ServiceFault::CacheOff,
        FaultKind::QueueShrink => ServiceFault::QueueShrink { capacity: number(CAPACITY)? as u32 },
        FaultKind::VerdictDrop => ServiceFault::VerdictDrop { chance: number(CHANCE)? },
        FaultKind::VerdictDelay => ServiceFault::VerdictDelay { delay: span(number(DELAY)?) },
        FaultKind::VerdictDuplicate => ServiceFault::VerdictDuplicate { chance: number(CHANCE)? },
        FaultKind::PubackWithheld => ServiceFault::PubackWithheld,
        FaultKind::Refuse => ServiceFault::Refuse,
        FaultKind::InstanceKill => ServiceFault::InstanceKill { instance: number(INSTANCE)? as u32 },
        FaultKind::BusDelay => ServiceFault::BusDelay { delay: span(number(DELAY)?) },
        FaultKind::BusPartition => ServiceFault::BusPartition { instance: number(INSTANCE)? as u32 },
    })
}

fn span(ms: f64) -> Span {
    Span::from_ns((ms * 1e6).round() as u64)
}

/// The parameters of a fault with their values, as commands name them.
pub(super) fn values(effect: &ServiceFault) -> Vec<(&'static str, f64)> {
    let ms = |span: &Span| span.as_ns() as f64 / 1e6;
    match effect {
        ServiceFault::Slow { factor } => vec![(FACTOR.name, *factor)],
        ServiceFault::Crash { workers } => vec![(WORKERS.name, f64::from(*workers))],
        ServiceFault::Errors { chance }
        | ServiceFault::VerdictDrop { chance }
        | ServiceFault::VerdictDuplicate { chance } => vec![(CHANCE.name, *chance)],
        ServiceFault::Overload { chance, retry_after } => {
            vec![(CHANCE.name, *chance), (RETRY_AFTER.name, ms(retry_after))]
        }
        ServiceFault::QueueShrink { capacity } => vec![(CAPACITY.name, f64::from(*capacity))],
        ServiceFault::VerdictDelay { delay } | ServiceFault::BusDelay { delay } => {
            vec![(DELAY.name, ms(delay))]
        }
        ServiceFault::InstanceKill { instance } | ServiceFault::BusPartition { instance } => {
            vec![(INSTANCE.name, f64::from(*instance))]
        }
        ServiceFault::Stall
        | ServiceFault::CacheFlush
        | ServiceFault::CacheOff
        | ServiceFault::PubackWithheld
        | ServiceFault::Refuse => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(command: &Value) -> Result<Order, String> {
        Order::read(command.as_object().unwrap())
    }

    #[test]
    fn every_kind_is_read_with_its_parameters_and_told_with_them() {
        let ms = Span::from_ms;
        for (kind, fields, effect) in [
            ("slow", json!({"factor": 2.5}), ServiceFault::Slow { factor: 2.5 }),
            ("crash", json!({"workers": 2}), ServiceFault::Crash { workers: 2 }),
            ("stall", json!({}), ServiceFault::Stall),
            ("errors", json!({"chance": 0}), ServiceFault::Errors { chance: 0.0 }),
            (
                "overload",
                json!({"chance": 0.5, "retry_after_ms": 1500}),
                ServiceFault::Overload { chance: 0.5, retry_after: ms(1_500) },
            ),
            ("cache-flush", json!({}), ServiceFault::CacheFlush),
            ("cache-off", json!({}), ServiceFault::CacheOff),
            ("queue-shrink", json!({"capacity": 7}), ServiceFault::QueueShrink { capacity: 7 }),
            ("verdict-drop", json!({"chance": 1}), ServiceFault::VerdictDrop { chance: 1.0 }),
            (
                "verdict-delay",
                json!({"delay_ms": 0.25}),
                ServiceFault::VerdictDelay { delay: Span::from_ns(250_000) },
            ),
            ("verdict-duplicate", json!({"chance": 0.1}), ServiceFault::VerdictDuplicate { chance: 0.1 }),
            ("puback-withheld", json!({}), ServiceFault::PubackWithheld),
            ("refuse", json!({}), ServiceFault::Refuse),
            ("instance-kill", json!({"instance": 2}), ServiceFault::InstanceKill { instance: 2 }),
            ("bus-delay", json!({"delay_ms": 40}), ServiceFault::BusDelay { delay: ms(40) }),
            ("bus-partition", json!({"instance": 1}), ServiceFault::BusPartition { instance: 1 }),
        ] {
            let mut command = json!({"operation": "start", "name": "a-1", "kind": kind});
            let given: Map<String, Value> =
                values(&effect).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            command.as_object_mut().unwrap().extend(given);
            for name in parameters(FaultKind::of(kind).unwrap()) {
                assert_eq!(command[name.name].as_f64(), fields[name.name].as_f64(), "{kind}");
            }
            let order = read(&command).unwrap();
            assert_eq!((order.kind.name(), &order.effect), (kind, &effect));
            assert_eq!((order.seed, order.lasts), (Seed(0), None));
            for parameter in parameters(order.kind) {
                let mut lacking = command.clone();
                lacking.as_object_mut().unwrap().remove(parameter.name);
                assert!(read(&lacking).unwrap_err().contains(parameter.name), "{kind}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_to_write() {
        let start = json!({"operation": "start", "name": "a", "kind": "overload", "chance": 0.5,
                           "retry_after_ms": 10, "seed": 3, "for_ms": 1.5});
        let order = read(&start).unwrap();
        assert_eq!((order.seed, order.lasts), (Seed(3), Some(Span::from_ns(1_500_000))));
        let long = "x".repeat(65);
        for (field, value, hint) in [
            ("name", json!(""), "1 to 64"),
            ("name", json!("A"), "1 to 64"),
            ("name", json!("ä"), "1 to 64"),
            ("name", json!(long), "1 to 64"),
            ("name", json!(7), "1 to 64"),
            ("name", Value::Null, "1 to 64"),
            ("kind", json!("slo"), "slow, crash, stall"),
            ("kind", json!(1), "slow, crash, stall"),
            ("chance", json!(1.01), "from 0 to 1"),
            ("chance", json!(-0.1), "from 0 to 1"),
            ("chance", json!("0.5"), "from 0 to 1"),
            ("retry_after_ms", json!(-1), "from 0 to 3600000"),
            ("seed", json!(-1), "whole number from 0"),
            ("seed", json!(0.5), "whole number from 0"),
            ("for_ms", json!(0), "from 1 to"),
            ("for_ms", json!(1e300), "from 1 to"),
            ("factor", json!(2), "chance, retry_after_ms"),
            ("capacity", json!(1), "chance, retry_after_ms"),
        ] {
            let mut wrong = start.clone();
            wrong[field] = value.clone();
            let complaint = read(&wrong).unwrap_err();
            assert!(complaint.contains(&format!("`{field}`")), "{field} {value}: {complaint}");
            assert!(complaint.contains(hint), "{field} {value}: {complaint}");
        }
        let fractional = json!({"name": "a", "kind": "crash", "workers": 1.5});
        assert!(read(&fractional).unwrap_err().contains("a whole number from 1"));
        for field in ["name", "kind", "chance", "retry_after_ms"] {
            let mut lacking = start.clone();
            lacking.as_object_mut().unwrap().remove(field);
            assert!(read(&lacking).unwrap_err().contains(&format!("`{field}`")), "{field}");
        }
    }
}
