//! The words of a judgement, for a terminal: what was predicted, which law stands how, what to look at, and
//! what to type next.

use std::fmt::Write as _;

use super::catalogue::{HINTS, LABS, Lab};
use super::judge::{LabJudgement, LabVerdict, LawResult, Standing};
use super::prediction::PredictionResult;
use super::progress::Progress;
use crate::display::{Style, Tone, hanging, wrap};
use crate::units::part_of;

/// What a terminal shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) style: Style,
    /// Columns.
    pub(crate) width: usize,
}

/// How a line is marked: beyond ASCII, within it, and how it stands out.
#[derive(Debug, Clone, Copy)]
struct Mark(&'static str, &'static str, Tone);

impl Mark {
    const GOOD: Self = Self("✓", "[ok]", Tone::Good);
    const BAD: Self = Self("✕", "[no]", Tone::Bad);
    const OPEN: Self = Self("?", "[??]", Tone::Warning);
    /// Of a prediction that is far off, which is no failure.
    const OFF: Self = Self("≠", "[!=]", Tone::Warning);
    const NEXT: Self = Self("▸", "[->]", Tone::Strong);
    const NONE: Self = Self(" ", "    ", Tone::Faint);

    const fn of(standing: Standing) -> Self {
        match standing {
            Standing::Kept => Self::GOOD,
            Standing::Broken => Self::BAD,
            Standing::Unjudged => Self::OPEN,
        }
    }
}

impl Screen {
    fn mark(self, Mark(sign, word, tone): Mark) -> String {
        self.style.paint(if self.style.ascii { word } else { sign }, tone)
    }

    /// Columns of a mark and the space behind it.
    const fn indent(self) -> usize {
        if self.style.ascii { 5 } else { 2 }
    }

    /// A line with its mark.
    fn head(self, mark: Mark, words: &str, text: &mut String) {
        let mut lines = String::new();
        self.below(words, &mut lines);
        // The mark takes the place of the first blanks: what colours it has no columns, and would be counted.
        // Writing to a String cannot fail.
        let _ = write!(text, "{} {}", self.mark(mark), &lines[self.indent()..]);
    }

    /// What stands below such a line.
    fn below(self, words: &str, text: &mut String) {
        for line in hanging(&" ".repeat(self.indent()), words, self.width) {
            text.push_str(&line);
            text.push('\n');
        }
    }
}

/// What is said of a run of a lab, whose `progress` is known.
pub(crate) fn judgement(judged: &LabJudgement, lab: &Lab, progress: &Progress, screen: Screen) -> String {
    let mut text = String::from("what you predicted\n");
    judged.predictions.iter().for_each(|asked| prediction(asked, screen, &mut text));
    text.push_str("\nwhat must hold\n");
    match &judged.unjudged {
        Some(why) => screen.head(Mark::OPEN, &format!("nothing can be judged: {why}"), &mut text),
        None => judged.laws.iter().for_each(|found| law(found, screen, &mut text)),
    }
    text.push_str("\nwhat became of the readings\n");
    judged.account.iter().for_each(|told| screen.below(told, &mut text));
    let _ = writeln!(text, "\n{}", wrap(&summary(judged, lab), screen.width).join("\n"));
    let _ = writeln!(text, "run:  {}", judged.run);
    for (nth, step) in next(judged, lab, progress).iter().enumerate() {
        text.push_str(if nth == 0 { "next: " } else { "      " });
        text.push_str(step);
        text.push('\n');
    }
    text
}

fn prediction(asked: &PredictionResult, screen: Screen, text: &mut String) {
    screen.head(if asked.counts() { Mark::GOOD } else { Mark::OFF }, &asked.ask, text);
    let PredictionResult { said, said_first, truth, formula, remark, .. } = asked;
    let said = match said_first {
        Some(first) => format!("you said {first} at your first run, which counts, and {said} now"),
        None => format!("you said {said}"),
    };
    screen.below(&format!("{said}; the formula gives {truth}"), text);
    if formula != truth {
        screen.below(&format!("the formula: {formula}"), text);
    }
    if let Some(shown) = asked.shown() {
        screen
            .below(&[Some(shown), remark.clone()].into_iter().flatten().collect::<Vec<_>>().join(". "), text);
    }
}

