//! W3C trace contexts: the ids by which a reading is found again in the traces of a service.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::RunToken;

/// What a device is known by in the traces of a service: a `traceparent` (W3C Trace Context, level 1).
///
/// A hash of the run's token, the device and a number, so that everyone who knows these can work it out again, and no two runs
/// share one. Never all zeros, which the recommendation forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    sampled: bool,
}

/// What of a device a context is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traced {
    /// A reading, by its sequence number.
    Reading(u64),
    /// An attempt to connect, by its number from 1.
    Connection(u64),
}

impl TraceContext {
    /// Bytes of a `traceparent`.
    pub(crate) const LENGTH: usize = 55;

    /// That of what the run named by `token` sends for `device`; the share `sampled`, from 0 to 1, of all are flagged as sampled.
    pub(crate) fn of(token: RunToken, device: &str, traced: Traced, sampled: f64) -> Self {
        let (what, number) = match traced {
            Traced::Reading(seq) => ("reading", seq),
            Traced::Connection(attempt) => ("connection", attempt),
        };
        let mut hash = Sha256::new();
        hash.update(b"squall trace 1\0");
        hash.update(token.bytes());
        hash.update(device.as_bytes());
        hash.update(b"\0");
        hash.update(what.as_bytes());
        hash.update(b"\0");
        hash.update(number.to_be_bytes());
        let bytes = hash.finalize();
        let number = |from: usize, to: usize| {
            bytes.iter().take(to).skip(from).fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
        };
        Self::from_parts(number(0, 16), number(16, 24) as u64, number(24, 32) as u64, sampled)
    }

    fn from_parts(trace_id: u128, parent_id: u64, drawn: u64, sampled: f64) -> Self {
        Self {
            trace_id: trace_id.max(1),
            parent_id: parent_id.max(1),
            sampled: sampled >= 1.0 || (drawn as f64) < sampled * 2_f64.powi(64),
        }
    }

    /// Whether it asks the service to record the trace.
    pub(crate) const fn is_sampled(self) -> bool {
        self.sampled
    }

    /// The id of the trace, 32 hexadecimal digits.
    pub(crate) fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// As it travels, ASCII: `00-<trace id>-<parent id>-<flags>`.
    pub(crate) fn bytes(self) -> [u8; Self::LENGTH] {
        let mut text = *b"00-________________________________-________________-00";
        digits(self.trace_id, &mut text[3..35]);
        digits(self.parent_id.into(), &mut text[36..52]);
        if self.sampled {
            text[54] = b'1';
        }
        text
    }
}

/// Writes the lowest bits of `number` in hexadecimal, as many as there is room for.
fn digits(mut number: u128, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn token(text: &str) -> RunToken {
        RunToken::of(text).unwrap()
    }

    fn of(run: &str, device: &str, traced: Traced, share: f64) -> TraceContext {
        TraceContext::of(token(run), device, traced, share)
    }

    #[test]
    fn an_id_is_what_its_documentation_says() {
        // Python: hashlib.sha256(b"squall trace 1\0" b"k3x9q2ab" b"meters-00017" b"\0reading\0" + (42).to_bytes(8, "big")).hexdigest()
        let hash = "c3183d53ff2c02de2525cea97eaadbc00bc626addc55660b8796d7cc561a9a92";
        let found = of("k3x9q2ab", "meters-00017", Traced::Reading(42), 1.0);
        assert_eq!(found.to_string(), format!("00-{}-{}-01", &hash[..32], &hash[32..48]));
        assert_eq!(found.trace_id(), &hash[..32]);
    }

    #[test]
    fn runs_devices_readings_and_connections_have_ids_of_their_own() {
        let mut seen = HashSet::new();
        for run in ["k3x9q2ab", "k3x9q2ac"] {
            for device in ["a-00001", "a-00002", "a-0000"] {
                for number in 1..=50 {
                    for traced in [Traced::Reading(number), Traced::Connection(number)] {
                        let found = of(run, device, traced, 0.5);
                        assert!(seen.insert(found.trace_id), "{run} {device} {traced:?}");
                        assert!(seen.insert(found.parent_id.into()), "{run} {device} {traced:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_share_that_is_asked_for_is_flagged_and_a_larger_one_flags_more() {
        for (share, least, most) in
            [(0.0, 0, 0), (0.01, 60, 140), (0.5, 4_700, 5_300), (0.999, 9_960, 10_000), (1.0, 10_000, 10_000)]
        {
            let sampled = |seq: &u64| of("k3x9q2ab", "a-00001", Traced::Reading(*seq), share).is_sampled();
            let count = (1..=10_000).filter(sampled).count();
            assert!((least..=most).contains(&count), "{share}: {count}");
            let all = |seq: u64| of("k3x9q2ab", "a-00001", Traced::Reading(seq), 1.0).trace_id;
            let same = |seq: u64| of("k3x9q2ab", "a-00001", Traced::Reading(seq), share).trace_id;
            assert!((1..=100).all(|seq| all(seq) == same(seq)), "the share changes no id");
        }
    }

    #[test]
    fn no_id_is_all_zeros() {
        let least = TraceContext::from_parts(0, 0, 0, 0.5);
        assert_eq!(least.to_string(), "00-00000000000000000000000000000001-0000000000000001-01");
        let most = TraceContext::from_parts(u128::MAX, u64::MAX, u64::MAX, 0.5);
        assert_eq!(most.to_string(), "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-00");
    }
}
