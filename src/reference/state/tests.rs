//! Files cut and damaged anywhere, and what their records come to.

use std::borrow::Cow;
use std::fs;
use std::sync::Arc;

use super::file::{Folder, Writer, read};
use super::record::{Record, Step};
use super::replay::restore;
use crate::clock::{Monotonic, Tick};
use crate::reference::device::{Device, Scores, Taken, open};
use crate::reference::metric::Metrics;
use crate::reference::processor::Shared;
use crate::service::Setup;

fn step(order: u64) -> Step {
    let taken =
        Taken { run: None, seq: order, value: (order * 7 % 11) as f64, taken_ns: None, at: Tick(order) };
    let scores = Scores { variant: 0, model: 1, given: [0.0; 2], at: Tick(order) };
    Step { born: Tick(1), order, taken, scores }
}

fn reading(order: u64) -> Record<'static> {
    Record::Reading(Cow::Borrowed("m"), step(order))
}

fn write(path: std::path::PathBuf, records: impl IntoIterator<Item = Record<'static>>) -> Vec<u64> {
    let mut writer = Writer::create(path).unwrap();
    let mut ends = vec![writer.bytes];
    for record in records {
        writer.add(&record);
        writer.flush().unwrap();
        ends.push(writer.bytes);
    }
    ends
}

#[test]
fn a_file_cut_anywhere_gives_what_was_whole_and_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state-00000001.log");
    let ends = write(path.clone(), (1..=4).map(reading));
    let whole = fs::read(&path).unwrap();
    let records = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let mut count = 0;
        read(&path, |_| count += 1).map(|dropped| (count, dropped))
    };
    for cut in 0..=whole.len() as u64 {
        let kept = ends.iter().rposition(|end| *end <= cut);
        let expected = match kept {
            // Within the head.
            None => (0, 0),
            Some(kept) => (kept, cut - ends[kept]),
        };
        assert_eq!(records(&whole[..cut as usize]), Ok(expected), "cut at {cut}");
    }
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x40;
        let found = records(&bytes);
        // What is last may have been written by half.
        if place as u64 >= ends[3] + 8 {
            assert_eq!(found, Ok((3, ends[4] - ends[3])), "{place}");
        } else {
            let fault = found.unwrap_err();
            assert!(
                fault.starts_with(&path.display().to_string()) && fault.contains("move "),
                "{place}: {fault}"
            );
        }
    }
    let zeros = [whole.as_slice(), &[0; 5_000]].concat();
    assert_eq!(records(&zeros), Ok((4, 5_000)), "what the disk never got");
}

/// What a directory with this whole snapshot and these parts comes to: the state of the device `m`, and the readings replayed.
fn restored(records: Vec<Vec<Record<'static>>>) -> (String, u64) {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::open(place.path()).unwrap();
    for (nth, records) in records.into_iter().enumerate() {
        let generation = nth as u64 + 1;
        let path = if nth == 0 { folder.log(generation) } else { folder.part(generation) };
        write(path, records);
    }
    let shared = Shared::new(&Setup::default(), Monotonic::start(), &Arc::new(Metrics::default())).unwrap();
    let (_, _, found) = restore(&shared, &folder).unwrap();
    let device = shared.devices.find("m").unwrap();
    let state = serde_json::to_string(&*open(&device)).unwrap();
    (state, found.readings)
}

/// The state of a device after these readings.
fn after(orders: impl IntoIterator<Item = u64>) -> Device {
    let (mut device, setup) = (Device::default(), Setup::default());
    for order in orders {
        let Step { born, taken, scores, .. } = step(order);
        device.take(&taken, &setup.features, false, |_| ());
        (device.signal.born, device.signal.taken) = (born, order);
        device.conclude((None, order), &scores, &setup, false);
    }
    device
}

#[test]
fn readings_are_replayed_once_and_in_the_order_in_which_they_were_taken_in() {
    let snapshot =
        |orders: std::ops::RangeInclusive<u64>| Record::Device(Cow::Borrowed("m"), Box::new(after(orders)));
    let whole = || Record::Whole(1);
    let begun = || {
        // A reading that had been taken in, and not judged, when the snapshot was taken.
        let (mut device, setup) = (after(1..=4), Setup::default());
        device.take(&step(5).taken, &setup.features, false, |_| ());
        Record::Device(Cow::Borrowed("m"), Box::new(device))
    };
    let all = || (1..=9).map(reading).collect::<Vec<_>>();
    for (name, files) in [
        ("a journal alone", vec![[vec![whole()], all()].concat_records()]),
        (
            "snapshot and journal",
            vec![[vec![snapshot(1..=4), whole()], (5..=9).map(reading).collect()].concat_records()],
        ),
        (
            "what stands before a state is part of it",
            vec![
                [
                    vec![reading(3), reading(4), snapshot(1..=4)],
                    vec![reading(5), whole()],
                    (6..=9).map(reading).collect(),
                ]
                .concat_records(),
            ],
        ),
        (
            "taken in before a snapshot and judged after it",
            vec![[vec![begun(), whole()], (5..=9).map(reading).collect()].concat_records()],
        ),
        (
            "judged out of order",
            vec![[vec![whole()], [1, 2, 4, 5, 3, 6, 9, 7, 8].map(reading).into()].concat_records()],
        ),
        (
            "a part beside the whole",
            vec![
                [vec![whole()], (1..=6).map(reading).collect()].concat_records(),
                [vec![reading(7), snapshot(1..=7)], vec![reading(8), reading(9)]].concat_records(),
            ],
        ),
        (
            "another device of the same name before",
            vec![
                [vec![snapshot(1..=9), whole()], vec![Record::Forgotten(Cow::Borrowed("m"))], all()]
                    .concat_records(),
            ],
        ),
    ] {
        let (state, _) = restored(files);
        assert_eq!(state, serde_json::to_string(&after(1..=9)).unwrap(), "{name}");
    }
    let gap = vec![[vec![whole()], [1, 2, 3, 5, 6].map(reading).into()].concat_records()];
    assert_eq!(
        restored(gap).0,
        serde_json::to_string(&after([1, 2, 3, 5, 6])).unwrap(),
        "one was never judged"
    );
}

/// Lists of records in one.
trait ConcatRecords {
    fn concat_records(self) -> Vec<Record<'static>>;
}

impl<const N: usize> ConcatRecords for [Vec<Record<'static>>; N] {
    fn concat_records(self) -> Vec<Record<'static>> {
        self.into_iter().flatten().collect()
    }
}
