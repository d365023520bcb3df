//! What is told to whoever listens, beside alerts: windows, verdicts, and what somebody says to all.

use std::rc::Rc;

use super::Dispatcher;
use crate::reference::answer::WorkerMessage;
use crate::reference::broadcast::Broadcast;
use crate::reference::cluster::ClusterEvent;
use crate::reference::endpoint::mqtt::Hub;
use crate::reference::feed::FeedLog;
use crate::reference::reading::Verdict;
use crate::service::Setup;

/// Verdicts that are kept, about half a kilobyte each.
const VERDICTS: usize = 10_000;
/// Broadcasts that are kept.
const BROADCASTS: usize = 1_000;

/// The logs that whoever listens reads.
#[derive(Debug)]
pub(in crate::reference::endpoint) struct Feeds {
    pub(in crate::reference::endpoint) windows: Rc<FeedLog>,
    /// Kept from the first on that comes after somebody has asked for them.
    pub(in crate::reference::endpoint) verdicts: Rc<FeedLog>,
    pub(in crate::reference::endpoint) broadcasts: Rc<FeedLog>,
}

impl Feeds {
    pub(super) fn new(setup: &Setup) -> Self {
        let windows = setup.features.window.map_or(1, |window| window.history);
        let log = |capacity| Rc::new(FeedLog::new(capacity));
        Self { windows: log(windows), verdicts: log(VERDICTS), broadcasts: log(BROADCASTS) }
    }
}

impl Dispatcher {
    /// Has something told to all who listen; false where too much is on its way to them.
    pub(in crate::reference::endpoint) fn broadcast(&self, broadcast: Broadcast) -> bool {
        self.pipeline.publish(WorkerMessage::Broadcast(broadcast))
    }

    /// Tells it.
    pub(super) fn announce(&self, hub: &Hub, broadcast: Broadcast) {
        // Whoever is woken first hears of it first, and a long poll brings the next request with it: MQTT comes before.
        let logged =
            self.feeds.broadcasts.enter(None, |id| broadcast.encode(id, broadcast.instance.as_deref()));
        hub.broadcast(&logged.text);
        self.feeds.broadcasts.wake();
        if let Some(bus) = self.bus.as_ref().filter(|_| broadcast.instance.is_none()) {
            bus.tell(ClusterEvent::Broadcast(broadcast));
        }
    }

    /// Tells of a verdict whoever listens to all of them.
    pub(super) fn tell_verdict(&self, hub: &Hub, verdict: &Verdict) {
        if self.feeds.verdicts.is_wanted() {
            let mut verdict = verdict.clone();
            verdict.handed_over(self.pipeline.now());
            let device = &verdict.id.device;
            let logged = self.feeds.verdicts.enter(Some(device), |id| verdict.encode_numbered(id));
            hub.verdict(device, &logged.text);
            self.feeds.verdicts.wake();
        }
    }
}
