//! When requests arrived, and how evenly: the only word on pacing that does not come from the generator itself.

use std::time::Instant;

/// Arrivals kept at most: 40 s at 200 000/s.
const MOST: usize = 8_000_000;

/// Width of the windows whose counts are compared, nanoseconds.
const WINDOW_NS: u64 = 100_000;

/// Instants of arrival since the last reset.
#[derive(Default)]
pub struct Stamps {
    origin: Option<Instant>,
    at_ns: Vec<u64>,
}

impl Stamps {
    /// Begins to keep stamps.
    pub fn reset(&mut self) {
        self.origin = Some(Instant::now());
        self.at_ns.clear();
    }

    /// A request arrived now.
    pub fn note(&mut self) {
        if let Some(origin) = self.origin
            && self.at_ns.len() < MOST
        {
            self.at_ns.push(u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// Number, index of dispersion of the counts in windows of 100 µs (1 for a Poisson process, near 0 for an even one, above 1
    /// for clumps), and, against an even plan of `rate` per second that begins with the earliest fitting arrival, how late
    /// arrivals were at p50 and p99, microseconds. The first and last tenth are left out.
    pub fn judge(&self, rate: f64) -> String {
        let tenth = self.at_ns.len() / 10;
        let kept = &self.at_ns[tenth..self.at_ns.len() - tenth];
        let (Some(&first), Some(&last)) = (kept.first(), kept.last()) else {
            return "{\"arrivals\":0}".to_owned();
        };
        let windows = (last - first) / WINDOW_NS;
        let (mut squares, mut inside) = (0_u64, 0_u64);
        let mut at = 0;
        for window in 0..windows {
            let end = first + (window + 1) * WINDOW_NS;
            let begin = at;
            while at < kept.len() && kept[at] < end {
                at += 1;
            }
            let count = (at - begin) as u64;
            inside += count;
            squares += count * count;
        }
        let mean = inside as f64 / windows.max(1) as f64;
        let dispersion = (squares as f64 / windows.max(1) as f64 - mean * mean) / mean;
        let planned = |k: usize| k as f64 * 1e9 / rate;
        let offset = |(k, at): (usize, &u64)| *at as f64 - planned(k);
        let anchor = kept.iter().enumerate().map(offset).fold(f64::INFINITY, f64::min);
        let mut late: Vec<f64> = kept.iter().enumerate().map(|stamp| offset(stamp) - anchor).collect();
        late.sort_by(f64::total_cmp);
        let at = |q: f64| late[((late.len() - 1) as f64 * q) as usize] / 1e3;
        format!(
            "{{\"arrivals\":{},\"seconds\":{:.3},\"dispersion\":{dispersion:.3},\"late_p50_us\":{:.1},\"late_p99_us\":{:.1}}}",
            kept.len(),
            (last - first) as f64 / 1e9,
            at(0.5),
            at(0.99)
        )
    }
}
