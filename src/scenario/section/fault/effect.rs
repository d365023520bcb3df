//! From the fields of a fault to what it does.

use std::sync::Arc;

use crate::fault::{
    Action, Command, Damage, Delay, DelayLaw, DeviceFault, Direction, Effect, Ending, Loss, MessageKind,
    Sensor, ServiceFault, Tampering, Toxic, ToxicKind, preset,
};
use crate::language::{FieldValue, Fields, Reporter};
use crate::units::{ByteSize, Span};

/// Bytes a slow reader takes at once.
const SIP: ByteSize = ByteSize(1_024);

/// What the fault of this kind does; `None` if its fields are at fault.
pub(super) fn effect(kind: &str, fields: &Fields, report: &mut Reporter<'_>) -> Option<Effect> {
    if let Some(toxics) = network(kind, fields, report) {
        return Some(Effect::Network(toxics));
    }
    if let Some(tampering) = message(kind, fields, report) {
        return Some(Effect::Message(tampering));
    }
    if let Some(device_fault) = device(kind, fields) {
        return Some(Effect::Device(device_fault));
    }
    if kind == "exec" {
        for key in ["begin", "end"] {
            let text = fields.text(key);
            if text.is_some_and(|text| text.value().trim().is_empty() || text.value().contains('\0')) {
                fields.refuse(key, report, "is not a command", "write a command for the shell, as text");
            }
        }
        let text = |key| fields.text(key).map(|text| Arc::from(text.for_shell()));
        return Some(Effect::Command(Command {
            begin: text("begin")?,
            end: text("end"),
            timeout: fields.span("timeout"),
        }));
    }
    service(kind, fields, report).map(Effect::Service)
}

fn network(kind: &str, fields: &Fields, report: &mut Reporter<'_>) -> Option<Vec<Toxic>> {
    let way = fields.word("direction").and_then(Direction::of).unwrap_or(Direction::Both);
    let one = |kind| Some(vec![Toxic { direction: way, kind }]);
    let size = |key| fields.optional_size(key).unwrap_or_default();
    match kind {
        "link" => preset(fields.word("preset")?),
        "latency" => one(ToxicKind::Latency(delay(fields, report)?)),
        "loss" => one(ToxicKind::Loss(loss(fields, report)?)),
        "bandwidth" => one(ToxicKind::Bandwidth { rate: size("rate").0 as f64, burst: size("burst") }),
        "slow-reader" => {
            let kind = ToxicKind::Bandwidth { rate: size("rate").0 as f64, burst: SIP };
            Some(vec![Toxic { direction: Direction::Down, kind }])
        }
        "slicer" => {
            let (mean, spread) = (size("piece").0 as u32, size("spread").0 as u32);
            if spread >= mean && spread > 0 {
                fields.refuse("spread", report, "is not smaller than `piece`", "make it smaller");
            }
            one(ToxicKind::Slicer { mean, spread, gap: fields.span("gap") })
        }
        "limit" => one(ToxicKind::Limit {
            size: size("size"),
            // Bytes know no goodbye that could be left out.
            ending: if ending(fields) == Ending::Died { Ending::Fin } else { ending(fields) },
        }),
        "reset" => {
            let (after, chance) = (fields.optional_span("after"), fields.number("per_message"));
            // Without either it is a reset at once.
            let after = if after.is_none() && chance <= 0.0 { Some(Span::ZERO) } else { after };
            one(ToxicKind::Reset { after, chance })
        }
        "half-close" => one(ToxicKind::HalfClose { after: fields.span("after") }),
        "slow-close" => one(ToxicKind::SlowClose { delay: fixed(fields, report)? }),
        "partition" => one(ToxicKind::Partition),
        "blackhole" => one(ToxicKind::Blackhole),
        "refuse" => one(ToxicKind::Refuse),
        "slow-connect" => one(ToxicKind::SlowConnect(delay(fields, report)?)),
        "hang" => one(ToxicKind::Hang),
        "corrupt" => {
            if fields.given("chance").is_none() {
                fields.refuse(
                    "chance",
                    report,
                    "is missing",
                    "write for example chance = 0.001, of each byte",
                );
            }
            one(ToxicKind::Corrupt { chance: fields.number("chance") })
        }
        _ => None,
    }
}

