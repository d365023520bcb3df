//! Whether a run was alone with its devices: what they meet that was, or may have been, another run's.

use super::device::Device;
use super::worker::Worker;
use crate::clock::Tick;
use crate::protocol::{Failure, Session};
use crate::record::{Encounters, ErrorKind, Outcome, Reason, Sink};

/// A connection that the peer ends within so long of its beginning was hardly idle for too long, nanoseconds.
const SOON_NS: u64 = 30_000_000_000;

/// So many such connections in a row are not an accident.
const TOO_OFTEN: u8 = 3;

impl<S: Sink> Worker<S> {
    fn met(&self, device: &Device, what: Encounters) {
        self.encounters[usize::from(device.fleet.0)].add(what);
    }

    /// An attempt to connect has ended, `session` being what came of it.
    pub(super) fn introduced(
        &self,
        device: &Device,
        attempted: &Result<Box<dyn Session>, (Outcome, Reason)>,
    ) {
        match attempted {
            Ok(session) => {
                if !device.introduced.replace(true) && session.is_resumed() {
                    self.met(device, Encounters { sessions_found: 1, ..Encounters::default() });
                }
            }
            Err((Outcome::Error(ErrorKind::Refused), _)) => device.cut_off.set(0),
            Err(_) => {
                // The peer may have got as far as to keep a session.
                device.introduced.set(true);
                device.cut_off.set(0);
            }
        }
    }

    /// The connection that `device` has had since `since` broke at `now`.
    ///
    /// MQTT 3.1.1 has the broker close a connection without a word when another client connects with its identifier. So does a broker that
    /// dislikes what it was sent, or restarts, or thinks the device idle. But those act on what they have not answered yet, refuse the
    /// next connection, or wait; and against identifiers that nobody else can have it is none of them.
    pub(super) fn cut_off(&self, device: &Device, failure: &Failure, since: Tick, now: Tick) {
        let shares_ids = self.encounters[usize::from(device.fleet.0)].shares_ids;
        let by_peer = matches!(failure.kind, ErrorKind::Closed | ErrorKind::Reset);
        if !by_peer || !shares_ids || device.was_severed(since) {
            return;
        }
        if now.since(since) > SOON_NS {
            return device.cut_off.set(0);
        }
        if !device.ledger.borrow().is_idle() {
            return;
        }
        let before = device.cut_off.get();
        device.cut_off.set(before.saturating_add(1));
        if before + 1 == TOO_OFTEN {
            self.met(device, Encounters { taken_over: 1, ..Encounters::default() });
        }
    }

    /// What `device` waited for, or listened to, came in a message; `named` says that it names this run.
    pub(super) fn answered_by(&self, device: &Device, named: bool) {
        if !named && self.encounters[usize::from(device.fleet.0)].is_open {
            self.met(device, Encounters { unnamed: 1, ..Encounters::default() });
        }
    }
}
