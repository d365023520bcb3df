//! Collecting a run's intervals, and ending the run early on what they show: a failed budget, a fleet refused for good.

use super::journal::Journal;
use super::manifest::ManifestKeeper;
use super::observer::Observers;
use super::outside::OutsideActs;
use super::scrape::Notices;
use crate::clock::Tick;
use crate::engine::{Control, Order};
use crate::results::{BudgetResult, Collector, Refused, RunFiles, Totals};

/// What was to end the run early.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// The budget that failed.
    pub(super) budget: Option<BudgetResult>,
    /// When that was.
    pub(super) failed_at: Tick,
    /// The fleet that was refused for good.
    pub(super) refused: Option<Refused>,
}

impl Early {
    pub(super) const fn is_some(&self) -> bool {
        self.budget.is_some() || self.refused.is_some()
    }
}

/// Collects until the workers are done. A file that cannot be written ends the run, since going on unheard would waste it; what
/// has been measured by then is in the totals.
pub(super) fn collect(
    collector: Collector,
    (files, journal, mut keeper): (&mut RunFiles, &mut Journal, ManifestKeeper<'_>),
    (mut outside, scrapes): (Option<&mut OutsideActs>, &Notices),
    early: &mut Early,
    (observers, control): (&Observers, &Control),
) -> Totals {
    let mut trouble: Option<String> = None;
    let mut totals = collector.run(files, |interval| {
        observers.interval(interval);
        journal.switched(&interval.switches);
        if let Some(outside) = &mut outside {
            journal.note_acts(outside.take(), observers);
        }
        journal.note_scrapes(scrapes.take(), observers);
        let mut noted = journal.advance(interval.end);
        keeper.advance(interval.end);
        if let Some(failed) = &interval.budget_failed {
            control.give(Order::Conclude);
            let (name, detail) = (failed.name.as_deref().unwrap_or_default(), failed.sentence());
            observers.note(&format!("a budget failed: {detail}; settling what is open"));
            noted = noted.and_then(|()| journal.event(interval.end, "budget_failed", name, &detail));
            (early.budget, early.failed_at) = (Some(failed.clone()), interval.end);
        }
        if let Some(refused) = &interval.refused {
            control.give(Order::Conclude);
            let detail = refused.sentence();
            observers.note(&format!("{detail}; ending the run"));
            noted = noted.and_then(|()| journal.event(interval.end, "refused", &refused.fleet, &detail));
            early.refused = Some(refused.clone());
        }
        let unwritten = interval.unwritten.clone().or_else(|| noted.err().map(|error| error.to_string()));
        if let Some(error) = unwritten
            && trouble.is_none()
        {
            control.give(Order::Conclude);
            observers.note(&format!("the files cannot be written: {error}; settling what is open"));
            trouble = Some(error);
        }
    });
    totals.unwritten = totals.unwritten.or(trouble);
    totals
}
