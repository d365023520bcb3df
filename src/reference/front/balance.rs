//! Which of several instances gets the next connection or request: pure rules over who lives and who has how much.

use crate::reference::hash::fnv1a;
use crate::service::FrontRule as Rule;

/// An instance, as its front sees it.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    /// What it is called.
    pub(super) name: String,
    /// Whether its process is there.
    pub(super) lives: bool,
    /// Whether it says that it is ready, as far as it was asked.
    pub(super) is_ready: bool,
    /// Connections and requests that it has now.
    pub(super) open: usize,
    /// How often it was chosen.
    pub(super) chosen: u64,
}

/// The instances of a front and the rule by which it chooses.
#[derive(Debug)]
pub(super) struct Balance {
    rule: Rule,
    seats: Vec<Seat>,
    turn: usize,
}

impl Balance {
    pub(super) fn new(rule: Rule, names: impl IntoIterator<Item = String>) -> Self {
        let seat = |name| Seat { name, lives: true, is_ready: true, open: 0, chosen: 0 };
        Self { rule, seats: names.into_iter().map(seat).collect(), turn: 0 }
    }

    pub(super) const fn rule(&self) -> Rule {
        self.rule
    }

    pub(super) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The instance for what is known as `key`, which then has one more; none where all have been `tried` or are gone. Where none is
    /// ready all are as good: a front that turned everybody away would help nobody.
    pub(super) fn choose(&mut self, key: &str, tried: &[usize]) -> Option<usize> {
        let any_ready = self.seats.iter().any(|seat| seat.lives && seat.is_ready);
        let can = |index: &usize| {
            let seat = &self.seats[*index];
            seat.lives && (seat.is_ready || !any_ready) && !tried.contains(index)
        };
        let count = self.seats.len();
        let chosen = match self.rule {
            Rule::RoundRobin => (0..count).map(|step| (self.turn + step) % count).find(can),
            // Highest weight of all (rendezvous hashing): whose instance is gone moves, and nobody else does.
            Rule::Sticky => (0..count).filter(can).max_by_key(|index| weight(&self.seats[*index].name, key)),
            Rule::Least => (0..count).filter(can).min_by_key(|index| self.seats[*index].open),
        }?;
        if self.rule == Rule::RoundRobin {
            self.turn = (chosen + 1) % count;
        }
        self.seats[chosen].chosen += 1;
        self.seats[chosen].open += 1;
        Some(chosen)
    }

    /// Takes note that a connection or request of an instance has ended.
    pub(super) fn leave(&mut self, index: usize) {
        if let Some(seat) = self.seats.get_mut(index) {
            seat.open = seat.open.saturating_sub(1);
        }
    }

    /// Takes note that an instance is gone for good.
    pub(super) fn bury(&mut self, index: usize) {
        if let Some(seat) = self.seats.get_mut(index) {
            seat.lives = false;
        }
    }

    /// Takes note whether an instance is ready; false if it is gone.
    pub(super) fn note(&mut self, index: usize, is_ready: bool) -> bool {
        let seat = self.seats.get_mut(index).filter(|seat| seat.lives);
        seat.map(|seat| seat.is_ready = is_ready).is_some()
    }

    /// Takes note that an instance has one more without having been chosen; false if it is gone.
    pub(super) fn enter(&mut self, index: usize) -> bool {
        let seat = self.seats.get_mut(index).filter(|seat| seat.lives);
        seat.map(|seat| seat.open += 1).is_some()
    }

    /// All that live.
    pub(super) fn living(&self) -> Vec<usize> {
        (0..self.seats.len()).filter(|index| self.seats[*index].lives).collect()
    }

    /// How often the busiest was chosen, over the mean of all; 1 is even. None before anybody was chosen.
    pub(super) fn imbalance(&self) -> Option<f64> {
        let all: u64 = self.seats.iter().map(|seat| seat.chosen).sum();
        let most = self.seats.iter().map(|seat| seat.chosen).max()?;
        (all > 0).then(|| most as f64 * self.seats.len() as f64 / all as f64)
    }
}

