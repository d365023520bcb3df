//! What a new connection meets before it can be made.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use super::filter::{Origin, specs};
use super::toxic::{Key, Lag};
use super::weather::{Front, Weather};
use crate::clock::Tick;
use crate::fault::{Direction, ToxicKind};

/// Waits until connection number `number` of a device can be made through `weather`.
///
/// # Errors
/// `ConnectionRefused`, if a fault refuses it.
pub(super) async fn approach(weather: &Rc<Weather>, number: u32) -> io::Result<()> {
    if weather.is_fair() {
        return Ok(());
    }
    let mut way = Way { number, seen: None, met: Vec::new(), open_at: weather.now(), armed: None };
    poll_fn(|_| way.poll(weather)).await
}

/// The way of one connection.
struct Way {
    number: u32,
    /// The weather's version it knows.
    seen: Option<u32>,
    /// Toxics that have had their effect on it.
    met: Vec<Key>,
    /// When it has made up for all of them.
    open_at: Tick,
    armed: Option<Tick>,
}

impl Way {
    /// Looks at the weather again: whoever changes it, and whoever keeps its time, wakes the task that polls this.
    fn poll(&mut self, weather: &Weather) -> Poll<io::Result<()>> {
        let now = weather.now();
        let mut shut = false;
        if self.seen != Some(weather.version()) {
            match weather.consult(|fronts| self.meet(weather, fronts, now)) {
                Ok(is_shut) => shut = is_shut,
                Err(error) => return Poll::Ready(Err(error)),
            }
            // As long as it is shut there is something to look at again.
            self.seen = (!shut).then(|| weather.version());
        }
        if shut {
            return Poll::Pending;
        }
        if self.open_at <= now {
            return Poll::Ready(Ok(()));
        }
        if self.armed != Some(self.open_at) && self.open_at < Tick::FAR {
            self.armed = Some(self.open_at);
            weather.wake_at(self.open_at);
        }
        Poll::Pending
    }

    /// Takes in what is new. True if no connection can be made for now.
    fn meet(&mut self, weather: &Weather, fronts: &[Front], now: Tick) -> io::Result<bool> {
        let origin = Origin { number: self.number, born: now };
        let mut shut = false;
        let mut slower_ns: u64 = 0;
        for (direction, spec) in specs(fronts, origin) {
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
                let what = format!("connect/{}/{}", spec.key.toxic, spec.key.turn);
                let mut lag = Lag::new(delay.clone(), weather.stream(spec.name, &what, self.number));
                slower_ns = (0..draws).map(|_| lag.draw()).fold(slower_ns, u64::saturating_add);
                acted(1);
            }
        }
        self.open_at = self.open_at.max(now).plus_ns(slower_ns);
        Ok(shut)
    }
}
