//! Which devices a worker drives: its share of the shard's share of the plan.

use crate::record::Shard;

/// One worker's share: of the shard's devices, counted in the order of their global indexes, those whose count is `index` modulo
/// `count`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) index: usize,
    pub(super) count: usize,
    pub(super) shard: Shard,
}

impl Share {
    /// The global index of its first device, and the step from one to the next.
    const fn pace(self) -> (usize, usize) {
        let of = self.shard.of() as usize;
        (self.index * of + self.shard.number() as usize - 1, self.count * of)
    }

    /// The global indexes of its devices, of `devices` in all, in the order of their slots.
    pub(super) fn globals(self, devices: u32) -> impl Iterator<Item = u32> {
        let (first, step) = self.pace();
        (first..devices as usize).step_by(step).map(|global| global as u32)
    }

    /// The global index of the device in `slot`.
    pub(super) const fn global(self, slot: u32) -> u32 {
        let (first, step) = self.pace();
        (slot as usize * step + first) as u32
    }

    /// The worker that drives the device with this global index; `None`: another shard does.
    pub(super) fn owner(self, global: u32) -> Option<usize> {
        self.shard.drives(global).then(|| (global / self.shard.of()) as usize % self.count)
    }

    /// The slot, at its worker, of the device with this global index.
    pub(super) const fn slot(self, global: u32) -> usize {
        global as usize / self.pace().1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_device_has_one_worker_of_one_shard(of in 1_u32..6, count in 1_usize..5, devices in 0_u32..80) {
            let mut driven = vec![0; devices as usize];
            for number in 1..=of {
                let shard = Shard::new(number, of).unwrap();
                for index in 0..count {
                    let share = Share { index, count, shard };
                    for (slot, global) in share.globals(devices).enumerate() {
                        driven[global as usize] += 1;
                        prop_assert_eq!(share.global(slot as u32), global);
                        prop_assert_eq!((share.owner(global), share.slot(global)), (Some(index), slot));
                        let other = Share { shard: Shard::new(number % of + 1, of).unwrap(), ..share };
                        prop_assert_eq!(other.owner(global).is_none(), of > 1);
                    }
                }
            }
            prop_assert!(driven.iter().all(|times| *times == 1));
        }
    }
}
