//! What a student reads, README and hints, is true of the numbers that the student has.

use std::collections::{BTreeMap, BTreeSet};

use super::super::formula::{Formula, Quantity};
use super::super::{LABS, Lab, student, student_name, template};
use super::{SCREEN, plan};

/// Numbers of texts that look like a figure which a name changes, and are others: a phrase, and the formula that it is
/// worth for every student.
const FIXED: &[(&str, &str, &str)] = &[("overload", "ten seconds", "phase.overload.duration")];

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

/// The numbers in `text`, in digits or words: `five hundred` is one of them.
fn numbers(text: &str) -> Vec<f64> {
    let words = text.split(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '.' | ',' | '#')));
    let mut found: Vec<f64> = Vec::new();
    let mut is_behind_one = false;
    for word in words.filter(|word| !word.is_empty()) {
        let digits: String = word.replace(',', "").trim_end_matches('.').to_lowercase();
        let number = WORDS.iter().find(|(own, _)| *own == digits).map(|(_, number)| *number);
        let number = number.or_else(|| digits.parse().ok());
        match (number, found.last_mut()) {
            (Some(100.0), Some(before)) if is_behind_one && digits == "hundred" => *before *= 100.0,
            (Some(number), _) => found.push(number),
            (None, _) => {}
        }
        is_behind_one = number.is_some();
    }
    found
}

/// What differs between students, as numbers of the lab's own scenario: the values that are drawn, and all that formulas
/// make of them, as they are printed.
fn varying(lab: &Lab) -> BTreeMap<String, Vec<f64>> {
    let check = lab.check().unwrap();
    let given = check.given.iter().map(|(name, given)| (name.clone(), given.formula.clone()));
    let truths = check.predictions.iter().map(|asked| (asked.key.clone(), asked.truth.clone()));
    let scenario = plan(lab.scenario);
    let fleets = scenario.scenario().fleets.iter().map(|fleet| format!("fleet.{}.offered", fleet.name));
    let phases = scenario.layout().phases.iter();
    let phases = phases.flat_map(|phase| ["rate", "peak"].map(|key| format!("phase.{}.{key}", phase.name)));
    let named = fleets.chain(phases).map(|name| (name.clone(), Formula::parse(&name).unwrap()));
    let formulas: Vec<_> = given.chain(truths).chain(named).collect();
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut values: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for student in students() {
        let plan = plan(&student::scenario(lab, &check, student.as_deref()).unwrap());
        for (name, formula) in &formulas {
            let Ok(Quantity { value, dimension }) = template::by_plan(formula, &check, &plan) else {
                continue;
            };
            values.entry(name.clone()).or_default().insert(value.to_bits());
            if student.is_none() {
                let own = found.entry(name.clone()).or_default();
                own.extend([value, value * 1e3]);
                if dimension == super::super::formula::Dimension::NUMBER {
                    own.push(value * 100.0);
                }
            }
        }
    }
    found.retain(|name, _| values[name].len() > 1);
    let root: toml::Table = toml::from_str(lab.scenario).unwrap();
    for varied in &check.varied {
        let number = |value: &toml::Value| match value {
            toml::Value::String(text) => super::super::answer::quantity(text).unwrap().value,
            toml::Value::Integer(number) => *number as f64,
            value => value.as_float().unwrap(),
        };
        let mut keys = varied.key.split('.').peekable();
        let mut value = &root[keys.next().unwrap()];
        for key in keys {
            let named = |item: &&toml::Value| item.get("name").and_then(toml::Value::as_str) == Some(key);
            value =
                value.as_array().and_then(|items| items.iter().find(named)).unwrap_or_else(|| &value[key]);
        }
        found.insert(varied.key.clone(), vec![number(value), number(value) * 1e3]);
    }
    found
}

/// The figures that a name changes, and that stand in `text` as if they were everybody's.
fn everybodys(lab: &Lab, text: &str) -> Vec<String> {
    let mut text = literal(text);
    for (_, phrase, _) in FIXED.iter().filter(|(name, ..)| *name == lab.name) {
        text = text.replace(phrase, "");
    }
    let numbers = numbers(&text);
    let is_near = |one: f64, other: f64| (one - other).abs() <= 0.02 * other.abs();
    let mut found = Vec::new();
    for (name, values) in varying(lab) {
        let same = numbers.iter().filter(|number| values.iter().any(|value| is_near(**number, *value)));
        found.extend(same.map(|number| format!("{}: {number} is {name}", lab.name)));
    }
    found
}

#[test]
fn no_figure_that_a_name_changes_stands_in_a_text_as_if_it_were_everybodys() {
    for lab in LABS {
        let hints = (1..=super::super::HINTS).filter_map(|depth| lab.hint(depth));
        let check = lab.check().unwrap();
        let asks = check.predictions.iter().map(|asked| asked.ask.as_str());
        let laws = check.laws.iter().flat_map(|law| [law.name.as_str(), &law.say, &law.open]);
        let figures = check.figures.values().map(|figure| figure.is.as_str());
        for text in [lab.readme].into_iter().chain(hints).chain(asks).chain(laws).chain(figures) {
            assert_eq!(everybodys(lab, text), Vec::<String>::new(), "{text}");
        }
    }
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
        assert_ne!(everybodys(Lab::named(lab).unwrap(), text), Vec::<String>::new(), "{lab}: {text}");
    }
}

#[test]
fn texts_have_the_numbers_of_every_student_and_stay_within_two_screens() {
    for student in students() {
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
                assert!(lab.readme.contains(phrase) && numbers(phrase) == [worth], "{phrase}: {worth}");
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
