//! The course of the load within a stretch: its value, its integral, and the integral's inverse.

use std::f64::consts::TAU;

use crate::units::Span;

/// The course of the load within a stretch. Loads are finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// The same load throughout.
    Flat(f64),
    /// Linear from the first to the last instant of the stretch.
    Ramp {
        /// Load at the beginning.
        from: f64,
        /// Load at the end.
        to: f64,
    },
    /// mean × (1 + amplitude × sin(2π × (t ÷ period + phase))), with t since the stretch began.
    Sine {
        /// Load in the middle of the swing.
        mean: f64,
        /// Relative height of the swing, 0 to 1.
        amplitude: f64,
        /// Length of a swing, at least 1 ns.
        period: Span,
        /// Where in the swing the stretch begins, in turns.
        phase: f64,
    },
    /// `peak` for the first `length` of every `every`, counted from the stretch's start, else `base`.
    Bursts {
        /// Load between bursts.
        base: f64,
        /// Load in a burst.
        peak: f64,
        /// From the beginning of a burst to that of the next, at least 1 ns.
        every: Span,
        /// Length of a burst, at most `every`.
        length: Span,
    },
}

impl Shape {
    /// The largest load the course can reach; a stretch that ends early may stay below it.
    pub fn peak(&self) -> f64 {
        match *self {
            Self::Flat(load) => load,
            Self::Ramp { from, to } => from.max(to),
            Self::Sine { mean, amplitude, .. } => mean * (1.0 + amplitude.clamp(0.0, 1.0)),
            Self::Bursts { base, peak, every, length } => {
                if length == Span::ZERO {
                    base
                } else if length >= every {
                    peak
                } else {
                    peak.max(base)
                }
            }
        }
    }

    #[cfg(test)]
    /// The load `into_ns` after the beginning of a stretch of `length_ns`.
    pub fn at(&self, into_ns: u64, length_ns: u64) -> f64 {
        match *self {
            Self::Flat(load) => load,
            Self::Ramp { from, to } => {
                from + (to - from) * (into_ns as f64 / length_ns.max(1) as f64).min(1.0)
            }
            Self::Sine { mean, amplitude, period, phase } => {
                SineLoad::new(mean, amplitude, period, phase).load(into_ns)
            }
            Self::Bursts { base, peak, every, length } => {
                if into_ns % every.as_ns().max(1) < length.as_ns() {
                    peak
                } else {
                    base
                }
            }
        }
    }

    /// The integral of the load over the first `into_ns` of a stretch of `length_ns`, nanoseconds of load 1.
    pub(super) fn integral(&self, into_ns: u64, length_ns: u64) -> f64 {
        let into = into_ns as f64;
        match *self {
            Self::Flat(load) => into * load,
            Self::Ramp { from, to } => into * (from + 0.5 * (to - from) * (into / length_ns.max(1) as f64)),
            Self::Sine { mean, amplitude, period, phase } => {
                SineLoad::new(mean, amplitude, period, phase).integral(into_ns)
            }
            Self::Bursts { base, peak, every, length } => {
                BurstLoad::new(base, peak, every, length).integral(into_ns)
            }
        }
    }

    /// The instant of a stretch of `length_ns` > 0, nanoseconds since its beginning and before its end, at which the
    /// integral reaches `operational`, which lies below the integral over the whole.
    pub(super) fn invert(&self, operational: f64, length_ns: u64) -> u64 {
        let last = length_ns.saturating_sub(1);
        let into = match *self {
            Self::Flat(load) => (operational / load).max(0.0) as u64,
            Self::Ramp { from, to } => {
                // The root of from × t + slope × t² ÷ 2 in the form that does not cancel.
                let slope = (to - from) / length_ns as f64;
                let root = (from * from + 2.0 * slope * operational).max(0.0).sqrt();
                if operational > 0.0 { (2.0 * operational / (from + root)) as u64 } else { 0 }
            }
            Self::Sine { mean, amplitude, period, phase } => {
                SineLoad::new(mean, amplitude, period, phase).invert(operational) as u64
            }
            Self::Bursts { base, peak, every, length } => {
                BurstLoad::new(base, peak, every, length).invert(operational, length_ns)
            }
        };
        // Rounding must not carry an instant over the edge into a stretch it does not belong to.
        into.min(last)
    }
}

/// A sine load with what its formulas share.
struct SineLoad {
    mean: f64,
    amplitude: f64,
    period_ns: u64,
    /// In turns, 0 to 1.
    phase: f64,
}