/// FNV-1a over both, finished so that names that differ in their last digit alone spread (the finaliser of `SplitMix64`).
fn weight(name: &str, key: &str) -> u64 {
    let bytes = name.bytes().chain([0]).chain(key.bytes());
    let hash = fnv1a(bytes);
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn balance(rule: Rule, count: usize) -> Balance {
        Balance::new(rule, (1..=count).map(|number| format!("instance-{number}")))
    }

    #[test]
    fn each_has_its_turn_and_who_is_gone_is_passed_over() {
        let mut front = balance(Rule::RoundRobin, 3);
        let turns: Vec<_> = (0..4).map(|_| front.choose("", &[])).collect();
        assert_eq!(turns, [Some(0), Some(1), Some(2), Some(0)]);
        front.bury(1);
        let turns: Vec<_> = (0..3).map(|_| front.choose("", &[])).collect();
        assert_eq!(turns, [Some(2), Some(0), Some(2)]);
        assert_eq!((front.choose("", &[0, 2]), front.enter(1), front.living()), (None, false, vec![0, 2]));
        // Three, one and three of seven.
        assert_eq!(front.imbalance(), Some(9.0 / 7.0));
    }

    #[test]
    fn who_is_not_ready_gets_nothing_new_unless_nobody_is() {
        for rule in [Rule::RoundRobin, Rule::Sticky, Rule::Least] {
            let mut front = balance(rule, 3);
            assert!(front.note(0, false) && front.note(2, false));
            assert_eq!((0..4).filter_map(|_| front.choose("m-1", &[])).collect::<Vec<_>>(), [1; 4]);
            // It goes on with what it has.
            assert!(front.enter(0));
            assert_eq!(front.choose("m-1", &[1]), None);
            front.bury(1);
            assert!(!front.note(1, true) && front.choose("m-1", &[]).is_some(), "one is better than none");
            front.note(2, true);
            assert_eq!((0..4).filter_map(|_| front.choose("m-1", &[])).collect::<Vec<_>>(), [2; 4]);
        }
    }

    #[test]
    fn the_idlest_is_next() {
        let mut front = balance(Rule::Least, 2);
        assert_eq!(
            [front.choose("", &[]), front.choose("", &[]), front.choose("", &[])],
            [Some(0), Some(1), Some(0)]
        );
        front.leave(0);
        front.leave(0);
        assert_eq!([front.choose("", &[]), front.choose("", &[])], [Some(0), Some(0)]);
    }

    #[test]
    fn sticky_devices_spread_evenly() {
        let mut front = balance(Rule::Sticky, 4);
        for device in 0..10_000 {
            front.choose(&format!("meters-{device:05}"), &[]);
        }
        // Four standard deviations of a fair choice: 4 × √(10 000 × ¼ × ¾) = 173.
        for seat in front.seats() {
            assert!(seat.chosen.abs_diff(2_500) < 173, "{seat:?}");
        }
    }

    proptest! {
        #[test]
        fn only_the_devices_of_an_instance_that_is_gone_move(
            keys in prop::collection::vec("[a-z0-9-]{1,12}", 1..40), count in 1_usize..6, gone in 0_usize..6,
        ) {
            let gone = gone % count;
            let mut front = balance(Rule::Sticky, count);
            let before: Vec<_> = keys.iter().map(|key| front.choose(key, &[])).collect();
            front.bury(gone);
            for (key, before) in keys.iter().zip(before) {
                let after = front.choose(key, &[]);
                prop_assert!(after == before || before == Some(gone), "{key}: {before:?} → {after:?}");
                prop_assert_ne!(after, Some(gone));
                prop_assert_eq!(after.is_some(), count > 1);
            }
        }
    }
}
