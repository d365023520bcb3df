//! What a new connection meets before it can be made.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use super::active_fault::{ActiveFault, Origin, specs};
use super::connection_fault::ConnectionFaults;
use super::toxic::{Key, Lag};
use crate::clock::Tick;
use crate::fault::{Direction, ToxicKind};

/// Waits until connection number `number` of a device can be made through `faults`.
///
/// # Errors
/// `ConnectionRefused`, if a fault refuses it.
pub(super) async fn connect_gate(faults: &Rc<ConnectionFaults>, number: u32) -> io::Result<()> {
    if faults.is_clear() {
        return Ok(());
    }
    let mut way = ConnectGate { number, seen: None, met: Vec::new(), open_at: faults.now(), armed: None };
    poll_fn(|_| way.poll(faults)).await
}

/// The way of one connection.
struct ConnectGate {
    number: u32,
    /// The version of the faults that it knows.
    seen: Option<u32>,
    /// Toxics that have had their effect on it.
    met: Vec<Key>,
    /// When it has made up for all of them.
    open_at: Tick,
    armed: Option<Tick>,
}

impl ConnectGate {
    /// Looks at the faults again: whoever changes them, and whoever keeps their time, wakes the task that polls this.
    fn poll(&mut self, faults: &ConnectionFaults) -> Poll<io::Result<()>> {
        let now = faults.now();
        let mut shut = false;
        if self.seen != Some(faults.version()) {
            match faults.consult(|active| self.meet(faults, active, now)) {
                Ok(is_shut) => shut = is_shut,
                Err(error) => return Poll::Ready(Err(error)),
            }
            // As long as it is shut there is something to look at again.
            self.seen = (!shut).then(|| faults.version());
        }
        if shut {
            return Poll::Pending;
        }
        if self.open_at <= now {
            return Poll::Ready(Ok(()));
        }
        if self.armed != Some(self.open_at) && self.open_at < Tick::FAR {
            self.armed = Some(self.open_at);
            faults.wake_at(self.open_at);
        }
        Poll::Pending
    }

    /// Takes in what is new. True if no connection can be made for now.
    fn meet(&mut self, faults: &ConnectionFaults, active: &[ActiveFault], now: Tick) -> io::Result<bool> {
        let origin = Origin { number: self.number, born: now };
        let mut shut = false;
        let mut slower_ns: u64 = 0;
        for (direction, spec) in specs(active, origin) {
            let first = !self.met.contains(&spec.key);
            let acted = |times: u64| spec.tally.set(spec.tally.get().saturating_add(times));
            let delay = match spec.kind {
                ToxicKind::Refuse => {
                    acted(1);
                    let text = format!("refused by the fault {}", spec.name);
                    return Err(io::Error::new(io::ErrorKind::ConnectionRefused, text));
                }
                // A SYN, or its answer, is lost like any other segment.
                ToxicKind::Partition | ToxicKind::Blackhole => {
                    shut = true;
                    acted(u64::from(first));
                    None
                }
                ToxicKind::SlowConnect(delay) => Some((delay, 1)),
                ToxicKind::Latency(delay) => Some((delay, if direction == Direction::Both { 2 } else { 1 })),
                _ => continue,
            };
            if first {
                self.met.push(spec.key);
            }
            if let (true, Some((delay, draws))) = (first, delay) {
                let what = format!("connect/{}/{}", spec.key.toxic, spec.key.occurrence);
                let mut lag = Lag::new(delay.clone(), faults.stream(spec.name, &what, self.number));
                slower_ns = (0..draws).map(|_| lag.draw()).fold(slower_ns, u64::saturating_add);
                acted(1);
            }
        }
        self.open_at = self.open_at.max(now).plus_ns(slower_ns);
        Ok(shut)
    }
}
