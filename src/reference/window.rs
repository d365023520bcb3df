//! Windows over event time: what a device sent lately, gathered in the order in which it happened, not in which it came.

mod closed;

use std::collections::VecDeque;

pub(super) use closed::ClosedWindow;
use serde::{Deserialize, Serialize};

use crate::service::{Window as Setup, WindowKind};

/// Panes that are open at once: those of the longest window, and as many as the lateness spans up to this bound.
const MOST_PANES: usize = 32;

/// What readings of a stretch come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct WindowSummary {
    /// Where the window begins, nanoseconds of the device's own time.
    pub(super) start_ns: u64,
    /// Where it ends; not part of it.
    pub(super) end_ns: u64,
    pub(super) count: u64,
    pub(super) mean: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl WindowSummary {
    const fn of(start_ns: u64, end_ns: u64, value: f64) -> Self {
        Self { start_ns, end_ns, count: 1, mean: value, least: value, most: value }
    }

    fn add(&mut self, value: f64) {
        self.count += 1;
        self.mean += (value - self.mean) / self.count as f64;
        self.least = self.least.min(value);
        self.most = self.most.max(value);
    }

    fn join(&mut self, other: &Self) {
        let count = self.count + other.count;
        self.mean += (other.mean - self.mean) * other.count as f64 / count as f64;
        self.count = count;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        self.start_ns = self.start_ns.min(other.start_ns);
        self.end_ns = self.end_ns.max(other.end_ns);
    }
}

/// The windows of one device.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Windows {
    /// Stretches that are not closed, in order of time: panes, or sessions.
    open: VecDeque<WindowSummary>,
    /// The newest event time seen.
    newest: u64,
    /// The last window that was closed.
    pub(super) last: Option<WindowSummary>,
    /// Windows closed.
    pub(super) closed: u64,
    /// Readings that came after their window was closed.
    pub(super) late: u64,
    /// Where the next sliding window to be closed ends.
    next_end: u64,
}

impl Windows {
    /// Takes in a reading that was taken at `at_ns`; false if it came too late to count. Windows that it closes go to `closed`.
    pub(super) fn add(
        &mut self,
        at_ns: u64,
        value: f64,
        setup: &Setup,
        mut closed: impl FnMut(WindowSummary),
    ) -> bool {
        let watermark = self.newest.max(at_ns).saturating_sub(setup.lateness.as_ns());
        let taken = match setup.kind {
            WindowKind::Session => self.add_to_session(at_ns, value, setup),
            WindowKind::Tumbling | WindowKind::Sliding => self.add_to_pane(at_ns, value, setup),
        };
        self.newest = self.newest.max(at_ns);
        if !taken {
            self.late += 1;
        }
        self.close(watermark, setup, &mut closed);
        taken
    }

    fn watermark(&self, setup: &Setup) -> u64 {
        self.newest.saturating_sub(setup.lateness.as_ns())
    }

    fn pane(setup: &Setup) -> u64 {
        match setup.kind {
            WindowKind::Sliding => setup.slide.as_ns(),
            _ => setup.length.as_ns(),
        }
        .max(1)
    }

    fn add_to_pane(&mut self, at_ns: u64, value: f64, setup: &Setup) -> bool {
        let pane = Self::pane(setup);
        let start = at_ns / pane * pane;
        // A pane is of use until the last window that it belongs to is closed.
        if self.closed > 0 && start + setup.length.as_ns().max(pane) <= self.watermark(setup) {
            return false;
        }
        let (place, panes) = (self.open.partition_point(|open| open.start_ns < start), self.open.len());
        match self.open.get_mut(place) {
            Some(open) if open.start_ns == start => open.add(value),
            _ if panes >= MOST_PANES => return false,
            _ => self.open.insert(place, WindowSummary::of(start, start + pane, value)),
        }
        if self.closed == 0 && (self.next_end == 0 || start + pane < self.next_end) {
            self.next_end = start + pane;
        }
        true
    }

    fn add_to_session(&mut self, at_ns: u64, value: f64, setup: &Setup) -> bool {
        let (gap, longest) = (setup.gap.as_ns(), setup.length.as_ns());
        if self.closed > 0 && at_ns + gap <= self.watermark(setup) {
            return false;
        }
        let fits = |open: &WindowSummary| {
            at_ns + gap >= open.start_ns
                && at_ns < open.end_ns + gap
                && at_ns.max(open.end_ns) - open.start_ns.min(at_ns) <= longest
        };
        match self.open.iter().position(fits) {
            Some(place) => {
                let open = &mut self.open[place];
                open.add(value);
                open.start_ns = open.start_ns.min(at_ns);
                open.end_ns = open.end_ns.max(at_ns + 1);
                self.merge(place, gap, longest);
            }
            None if self.open.len() >= MOST_PANES => return false,
            None => {
                let place = self.open.partition_point(|open| open.start_ns < at_ns);
                self.open.insert(place, WindowSummary::of(at_ns, at_ns + 1, value));
            }
        }
        true
    }

    /// Joins a session that grew with those it now touches.
    fn merge(&mut self, place: usize, gap: u64, longest: u64) {
        for other in [place + 1, place] {
            let Some(before) = other.checked_sub(1) else { continue };
            let (Some(left), Some(right)) = (self.open.get(before), self.open.get(other)) else { continue };
            if right.start_ns < left.end_ns + gap && right.end_ns - left.start_ns <= longest {
                let right = *right;
                self.open[before].join(&right);
                self.open.remove(other);
            }
        }
    }

