//! Packet identifiers of readings that await an acknowledgement, and what it takes to send them again.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;

use crate::record::Qos;

/// Most readings of one device without their acknowledgement. Those the engine has given up stay in it, since the
/// broker may still answer; the bound keeps a broker that never does from filling the memory.
const BOUND: usize = 16_384;

/// The acknowledgements of PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ack {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
}

impl Ack {
    /// As the standard writes it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Pubcomp => "PUBCOMP",
        }
    }
}

/// One reading under way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    seq: u64,
    /// Place of its last packet among those of all exchanges.
    order: u32,
    awaiting: Ack,
}

/// The contents of a PUBLISH that may have to be sent again.
pub(super) struct Kept {
    pub(super) topic: Box<str>,
    pub(super) payload: Box<[u8]>,
}

/// Payloads and addresses may hold secrets.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("payload", &self.payload.len()).finish_non_exhaustive()
    }
}

/// What has to be sent again for a reading under way.
#[derive(Debug)]
pub(super) enum Again<'a> {
    /// Its PUBLISH.
    Publish(Qos, &'a Kept),
    /// PUBREL.
    Release,
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
    /// Another acknowledgement than this is due.
    Wrong(Ack),
}

/// Readings under way, by packet identifier. An empty or small map is one allocation, kept.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    flights: BTreeMap<u16, Flight>,
    last: u16,
    /// Packets sent, in all exchanges.
    sent: u32,
    /// What may have to be sent again, where the session can be resumed.
    kept: BTreeMap<u16, Kept>,
    /// Most readings that the broker takes at once, where it says so.
    most: Option<NonZeroU16>,
}

impl InFlight {
    pub(super) fn has_room(&self) -> bool {
        self.flights.len() < BOUND.min(self.most.map_or(BOUND, |most| most.get().into()))
    }

    /// From now on the broker takes so many at once; `None`: it does not say.
    pub(super) fn limit(&mut self, most: Option<u16>) {
        self.most = most.and_then(NonZeroU16::new);
    }

    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// Reserves an identifier that no other reading under way has; `None` if there is no room.
    pub(super) fn begin(&mut self, seq: u64, qos: Qos) -> Option<u16> {
        if !self.has_room() {
            return None;
        }
        let pid = self.spare();
        self.last = pid;
        let awaiting = if qos == Qos::ExactlyOnce { Ack::Pubrec } else { Ack::Puback };
        let order = self.next_place();
        self.flights.insert(pid, Flight { seq, order, awaiting });
        Some(pid)
    }

    /// An identifier that no reading under way has.
    pub(super) fn spare(&self) -> u16 {
        // The map holds fewer entries than there are identifiers, so the search ends.
        let mut pid = self.last;
        loop {
            pid = pid.checked_add(1).unwrap_or(1);
            if !self.flights.contains_key(&pid) {
                return pid;
            }
        }
    }

    /// Keeps the contents of the PUBLISH with this identifier until the broker has it.
    pub(super) fn keep(&mut self, pid: u16, topic: &str, payload: &[u8]) {
        self.kept.insert(pid, Kept { topic: topic.into(), payload: payload.into() });
    }

    /// What is kept of the PUBLISH with this identifier, its quality of service, and the reading it has.
    pub(super) fn kept(&self, pid: u16) -> Option<(Qos, u64, &Kept)> {
        let flight = self.flights.get(&pid)?;
        let qos = match flight.awaiting {
            Ack::Puback => Qos::AtLeastOnce,
            _ => Qos::ExactlyOnce,
        };
        Some((qos, flight.seq, self.kept.get(&pid)?))
    }

    /// What has to be sent again to resume the session, in the order it was first sent: PUBLISH packets in their order
    /// [MQTT-4.6.0-1], PUBREL packets in that of their PUBREC packets [MQTT-4.6.0-4].
    pub(super) fn again(&self) -> impl Iterator<Item = (u16, Again<'_>)> {
        let mut flights: Vec<_> = self.flights.iter().collect();
        // The number of packets may have wrapped since the first of them.
        flights.sort_by_key(|(_, flight)| flight.order.wrapping_sub(self.sent));
        flights.into_iter().filter_map(|(pid, flight)| {
            let publish = |qos| self.kept.get(pid).map(|kept| Again::Publish(qos, kept));
            let again = match flight.awaiting {
                Ack::Puback => publish(Qos::AtLeastOnce),
                Ack::Pubrec => publish(Qos::ExactlyOnce),
                Ack::Pubrel | Ack::Pubcomp => Some(Again::Release),
            };
            again.map(|again| (*pid, again))
        })
    }

