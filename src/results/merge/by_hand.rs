//! Activations of faults that were switched by hand, of several shards: every shard numbers its own, and all alike.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::Tick;
use crate::record::{FaultId, SwitchEvent};

/// Activations remembered. Whoever switches so often by hand that this is not enough gets activations with too few devices.
const MOST: usize = 1_024;

/// One activation of the merged run.
#[derive(Debug)]
struct Activation {
    fault: FaultId,
    /// Its number in the merged run.
    occurrence: u32,
    /// The shards in which it was switched on, with its number there.
    shards: Vec<(usize, u32)>,
    /// When the first of them switched it off.
    until: Option<Tick>,
}

/// Gives activations by hand numbers of the merged run.
#[derive(Debug, Default)]
pub(crate) struct HandActivations {
    activations: VecDeque<Activation>,
    /// By fault, the number after the last one given.
    next: BTreeMap<FaultId, u32>,
}

impl HandActivations {
    /// `switch` of shard number `shard`, with the number of its activation in the merged run. What is switched on by hand while another
    /// shard has the same fault on by hand is the same activation; planned activations keep their numbers.
    pub(crate) fn of(&mut self, shard: usize, switch: SwitchEvent) -> SwitchEvent {
        let (fault, occurrence) = (switch.fault, switch.occurrence);
        if let Some(activation) = self
            .activations
            .iter_mut()
            .rfind(|activation| activation.fault == fault && activation.shards.contains(&(shard, occurrence)))
        {
            if !switch.on {
                activation.until = activation.until.or(Some(switch.at));
            }
            return SwitchEvent { occurrence: activation.occurrence, ..switch };
        }
        // A planned activation may be ended by hand.
        if switch.planned.is_some() || !switch.on {
            return switch;
        }
        let joins = |activation: &&mut Activation| {
            activation.fault == fault
                && activation.shards.iter().all(|(other, _)| *other != shard)
                && activation.until.is_none_or(|until| switch.at < until)
        };
        if let Some(activation) = self.activations.iter_mut().rev().find(joins) {
            activation.shards.push((shard, occurrence));
            return SwitchEvent { occurrence: activation.occurrence, ..switch };
        }
        let next = self.next.entry(fault).or_default();
        let given = occurrence.max(*next);
        *next = given.saturating_add(1);
        if self.activations.len() >= MOST {
            self.activations.pop_front();
        }
        self.activations.push_back(Activation {
            fault,
            occurrence: given,
            shards: vec![(shard, occurrence)],
            until: None,
        });
        SwitchEvent { occurrence: given, ..switch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_by_hand_of_several_shards_are_told_apart_unless_they_are_one() {
        let mut hands = HandActivations::default();
        // Two activations of the plan come first: a shard's own begin with number 2.
        for (what, shard, occurrence, on, planned, at, given) in [
            ("planned ones stay", 0, 0, true, true, 1, 0),
            ("planned ones stay", 1, 0, true, true, 1, 0),
            ("ended by hand", 0, 0, false, false, 2, 0),
            ("the first", 0, 2, true, false, 10, 2),
            ("everywhere at once", 1, 2, true, false, 11, 2),
            ("off again", 0, 2, false, false, 20, 2),
            ("off again", 1, 2, false, false, 21, 2),
            ("another one", 1, 3, true, false, 30, 3),
            ("another worker's part", 1, 3, true, false, 30, 3),
            ("off again", 1, 3, false, false, 35, 3),
            ("later, in the other shard", 0, 3, true, false, 40, 4),
            ("off again", 0, 3, false, false, 45, 4),
            ("the plan's second", 0, 1, true, true, 50, 1),
        ] {
            let planned = planned.then_some(Tick(at));
            let switch = SwitchEvent {
                fault: FaultId(0),
                occurrence,
                on,
                planned,
                at: Tick(at),
                devices: 1,
                acted: 0,
                remark: None,
            };
            assert_eq!(hands.of(shard, switch).occurrence, given, "{what}");
        }
    }
}
