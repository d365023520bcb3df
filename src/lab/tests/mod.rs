//! The labs themselves: every folder is whole, its scenario sound, and its formulas have values, for any
//! student.

mod handout;
mod judgement;
mod mistake;
mod prediction;
mod recorded;

use super::*;
use crate::scenario::{Overrides, Plan, Scenario};

/// Lines and columns of a screen; a README has two of them.
const SCREEN: (usize, usize) = (24, 80);
/// The longest a run may take, seconds: everything but connecting.
const LONGEST_S: f64 = 35.0;

fn plan(text: &str) -> Plan {
    let scenario = Scenario::parse("scenario.toml", text, &Overrides::default());
    Plan::new(scenario.unwrap_or_else(|error| panic!("{error}\n{text}")))
}

#[test]
fn every_lab_is_whole_short_and_named_after_its_folder() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("labs");
    let folders = std::fs::read_dir(root).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), LABS.len(), "a folder without a line, or a line without a folder");
    for lab in LABS {
        let name = lab.name;
        assert!(!lab.title().is_empty(), "{name}");
        assert!(lab.readme.contains(&format!("squall lab run {name}")), "{name}");
        let check = lab.check().unwrap();
        assert!(check.laws.len() >= 2 && !check.predictions.is_empty(), "{name}");
        for depth in 1..=HINTS {
            assert!(lab.hint(depth).is_some_and(|hint| !hint.is_empty()), "{name}: hint {depth}");
        }
        assert_eq!(lab.hint(HINTS + 1), None, "{name}");
        let keys = crate::scenario::manual_of(&check.mend);
        for key in &check.mend {
            let last = key.rsplit('.').next().unwrap();
            assert!(keys.contains(&format!("\n| `{last}` |")), "{name}: {key}\n{keys}");
        }
    }
}

#[test]
fn every_variant_keeps_to_what_may_be_mended_and_ends_in_time() {
    for lab in LABS {
        let check = lab.check().unwrap();
        for variant in Variant::ALL {
            let trial = trial(lab, variant, None).unwrap();
            mend::confine(lab.scenario, &trial.scenario, &check.mend).unwrap();
            let plan = plan(&trial.scenario);
            let end = plan.end().as_secs_f64() - plan.sending_starts().as_secs_f64();
            assert!(end <= LONGEST_S, "{}: {end} s", lab.name);
            answer::Answers::read("answer.toml", &trial.facts.prediction, &check).unwrap();
        }
    }
}

#[test]
fn formulas_have_values_for_any_student_in_the_units_that_are_asked() {
    let nobody = std::iter::once(None);
    let students = (0..20).map(|nth| Some(student_name(&format!(" Student {nth} ")).unwrap()));
    for student in nobody.chain(students) {
        for lab in LABS {
            let check = lab.check().unwrap();
            let text = student::scenario(lab, &check, student.as_deref()).unwrap();
            let plan = plan(&text);
            let Assignment { scenario, facts } = trial(lab, Variant::Solved, student.as_deref()).unwrap();
            mend::confine(&text, &scenario, &check.mend).unwrap();
            assert_eq!(facts.student, student);
            let answers = answer::Answers::read("a", &facts.prediction, &check).unwrap();
            assert_eq!(answers.values.len(), check.predictions.len(), "{}", lab.name);
            assert!(answers.values.values().all(|value| value.value > 0.0), "{}: {answers:?}", lab.name);
            assert!(are_in_bounds(&check, &answers), "{}: {answers:?}", lab.name);
            if let Some(student) = &student {
                assert_draws_are_in_bounds(lab, &check, student);
            }
            for law in &check.laws {
                for name in [&law.that.left, &law.that.right].into_iter().flat_map(|side| side.names()) {
                    let of_plan =
                        name.contains('.') && !name.starts_with("truth.") && !name.starts_with("answer.");
                    assert!(!of_plan || plan::named(&plan, name).is_ok(), "{}: {name}", lab.name);
                }
            }
        }
    }
}

/// Whether every answer is one that can be: a share is no more than all, and no time longer than a run.
fn are_in_bounds(check: &check::Check, answers: &answer::Answers) -> bool {
    check.predictions.iter().all(|asked| {
        let value = answers.values[&asked.key].value;
        match asked.unit {
            check::AnswerUnit::Share => value <= 1.0,
            check::AnswerUnit::Time => value <= LONGEST_S,
            check::AnswerUnit::Number | check::AnswerUnit::Rate => value.is_finite(),
        }
    })
}

/// Whether every value that a name draws is one of the steps between its bounds.
fn assert_draws_are_in_bounds(lab: &Lab, check: &check::Check, student: &str) {
    for varied in &check.varied {
        let value = student::value(lab.name, student, varied);
        let steps = (value - varied.from) / varied.step;
        let is_step = (steps - steps.round()).abs() < 1e-6;
        assert!((varied.from..=varied.to).contains(&value) && is_step, "{}: {value}", varied.key);
    }
}

#[test]
fn a_students_name_decides_and_nothing_else_does() {
    for lab in LABS {
        let check = lab.check().unwrap();
        let of = |name: &str| student::scenario(lab, &check, Some(&student_name(name).unwrap())).unwrap();
        assert_eq!(of("Ada"), of(" ada "), "{}", lab.name);
        let names = ["ada", "grace", "edsger", "barbara", "alan", "tony", "leslie", "radia"];
        let different: std::collections::BTreeSet<_> = names.into_iter().map(of).collect();
        assert!(different.len() >= 4, "{}: {} of {}", lab.name, different.len(), names.len());
        assert_eq!(student::scenario(lab, &check, None).unwrap(), lab.scenario);
    }
    assert!(
        student_name("  ").is_err()
            && student_name("a\tb").is_err()
            && student_name(&"x".repeat(61)).is_err()
    );
}

#[test]
fn blanks_and_wrong_units_are_refused_where_they_stand() {
    let check = Lab::named("clock").unwrap().check().unwrap();
    let read =
        |text: &str| answer::Answers::read("answer.toml", text, &check).map_err(|error| error.to_string());
    let blank = read(&answer::blank(&check)).unwrap_err();
    assert_eq!(blank.matches("is still blank; write what you expect before you run").count(), 3, "{blank}");
    let good = "p99_open = \"1.8s\"\nshare_closed = \"90%\"\nwhy = \"it waits\"\n";
    assert_eq!(read(good).unwrap().why, "it waits");
    for (from, to, said) in [
        (
            "\"1.8s\"",
            "1.8",
            "answer.toml:1:12: p99_open: has no unit; write a time, for example \"250ms\" or \"1.5s\"",
        ),
        ("\"1.8s\"", "\"3/s\"", "p99_open: is a rate; write a time"),
        ("\"1.8s\"", "\"soon\"", "p99_open: `soon` is not a number; write a time"),
        ("\"1.8s\"", "true", "p99_open: is true or false; write a time"),
        ("p99_open", "p99_opn", "p99_open: is missing; write what you expect before you run"),
        ("p99_open", "p99_opn", "p99_opn: is not asked; did you mean `p99_open`?"),
        ("\"it waits\"", "\" \"", "why: is still blank"),
        ("why = ", "why ", "answer.toml:3"),
    ] {
        let error = read(&good.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(said), "{to}: {error}");
    }
}
