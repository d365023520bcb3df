//! What stands in the files, record by record, as CBOR (RFC 8949).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::clock::Tick;
use crate::record::RunToken;
use crate::reference::device::{Device, Scores, Taken};

/// What a reading that was judged did to the state of its device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub(in crate::reference) struct Step {
    /// Tells a device from an earlier one of the same name.
    pub(in crate::reference) born: Tick,
    /// Which of the device's readings it was, in the order in which they were taken in.
    pub(in crate::reference) order: u64,
    pub(in crate::reference) taken: Taken,
    pub(in crate::reference) scores: Scores,
}

/// The same without names: readings are most of a journal.
type Row = (u64, u64, Option<RunToken>, u64, f64, Option<u64>, u64, u8, u32, [f64; 2], u64);

impl From<Row> for Step {
    fn from((born, order, run, seq, value, taken_ns, came, variant, model, given, said): Row) -> Self {
        let taken = Taken { run, seq, value, taken_ns, at: Tick(came) };
        // There are two models.
        let scores = Scores { variant: usize::from(variant & 1), model, given, at: Tick(said) };
        Self { born: Tick(born), order, taken, scores }
    }
}

impl From<Step> for Row {
    fn from(Step { born, order, taken, scores }: Step) -> Self {
        let Taken { run, seq, value, taken_ns, at: Tick(came) } = taken;
        let Scores { variant, model, given, at: Tick(said) } = scores;
        (born.0, order, run, seq, value, taken_ns, came, variant as u8, model, given, said)
    }
}

/// One record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Record<'a> {
    /// A reading of the device of this name.
    #[serde(rename = "r")]
    Reading(Cow<'a, str>, Step),
    /// All that is known of a device: what stands before this is part of it.
    #[serde(rename = "d")]
    Device(Cow<'a, str>, Box<Device>),
    #[serde(rename = "f")]
    Forgotten(Cow<'a, str>),
    /// The settings that windows depend on.
    #[serde(rename = "s")]
    Settings(Cow<'a, str>),
    /// The versions of the models, and whether the challenger judges all devices.
    #[serde(rename = "v")]
    Versions(Vec<u32>, bool),
    /// Keys in the cache.
    #[serde(rename = "k")]
    Keys(Vec<String>),
    /// An alert by its number, as JSON; without one only the number is taken.
    #[serde(rename = "a")]
    Alert(u64, Cow<'a, str>),
    /// The snapshot ends here, so many devices long.
    #[serde(rename = "w")]
    Whole(u64),
}
