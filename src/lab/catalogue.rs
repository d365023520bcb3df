//! The labs, compiled in. A new lab is a folder under `labs/`, and a line here.

use std::collections::BTreeMap;

use super::check::Check;

/// A lab as its folder holds it.
#[derive(Debug)]
pub(crate) struct Lab {
    /// What it is asked for by.
    pub(crate) name: &'static str,
    /// A little theory, the question and the task; two screens at most. Every `${formula}` in it is what a student's
    /// plan makes of it, as in hints.
    pub(crate) readme: &'static str,
    /// What is run, broken.
    pub(crate) scenario: &'static str,
    check: &'static str,
    /// The changes that mend it, and answers that are right.
    solution: &'static str,
    /// Changes that must not pass for a mending, and answers that are wrong.
    control: &'static str,
    hints: &'static str,
}

/// How deep hints go.
pub(crate) const HINTS: u8 = 3;

macro_rules! labs {
    ($($name:literal in $folder:literal),* $(,)?) => {
        &[$(Lab {
            name: $name,
            readme: include_str!(concat!("../../labs/", $folder, "/README.md")),
            scenario: include_str!(concat!("../../labs/", $folder, "/scenario.toml")),
            check: include_str!(concat!("../../labs/", $folder, "/check.toml")),
            solution: include_str!(concat!("../../labs/", $folder, "/solution.toml")),
            control: include_str!(concat!("../../labs/", $folder, "/control.toml")),
            hints: include_str!(concat!("../../labs/", $folder, "/hints.md")),
        }),*]
    };
}

/// All labs in the order in which they build on one another.
pub(crate) static LABS: &[Lab] = labs![
    "clock" in "02-clock",
    "knee" in "03-knee",
    "outage" in "12a-outage",
    "overload" in "11-overload",
    "priority" in "10-priority",
    "limits" in "09-limits",
    "delivered" in "13-delivered",
    "where" in "01-where",
    "ttl" in "06-ttl",
    "stampede" in "07-stampede",
    "similar" in "08-similar",
    "bursts" in "04-bursts",
    "retries" in "12b-retries",
    "push" in "05-push",
    "after" in "14-after",
];

/// A way to run a lab whose judgement is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Variant {
    /// As it is given to students: it must fail.
    Broken,
    /// As its author mends it: it must pass.
    Solved,
    /// With a change that looks like a mending and is none: it must fail.
    Control,
}

impl Variant {
    pub(crate) const ALL: [Self; 3] = [Self::Broken, Self::Solved, Self::Control];

    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Solved => "solved",
            Self::Control => "control",
        }
    }

    /// Whether it must pass.
    pub(crate) const fn must_pass(self) -> bool {
        matches!(self, Self::Solved)
    }
}

/// What a variant changes of the lab as it is given.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Change {
    /// What of the scenario's text is replaced by what; each stands there once. `${formula}` is the number that the
    /// plan makes of it.
    pub(crate) replace: Vec<(String, String)>,
    /// Answers, by their keys; those that are left out are the formulas' own.
    pub(crate) answer: BTreeMap<String, String>,
}

impl Lab {
    /// The lab called `name`.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        LABS.iter().find(|lab| lab.name == name)
    }

    /// Its title: the first line of its README.
    pub(crate) fn title(&self) -> &'static str {
        self.readme.lines().next().unwrap_or_default().trim_start_matches('#').trim()
    }

    /// What is judged.
    ///
    /// # Errors
    /// If the lab itself is at fault, which a test excludes.
    pub(crate) fn check(&self) -> Result<Check, String> {
        Check::parse(self.check).map_err(|error| format!("lab {}: check.toml: {error}", self.name))
    }

    /// What `variant` changes.
    ///
    /// # Errors
    /// If the lab itself is at fault, which a test excludes.
    pub(crate) fn change(&self, variant: Variant) -> Result<Change, String> {
        let text = match variant {
            Variant::Broken => return Ok(Change::default()),
            Variant::Solved => self.solution,
            Variant::Control => self.control,
        };
        toml::from_str(text).map_err(|error| format!("lab {}: {}: {error}", self.name, variant.word()))
    }

    /// The hint of this depth, from 1 to [`HINTS`].
    pub(crate) fn hint(&self, depth: u8) -> Option<&'static str> {
        let mut parts = self.hints.split("\n## ");
        parts.nth(usize::from(depth)).and_then(|part| part.split_once('\n')).map(|(_, text)| text.trim())
    }
}
