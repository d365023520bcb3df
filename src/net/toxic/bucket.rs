//! A bandwidth as a token bucket, in exact time however rarely it is looked at.

use crate::clock::Tick;

/// What has passed through a link of limited bandwidth.
///
/// Time advances only with what passes, so that a look that comes late finds what would have passed, and when.
#[derive(Debug)]
pub(in crate::net) struct Bucket {
    /// Bytes per nanosecond.
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Tick,
}

impl Bucket {
    /// A full bucket: `rate` bytes per second, `burst` bytes at once.
    pub(in crate::net) const fn new(rate: f64, burst: u64, now: Tick) -> Self {
        Self { rate: rate / 1e9, burst: burst as f64, tokens: burst as f64, at: now }
    }

    /// Tokens when bytes come to stand in front of it at `from`: a pause fills it, no further than its burst.
    fn standing(&self, from: Tick) -> f64 {
        let filled = self.tokens + self.rate * from.since(self.at) as f64;
        filled.min(self.burst).max(self.tokens)
    }

    /// When `size` bytes that stand in front of it since `from` may pass.
    pub(super) fn ready(&self, from: Tick, size: usize) -> Tick {
        let from = from.max(self.at);
        let missing = size as f64 - self.standing(from);
        // The cast saturates: a rate of next to nothing means never.
        if missing > 0.0 { from.plus_ns((missing / self.rate).ceil() as u64) } else { from }
    }

    /// Lets `size` bytes pass at `at`, that stood in front of it since `from`.
    pub(super) fn pass(&mut self, from: Tick, at: Tick, size: usize) {
        let from = from.max(self.at);
        let standing = self.standing(from);
        let most = self.burst.max(size as f64).max(standing);
        self.tokens = (standing + self.rate * at.since(from) as f64).min(most) - size as f64;
        self.at = at.max(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        // 1 000 bytes per second, 500 at once.
        let mut bucket = Bucket::new(1_000.0, 500, Tick(0));
        assert_eq!(bucket.ready(Tick(0), 500), Tick(0));
        bucket.pass(Tick(0), Tick(0), 500);
        assert_eq!(bucket.ready(Tick(0), 100), Tick(100 * MS));
        bucket.pass(Tick(0), Tick(100 * MS), 100);
        // A pause of a minute fills it no further than its burst.
        assert_eq!(bucket.ready(Tick(60_000 * MS), 500), Tick(60_000 * MS));
        assert_eq!(bucket.ready(Tick(60_000 * MS), 600), Tick(60_100 * MS));
    }

    #[test]
    fn without_a_burst_a_piece_arrives_when_its_last_byte_does() {
        let mut bucket = Bucket::new(1_000.0, 0, Tick(0));
        assert_eq!(bucket.ready(Tick(5_000 * MS), 100), Tick(5_100 * MS));
        bucket.pass(Tick(5_000 * MS), Tick(5_100 * MS), 100);
        assert_eq!(bucket.ready(Tick(5_000 * MS), 100), Tick(5_200 * MS));
    }

    #[test]
    fn who_is_held_up_elsewhere_saves_no_more_than_one_piece() {
        let mut bucket = Bucket::new(1_000.0, 0, Tick(0));
        bucket.pass(Tick(0), Tick(10_000 * MS), 100);
        assert_eq!(bucket.ready(Tick(0), 100), Tick(10_100 * MS));
    }

    #[test]
    fn next_to_no_rate_means_never() {
        let bucket = Bucket::new(1e-300, 0, Tick(0));
        assert_eq!(bucket.ready(Tick(0), 1), Tick::FAR);
    }
}