impl SineLoad {
    fn new(mean: f64, amplitude: f64, period: Span, phase: f64) -> Self {
        Self {
            mean,
            amplitude: amplitude.clamp(0.0, 1.0),
            period_ns: period.as_ns().max(1),
            phase: phase - phase.floor(),
        }
    }

    #[cfg(test)]
    fn load(&self, into_ns: u64) -> f64 {
        self.load_within((into_ns % self.period_ns) as f64)
    }

    fn load_within(&self, into: f64) -> f64 {
        let turns = into / self.period_ns as f64 + self.phase;
        (self.mean * (1.0 + self.amplitude * libm::sin(TAU * turns))).max(0.0)
    }

    /// Whole swings apart, so that no angle grows large and loses its digits.
    fn integral(&self, into_ns: u64) -> f64 {
        let whole = (into_ns / self.period_ns) as f64;
        whole * (self.mean * self.period_ns as f64) + self.integral_within((into_ns % self.period_ns) as f64)
    }

    fn integral_within(&self, into: f64) -> f64 {
        let period = self.period_ns as f64;
        let turns = into / period + self.phase;
        let swing = libm::cos(TAU * self.phase) - libm::cos(TAU * turns);
        self.mean * (into + self.amplitude * period / TAU * swing)
    }

    /// Newton's method within a bracket that every step narrows, and bisection where it would leave it or where the
    /// load all but vanishes. The number of steps is bounded and depends on the arguments alone.
    fn invert(&self, operational: f64) -> f64 {
        let period = self.period_ns as f64;
        let swing = self.mean * period;
        let whole = (operational / swing).floor().max(0.0);
        let target = (operational - whole * swing).clamp(0.0, swing);
        let (mut low, mut high) = (0.0, period);
        let mut at = target / self.mean;
        for _ in 0..128 {
            let excess = self.integral_within(at) - target;
            if excess > 0.0 {
                high = at;
            } else {
                low = at;
            }
            let newton = at - excess / self.load_within(at);
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            if (next - at).abs() < 1e-3 || high - low < 1e-3 {
                at = next;
                break;
            }
            at = next;
        }
        whole * period + at
    }
}

/// A train of bursts with what its formulas share.
struct BurstLoad {
    base: f64,
    peak: f64,
    every_ns: u64,
    length_ns: u64,
}

impl BurstLoad {
    fn new(base: f64, peak: f64, every: Span, length: Span) -> Self {
        let every_ns = every.as_ns().max(1);
        Self { base, peak, every_ns, length_ns: length.as_ns().min(every_ns) }
    }

    /// Operational time in a burst, and in a burst and the pause after it.
    fn cycle(&self) -> (f64, f64) {
        let burst = self.length_ns as f64 * self.peak;
        (burst, burst + (self.every_ns - self.length_ns) as f64 * self.base)
    }

    fn integral(&self, into_ns: u64) -> f64 {
        let (burst, cycle) = self.cycle();
        let (whole, rest) = (into_ns / self.every_ns, into_ns % self.every_ns);
        let part = if rest < self.length_ns {
            rest as f64 * self.peak
        } else {
            burst + (rest - self.length_ns) as f64 * self.base
        };
        whole as f64 * cycle + part
    }

    /// Edges are whole nanoseconds and rounding never carries an instant across one, nor into silence.
    fn invert(&self, operational: f64, stretch_ns: u64) -> u64 {
        let (burst, cycle) = self.cycle();
        // No further than the cycle in which the last instant lies: beyond it only rounding leads.
        let most = stretch_ns.saturating_sub(1) / self.every_ns;
        let mut whole = ((operational / cycle) as u64).min(most);
        // Division may round across the edge of a cycle; the products are what `integral` compares to.
        if whole as f64 * cycle > operational {
            whole -= 1;
        } else if whole < most && (whole + 1) as f64 * cycle <= operational {
            whole += 1;
        }
        let pause_ns = self.every_ns - self.length_ns;
        // Of the last cycle there may be less than the whole, and nothing but silence in it.
        let starts = whole * self.every_ns;
        let reached = stretch_ns - starts;
        if self.peak <= 0.0 && reached <= self.length_ns && whole > 0 {
            return starts - 1;
        }
        let rest = (operational - whole as f64 * cycle).max(0.0);
        if self.peak > 0.0
            && self.length_ns > 0
            && (rest < burst || self.base <= 0.0 || reached <= self.length_ns)
        {
            return starts + ((rest / self.peak) as u64).min(self.length_ns - 1);
        }
        let into = ((rest - burst).max(0.0) / self.base) as u64;
        starts + self.length_ns + into.min(pause_ns.saturating_sub(1))
    }
}
