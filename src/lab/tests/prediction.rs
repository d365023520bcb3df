//! Predictions: which run shows what was asked, which answer counts, and what is said on a busy machine.

use proptest::prelude::*;

use super::super::answer::{self, Answers, fingerprint};
use super::super::formula::{Formula, Quantity};
use super::super::judge::{LabJudgement, judge};
use super::super::prediction::PredictionResult;
use super::super::progress::Progress;
use super::super::{LABS, Lab, Screen, Variant, wording};
use super::recorded::place;
use crate::display::Style;
use crate::results::StoredRun;

const SCREEN: Screen = Screen { style: Style::PLAIN, width: 1_000 };

fn recorded(lab: &Lab, variant: Variant) -> StoredRun {
    StoredRun::load(&place(lab, variant)).unwrap()
}

fn judged(lab: &str, variant: Variant, is_later: bool) -> LabJudgement {
    let lab = Lab::named(lab).unwrap();
    let first = is_later.then(|| place(lab, Variant::Broken));
    judge(&recorded(lab, variant), first.as_deref()).unwrap()
}

fn told(judged: &LabJudgement) -> String {
    wording::judgement(judged, Lab::named(judged.lab).unwrap(), &Progress::default(), SCREEN)
}

fn asked<'j>(judged: &'j LabJudgement, part: &str) -> &'j PredictionResult {
    judged.predictions.iter().find(|asked| asked.ask.contains(part)).unwrap()
}

#[test]
fn a_run_is_shown_beside_a_prediction_only_where_it_is_about_that() {
    use Variant::{Broken, Solved};
    for (lab, part, variant, is_later, shown) in [
        ("overload", "largest share", Broken, false, Some("a run that passes shows it")),
        ("overload", "largest share", Solved, true, Some("this run: ")),
        ("overload", "how long a reading waits", Broken, false, Some("this run: 1")),
        ("overload", "how long a reading waits", Solved, true, Some("your first run, unmended: 1")),
        (
            "overload",
            "how long a reading waits",
            Solved,
            false,
            Some("this run is mended, and not comparable"),
        ),
        ("limits", "let in", Broken, false, Some("a run that passes shows it")),
        ("clock", "p99", Solved, false, Some("this run: ")),
        ("delivered", "under way", Solved, true, Some("your first run, unmended: ")),
        ("bursts", "wait at the end", Broken, false, None),
        ("similar", "may ask", Solved, true, None),
    ] {
        let judged = judged(lab, variant, is_later);
        let found = asked(&judged, part).shown();
        let is_so = match (&found, shown) {
            (Some(found), Some(shown)) => found.starts_with(shown),
            (found, shown) => found.is_none() && shown.is_none(),
        };
        assert!(is_so, "{lab}, {part}, {}: {found:?}", variant.word());
    }
    for lab in LABS {
        for variant in [Broken, Solved] {
            let judged = judged(lab.name, variant, true);
            let shown = judged.predictions.iter().filter_map(PredictionResult::shown);
            assert!(shown.into_iter().all(|shown| !shown.contains("at least")), "{}: {judged:#?}", lab.name);
        }
    }
}

