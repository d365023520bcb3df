//! Packet identifiers of readings that await an acknowledgement.

use std::collections::BTreeMap;

use super::packet::Ack;
use crate::record::Qos;

/// Most readings of one device without their acknowledgement. Those the engine has given up stay in it, since the
/// broker may still answer; the bound keeps a broker that never does from filling the memory.
const BOUND: usize = 16_384;

/// One reading under way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    seq: u64,
    awaiting: Ack,
}

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The exchange for this reading is complete.
    Complete(u64),
    /// PUBREL is due.
    Release,
    /// No reading under way has this identifier.
    Unknown,
    /// The acknowledgement is of another quality of service than the PUBLISH.
    Wrong,
}

/// Readings under way, by packet identifier. An empty or small map is one allocation, kept.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    flights: BTreeMap<u16, Flight>,
    last: u16,
}

impl InFlight {
    pub(super) fn has_room(&self) -> bool {
        self.flights.len() < BOUND
    }

    /// Reserves an identifier that no other reading under way has; `None` if there is no room.
    pub(super) fn begin(&mut self, seq: u64, qos: Qos) -> Option<u16> {
        if !self.has_room() {
            return None;
        }
        // The map holds fewer entries than there are identifiers, so the search ends.
        let mut pid = self.last;
        loop {
            pid = pid.checked_add(1).unwrap_or(1);
            if !self.flights.contains_key(&pid) {
                break;
            }
        }
        self.last = pid;
        let awaiting = if qos == Qos::ExactlyOnce { Ack::Pubrec } else { Ack::Puback };
        self.flights.insert(pid, Flight { seq, awaiting });
        Some(pid)
    }

    /// Takes note of an acknowledgement from the broker.
    pub(super) fn acknowledge(&mut self, ack: Ack, pid: u16) -> Progress {
        let Some(flight) = self.flights.get_mut(&pid) else { return Progress::Unknown };
        match (flight.awaiting, ack) {
            (Ack::Puback, Ack::Puback) | (Ack::Pubcomp, Ack::Pubcomp) => {
                let seq = flight.seq;
                self.flights.remove(&pid);
                Progress::Complete(seq)
            }
            // A repeated PUBREC asks for PUBREL again.
            (Ack::Pubrec | Ack::Pubcomp, Ack::Pubrec) => {
                flight.awaiting = Ack::Pubcomp;
                Progress::Release
            }
            _ => Progress::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exchanges_follow_the_quality_of_service() {
        let mut flights = InFlight::default();
        let one = flights.begin(10, Qos::AtLeastOnce).unwrap();
        let two = flights.begin(20, Qos::ExactlyOnce).unwrap();
        let steps = [
            (Ack::Pubrec, one, Progress::Wrong),
            (Ack::Pubcomp, one, Progress::Wrong),
            (Ack::Puback, one, Progress::Complete(10)),
            (Ack::Puback, one, Progress::Unknown),
            (Ack::Puback, two, Progress::Wrong),
            (Ack::Pubcomp, two, Progress::Wrong),
            (Ack::Pubrec, two, Progress::Release),
            (Ack::Pubrec, two, Progress::Release),
            (Ack::Pubcomp, two, Progress::Complete(20)),
            (Ack::Pubcomp, two, Progress::Unknown),
        ];
        for (ack, pid, expected) in steps {
            assert_eq!(flights.acknowledge(ack, pid), expected, "{ack:?} {pid}");
        }
    }

    proptest! {
        #[test]
        fn identifiers_in_flight_are_distinct_and_never_zero(
            start in prop_oneof![Just(0_u16), 65_500..=u16::MAX],
            answered in proptest::collection::vec(any::<bool>(), 1..300),
        ) {
            let mut flights = InFlight { last: start, ..InFlight::default() };
            let mut live = BTreeSet::new();
            for (seq, answered) in (0..).zip(answered) {
                let pid = flights.begin(seq, Qos::AtLeastOnce).unwrap();
                prop_assert!(pid != 0 && live.insert(pid));
                if answered {
                    prop_assert_eq!(flights.acknowledge(Ack::Puback, pid), Progress::Complete(seq));
                    live.remove(&pid);
                }
            }
        }
    }

    #[test]
    fn the_bound_holds_and_room_returns() {
        let mut flights = InFlight { last: 60_000, ..InFlight::default() };
        let pids: BTreeSet<_> =
            (0..BOUND as u64).filter_map(|seq| flights.begin(seq, Qos::AtLeastOnce)).collect();
        assert_eq!(pids.len(), BOUND);
        assert!(!flights.has_room());
        assert_eq!(flights.begin(0, Qos::AtLeastOnce), None);
        flights.acknowledge(Ack::Puback, 60_001);
        assert!(flights.has_room());
    }
}
