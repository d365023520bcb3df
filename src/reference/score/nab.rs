//! NAB's scoring, as `nab/sweeper.py` and `nab/runner.py` of numenta/NAB 1.1 define it.

use super::series::Flag;

/// Share of a recording's readings that is not scored, at its beginning, and the most readings that are not.
const PROBATION: f64 = 0.15;
const LONGEST_PROBATION: usize = 750;

/// Readings at the beginning of a recording of `readings` that are not scored.
pub(super) fn probation(readings: usize) -> usize {
    ((PROBATION * readings as f64) as usize).min(LONGEST_PROBATION)
}

/// NAB's scaled sigmoid: 1 far to the left of a window's end (at −1, its beginning, 0.987), 0 there, −1 far to the right.
fn sigmoid(position: f64) -> f64 {
    if position > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * position).exp()) - 1.0 }
}

/// What finding, missing and false alarms are worth to somebody.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Profile {
    /// As NAB calls it.
    pub name: &'static str,
    /// Credit for a window found at its first reading.
    pub found: f64,
    /// Cost of a false alarm far from any window.
    pub false_alarm: f64,
    /// Cost of a window that is not found.
    pub missed: f64,
}

impl Profile {
    /// NAB's `standard`.
    pub(crate) const STANDARD: Self = Self { name: "standard", found: 1.0, false_alarm: 0.11, missed: 1.0 };
    /// NAB's `reward_low_FP_rate`: false alarms cost twice as much.
    pub(crate) const LOW_FP: Self = Self { name: "reward_low_FP_rate", false_alarm: 0.22, ..Self::STANDARD };
    /// NAB's `reward_low_FN_rate`: windows that are not found cost twice as much.
    pub(crate) const LOW_FN: Self = Self { name: "reward_low_FN_rate", missed: 2.0, ..Self::STANDARD };
    /// All three.
    pub(crate) const ALL: [Self; 3] = [Self::STANDARD, Self::LOW_FP, Self::LOW_FN];
}

/// A window, as the numbers of its first and last reading, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: usize,
    /// Not before the first.
    pub(super) last: usize,
}

impl Span {
    /// What a flag on reading `index` in it is worth: 1 at the beginning, falling towards the end. Only the first counts.
    fn credit(self, index: usize) -> f64 {
        let (left, width) = (self.last - index + 1, self.last - self.first + 1);
        sigmoid(-(left as f64) / width as f64) / sigmoid(-1.0)
    }

    /// What a flag on reading `index` behind it costs, as a share of one far off: little just behind it.
    fn cost(self, index: usize) -> f64 {
        // A window of a single reading has no width to count by: then everything is far off.
        -sigmoid((index - self.last) as f64 / (self.last - self.first) as f64)
    }
}

/// How long it took to find what is in a window, from its first reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Delay {
    /// Readings in between.
    pub readings: usize,
    /// Time in between, seconds.
    pub seconds: f64,
}

/// What a detector found in one recording or in several.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tally {
    /// Recordings.
    pub recordings: usize,
    /// Readings, the first ones of each recording included.
    pub readings: usize,
    /// Windows with at least one scored reading.
    pub windows: usize,
    /// Scored readings that were flagged in a window.
    pub true_alarms: usize,
    /// Scored readings that were flagged elsewhere.
    pub false_alarms: usize,
    /// One for every window found.
    pub delays: Vec<Delay>,
    /// What the windows found are worth, 0 to 1 each.
    credit: f64,
    /// What the false alarms cost, 0 to 1 each.
    cost: f64,
}

impl Tally {
    /// Tallies one recording: what was flagged, and where its windows lie, by their start. Where two overlap, the later one
    /// counts from its start on.
    pub(super) fn of(flags: &[Flag], spans: &[Span]) -> Self {
        let begin = probation(flags.len());
        let mut tally = Self { recordings: 1, readings: flags.len(), ..Self::default() };
        let (mut next, mut inside, mut before): (_, Option<(Span, bool)>, _) = (0, None, None);
        for (index, flag) in flags.iter().enumerate() {
            while let Some(span) = spans.get(next).filter(|span| span.first <= index) {
                (inside, next) = (Some((*span, false)), next + 1);
                tally.windows += usize::from(span.last >= begin);
            }
            let counts = flag.flagged && index >= begin;
            match &mut inside {
                Some((span, found)) if counts => {
                    tally.true_alarms += 1;
                    if !*found {
                        *found = true;
                        tally.credit += span.credit(index);
                        let seconds = flag.at.seconds_since(flags[span.first].at);
                        tally.delays.push(Delay { readings: index - span.first, seconds });
                    }
                }
                None if counts => {
                    tally.false_alarms += 1;
                    tally.cost += before.map_or(1.0, |span: Span| span.cost(index));
                }
                _ => {}
            }
            if let Some((span, _)) = inside.filter(|(span, _)| span.last <= index) {
                (inside, before) = (None, Some(span));
            }
        }
        tally
    }

    /// Adds what was found in other recordings.
    pub(crate) fn add(&mut self, other: &Self) {
        self.recordings += other.recordings;
        self.readings += other.readings;
        self.windows += other.windows;
        self.true_alarms += other.true_alarms;
        self.false_alarms += other.false_alarms;
        self.delays.extend_from_slice(&other.delays);
        self.credit += other.credit;
        self.cost += other.cost;
    }

    /// Windows in which something was flagged.
    pub(crate) fn found(&self) -> usize {
        self.delays.len()
    }

    /// NAB's score: 0 for a detector that never flags anything, 100 for one that flags the first reading of every window
    /// and nothing else, below 0 for one that cries wolf. None without a window.
    pub(crate) fn nab(&self, profile: &Profile) -> Option<f64> {
        let windows = self.windows as f64;
        let missed = (self.windows - self.found()) as f64;
        let raw = profile.found * self.credit - profile.false_alarm * self.cost - profile.missed * missed;
        let (null, perfect) = (-profile.missed * windows, profile.found * windows);
        (self.windows > 0).then(|| 100.0 * (raw - null) / (perfect - null))
    }

    /// Share of the flagged readings that lie in a window. None if none was flagged.
    pub(crate) fn precision(&self) -> Option<f64> {
        let flagged = self.true_alarms + self.false_alarms;
        (flagged > 0).then(|| self.true_alarms as f64 / flagged as f64)
    }

    /// Share of the windows that were found. None without a window.
    pub(crate) fn recall(&self) -> Option<f64> {
        (self.windows > 0).then(|| self.found() as f64 / self.windows as f64)
    }

    /// The median delay of the windows found, readings and time each by itself; of an even number the lower of the middle two.
    pub(crate) fn median_delay(&self) -> Option<Delay> {
        let middle = self.found().checked_sub(1)? / 2;
        let (mut readings, mut seconds): (Vec<_>, Vec<_>) =
            self.delays.iter().map(|delay| (delay.readings, delay.seconds)).unzip();
        readings.sort_unstable();
        seconds.sort_unstable_by(f64::total_cmp);
        Some(Delay { readings: readings[middle], seconds: seconds[middle] })
    }
}
