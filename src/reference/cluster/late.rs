//! What is heard of other instances later than it came, on purpose.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Tick;
use crate::reference::answer::WorkerMessage;

/// Messages that may be late at a time.
const MOST: usize = 4_096;
/// Longest wait for the next message.
const LONGEST: Duration = Duration::from_millis(200);
/// A shorter wait the system does not know.
const SHORTEST: Duration = Duration::from_micros(100);

/// Messages that are held back, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct LateMessages {
    held: VecDeque<(Tick, WorkerMessage)>,
}

impl LateMessages {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Holds a message until `due`, but not beyond those before it; false if too many are held.
    pub(super) fn hold(&mut self, message: WorkerMessage, due: Tick) -> bool {
        let fits = self.held.len() < MOST;
        if fits {
            let before = self.held.back().map_or(due, |(before, _)| *before);
            self.held.push_back((due.max(before), message));
        }
        fits
    }

    /// The next message that is due.
    pub(super) fn take(&mut self, now: Tick) -> Option<WorkerMessage> {
        self.held.front().filter(|(due, _)| *due <= now)?;
        self.held.pop_front().map(|(_, message)| message)
    }

    /// How long another message may be waited for.
    pub(super) fn patience(&self, now: Tick) -> Duration {
        let next = self.held.front().map(|(due, _)| Duration::from_nanos(due.since(now)));
        next.map_or(LONGEST, |next| next.clamp(SHORTEST, LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::cluster::CacheOrder;

    #[test]
    fn messages_come_late_in_their_order_and_are_bounded() {
        let message = |name: &str| WorkerMessage::Forget(CacheOrder::Device(name.into()));
        let name = |message| match message {
            Some(WorkerMessage::Forget(CacheOrder::Device(name))) => name.to_string(),
            _ => String::new(),
        };
        let mut late = LateMessages::default();
        assert_eq!(late.patience(Tick(0)), LONGEST);
        assert!(late.hold(message("a"), Tick(50_000_000)) && late.hold(message("b"), Tick(20_000_000)));
        assert_eq!(late.patience(Tick(10_000_000)), Duration::from_millis(40));
        assert_eq!(name(late.take(Tick(49_999_999))), "");
        assert_eq!(late.patience(Tick(50_000_000)), SHORTEST);
        assert_eq!([late.take(Tick(50_000_000)), late.take(Tick(50_000_000))].map(name), ["a", "b"]);
        assert_eq!((0..=MOST).filter(|_| late.hold(message("c"), Tick(0))).count(), MOST);
    }
}
