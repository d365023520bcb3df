//! What becomes of an alert on the serving thread.

use super::Dispatcher;
use crate::reference::alert::Alert;
use crate::reference::cluster::ClusterEvent;
use crate::reference::endpoint::mqtt::Hub;
use crate::reference::state::Entry;

impl Dispatcher {
    /// Posts an alert and tells all who are to hear of it; `number`: the one it has already.
    pub(super) fn spread(&self, hub: &Hub, alert: Alert, number: Option<u64>) {
        // Where numbers outlive a crash, an alert is written down with its own before it is told.
        if number.is_none()
            && let Some(journal) = &self.pipeline.shared().journal
        {
            journal.enter(Entry::Alert(alert));
            return;
        }
        if let Some(bus) = self.bus.as_ref().filter(|_| alert.instance.is_none()) {
            bus.tell(ClusterEvent::Alert(alert.clone()));
        }
        let logged = self.alert_log.enter(alert, number);
        // Whoever is woken first hears of it first: a long poll, whose reply brings the next request with it, costs the most, and
        // holds up nobody behind it.
        hub.alert(&logged);
        self.alert_log.tell(&logged);
        // What another instance raised is for that one's jobs.
        if logged.alert.instance.is_none() {
            self.jobs().heed(&logged.alert);
        }
    }
}
