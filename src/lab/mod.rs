//! Labs: exercises in which a student predicts, runs, mends, and is told whether that was right.
//!
//! A lab is data: a folder under `labs/` with a README, a scenario that is broken, `check.toml`, hints, and
//! for its own proof a solution and a negative control. It is compiled in ([`LABS`]); a new lab is one folder
//! and one line.
//!
//! # The way of a lab
//!
//! 1. `squall lab start NAME` writes `lab/NAME/`: the README, the scenario, `keys.md` with what may be changed,
//!    and `answer.toml` with blanks.
//!    With a student's name the rates and times that `check.toml` lists are drawn from it; formulas are worth
//!    what the plan then makes them, and figures in README and hints are such formulas (`${fleet.noisy.rate}`).
//! 2. `squall lab run NAME` refuses blanks, and changes of what the lab holds fixed. The answers go into the
//!    run before it begins, text and hash (`run.json`, key `lab`), so that nobody predicts what has happened.
//!    What is said before the first run counts; what is said later is shown beside it.
//! 3. The run is judged from its files ([`judge`]), then and whenever `squall lab check NAME` is typed. What
//!    is judged is whether every law holds: a wrong prediction is shown beside the truth, and fails nothing.
//!
//! # What `check.toml` says
//!
//! | key | what |
//! |---|---|
//! | `mend` | keys of the scenario that may be changed, with all below them |
//! | `[figure]` | figures of a run by name: those of budgets (`metric`, with `fleet`, `phase`, `fault`, `kind`), or a count of the bundled service (`counter`); of several phases the median counts; `before` takes it from the lab's run as given |
//! | `[given]` | formulas by name: the `formula`, and what it `is` in words |
//! | `[[predict]]` | a question: `key`, `ask`, `unit`, its `truth` as a formula, how `near` is right, the `figure` that shows it, or a formula of several, and which runs do (`shows`): those of the lab as it is `given`, those that are `mended`, or `any` |
//! | `[[law]]` | what must hold: `name`, `that`, what to `say` and to `open` where it is broken, the `lag` that is allowed |
//! | `[[vary]]` | what a student's name changes: `key`, `from`, `to`, `step`, `unit` |
//!
//! A law is two formulas and a sign between them, so that figures, ratios, counts and orderings are all one
//! thing. Names in formulas: figures and given formulas; `truth.KEY` and `answer.KEY` of a prediction; and
//! the plan (`phase.day.duration`). At least two laws pull in opposite directions, so that no extreme setting
//! passes.
//!
//! # What cannot be judged
//!
//! A law *on a time* (one side has measured times, the other none) cannot be judged where the generator's own
//! lag (p99) is more than 5 % of what it asserts, unless it is a ceiling that is kept all the same, or a
//! floor that is missed: lateness only makes times longer. Counts, ratios and orderings can be judged whatever
//! the run says of its headline. Whatever was measured leaves a law open that it misses by less than a factor of two
//! (five, of a time) where the bundled service itself was slower than formulas reckon with (its inferences took a twentieth longer than
//! they cost), and any that it misses from a quarter on: it had too little of the processor. What never happened (a backlog that was never gone) breaks the law that asks
//! for it; what cannot be known (nothing before the fault to compare with) leaves it open.
//!
//! A judgement ends with exit code 0, 99 if a law is broken, or 12 if none is and one cannot be judged.

mod answer;
mod catalogue;
mod check;
mod figure;
mod folder;
mod formula;
mod judge;
mod mend;
mod plan;
mod prediction;
mod progress;
mod sentence;
mod student;
mod template;
mod trial;
mod wording;

pub(crate) use catalogue::{HINTS, LABS, Lab, Variant};
pub(crate) use folder::{Assignment, LabFolder};
pub(crate) use judge::{LabJudgement, LabVerdict, Standing as LabStanding, judge};
pub(crate) use progress::{LabProgress, Progress};
pub(crate) use student::{canonical as student_name, hint};
pub(crate) use trial::trial;
pub(crate) use wording::{Screen, judgement, list};

#[cfg(test)]
mod tests;
