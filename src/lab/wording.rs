//! The words of a judgement, for a terminal: what was predicted, which law stands how, what to look at, and what to type next.

use std::fmt::Write as _;

use super::catalogue::{HINTS, Lab};
use super::judge::{LabJudgement, LabVerdict, LawResult, Standing};
use super::progress::LabProgress;

/// How results are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    good: &'static str,
    bad: &'static str,
    open: &'static str,
}

impl Tick {
    /// For terminals that show nothing but ASCII, and for those that show more.
    pub(crate) const fn of(is_ascii: bool) -> Self {
        if is_ascii {
            Self { good: "[ok]", bad: "[no]", open: "[??]" }
        } else {
            Self { good: "✓", bad: "✕", open: "?" }
        }
    }

    const fn standing(self, standing: Standing) -> &'static str {
        match standing {
            Standing::Kept => self.good,
            Standing::Broken => self.bad,
            Standing::Unjudged => self.open,
        }
    }
}

/// What is said of a run of a lab, whose `progress` is known.
pub(crate) fn judgement(judged: &LabJudgement, lab: &Lab, progress: &LabProgress, tick: Tick) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for asked in &judged.predictions {
        let mark = if asked.right { tick.good } else { tick.bad };
        let measured =
            asked.measured.as_ref().map(|found| format!("; this run: {found}")).unwrap_or_default();
        let _ = writeln!(text, "{mark} {}", asked.ask);
        let _ = writeln!(
            text,
            "    you said {}, the formula gives {} ({}){measured}",
            asked.said, asked.truth, asked.formula
        );
    }
    if let Some(why) = &judged.unjudged {
        let _ = writeln!(text, "\nnothing can be judged: {why}");
    } else {
        text.push('\n');
        judged.laws.iter().for_each(|found| law(found, tick, &mut text));
    }
    let _ = writeln!(text, "\n{}", summary(judged, lab));
    let _ = writeln!(text, "next: {}", next(judged, lab, progress));
    text
}

fn law(found: &LawResult, tick: Tick, text: &mut String) {
    let _ = writeln!(text, "{} {}", tick.standing(found.standing), found.law);
    let _ = writeln!(text, "    {}", found.figures);
    if found.standing == Standing::Broken {
        let _ = writeln!(text, "    {}", found.say);
        let _ = writeln!(text, "    look at: {}", found.open);
    }
}

/// The judgement in a line.
fn summary(judged: &LabJudgement, lab: &Lab) -> String {
    let (right, asked) = (judged.right(), judged.predictions.len());
    let broken = judged.laws.iter().filter(|law| law.standing == Standing::Broken).count();
    let title = lab.title();
    let predicted = format!("{right} of {asked} predictions right");
    match judged.verdict {
        LabVerdict::Passed => format!("{title}: passed, {predicted}"),
        LabVerdict::Failed => {
            format!("{title}: {broken} of {} laws broken, {predicted}", judged.laws.len())
        }
        LabVerdict::Unjudged => format!("{title}: cannot be judged, {predicted}"),
    }
}

/// The next command.
fn next(judged: &LabJudgement, lab: &Lab, progress: &LabProgress) -> String {
    let name = lab.name;
    match judged.verdict {
        LabVerdict::Passed => match lab.next() {
            Some(next) => format!("squall lab start {}", next.name),
            None => "squall lab report".to_owned(),
        },
        LabVerdict::Unjudged if judged.unjudged.is_some() => format!("squall lab run {name}"),
        LabVerdict::Unjudged => format!("let the machine do nothing else, then squall lab run {name}"),
        LabVerdict::Failed if progress.hints < HINTS => format!(
            "squall report {} --html page.html; change scenario.toml and squall lab run {name}; squall lab hint {name} helps",
            judged.run
        ),
        LabVerdict::Failed => format!("change scenario.toml, then squall lab run {name}"),
    }
}

/// The list of labs with how far each is, and what to type next.
pub(crate) fn list(labs: &[Lab], progress: impl Fn(&str) -> LabProgress, tick: Tick) -> String {
    let widest = labs.iter().map(|lab| lab.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut present = None;
    for lab in labs {
        let own = progress(lab.name);
        let mark = match own {
            LabProgress { passed: Some(_), .. } => tick.good,
            _ if present.is_none() => ">",
            _ => "",
        };
        if own.passed.is_none() {
            present = present.or(Some((lab, own.runs.len())));
        }
        let width = tick.good.chars().count();
        let _ = writeln!(text, "{mark:width$} {:widest$}  {}", lab.name, lab.title());
    }
    let next = match present {
        Some((lab, 0)) => format!("squall lab start {}", lab.name),
        Some((lab, _)) => format!("squall lab run {}", lab.name),
        None => "squall lab report".to_owned(),
    };
    let _ = writeln!(text, "\nnext: {next}");
    text
}
