//! Labs from the command line, as far as no run is needed.

use std::fs;
use std::path::Path;

use clap::Parser as _;

use super::*;
use crate::cli::args::{Args, Command};

/// `squall lab …` with its folder in `root`: the exit code, or the error.
fn type_in(root: &Path, words: &[&str]) -> Result<Exit, CliError> {
    let folder = root.join("lab").display().to_string();
    let words = ["squall", "lab", "--dir", &folder].into_iter().chain(words.iter().copied());
    match Args::try_parse_from(words).unwrap().command {
        Command::Lab(args) => lab(&args),
        _ => unreachable!("that is a lab"),
    }
}

fn refused(root: &Path, words: &[&str]) -> (Exit, String) {
    let error = type_in(root, words).unwrap_err();
    (error.exit, error.message)
}

#[test]
fn a_lab_is_handed_out_once_and_runs_neither_with_blanks_nor_with_less_load() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    assert_eq!(type_in(root, &[]).unwrap(), Exit::Fine);
    assert!(!root.join("lab").exists(), "looking changes nothing");
    let (exit, message) = refused(root, &["run", "outage"]);
    assert!(exit == Exit::Usage && message.contains("squall lab start outage writes it"), "{message}");
    assert_eq!(type_in(root, &["start", "outage"]).unwrap(), Exit::Fine);
    let own = root.join("lab/outage");
    assert!(["README.md", "answer.toml", "keys.md"].iter().all(|name| own.join(name).is_file()));
    let (_, message) = refused(root, &["start", "outage"]);
    assert!(message.contains("is there already; go on with it"), "{message}");
    let (exit, message) = refused(root, &["run", "outage"]);
    assert!(exit == Exit::Usage && message.contains("peak: is still blank"), "{message}");
    fs::write(own.join("answer.toml"), "peak = 1000\ndrain = \"7s\"\nwhy = \"x\"\n").unwrap();
    let easier = Lab::named("outage").unwrap().scenario.replace("devices = 340", "devices = 34");
    fs::write(own.join("scenario.toml"), easier).unwrap();
    let (exit, message) = refused(root, &["run", "outage"]);
    assert_eq!(exit, Exit::Usage);
    assert!(
        message.contains("`fleet.meters.devices` is held fixed by this lab; put it back to 340"),
        "{message}"
    );
    let (exit, message) = refused(root, &["check", "outage"]);
    assert!(exit == Exit::Usage && message.contains("squall lab run outage"), "{message}");
}

#[test]
fn hints_deepen_and_are_counted_and_names_are_mended() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let (exit, message) = refused(root, &["start", "outtage"]);
    assert_eq!((exit, message.as_str()), (Exit::Usage, "there is no lab `outtage`; did you mean `outage`?"));
    assert_eq!(type_in(root, &["start", "clock", "--student", " Ada "]).unwrap(), Exit::Fine);
    for depth in [1, 2, 3, 3] {
        assert_eq!(type_in(root, &["hint", "clock"]).unwrap(), Exit::Fine);
        let kept = Progress::load(&root.join("lab")).unwrap();
        assert_eq!((kept.labs["clock"].hints, kept.student.as_deref()), (depth, Some("ada")));
    }
    let (_, message) = refused(root, &["start", "knee", "--student", "grace"]);
    assert!(message.contains("holds the labs of ada; give another folder with --dir"), "{message}");
    let (_, message) = refused(root, &["report"]);
    assert!(message.contains("no lab has been run yet"), "{message}");
    fs::write(root.join("lab/progress.json"), "{").unwrap();
    let (_, message) = refused(root, &[]);
    assert!(message.contains("move it away, and the labs begin anew"), "{message}");
}

#[test]
fn a_lab_keeps_the_numbers_that_it_was_begun_with() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    type_in(root, &["start", "overload"]).unwrap();
    type_in(root, &["start", "limits", "--student", "Ada"]).unwrap();
    let kept = Progress::load(&root.join("lab")).unwrap();
    assert_eq!((kept.student_of("overload"), kept.student_of("limits")), (None, Some("ada")));
    assert_eq!((kept.nameless(), kept.last.as_deref()), (vec!["overload"], Some("limits")));
    fs::write(root.join("lab/overload/answer.toml"), "share = \"50 %\"\nwait = \"10 s\"\nwhy = \"x\"\n")
        .unwrap();
    let folder = |lab: &str| LabFolder::new(&root.join("lab"), Lab::named(lab).unwrap());
    // It may still be run: its numbers are those of its own.
    let assignment = folder("overload").assignment(kept.student_of("overload")).unwrap();
    assert_eq!(assignment.facts.student, None);
    // Moved away and begun anew, it has the student's.
    fs::rename(root.join("lab/overload"), root.join("aside")).unwrap();
    type_in(root, &["start", "overload"]).unwrap();
    let kept = Progress::load(&root.join("lab")).unwrap();
    assert_eq!((kept.student_of("overload"), kept.nameless()), (Some("ada"), Vec::new()));
    let readme = fs::read_to_string(folder("limits").readme()).unwrap();
    let scenario = fs::read_to_string(folder("limits").scenario()).unwrap();
    let rate = readme.split_once("One sends at ").unwrap().1.split_once(':').unwrap().0;
    assert!(scenario.contains(&format!("rate = \"{rate}\"")), "{rate}\n{scenario}");
}
