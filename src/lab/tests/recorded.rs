//! Recorded runs of labs, which are judged as they were when they were made: the broken ones and the controls
//! fail, the solved ones pass.
//!
//! What is kept of each is what its laws look at. `squall lab verify` makes new ones.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::judge::judge;
use super::super::{Lab, LabVerdict, Variant};
use crate::results::StoredRun;

/// The recorded runs: `clock-broken`, …
fn recorded() -> Vec<(&'static Lab, Variant, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab");
    let folders = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| {
        let (name, word) = path.file_name().unwrap().to_str().unwrap().rsplit_once('-').unwrap();
        let variant = Variant::ALL.into_iter().find(|variant| variant.word() == word).unwrap();
        (Lab::named(name).unwrap(), variant, path.clone())
    };
    folders.map(of).collect()
}

#[test]
fn recorded_runs_are_judged_as_their_makers_say() {
    let runs = recorded();
    assert!(runs.len() >= 8, "{}", runs.len());
    for (lab, variant, path) in runs {
        let judged = judge(&StoredRun::load(&path).unwrap(), None).unwrap_or_else(|error| panic!("{error}"));
        let expected = if variant.must_pass() { LabVerdict::Passed } else { LabVerdict::Failed };
        assert_eq!((judged.lab, judged.verdict), (lab.name, expected), "{judged:#?}");
    }
}

#[test]
fn a_run_that_was_changed_is_refused() {
    let copy = tempfile::tempdir().unwrap();
    let (_, _, run) = recorded().into_iter().find(|(lab, ..)| lab.name == "delivered").unwrap();
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