    fn note_closed(&mut self, window: WindowSummary, closed: &mut impl FnMut(WindowSummary)) {
        self.last = Some(window);
        self.closed += 1;
        closed(window);
    }

    fn close(&mut self, watermark: u64, setup: &Setup, closed: &mut impl FnMut(WindowSummary)) {
        match setup.kind {
            WindowKind::Tumbling | WindowKind::Session => {
                let gap = if setup.kind == WindowKind::Session { setup.gap.as_ns() } else { 0 };
                while self.open.front().is_some_and(|open| open.end_ns + gap <= watermark)
                    && let Some(window) = self.open.pop_front()
                {
                    self.note_closed(window, closed);
                }
            }
            WindowKind::Sliding => self.close_sliding(watermark, setup, closed),
        }
    }

    fn close_sliding(&mut self, watermark: u64, setup: &Setup, closed: &mut impl FnMut(WindowSummary)) {
        let (slide, length) = (Self::pane(setup), setup.length.as_ns());
        while self.next_end > 0 && self.next_end <= watermark && !self.open.is_empty() {
            let start = self.next_end.saturating_sub(length);
            let inside =
                self.open.iter().filter(|pane| pane.start_ns >= start && pane.end_ns <= self.next_end);
            let window = inside.copied().reduce(|mut all, pane| {
                all.join(&pane);
                all
            });
            if let Some(window) = window {
                let window = WindowSummary { start_ns: start, end_ns: self.next_end, ..window };
                self.note_closed(window, closed);
                self.next_end += slide;
            } else {
                // Nothing happened for a while: on to the first window with something in it.
                self.next_end = self
                    .open
                    .front()
                    .map_or(self.next_end + slide, |pane| pane.end_ns.max(self.next_end + slide));
            }
            let passed = self.next_end.saturating_sub(length);
            while self.open.front().is_some_and(|pane| pane.start_ns < passed) {
                self.open.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::Span;

    const SECOND: u64 = 1_000_000_000;

    fn setup(kind: WindowKind, lateness: u64) -> Setup {
        let span = |seconds| Span::from_ns(seconds * SECOND);
        Setup { kind, length: span(10), slide: span(5), gap: span(3), lateness: span(lateness), history: 1 }
    }

    /// The windows that are closed as readings with these seconds and values come in: start, end, count and mean.
    fn closed(setup: &Setup, readings: &[(u64, f64)]) -> (Vec<(u64, u64, u64, f64)>, u64) {
        let mut windows = Windows::default();
        let mut found = Vec::new();
        for (at, value) in readings {
            windows.add(at * SECOND, *value, setup, |closed| {
                found.push((closed.start_ns / SECOND, closed.end_ns / SECOND, closed.count, closed.mean));
            });
        }
        (found, windows.late)
    }

    #[test]
    fn tumbling_windows_follow_one_another_in_event_time() {
        let readings = [(1, 1.0), (4, 3.0), (11, 5.0), (9, 8.0), (13, 7.0), (22, 0.0), (8, 9.0), (40, 0.0)];
        assert_eq!(
            closed(&setup(WindowKind::Tumbling, 2), &readings),
            (vec![(0, 10, 3, 4.0), (10, 20, 2, 6.0), (20, 30, 1, 0.0)], 1),
            "9 s comes late and counts, 8 s comes too late"
        );
    }

    #[test]
    fn sliding_windows_overlap() {
        let readings = [(1, 2.0), (6, 4.0), (11, 6.0), (16, 8.0), (21, 0.0)];
        assert_eq!(
            closed(&setup(WindowKind::Sliding, 0), &readings).0,
            [(0, 5, 1, 2.0), (0, 10, 2, 3.0), (5, 15, 2, 5.0), (10, 20, 2, 7.0)]
        );
    }

    #[test]
    fn sessions_end_with_a_silence_and_what_comes_late_joins_them() {
        let readings = [(1, 1.0), (2, 1.0), (6, 5.0), (4, 3.0), (20, 0.0), (40, 0.0)];
        assert_eq!(
            closed(&setup(WindowKind::Session, 5), &readings).0.first(),
            Some(&(1, 6, 4, 2.5)),
            "4 s joins what 2 s and 6 s were apart"
        );
    }

    proptest! {
        /// Every reading is counted once, in a tumbling window or as late, and memory is bounded.
        #[test]
        fn nothing_is_counted_twice(times in proptest::collection::vec(0_u64..300, 1..300), lateness in 0_u64..40) {
            let setup = setup(WindowKind::Tumbling, lateness);
            let (mut windows, mut counted) = (Windows::default(), 0);
            for at in &times {
                windows.add(at * SECOND, 1.0, &setup, |closed| counted += closed.count);
                prop_assert!(windows.open.len() <= MOST_PANES);
            }
            let open: u64 = windows.open.iter().map(|open| open.count).sum();
            prop_assert_eq!(counted + open + windows.late, times.len() as u64);
            windows.add(10_000 * SECOND, 1.0, &setup, |_| ());
            prop_assert_eq!(windows.open.len(), 1);
        }
    }
}
