//! A link that loses segments by itself, in bursts.

use super::variate::happens;
use crate::fault::Loss;
use crate::seed::Stream;

/// Bytes in a segment: an Ethernet frame of 1 500 bytes less the headers of IPv4 and of TCP with its time stamps.
pub(in crate::net) const SEGMENT: usize = 1_448;

/// How often a segment may be lost and sent again. The next one arrives, so that a message has an end.
const MOST_RESENT: u32 = 8;

/// The longest wait for one retransmission: `TCP_RTO_MAX` of Linux, nanoseconds.
const LONGEST_RTO_NS: u64 = 120_000_000_000;

/// The state of one link (Gilbert 1960, Elliott 1963).
#[derive(Debug)]
pub(in crate::net) struct Fading {
    loss: Loss,
    stream: Stream,
    bad: bool,
}

impl Fading {
    /// A link that has been there for long: in which state it is found is drawn by the shares of time it spends in them.
    pub(in crate::net) fn new(loss: Loss, mut stream: Stream) -> Self {
        let changes = loss.worsens + loss.recovers;
        let bad = changes > 0.0 && happens(loss.worsens / changes, &mut stream);
        Self { loss, stream, bad }
    }

    /// Sends one segment: whether it was lost. The link may change after it.
    pub(super) fn loses(&mut self) -> bool {
        let Self { loss, stream, bad } = self;
        let lost = happens(if *bad { loss.lost_bad } else { loss.lost_good }, stream);
        if happens(if *bad { loss.recovers } else { loss.worsens }, stream) {
            *bad = !*bad;
        }
        lost
    }

    /// How its losses are recovered from.
    pub(super) const fn recovery(&self) -> Recovery {
        Recovery { rtt_ns: self.loss.rtt.as_ns(), rto_ns: self.loss.rto.as_ns() }
    }
}

/// How a sender finds out about a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recovery {
    /// After a round trip, where three later segments were acknowledged.
    pub(super) rtt_ns: u64,
    /// Otherwise after this.
    pub(super) rto_ns: u64,
}

impl Recovery {
    /// Over two links in a row the slower one counts.
    pub(super) fn slower(self, other: Self) -> Self {
        Self { rtt_ns: self.rtt_ns.max(other.rtt_ns), rto_ns: self.rto_ns.max(other.rto_ns) }
    }
}

/// How long a segment is held up, if `follow` segments of the same message come after it. `send` sends it once: it gives
/// `None` when it arrived.
pub(super) fn stall_ns(follow: usize, mut send: impl FnMut() -> Option<Recovery>) -> u64 {
    let Some(Recovery { rtt_ns, rto_ns }) = send() else { return 0 };
    // Fast retransmit: RFC 5681 §3.2; the doubling of later ones: RFC 6298 §5.5.
    let (mut stall, mut next) =
        if follow >= 3 { (rtt_ns, rto_ns) } else { (rto_ns, rto_ns.saturating_mul(2)) };
    for _ in 1..MOST_RESENT {
        if send().is_none() {
            break;
        }
        stall = stall.saturating_add(next.min(LONGEST_RTO_NS));
        next = next.saturating_mul(2);
    }
    stall
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECOVERY: Recovery = Recovery { rtt_ns: 50, rto_ns: 200 };

    fn stall(follow: usize, losses: u32) -> u64 {
        let mut left = losses;
        stall_ns(follow, || {
            let lost = left > 0;
            left = left.saturating_sub(1);
            lost.then_some(RECOVERY)
        })
    }

    #[test]
    fn a_lost_segment_waits_as_long_as_a_sender_takes_to_notice() {
        let table = [
            (0, 0, 0),
            (0, 1, 200),
            (2, 1, 200),
            (3, 1, 50),
            (0, 2, 200 + 400),
            (0, 3, 200 + 400 + 800),
            (3, 2, 50 + 200),
            (3, 3, 50 + 200 + 400),
            // For ever lost: eight times.
            (0, 99, 200 * 255),
        ];
        for (follow, losses, expected) in table {
            assert_eq!(stall(follow, losses), expected, "{losses} losses, {follow} follow");
        }
    }

    #[test]
    fn a_link_is_found_in_the_state_it_is_mostly_in() {
        use crate::seed::Seed;
        use crate::units::Span;

        let (rtt, rto) = (Span::from_ms(1), Span::from_ms(1));
        // In bursts of four segments, and each segment for itself: a tenth is lost either way, of the first ones too.
        let bursts =
            Loss { worsens: 0.1 * 0.25 / 0.9, recovers: 0.25, lost_good: 0.0, lost_bad: 1.0, rtt, rto };
        let single = Loss { worsens: 0.0, recovers: 1.0, lost_good: 0.1, lost_bad: 0.1, rtt, rto };
        for loss in [bursts, single] {
            let first = |link| Fading::new(loss, Seed(3).stream("test", link)).loses();
            let lost = (0..10_000).filter(|link| first(*link)).count();
            // A binomial: mean 1 000, standard deviation 30.
            assert!((880..=1_120).contains(&lost), "{lost}");
        }
    }

    #[test]
    fn no_single_wait_is_longer_than_two_minutes() {
        let hour = Recovery { rtt_ns: 1, rto_ns: 3_600_000_000_000 };
        let mut first = true;
        let stall = stall_ns(3, || {
            let lost = first;
            first = false;
            Some(hour).filter(|_| lost)
        });
        assert_eq!(stall, 1);
        let always = stall_ns(3, || Some(hour));
        assert_eq!(always, 1 + 7 * LONGEST_RTO_NS);
    }
}
