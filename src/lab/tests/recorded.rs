//! Recorded runs of labs, which are judged as they were when they were made: the broken ones and the controls
//! fail, the solved ones pass.
//!
//! What is kept of each is what its laws look at. `squall lab verify` makes new ones.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::judge::judge;
use super::super::{LABS, Lab, LabVerdict, Variant};
use crate::results::StoredRun;

/// Where the recorded run of `variant` lies: `clock-broken`, …
pub(super) fn place(lab: &Lab, variant: Variant) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab");
    root.join(format!("{}-{}", lab.name, variant.word()))
}

#[test]
fn every_lab_has_a_recorded_run_of_each_kind_that_is_judged_as_its_maker_says() {
    for lab in LABS {
        let before = place(lab, Variant::Broken);
        for variant in Variant::ALL {
            let path = place(lab, variant);
            let run = StoredRun::load(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let judged = judge(&run, Some(&before)).unwrap_or_else(|error| panic!("{error}"));
            let expected = if variant.must_pass() { LabVerdict::Passed } else { LabVerdict::Failed };
            assert_eq!((judged.lab, judged.verdict), (lab.name, expected), "{judged:#?}");
        }
    }
    let kept = fs::read_dir(place(&LABS[0], Variant::Broken).parent().unwrap()).unwrap();
    assert_eq!(kept.count(), LABS.len() * Variant::ALL.len(), "a recorded run of no lab");
}

#[test]
fn a_run_that_was_changed_is_refused() {
    let copy = tempfile::tempdir().unwrap();
    let run = place(Lab::named("delivered").unwrap(), Variant::Broken);
    for name in ["run.json", "summary.csv", "faults.csv"] {
        fs::copy(run.join(name), copy.path().join(name)).unwrap();
    }
    let text = fs::read_to_string(run.join("run.json")).unwrap();
    for (from, to, said) in [
        ("breaks = \\\"147", "breaks = \\\"146", "its answers are not those that it began with"),
        ("devices = 30", "devices = 3", "`fleet.meters.devices` is held fixed by this lab"),
        ("seed = 13", "seed = 14", "`scenario.seed` is held fixed by this lab"),
        ("\"name\": \"delivered\"", "\"name\": \"undelivered\"", "is of the lab `undelivered`"),
        ("\"lab\": {", "\"other\": {", "is not a run of a lab"),
        ("--seed 1\"", "--seed 2\"", "its scenario is not the one that it followed"),
        ("--seed 1\"", "--set run.drain=1s\"", "is a change that labs do not make"),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(copy.path().join("run.json"), text.replacen(from, to, 1)).unwrap();
        let error = judge(&StoredRun::load(copy.path()).unwrap(), None).unwrap_err();
        assert!(error.contains(said), "{to}: {error}");
    }
}
