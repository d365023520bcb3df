//! Bits that flip on their way.

use std::collections::VecDeque;

use super::variate::{between, geometric};
use crate::seed::Stream;

/// Flips one bit of a byte with a probability per byte. Draws the gaps between such bytes, so that sound ones cost nothing.
#[derive(Debug)]
pub(in crate::net) struct Corruption {
    chance: f64,
    stream: Stream,
    /// Sound bytes before the next damaged one; `None`: all.
    sound: Option<u64>,
}

impl Corruption {
    pub(in crate::net) fn new(chance: f64, mut stream: Stream) -> Self {
        Self { chance, sound: geometric(chance, &mut stream), stream }
    }

    /// Damages the last bytes of `queue`, which were `original` before any other corruption, and gives how many.
    pub(super) fn strike(&mut self, original: &[u8], queue: &mut VecDeque<u8>) -> u64 {
        let Some(mut sound) = self.sound else { return 0 };
        let start = queue.len().saturating_sub(original.len());
        let mut damaged = 0;
        while let Ok(at) = usize::try_from(sound)
            && let (Some(original), Some(byte)) = (original.get(at), queue.get_mut(start + at))
        {
            let bit = between(0, 7, &mut self.stream);
            // Two corruptions must not undo each other.
            *byte ^= if *byte ^ (1 << bit) == *original { 1 << ((bit + 1) % 8) } else { 1 << bit };
            damaged += 1;
            let gap = geometric(self.chance, &mut self.stream).unwrap_or(u64::MAX);
            sound = sound.saturating_add(1).saturating_add(gap);
        }
        self.sound = Some(sound.saturating_sub(original.len() as u64));
        damaged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn struck(chance: f64, pieces: &[usize]) -> Vec<u8> {
        let mut corruption = Corruption::new(chance, Seed(5).stream("test", 0));
        let mut queue = VecDeque::new();
        let mut damaged = 0;
        for size in pieces {
            let original = vec![0x5a; *size];
            queue.extend(&original);
            damaged += corruption.strike(&original, &mut queue);
        }
        let seen = queue.iter().filter(|byte| **byte != 0x5a).count();
        assert_eq!(damaged, seen as u64);
        queue.into()
    }

    #[test]
    fn bytes_are_damaged_at_the_rate_whatever_pieces_they_come_in() {
        let whole = struck(0.01, &[100_000]);
        assert_eq!(whole, struck(0.01, &[1_000; 100]));
        assert_eq!(whole, struck(0.01, &vec![1; 100_000]));
        let damaged = whole.iter().filter(|byte| **byte != 0x5a).count();
        // Binomial: mean 1 000, standard deviation 31.
        assert!((880..=1_120).contains(&damaged), "{damaged}");
        assert!(whole.iter().all(|byte| (byte ^ 0x5a).count_ones() <= 1));
    }

    #[test]
    fn certainty_spares_none_and_nothing_spares_all() {
        assert!(struck(1.0, &[50, 50]).iter().all(|byte| *byte != 0x5a));
        assert!(struck(0.0, &[50, 50]).iter().all(|byte| *byte == 0x5a));
    }

    #[test]
    fn two_corruptions_never_mend_a_byte() {
        let mut both = [1, 2].map(|index| Corruption::new(1.0, Seed(5).stream("test", index)));
        let original = [0_u8; 4_096];
        let mut queue = VecDeque::from(original.to_vec());
        for corruption in &mut both {
            corruption.strike(&original, &mut queue);
        }
        assert!(queue.iter().all(|byte| *byte != 0));
    }
}