fn message(kind: &str, fields: &Fields, report: &mut Reporter<'_>) -> Option<Tampering> {
    let act = match kind {
        "message-drop" => Action::Drop,
        "message-duplicate" => Action::Duplicate,
        "message-delay" => Action::Delay(delay(fields, report)?),
        "message-reorder" => Action::Reorder { depth: fields.integer("depth") as u32 },
        _ => return None,
    };
    Some(Tampering {
        message: fields.word("message").and_then(MessageKind::of)?,
        act,
        skip: fields.integer("skip"),
        nth: fields.integer("nth"),
        chance: fields.number("chance"),
        most: fields.optional_integer("most"),
    })
}

fn device(kind: &str, fields: &Fields) -> Option<DeviceFault> {
    let damaged = |damage| {
        let size = fields.optional_size("payload").unwrap_or_default();
        Some(DeviceFault::Payload { damage, chance: fields.number("chance"), size })
    };
    let sensor = |trouble| Some(DeviceFault::Sensor { trouble, size: fields.number("amount") });
    match kind {
        "disconnect" => Some(DeviceFault::Disconnect { ending: ending(fields) }),
        "offline" => Some(DeviceFault::Offline { ending: ending(fields) }),
        "clock-skew" => {
            let offset_ns = (fields.number("offset") * 1e9) as i64;
            Some(DeviceFault::ClockSkew { offset_ns, drift_ppm: fields.number("drift_ppm") })
        }
        "malformed" => damaged(Damage::Malformed),
        "truncated" => damaged(Damage::Truncated),
        "oversized" => damaged(Damage::Oversized),
        "spike" => Some(DeviceFault::Spike { factor: fields.number("factor") }),
        "stuck" => sensor(Sensor::Stuck),
        "drift" => sensor(Sensor::Drift),
        "shift" => sensor(Sensor::Shift),
        "noise" => sensor(Sensor::Noise),
        _ => None,
    }
}

fn service(kind: &str, fields: &Fields, report: &mut Reporter<'_>) -> Option<ServiceFault> {
    let chance = fields.number("chance");
    Some(match kind {
        "slow-worker" => ServiceFault::Slow { factor: fields.number("factor") },
        "worker-crash" => ServiceFault::Crash { workers: fields.integer("workers") as u32 },
        "stall" => ServiceFault::Stall,
        "errors" => ServiceFault::Errors { chance },
        "overload" => ServiceFault::Overload { chance, retry_after: fields.span("retry_after") },
        "cache-flush" => ServiceFault::CacheFlush,
        "cache-off" => ServiceFault::CacheOff,
        "queue-shrink" => ServiceFault::QueueShrink { capacity: fields.integer("capacity") as u32 },
        "verdict-drop" => ServiceFault::VerdictDrop { chance },
        "verdict-delay" => ServiceFault::VerdictDelay { delay: fixed(fields, report)? },
        "verdict-duplicate" => ServiceFault::VerdictDuplicate { chance },
        "puback-withheld" => ServiceFault::PubackWithheld,
        "refuse-service" => ServiceFault::Refuse,
        "instance-kill" => ServiceFault::InstanceKill { instance: fields.integer("instance") as u32 },
        "bus-delay" => ServiceFault::BusDelay { delay: fixed(fields, report)? },
        "bus-partition" => ServiceFault::BusPartition { instance: fields.integer("instance") as u32 },
        _ => return None,
    })
}

fn ending(fields: &Fields) -> Ending {
    fields.word("ending").and_then(Ending::of).unwrap_or(Ending::Reset)
}

/// A delay where only a constant one means something.
fn fixed(fields: &Fields, report: &mut Reporter<'_>) -> Option<Span> {
    if let DelayLaw::Constant(span) = delay(fields, report)?.law {
        return Some(span);
    }
    fields.refuse("delay", report, "must be constant here", "write a span, for example \"100ms\"");
    None
}