    /// Readings under way.
    #[cfg(test)]
    pub(super) fn seqs(&self) -> impl Iterator<Item = u64> {
        self.flights.values().map(|flight| flight.seq)
    }

    fn next_place(&mut self) -> u32 {
        let place = self.sent;
        self.sent = place.wrapping_add(1);
        place
    }

    /// Ends an exchange in which `ack` refuses the message (MQTT 5 §4.3.3).
    pub(super) fn refuse(&mut self, ack: Ack, pid: u16) -> Progress {
        let Some(flight) = self.flights.get(&pid) else { return Progress::Unknown };
        if flight.awaiting != ack {
            return Progress::Wrong(flight.awaiting);
        }
        let seq = flight.seq;
        self.flights.remove(&pid);
        self.kept.remove(&pid);
        Progress::Complete(seq)
    }

    /// Takes note of an acknowledgement from the broker.
    pub(super) fn acknowledge(&mut self, ack: Ack, pid: u16) -> Progress {
        let place = self.sent;
        let Some(flight) = self.flights.get_mut(&pid) else { return Progress::Unknown };
        match (flight.awaiting, ack) {
            (Ack::Puback, Ack::Puback) | (Ack::Pubcomp, Ack::Pubcomp) => {
                let seq = flight.seq;
                self.flights.remove(&pid);
                self.kept.remove(&pid);
                Progress::Complete(seq)
            }
            (Ack::Pubrec, Ack::Pubrec) => {
                (flight.awaiting, flight.order) = (Ack::Pubcomp, place);
                self.next_place();
                self.kept.remove(&pid);
                Progress::Release
            }
            // A repeated PUBREC asks for PUBREL again.
            (Ack::Pubcomp, Ack::Pubrec) => Progress::Release,
            (awaiting, _) => Progress::Wrong(awaiting),
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
            (Ack::Pubrec, one, Progress::Wrong(Ack::Puback)),
            (Ack::Pubcomp, one, Progress::Wrong(Ack::Puback)),
            (Ack::Puback, one, Progress::Complete(10)),
            (Ack::Puback, one, Progress::Unknown),
            (Ack::Puback, two, Progress::Wrong(Ack::Pubrec)),
            (Ack::Pubcomp, two, Progress::Wrong(Ack::Pubrec)),
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

    #[test]
    fn what_goes_out_again_keeps_its_order_past_every_limit_of_numbers() {
        let mut flights = InFlight { last: u16::MAX - 2, sent: u32::MAX - 3, ..InFlight::default() };
        for seq in 1..=6 {
            let pid = flights.begin(seq, Qos::ExactlyOnce).unwrap();
            flights.keep(pid, "t", &[seq as u8]);
        }
        for pid in [2, u16::MAX - 1] {
            assert_eq!(flights.acknowledge(Ack::Pubrec, pid), Progress::Release);
        }
        // A repeated PUBREC moves nothing.
        assert_eq!(flights.acknowledge(Ack::Pubrec, 2), Progress::Release);
        let again: Vec<_> = flights
            .again()
            .map(|(pid, again)| match again {
                Again::Publish(qos, kept) => {
                    assert_eq!((qos, &*kept.topic), (Qos::ExactlyOnce, "t"));
                    (pid, Some(kept.payload[0]))
                }
                Again::Release => (pid, None),
            })
            .collect();
        let expected =
            [(u16::MAX, Some(2)), (1, Some(3)), (3, Some(5)), (4, Some(6)), (2, None), (u16::MAX - 1, None)];
        assert_eq!(again, expected);
        assert_eq!(flights.kept.len(), 4);
    }
}