fn law(found: &LawResult, screen: Screen, text: &mut String) {
    screen.head(Mark::of(found.standing), &found.law, text);
    screen.below(&found.figures, text);
    if found.standing == Standing::Broken {
        screen.below(&found.say, text);
        screen.below(&format!("look at: {}", found.open), text);
    }
}

/// The judgement in a line.
fn summary(judged: &LabJudgement, lab: &Lab) -> String {
    let (right, asked) = (judged.right(), judged.predictions.len());
    let broken = judged.laws.iter().filter(|law| law.standing == Standing::Broken).count();
    let title = lab.title();
    let own =
        judged.own_service.as_ref().map(|own| format!(", at your own service {own}")).unwrap_or_default();
    let now =
        judged.right_now().map(|now| format!(" at your first run, {now} of {asked} now")).unwrap_or_default();
    let predicted = format!("{} right{now}{own}", part_of(right as u64, asked as u64, "prediction"));
    match judged.verdict {
        LabVerdict::Passed => format!("{title}: passed, {predicted}"),
        LabVerdict::Failed => {
            let broken = part_of(broken as u64, judged.laws.len() as u64, "law");
            format!("{title}: {broken} broken, {predicted}")
        }
        LabVerdict::Unjudged => format!("{title}: cannot be judged, {predicted}"),
    }
}

/// What to do next; the first is a command as it can be typed, wherever there is one.
fn next(judged: &LabJudgement, lab: &Lab, progress: &Progress) -> Vec<String> {
    let again = format!("squall lab run {}", lab.name);
    match judged.verdict {
        LabVerdict::Passed => {
            let is_passed = |other: &Lab| other.name == lab.name || progress.is_passed(other.name);
            let next = following(Some(lab.name), is_passed);
            vec![next.map_or_else(|| "squall lab report".to_owned(), |next| begin(next, progress))]
        }
        LabVerdict::Unjudged if judged.unjudged.is_some() => vec![again],
        LabVerdict::Unjudged => vec![again + "   (let the machine do nothing else meanwhile)"],
        LabVerdict::Failed => {
            let look = format!("squall report {} --html page.html   (to look at it)", judged.run);
            let hints = progress.labs.get(lab.name).map_or(0, |own| own.hints);
            let hint = (hints < HINTS).then(|| format!("squall lab hint {}", lab.name));
            let mend = again + "   (when you have changed scenario.toml)";
            [Some(look), hint, Some(mend)].into_iter().flatten().collect()
        }
    }
}

/// The lab that comes next: the first one after `last` that is not passed, or else the first of all.
fn following(last: Option<&str>, is_passed: impl Fn(&Lab) -> bool) -> Option<&'static Lab> {
    let place = last.and_then(|last| LABS.iter().position(|lab| lab.name == last));
    let (before, after) = LABS.split_at(place.map_or(0, |place| place + 1));
    after.iter().chain(before).find(|lab| !is_passed(lab))
}

/// What to type for a lab that is not passed.
fn begin(lab: &Lab, progress: &Progress) -> String {
    let verb = if progress.labs.contains_key(lab.name) { "run" } else { "start" };
    format!("squall lab {verb} {}", lab.name)
}

/// The list of labs with how far each is by the `progress`, in which only labs that were started stand, and what to
/// type next.
pub(crate) fn list(progress: &Progress, screen: Screen) -> String {
    let widest = LABS.iter().map(|lab| lab.name.len()).max().unwrap_or(0);
    let last = progress.last.as_deref();
    let is_passed = |lab: &Lab| progress.is_passed(lab.name);
    // What was begun last is gone on with.
    let open =
        last.and_then(Lab::named).filter(|lab| progress.labs.contains_key(lab.name) && !is_passed(lab));
    let present = open.or_else(|| following(last, is_passed));
    let mut text = String::new();
    for lab in LABS {
        let mark = match present {
            _ if is_passed(lab) => Mark::GOOD,
            Some(present) if present.name == lab.name => Mark::NEXT,
            _ => Mark::NONE,
        };
        let _ = writeln!(text, "{} {:widest$}  {}", screen.mark(mark), lab.name, lab.title());
    }
    let next = present.map_or_else(|| "squall lab report".to_owned(), |lab| begin(lab, progress));
    text + &format!("\nnext: {next}\n")
}
