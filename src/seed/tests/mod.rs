//! Tests of the streams, and the statistic that judges what is drawn from them.

pub(crate) mod statistic;

use crate::seed::*;
use rand::Rng;

#[test]
fn streams_are_fixed_for_ever() {
    // Guards stored plan digests: this value may change only together with the plan's format.
    // The value comes from another implementation of SHA-256 and ChaCha8.
    assert_eq!(Seed(42).stream("arrival/meters", 7).next_u64(), 13_482_660_611_381_517_575);
}

#[test]
fn label_index_and_seed_each_make_another_stream() {
    let base = Seed(1).stream("a", 0).next_u64();
    for other in [Seed(2).stream("a", 0), Seed(1).stream("b", 0), Seed(1).stream("a", 1)] {
        assert_ne!(base, { other }.next_u64());
    }
    assert_eq!(base, Seed(1).stream("a", 0).next_u64());
}
