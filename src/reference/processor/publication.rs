//! What a worker tells others than the sender of a reading: alerts, and windows that were closed.

use std::sync::Arc;

use super::Processor;
use crate::clock::Tick;
use crate::reference::alert::Alert;
use crate::reference::answer::{Unanswered, WorkerMessage};
use crate::reference::detector::Defects;
use crate::reference::device::Device;
use crate::reference::reading::{Level, Verdict};
use crate::reference::window::ClosedWindow;
use crate::service::AlertClass;

impl Processor {
    /// Takes a reading into the windows of its device, where there are to be any, and publishes those that are closed by it at `now`.
    pub(super) fn add_to_windows(&self, state: &mut Device, unanswered: &Unanswered, now: Tick) {
        let Some(setup) = &self.shared.setup.features.window else { return };
        let reading = &unanswered.reading;
        // A reading without a time of its own was taken when it came.
        let taken_ns = reading.taken_ns.unwrap_or(unanswered.arrived.0);
        let windows = state.windows.get_or_insert_default();
        let is_in_time = windows.add(taken_ns, reading.value, setup, |window| {
            self.shared.metrics.windows.inc();
            let device = Arc::clone(&reading.device);
            let closed = ClosedWindow { device, window, at_ms: now.0 / 1_000_000 };
            if !self.publish(WorkerMessage::Window(closed)) {
                self.shared.metrics.windows_lost.inc();
            }
        });
        if !is_in_time {
            self.shared.metrics.late.inc();
        }
    }

    /// Raises an alert of an anomaly that a reading with this `value` shows.
    pub(super) fn raise_anomaly(&self, verdict: &Verdict, value: f64, now: Tick) {
        let alert = Alert {
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
        if self.shared.setup.alerts.raises(AlertClass::Anomaly) {
            self.raise(alert);
        }
    }

    /// Raises an alert of a sensor that has begun to report what is wrong as data.
    pub(super) fn raise_defects(
        &self,
        state: &mut Device,
        unanswered: &Unanswered,
        defects: Defects,
        now: Tick,
    ) {
        let is_new = defects != Defects::default() && !state.is_defective;
        state.is_defective = defects != Defects::default();
        if !is_new || !self.shared.setup.alerts.raises(AlertClass::System) {
            return;
        }
        let words: Vec<&str> = defects.words().collect();
        let reason = format!("the sensor's data are wrong: {}", words.join(", "));
        self.raise(Alert {
            device: Some(Arc::clone(&unanswered.reading.device)),
            seq: Some(unanswered.reading.seq),
            value: Some(unanswered.reading.value),
            ..Alert::of_service(AlertClass::System, Level::Medium, reason, now)
        });
    }

    /// Hands an alert to the serving thread, or counts it where there is no room for it.
    fn raise(&self, alert: Alert) {
        self.shared.metrics.alerts.inc();
        if !self.publish(WorkerMessage::Alert(alert)) {
            self.shared.metrics.alerts_lost.inc();
        }
    }

    /// Hands something to the serving thread; false where so much is on its way there that verdicts might be in need of the room.
    fn publish(&self, message: WorkerMessage) -> bool {
        let back = self.back.sender();
        back.capacity() >= back.max_capacity() / 8 && back.try_send(message).is_ok()
    }
}
