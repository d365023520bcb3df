//! A factor on the load of the whole scenario: what it means for each fleet.
//!
//! The devices of an open fleet each send at that many times their rate, in the warm-up as well, so that connections and identities
//! stay as they are. A closed fleet has that many times its devices, in whole ones and at least one: its devices are its concurrency,
//! and the pause between an answer and the next reading is theirs. A fleet that only hears stays as it is.

use std::fmt::Write as _;

use crate::arrival::ArrivalProcess;
use crate::language::{Fields, Reporter};
use crate::scenario::model::Model;
use crate::units::Rate;

/// Readings per second of one device, as `rate` may ask for.
const MOST_RATE: f64 = 1e5;

/// Whether `load` is the load as it is stated: then no digest changes.
pub(super) const fn is_stated(load: f64) -> bool {
    load.to_bits() == 1.0_f64.to_bits()
}

/// The rate of a device of an open fleet under `load` times its load.
pub(super) fn rate(
    stated: Rate,
    arrival: &ArrivalProcess,
    load: f64,
    fields: &Fields,
    report: &mut Reporter<'_>,
) -> Rate {
    if is_stated(load) {
        return stated;
    }
    let wanted = stated.as_per_second() * load;
    let (message, help) = match arrival {
        ArrivalProcess::Recorded { .. } => (
            format!("recorded instants cannot be played at {load} times their load"),
            "use law = \"recorded-rate\", whose rate can be scaled, or leave the load at 1",
        ),
        ArrivalProcess::Aligned { spread } if spread.as_secs_f64() * wanted > 1.0 => (
            format!("at {load} times the load, `spread` is longer than the time between two readings"),
            "shorten `spread`, or ask for less load",
        ),
        _ if wanted > MOST_RATE => (
            format!("{load} times the rate is more than {MOST_RATE}/s of one device"),
            "ask for less load, or share it among more devices",
        ),
        _ => return Rate::per_second(wanted).unwrap_or(stated),
    };
    fields.refuse("arrival", report, message, help);
    stated
}

/// The devices of a fleet of `stated` ones under `load` times its load, `load` above 0.
pub(super) fn devices(stated: u32, model: &Model, load: f64) -> u32 {
    match model {
        Model::Closed { .. } if !is_stated(load) => {
            (f64::from(stated) * load).round().clamp(1.0, f64::from(u32::MAX)) as u32
        }
        _ => stated,
    }
}

/// Tells a digest of what was scaled.
pub(super) fn canonical(model: &Model, load: f64, out: &mut String) {
    if !is_stated(load) && *model != Model::Subscriber {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "load={load:?}");
    }
}
