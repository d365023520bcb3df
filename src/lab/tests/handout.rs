//! What a student reads, README and hints, is true of the numbers that the student has.

use std::collections::BTreeMap;

use super::super::formula::{Dimension, Formula, Quantity};
use super::super::{LABS, Lab, student, student_name, template};
use super::{SCREEN, plan};
use crate::scenario::Plan;

/// Numbers of texts that look like a figure which a name changes, and are others: a phrase, and the formula that it is
/// worth for every student.
const FIXED: &[(&str, &str, &str)] = &[
    ("overload", "ten seconds", "phase.overload.duration"),
    ("push", "every two seconds", "fleet.dashboards.every"),
    ("push", "the other four", "4"),
    ("similar", "nine in ten", "9"),
    ("bursts", "97 of 100", "97"),
    ("bursts", "one in a hundred", "100"),
];

/// Words for numbers.
const WORDS: [(&str, f64); 18] = [
    ("half", 0.5),
    ("third", 1.0 / 3.0),
    ("quarter", 0.25),
    ("fifth", 0.2),
    ("twice", 2.0),
    ("two", 2.0),
    ("three", 3.0),
    ("four", 4.0),
    ("five", 5.0),
    ("six", 6.0),
    ("seven", 7.0),
    ("eight", 8.0),
    ("nine", 9.0),
    ("ten", 10.0),
    ("eleven", 11.0),
    ("twelve", 12.0),
    ("twenty", 20.0),
    ("hundred", 100.0),
];

fn students() -> impl Iterator<Item = Option<String>> {
    let named = (0..20).map(|nth| Some(student_name(&format!("Student {nth}")).unwrap()));
    std::iter::once(None).chain(named)
}

/// What is written with figures of the plan's taken out, and numbers of a list as well.
fn literal(text: &str) -> String {
    let mut parts = text.split("${");
    let first = parts.next().unwrap_or_default().to_owned();
    let text = parts.fold(first, |text, part| text + "#" + part.split_once('}').map_or("", |(_, rest)| rest));
    let is_item = |line: &str| line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
    let lines = text.lines().map(|line| if is_item(line) { &line[2..] } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

/// The numbers in `text`, in digits or words, each with the word behind it: `five hundred` is one of them.
fn numbers(text: &str) -> Vec<(f64, String)> {
    let text = text.replace("/s", " a");
    let words = text.split(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '.' | ',' | '#')));
    let mut found: Vec<(f64, String)> = Vec::new();
    let mut is_behind_one = false;
    for word in words.filter(|word| !word.is_empty()) {
        let word: String = word.replace(',', "").trim_end_matches('.').to_lowercase();
        let number = WORDS.iter().find(|(own, _)| *own == word).map(|(_, number)| *number);
        let number = number.or_else(|| word.parse().ok());
        match (number, found.last_mut()) {
            (Some(_), Some(before)) if is_behind_one && word == "hundred" => before.0 *= 100.0,
            (Some(number), _) => found.push((number, String::new())),
            (None, Some(before)) if is_behind_one => before.1 = word,
            (None, _) => {}
        }
        is_behind_one = number.is_some();
    }
    found
}

/// A quantity as a text would have it: numbers, each with the words of which one stands behind it; of what is no time
/// none of these does.
fn printed(Quantity { value, dimension }: Quantity) -> Vec<(f64, &'static [&'static str])> {
    match dimension {
        Dimension::TIME => vec![(value, &["s", "second", "seconds"]), (value * 1e3, &["ms"])],
        Dimension::NUMBER => vec![(value, &[]), (value * 100.0, &[])],
        _ => vec![(value, &[])],
    }
}

/// What differs between students, as numbers of the lab's own scenario: the values that are drawn, and all that formulas
/// make of them, as they are printed.
fn varying(lab: &Lab) -> BTreeMap<String, Quantity> {
    let check = lab.check().unwrap();
    let scenario = plan(lab.scenario);
    let given = check.given.iter().map(|(name, given)| (name.clone(), given.formula.clone()));
    let truths = check.predictions.iter().map(|asked| (asked.key.clone(), asked.truth.clone()));
    let fleets = scenario.scenario().fleets.iter().map(|fleet| format!("fleet.{}.offered", fleet.name));
    let phases = scenario.layout().phases.iter();
    let phases = phases.flat_map(|phase| ["rate", "peak"].map(|key| format!("phase.{}.{key}", phase.name)));
    let named = fleets.chain(phases).map(|name| (name.clone(), Formula::parse(&name).unwrap()));
    let formulas: Vec<_> = given.chain(truths).chain(named).collect();
    let worth = |plan: &Plan| {
        let of = |(name, formula): &(String, Formula)| {
            template::by_plan(formula, &check, plan).ok().map(|found| (name.clone(), found))
        };
        formulas.iter().filter_map(of).collect::<BTreeMap<_, _>>()
    };
    let mut found = worth(&scenario);
    let others = students().flatten().take(6);
    let others: Vec<_> =
        others.map(|name| worth(&plan(&student::scenario(lab, &check, Some(&name)).unwrap()))).collect();
    found.retain(|name, value| others.iter().any(|other| other.get(name) != Some(value)));
    let root: toml::Table = toml::from_str(lab.scenario).unwrap();
    for varied in &check.varied {
        let mut keys = varied.key.split('.');
        let mut value = &root[keys.next().unwrap()];
        for key in keys {
            let named = |item: &&toml::Value| item.get("name").and_then(toml::Value::as_str) == Some(key);
            value =
                value.as_array().and_then(|items| items.iter().find(named)).unwrap_or_else(|| &value[key]);
        }
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        found.insert(varied.key.clone(), super::super::answer::quantity(&text).unwrap());
    }
    found
}

