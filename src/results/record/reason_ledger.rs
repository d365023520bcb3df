//! Which devices of a worker a reason has concerned.

use super::failure::{Ending, further_of, same};
use super::privacy::Privacy;
use crate::record::{Code, Kind, Reason};

/// Most reasons that are told apart by device, of one fleet, kind and ending.
const MOST_KNOWN: usize = 32;

/// Devices by their number within a fleet.
#[derive(Debug, Default)]
struct Devices(Vec<u64>);

impl Devices {
    /// Adds a device; true if it was not there.
    fn add(&mut self, device: u32) -> bool {
        let (word, bit) = (device as usize / 64, 1 << (device % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }
}

/// What a reason is told apart by: measured readings of a fleet from others, and connections from readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) fleet: usize,
    pub(crate) kind: Kind,
    pub(crate) ending: Ending,
    pub(crate) measured: bool,
}

/// A reason that has been met.
#[derive(Debug)]
struct KnownReason {
    scope: Scope,
    met: Reason,
    kept: Reason,
    devices: Devices,
}

/// What one worker knows of reasons met so far. Bounded by the numbers of fleets and devices.
#[derive(Debug, Default)]
pub(crate) struct ReasonLedger {
    known: Vec<KnownReason>,
    failed: Vec<((usize, bool), Devices)>,
    refused: Vec<(usize, Devices)>,
    pub(crate) privacy: Privacy,
}

impl ReasonLedger {
    /// The form in which `reason` is kept, and whether it concerns `device` for the first time.
    pub(crate) fn meet(&mut self, scope: Scope, reason: &Reason, device: u32) -> (Reason, bool) {
        let place = self.known.iter().position(|known| known.scope == scope && same(&known.met, reason));
        let place = place.unwrap_or_else(|| {
            let several = self.known.iter().filter(|known| known.scope == scope).count();
            let known = |code: &Code| self.known.iter().any(|k| k.scope == scope && k.met.code == *code);
            let met = if several < MOST_KNOWN { reason.clone() } else { further_of(reason, known) };
            let again = self.known.iter().position(|known| known.scope == scope && same(&known.met, &met));
            again.unwrap_or_else(|| {
                let kept = self.privacy.filter(scope.fleet, device, &met);
                self.known.push(KnownReason { scope, met, kept, devices: Devices::default() });
                self.known.len() - 1
            })
        });
        let known = &mut self.known[place];
        let new = known.devices.add(device);
        (known.kept.clone(), new)
    }

    /// Notes that a reading of `device` failed; true for the first of its measured, or of its other readings.
    pub(crate) fn fail(&mut self, fleet: usize, measured: bool, device: u32) -> bool {
        devices_of(&mut self.failed, (fleet, measured)).add(device)
    }

    /// Notes that `device` was refused for good; true for the first time.
    pub(crate) fn refuse(&mut self, fleet: usize, device: u32) -> bool {
        devices_of(&mut self.refused, fleet).add(device)
    }
}

fn devices_of<K: PartialEq>(known: &mut Vec<(K, Devices)>, key: K) -> &mut Devices {
    let place = known.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
        known.push((key, Devices::default()));
        known.len() - 1
    });
    &mut known[place].1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Code;

    #[test]
    fn a_device_counts_once_for_each_reason() {
        let mut concerns = ReasonLedger::default();
        let scope = Scope { fleet: 0, kind: Kind::Reading, ending: Ending::Error, measured: true };
        let mut new = |sentence: &'static str, device| {
            concerns.meet(scope, &Reason::new(Code::word("x"), sentence), device).1
        };
        let found = [new("a", 5), new("a", 5), new("a", 64), new("b", 5), new("a", 0)];
        assert_eq!(found, [true, false, true, true, true]);
        assert_eq!(
            [concerns.fail(0, true, 9), concerns.fail(0, true, 9), concerns.fail(0, false, 9)],
            [true, false, true]
        );
        assert_eq!(
            [concerns.refuse(1, 9), concerns.refuse(1, 9), concerns.refuse(0, 9)],
            [true, false, true]
        );
    }

    #[test]
    fn reasons_without_end_are_bounded() {
        let mut concerns = ReasonLedger::default();
        let scope = Scope { fleet: 0, kind: Kind::Reading, ending: Ending::Error, measured: true };
        for number in 0..500 {
            let reason = Reason::new(Code::word("x"), format!("error {number}"));
            let (kept, _) = concerns.meet(scope, &reason, 0);
            assert_eq!(same(&kept, &reason), number < MOST_KNOWN);
        }
        assert_eq!(concerns.known.len(), MOST_KNOWN + 1);
    }
}
