//! One seed fixes everything random: named, indexed streams of a version-stable generator (`ChaCha8`).
//!
//! The one exception is [`unseeded`].
//!
//! A stream's key is SHA-256 of the seed, the label and the index, so adding a consumer never shifts another.

#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod variate;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// The generator every stream is made of; its output is fixed by its algorithm, not by a crate's version.
pub type Stream = ChaCha8Rng;

/// The seed of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of consumer `label`, number `index`. Equal arguments give equal streams, on every machine.
    pub fn stream(self, label: &str, index: u64) -> Stream {
        let mut hash = Sha256::new();
        hash.update(b"squall stream 1\0");
        hash.update(self.0.to_le_bytes());
        hash.update((label.len() as u64).to_le_bytes());
        hash.update(label.as_bytes());
        hash.update(index.to_le_bytes());
        ChaCha8Rng::from_seed(hash.finalize().into())
    }
}

/// A number that no seed fixes and no other call gives again: for what tells runs of the same seed apart, and shapes none of them.
pub(crate) fn unseeded() -> u64 {
    // The keys of the standard library's hash maps come from the system's entropy.
    RandomState::new().hash_one(std::process::id())
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Seed {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