fn delay(fields: &Fields, report: &mut Reporter<'_>) -> Option<Delay> {
    let own = fields.table("delay")?;
    let (mean, jitter) = (own.span("mean"), own.span("jitter"));
    let law = match own.word("law")? {
        "uniform" => DelayLaw::Uniform { mean, jitter },
        "normal" => DelayLaw::Normal { mean, jitter },
        "log-normal" | "pareto" if mean == Span::ZERO => {
            own.refuse("mean", report, "must not be 0 for this law", "write a longer span");
            return None;
        }
        "log-normal" => DelayLaw::LogNormal { mean, jitter },
        "pareto" => DelayLaw::Pareto { least: mean, shape: own.number("shape") },
        "table" => DelayLaw::Table(quantiles(&own, report)?),
        _ => DelayLaw::Constant(mean),
    };
    Some(Delay { law, correlation: own.number("correlation") })
}

fn quantiles(own: &Fields, report: &mut Reporter<'_>) -> Option<Arc<[Span]>> {
    let spans: Vec<Span> = own
        .list("quantiles")
        .iter()
        .filter_map(|(_, found)| if let FieldValue::Span(span) = found { Some(*span) } else { None })
        .collect();
    if spans.len() < 2 || !spans.is_sorted() {
        let help = "write for example [\"5ms\", \"20ms\", \"400ms\"]: minimum, median, maximum";
        own.refuse("quantiles", report, "must be at least two, and must not decrease", help);
        return None;
    }
    Some(spans.into())
}

/// The chain whose share of losses in the long run is the one that was asked for: of its time the link is bad for
/// `worsens ÷ (worsens + recovers)`.
fn loss(fields: &Fields, report: &mut Reporter<'_>) -> Option<Loss> {
    let own = fields.table("loss")?;
    let (share, good, bad) = (own.number("share"), own.number("good"), own.number("bad"));
    if share < good || share > bad || good >= bad {
        let message = format!("{share} does not lie between `good` ({good}) and `bad` ({bad})");
        own.refuse("share", report, message, "change one of the three");
        return None;
    }
    let (rtt, rto) = (own.span("rtt"), own.span("rto"));
    let burst = own.number("burst");
    if burst <= 1.0 && own.given("good").is_none() && own.given("bad").is_none() {
        // Each segment for itself.
        return Some(Loss { worsens: 0.0, recovers: 1.0, lost_good: share, lost_bad: share, rtt, rto });
    }
    let recovers = 1.0 / burst.max(1.0);
    let time_bad = (share - good) / (bad - good);
    let worsens = if time_bad >= 1.0 { 1.0 } else { time_bad * recovers / (1.0 - time_bad) };
    if worsens > 1.0 {
        let message = format!("a share of {share} needs longer bursts");
        own.refuse("burst", report, message, "make `burst` larger");
        return None;
    }
    Some(Loss { worsens, recovers, lost_good: good, lost_bad: bad, rtt, rto })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scenario::inline_faults;

    fn chain(text: &str) -> Option<Loss> {
        let faults = inline_faults(&[format!("loss,loss={text}")]).ok()?;
        match &faults.first()?.effect {
            Effect::Network(toxics) => match toxics.first()?.kind {
                ToxicKind::Loss(loss) => Some(loss),
                _ => None,
            },
            _ => None,
        }
    }

    #[test]
    fn a_bare_share_loses_each_segment_for_itself() {
        let loss = chain("0.3").unwrap();
        assert_eq!((loss.worsens, loss.lost_good, loss.lost_bad), (0.0, 0.3, 0.3));
    }

    proptest! {
        #[test]
        fn in_the_long_run_the_share_is_the_one_asked_for(
            share in 0.0_f64..0.5, burst in 1.5_f64..50.0, good in 0.0_f64..0.2, bad in 0.5_f64..1.0,
        ) {
            prop_assume!(share >= good && share < bad);
            if let Some(loss) = chain(&format!("{{ share = {share}, burst = {burst}, good = {good}, bad = {bad} }}")) {
                // The chain's stationary law: bad for worsens ÷ (worsens + recovers) of the time.
                let time_bad = loss.worsens / (loss.worsens + loss.recovers);
                let lost = time_bad * loss.lost_bad + (1.0 - time_bad) * loss.lost_good;
                prop_assert!((lost - share).abs() < 1e-9, "{lost} {share}");
                prop_assert!((1.0 / loss.recovers - burst).abs() < 1e-9);
            }
        }
    }
}
