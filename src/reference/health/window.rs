//! What the service did in the last seconds: the differences between samples of what it has done since its start.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Tick;
use crate::reference::metric::Books;

/// What is older counts no more, nanoseconds.
pub(super) const SPAN: u64 = 10_000_000_000;
/// Samples are at least so far apart, nanoseconds: that bounds how many there are.
const APART: u64 = 500_000_000;

/// What the service has done since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::reference) struct Sample {
    pub(in crate::reference) books: Books,
    /// Time that workers were at readings, summed over them, nanoseconds.
    pub(in crate::reference) busy_ns: u64,
    /// Processor time of the serving thread; none where the system does not tell.
    pub(in crate::reference) serving: Option<Duration>,
}

/// What it did lately.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Lately {
    /// Nanoseconds that this is about.
    pub(super) span_ns: u64,
    pub(super) books: Books,
    pub(super) busy_ns: u64,
    pub(super) serving: Option<Duration>,
}

/// Samples of the last seconds, oldest first.
#[derive(Debug)]
pub(super) struct Window(VecDeque<(Tick, Sample)>);

impl Window {
    /// A window that opens with the service, at the beginning of its clock.
    pub(super) fn new() -> Self {
        Self(VecDeque::from([(Tick::ZERO, Sample::default())]))
    }

    /// Keeps a sample, unless the one before is hardly older, and forgets those that nothing is compared with any more.
    pub(super) fn note(&mut self, now: Tick, sample: Sample) {
        if self.0.back().is_none_or(|(last, _)| now.since(*last) >= APART) {
            self.0.push_back((now, sample));
        }
        while self.0.get(1).is_some_and(|(next, _)| now.since(*next) >= SPAN) {
            self.0.pop_front();
        }
    }

    /// What lies between the last seconds' beginning and `sample`, which was taken at `now`.
    pub(super) fn until(&self, now: Tick, sample: Sample) -> Lately {
        let old = self.0.iter().rev().find(|(at, _)| now.since(*at) >= SPAN).or_else(|| self.0.front());
        let Some((since, before)) = old else { return Lately::default() };
        let (is, was) = (sample.books, before.books);
        Lately {
            span_ns: now.since(*since),
            books: Books {
                received: is.received.saturating_sub(was.received),
                verdicts: is.verdicts.saturating_sub(was.verdicts),
                shed: is.shed.saturating_sub(was.shed),
                crashed: is.crashed.saturating_sub(was.crashed),
                failed: is.failed.saturating_sub(was.failed),
                dead: is.dead.saturating_sub(was.dead),
            },
            busy_ns: sample.busy_ns.saturating_sub(before.busy_ns),
            serving: sample.serving.zip(before.serving).map(|(is, was)| is.saturating_sub(was)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(shed: u64) -> Sample {
        Sample { books: Books { received: 10 * shed, shed, ..Books::default() }, ..Sample::default() }
    }

    #[test]
    fn what_happened_counts_for_ten_seconds_and_is_then_forgotten() {
        let at = |ms: u64| Tick(ms * 1_000_000);
        let mut window = Window::new();
        for second in 1..=30 {
            // Three are shed between 4 s and 5 s.
            window.note(at(second * 1_000), sample(if second >= 5 { 3 } else { 0 }));
        }
        assert!(window.0.len() <= 12, "{}", window.0.len());
        let mut window = Window::new();
        for (ms, shed, counted) in [
            (4_000, 0, 0),
            (4_700, 3, 3),
            (5_000, 3, 3),
            (14_000, 3, 3),
            (14_699, 3, 3),
            (14_700, 3, 0),
            (60_000, 3, 0),
            (61_000, 4, 1),
        ] {
            window.note(at(ms), sample(shed));
            assert_eq!(window.until(at(ms), sample(shed)).books.shed, counted, "{ms} ms");
        }
    }

    #[test]
    fn frequent_questions_keep_no_more_samples() {
        let mut window = Window::new();
        for ms in 0..100_000 {
            window.note(Tick(ms * 1_000_000), sample(ms));
            assert!(window.0.len() <= 22, "{}", window.0.len());
        }
        let lately = window.until(Tick(100_000_000_000), sample(100_000));
        assert!((SPAN..SPAN + APART).contains(&lately.span_ns) && lately.serving.is_none());
    }
}
