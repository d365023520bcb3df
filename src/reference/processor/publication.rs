//! What a worker tells others than the sender of a reading: alerts, and windows that were closed.

use std::sync::Arc;

use super::{Processor, Shared};
use crate::clock::Tick;
use crate::reference::alert::Alert;
use crate::reference::answer::{Unanswered, WorkerMessage};
use crate::reference::cache::Tier;
use crate::reference::detector::Defects;
use crate::reference::device::{Scores, Taken};
use crate::reference::model::Judged;
use crate::reference::reading::{Level, Reading, Verdict};
use crate::reference::state::{Entry, Settled, Step};
use crate::reference::window::{ClosedWindow, WindowSummary};
use crate::service::AlertClass;

impl Processor {
    /// Tells of a window of a device that was closed at `now`.
    pub(super) fn publish_window(&self, device: &Arc<str>, window: WindowSummary, now: Tick) {
        self.shared.metrics.windows.inc();
        let closed = ClosedWindow { device: Arc::clone(device), window, at_ms: now.0 / 1_000_000 };
        if !self.back.publish(WorkerMessage::Window(closed)) {
            self.shared.metrics.windows_lost.inc();
        }
    }

    /// The alert of an anomaly that a reading with this `value` shows, where there is to be one.
    fn anomaly(&self, verdict: &Verdict, value: f64, now: Tick) -> Option<Alert> {
        let alert = || Alert {
            class: AlertClass::Anomaly,
            device: Some(Arc::clone(&verdict.id.device)),
            seq: Some(verdict.id.seq),
            level: verdict.level,
            score: Some(verdict.score),
            value: Some(value),
            reason: None,
            at_ms: now.0 / 1_000_000,
            instance: None,
        };
        self.shared.setup.alerts.raises(AlertClass::Anomaly).then(alert)
    }

    /// Raises an alert of a sensor that has begun to report what is wrong as data.
    pub(super) fn raise_defects(&self, unanswered: &Unanswered, defects: Defects, now: Tick) {
        if !self.shared.setup.alerts.raises(AlertClass::System) {
            return;
        }
        let words: Vec<&str> = defects.words().collect();
        let reason = format!("the sensor's data are wrong: {}", words.join(", "));
        let alert = Alert {
            device: Some(Arc::clone(&unanswered.reading.device)),
            seq: Some(unanswered.reading.seq),
            value: Some(unanswered.reading.value),
            ..Alert::of_service(AlertClass::System, Level::Medium, reason, now)
        };
        self.back.raise(alert, None);
    }

    /// Counts a verdict, and what both models say of its reading.
    pub(super) fn count(&self, level: Level, tier: Tier, judged: Option<Judged>) {
        let Shared { metrics, experiment, cache, .. } = &*self.shared;
        if let Some(judged) = judged {
            experiment.note(judged);
        }
        metrics.tier(tier, cache.is_on());
        if level != Level::None {
            metrics.anomalies.inc();
        }
    }

    /// Lets a verdict go, and the alert that it is to be, once what it did to its device is written down.
    pub(super) fn answer(
        &self,
        unanswered: Unanswered,
        verdict: Verdict,
        publish: bool,
        (born, order, scores): (Tick, u64, Scores),
    ) {
        let Reading { run, seq, value, taken_ns, .. } = unanswered.reading;
        let now = self.shared.clock.now();
        let alert = if publish { self.anomaly(&verdict, value, now) } else { None };
        if let Some(journal) = &self.shared.journal {
            let taken = Taken { run, seq, value, taken_ns, at: self.shared.lasting(unanswered.arrived) };
            let step = Step { born, order, taken, scores };
            journal.enter(Entry::Reading(Settled { step, unanswered, verdict, alert }));
            return;
        }
        if let Some(alert) = alert {
            self.back.raise(alert, None);
        }
        unanswered.answer(verdict);
    }
}