#[test]
fn what_was_said_at_the_first_run_is_kept_and_counts() {
    let lab = Lab::named("overload").unwrap();
    let copy = tempfile::tempdir().unwrap();
    let first = place(lab, Variant::Broken);
    for entry in std::fs::read_dir(&first).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let path = copy.path().join("run.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let wrong = "share = \"20 %\"\nwait = \"2s\"\nwhy = \"x\"\n";
    manifest["lab"]["prediction"] = wrong.into();
    manifest["lab"]["prediction_sha256"] = fingerprint(wrong).into();
    std::fs::write(&path, manifest.to_string()).unwrap();
    let judged = judge(&recorded(lab, Variant::Solved), Some(copy.path())).unwrap();
    assert_eq!((judged.right(), judged.right_now()), (0, Some(2)));
    let text = told(&judged);
    for said in [
        "[!=] the largest share",
        "you said 20 % at your first run, which counts, and 50.0",
        "passed, 0 of 2 predictions right at your first run, 2 of 2 now",
    ] {
        assert!(text.contains(said), "{said}\n---\n{text}");
    }
    // The first run itself has no other, and one of another lab or student is none.
    for run in [copy.path().to_owned(), place(Lab::named("clock").unwrap(), Variant::Broken)] {
        let judged = judge(&StoredRun::load(copy.path()).unwrap(), Some(&run)).unwrap();
        assert_eq!((judged.right(), judged.right_now()), (0, None));
        assert!(judged.predictions.iter().all(|asked| asked.said_first.is_none()));
    }
}

#[test]
fn a_busy_machine_is_told_from_a_wrong_formula() {
    let lab = Lab::named("outage").unwrap();
    for (share, times, said) in [
        (
            0.051,
            5.6,
            "5.60 times the formula: the machine did other things, and what was to run stood still (ready without a processor \
                      5.1 % of the time). Your prediction is right; run again on a quiet machine.",
        ),
        (0.002, 5.6, "5.60 times the formula; the page of the run shows when."),
        (0.051, 1.2, ""),
    ] {
        let mut report = recorded(lab, Variant::Broken).report;
        let truth =
            asked(&judged("outage", Variant::Broken, false), "until the backlog is gone").truth.clone();
        let truth = answer::quantity(&truth).unwrap().value;
        let prediction = "peak = \"1,020\"\ndrain = \"7.25 s\"\nwhy = \"x\"";
        report.run.lab.iter_mut().for_each(|facts| {
            (facts.prediction_sha256, facts.prediction) = (fingerprint(prediction), prediction.to_owned());
        });
        report.run.worker_use.iter_mut().for_each(|used| used.starved_share = Some(share));
        report
            .run
            .reference
            .iter_mut()
            .flat_map(|facts| &mut facts.phases)
            .for_each(|phase| phase.counts.overrun_ns = 0);
        report.faults.iter_mut().for_each(|fault| fault.backlog_drained_after_s = Some(truth * times));
        let judged = judge(&StoredRun::of(report), None).unwrap();
        let asked = asked(&judged, "until the backlog is gone");
        assert_eq!(asked.remark.is_some(), !said.is_empty(), "{asked:?}");
        let text = told(&judged);
        assert!(text.contains(said) && asked.right, "{said}\n---\n{text}");
    }
}

/// The names in a formula that was printed with what they are worth, and that text.
fn names(printed: &str) -> (Vec<String>, &str) {
    let (formula, worth) = printed.split_once(", where ").unwrap_or((printed, ""));
    let formula = Formula::parse(formula).unwrap();
    (formula.names().into_iter().map(str::to_owned).collect(), worth)
}

#[test]
fn every_name_of_a_printed_formula_says_what_it_is_worth() {
    for lab in LABS {
        let judged = judged(lab.name, Variant::Broken, false);
        for asked in &judged.predictions {
            let (names, worth) = names(&asked.formula);
            for name in names {
                let at =
                    worth.find(&name).unwrap_or_else(|| panic!("{}: {name}: {}", lab.name, asked.formula));
                assert!(worth[at..].contains(" is ") && !worth.contains("not known"), "{}", asked.formula);
            }
        }
    }
}

#[test]
fn shares_are_read_as_they_are_printed_and_a_bare_number_is_no_share() {
    let check = Lab::named("overload").unwrap().check().unwrap();
    let read = |share: &str| {
        let text = format!("share = {share}\nwait = \"10 s\"\nwhy = \"x\"\n");
        Answers::read("answer.toml", &text, &check).map(|answers| answers.values["share"].value)
    };
    for (share, value) in [
        ("\"50 %\"", 0.5),
        ("\"50%\"", 0.5),
        ("\"1 / 2\"", 0.5),
        ("0.5", 0.5),
        ("\"100 % - 25%\"", 0.75),
        ("\"120%\"", 1.2),
    ] {
        assert!((read(share).unwrap() - value).abs() < 1e-12, "{share}");
    }
    for (share, said) in [
        ("50", "answer.toml:1:9: share: 50 is 5000 %; did you mean \"50%\"?"),
        ("\"50\"", "share: 50 is 5000 %; did you mean \"50%\"?"),
        ("50.5", "share: 50.5 is 5050 %; did you mean \"50.5%\"?"),
        ("\"2 / 1\"", "share: 2 / 1 is 200 %; write a share, for example \"45%\" or \"9 / 20\""),
        ("\"50 percent\"", "write a share"),
    ] {
        let error = read(share).unwrap_err().to_string();
        assert!(error.contains(said), "{share}: {error}");
    }
}

proptest! {
    #[test]
    fn every_printed_figure_is_an_answer(value in 1e-6..1e7_f64) {
        for (quantity, is_share) in [
            (Quantity::number(value), false),
            (Quantity::number(value), true),
            (Quantity::seconds(value), false),
            (Quantity::per_second(value.max(1e-3)), false),
        ] {
            let printed = quantity.show(is_share);
            let found = answer::quantity(&printed);
            prop_assert!(found.is_ok(), "{printed}: {found:?}");
            let found = found.unwrap();
            prop_assert_eq!(found.dimension, quantity.dimension);
            // As many digits as are printed.
            prop_assert!((found.value - quantity.value).abs() <= 0.006 * quantity.value + 6e-4, "{printed}: {found:?}");
        }
    }
}
