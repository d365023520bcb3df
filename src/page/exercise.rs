//! A student's exercises on one page: what was predicted, what held, the time line of each run, and the
//! student's own words.

use super::escape::{Escaped, clip};
use super::head::{Banner, chip};
use super::table::{Align, Cell, Table};
use super::timeline::{Frame, strips};
use super::{Part, Sheet, card, figure, soft};
use crate::display::Tone;
use crate::results::{History, Report, TableError};
use crate::units::plural;

/// An exercise, and the run that counts.
pub(crate) struct Exercise<'r> {
    /// A word for links.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// The judgement in a word.
    pub(crate) verdict: &'static str,
    pub(crate) tone: Tone,
    /// What was asked, said, true, and measured.
    pub(crate) predictions: Vec<[String; 4]>,
    /// A law, its standing in a word, and its figures.
    pub(crate) laws: Vec<([String; 3], Tone)>,
    /// What became of the readings, in sentences.
    pub(crate) account: Vec<String>,
    /// How often it was run, how many hints were taken, and whose numbers it has.
    pub(crate) effort: String,
    /// The student's own words.
    pub(crate) why: String,
    pub(crate) report: &'r Report,
}

/// The page of `exercises` by `student`, who may have no name, out of `all` that there are.
///
/// # Errors
/// If a file of a run is none of its format.
pub(crate) fn exercises(student: &str, exercises: &[Exercise<'_>], all: usize) -> Result<String, TableError> {
    let mut chips = String::new();
    for own in exercises {
        chip(&mut chips, own.tone, &format!("{}: {}", own.name, own.verdict), own.name);
    }
    let parts: Result<Vec<_>, _> = exercises.iter().map(part).collect();
    let passed = exercises.iter().filter(|own| own.tone == Tone::Good).count();
    let banner = Banner {
        name: "Labs".to_owned(),
        about: student.to_owned(),
        facts: vec![format!("squall {}", env!("CARGO_PKG_VERSION"))],
        chips,
        lede: format!("{passed} of {all} labs passed, {} begun.", exercises.len()),
    };
    let sheet = Sheet {
        title: "labs · squall".to_owned(),
        banner,
        is_muted: false,
        is_live: false,
        first: String::new(),
        parts: parts?,
        source: format!("{} of labs", plural(exercises.len() as u64, "run")),
        scripts: String::new(),
    };
    Ok(sheet.draw())
}

fn part(own: &Exercise<'_>) -> Result<Part, TableError> {
    let history = History::load(&own.report.directory)?;
    let mut body = predictions(own) + &laws(own);
    body += &card(&own.account.iter().map(|told| soft(told)).collect::<String>());
    if !own.why.is_empty() {
        body += &card(&format!("{}<p>{}</p>", soft("In your own words"), Escaped(clip(&own.why, 2_000))));
    }
    if !history.columns.is_empty() {
        let frame = Frame { history: &history, faults: &own.report.faults };
        // Several time lines stand on the page, and each refers to parts of its own.
        let line = ["id=\"", "href=\"#", "url(#"]
            .into_iter()
            .fold(strips(&frame), |line, mark| line.replace(mark, &format!("{mark}{}-", own.name)));
        let words = "Every reading by when it ended and how long it had taken since it was due. What was refused or never \
                     answered counts with its time-out: no answer is no quick answer.";
        body += &figure(&line, words);
    }
    body += &soft(&format!("{}; shown is the run {}", own.effort, own.report.run.run_id));
    Ok(Part { anchor: own.name, word: own.title, title: own.title, about: "", body })
}

fn predictions(own: &Exercise<'_>) -> String {
    let columns = ["predicted", "said", "by the formula", "measured"].map(|name| (name, Align::Left));
    let mut table = Table::new("predictions", columns);
    for row in &own.predictions {
        table.row(row.iter().map(|text| Cell::text(text).wrapped()).collect());
    }
    card(&table.draw())
}

fn laws(own: &Exercise<'_>) -> String {
    let columns = ["law", "", "figures"].map(|name| (name, Align::Left));
    let mut table = Table::new("laws", columns);
    for ([law, standing, figures], tone) in &own.laws {
        table.row(vec![
            Cell::text(law).wrapped(),
            Cell::text(standing).toned(*tone),
            Cell::text(figures).wrapped(),
        ]);
    }
    card(&table.draw())
}
