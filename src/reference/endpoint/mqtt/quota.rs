//! Who is charged with which readings under way.

use std::collections::HashMap;
use std::sync::Arc;

use super::peer::Peer;
use super::registry::Registry;
use super::router::Id;

/// Readings of one client that may wait for their verdicts; beyond that its socket is not read.
pub(super) const MOST_PENDING: usize = 1_024;

/// Devices with readings under way: the client they are charged to, and how many.
#[derive(Debug, Default)]
pub(super) struct InFlightQuota {
    devices: HashMap<Arc<str>, (Id, usize)>,
}

impl InFlightQuota {
    /// Charges a reading under way to a client. A device that several clients speak for is charged, all in all, to the last of
    /// them: the sum stays right, and one look-up finds whom a verdict relieves.
    pub(super) fn charge(&mut self, registry: &Registry, peer: &Peer, device: Arc<str>) {
        let entry = self.devices.entry(device).or_insert((peer.id, 0));
        if entry.0 != peer.id {
            let (before, count) = std::mem::replace(entry, (peer.id, entry.1));
            relieve(registry, before, count);
            peer.pending.set(peer.pending.get() + count);
        }
        entry.1 += 1;
        peer.pending.set(peer.pending.get() + 1);
    }

    /// Takes up to `count` readings of a device off the account of the client they are charged to.
    pub(super) fn settle(&mut self, registry: &Registry, device: &str, count: usize) {
        let Some((id, due)) = self.devices.get_mut(device) else { return };
        let (id, count) = (*id, count.min(*due));
        *due -= count;
        if *due == 0 {
            self.devices.remove(device);
        }
        relieve(registry, id, count);
    }
}

fn relieve(registry: &Registry, id: Id, count: usize) {
    if let Some(peer) = registry.get(id) {
        peer.pending.set(peer.pending.get().saturating_sub(count));
        // Woken half way down, so that a connection at its bound does not stop and go with every verdict.
        if peer.held.get() && peer.pending.get() <= MOST_PENDING / 2 {
            peer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_under_way_are_charged_to_one_client_and_relieved_by_their_verdicts() {
        let (mut registry, mut quota) = (Registry::default(), InFlightQuota::default());
        let (one, other) = (registry.enter(), registry.enter());
        let due = || (one.pending.get(), other.pending.get());
        quota.charge(&registry, &one, "a".into());
        quota.charge(&registry, &one, "a".into());
        quota.charge(&registry, &one, "b".into());
        assert_eq!(due(), (3, 0));
        quota.charge(&registry, &other, "a".into());
        assert_eq!(due(), (1, 3), "the device speaks through the other client now");
        quota.settle(&registry, "a", 1);
        quota.settle(&registry, "never", 1);
        assert_eq!(due(), (1, 2));
        quota.settle(&registry, "a", 2);
        quota.settle(&registry, "b", 1);
        assert_eq!(due(), (0, 0));
        assert!(quota.devices.is_empty());
    }
}