/// The figures that a name changes, and that stand in `text` as if they were everybody's.
fn everybodys(lab: &Lab, varying: &BTreeMap<String, Quantity>, text: &str) -> Vec<String> {
    let mut text = literal(text);
    for (_, phrase, _) in FIXED.iter().filter(|(name, ..)| *name == lab.name) {
        text = text.replace(phrase, "");
    }
    let numbers = numbers(&text);
    let is_near = |one: f64, other: f64| (one - other).abs() <= 0.003 * other.abs();
    let mut found = Vec::new();
    for (name, quantity) in varying {
        let is_same = |(number, behind): &&(f64, String)| {
            printed(*quantity).iter().any(|(value, words)| {
                let is_time = ["s", "second", "seconds", "ms"].contains(&behind.as_str());
                is_near(*number, *value) && (words.contains(&behind.as_str()) || words.is_empty() && !is_time)
            })
        };
        let same = numbers.iter().filter(is_same);
        found.extend(same.map(|(number, _)| format!("{}: {number} is {name}", lab.name)));
    }
    found
}

#[test]
fn no_figure_that_a_name_changes_stands_in_a_text_as_if_it_were_everybodys() {
    let varying: BTreeMap<_, _> = LABS.iter().map(|lab| (lab.name, varying(lab))).collect();
    let mut found = Vec::new();
    for lab in LABS {
        let hints = (1..=super::super::HINTS).filter_map(|depth| lab.hint(depth));
        let check = lab.check().unwrap();
        let asks = check.predictions.iter().map(|asked| asked.ask.as_str());
        let laws = check.laws.iter().flat_map(|law| [law.name.as_str(), &law.say, &law.open]);
        let figures = check.figures.values().map(|figure| figure.is.as_str());
        for text in [lab.readme].into_iter().chain(hints).chain(asks).chain(laws).chain(figures) {
            found.extend(
                everybodys(lab, &varying[lab.name], text).into_iter().map(|found| (found, text.to_owned())),
            );
        }
    }
    assert_eq!(found, []);
    // What stood there once.
    for (lab, text) in [
        ("limits", "One sends five hundred times a second"),
        ("limits", "1 device, 500/s"),
        ("overload", "twice as many readings come as the service can answer"),
        ("overload", "Half of them will not be answered"),
        ("clock", "A service stands still for two seconds"),
        ("knee", "One worker takes 5 ms for a reading"),
        ("knee", "and rho is 0.88: 174 a second"),
        ("bursts", "a hundred devices, and one reading of each"),
    ] {
        let found = everybodys(Lab::named(lab).unwrap(), &varying[lab], text);
        assert_ne!(found, Vec::<String>::new(), "{lab}: {text}");
    }
}

#[test]
fn texts_have_the_numbers_of_every_student_and_stay_within_two_screens() {
    for student in students().take(5) {
        for lab in LABS {
            let check = lab.check().unwrap();
            let student = student.as_deref();
            let plan = plan(&student::scenario(lab, &check, student).unwrap());
            let readme = student::text(lab, &check, student, lab.readme).unwrap();
            let (lines, columns) =
                (readme.lines().count(), readme.lines().map(|line| line.chars().count()).max());
            assert!(
                lines <= 2 * SCREEN.0 && columns <= Some(SCREEN.1),
                "{}: {lines}, {columns:?}\n{readme}",
                lab.name
            );
            let hints = (1..=super::super::HINTS).map(|depth| student::hint(lab, depth, student).unwrap());
            assert!(hints.chain([readme]).all(|text| !text.contains("${")), "{}", lab.name);
            for (_, phrase, formula) in FIXED.iter().filter(|(name, ..)| *name == lab.name) {
                let worth =
                    template::by_plan(&Formula::parse(formula).unwrap(), &check, &plan).unwrap().value;
                let stands =
                    lab.readme.contains(phrase) || lab.hint(1).is_some_and(|hint| hint.contains(phrase));
                assert!(stands && (numbers(phrase)[0].0 - worth).abs() < 1e-9, "{phrase}: {worth}");
            }
        }
    }
    let ada = |lab: &str| {
        let lab = Lab::named(lab).unwrap();
        let text = student::text(lab, &lab.check().unwrap(), Some("ada"), lab.readme).unwrap();
        (text, student::scenario(lab, &lab.check().unwrap(), Some("ada")).unwrap())
    };
    let (text, scenario) = ada("limits");
    assert!(
        text.contains("One sends at 450/s") && scenario.contains("rate = \"450/s\""),
        "{text}\n{scenario}"
    );
}
