//! What the devices of one worker that only hear are to hear and have heard: the audit of deliveries. Pure.
//!
//! A reading counts as published to a fleet once one of its devices has heard of it, anywhere in the run: from then on it is due to
//! all of them, where they listen to the same. What nobody hears was not published, as far as can be known.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::audit::{Audience, Hearing};
use super::share::Share;
use crate::clock::Tick;
use crate::record::{AuditFinding, FleetId, MessagePattern};
use crate::scenario::{Model, Plan};

/// Pairs of consumer and device of which a run remembers what was heard, about 64 bytes each.
const MOST_PAIRS: u64 = 4_000_000;

/// Fleets that are told apart where a reading is heard of.
const MOST_FLEETS: u32 = 64;

/// Published readings that one worker waits for at once, by fleet.
const MOST_AWAITED: usize = 1 << 18;

/// Stands for the fleet as a whole among its consumers.
const ALL: u32 = u32::MAX;

/// How the deliveries to a fleet are audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scrutiny {
    /// What one consumer hears all are to hear.
    All,
    /// Each device that sends has one consumer that is to hear it.
    Pairs,
    /// The consumers share a subscription: each reading is for one of them, whichever that is.
    Group,
    /// Each consumer hears what is for it: what it misses cannot be known.
    Own,
    /// They are counted and timed alone: there are too many pairs of consumer and device.
    Counted,
}

/// By fleet: how deliveries to it are audited; `None` for those that send.
pub(crate) fn scrutinies(plan: &Plan) -> Vec<Option<Scrutiny>> {
    let fleets = &plan.scenario().fleets;
    let hears = |model: &Model| *model == Model::Subscriber;
    let senders: u64 =
        fleets.iter().filter(|fleet| !hears(&fleet.model)).map(|fleet| u64::from(fleet.devices)).sum();
    let (mut room, mut number) = (MOST_PAIRS, 0);
    let scrutiny = (0..).zip(fleets).map(|(at, fleet)| {
        let pairs = hears(&fleet.model).then(|| u64::from(fleet.devices) * senders)?;
        number += 1;
        let Some(left) = room.checked_sub(pairs).filter(|_| number <= MOST_FLEETS) else {
            return Some(Scrutiny::Counted);
        };
        room = left;
        Some(match fleet.pattern() {
            _ if fleet.shares() => Scrutiny::Group,
            Some(MessagePattern::PointToPoint) => Scrutiny::Pairs,
            _ if plan.hears_alike(FleetId(at)) => Scrutiny::All,
            _ => Scrutiny::Own,
        })
    });
    scrutiny.collect()
}

/// A reading, by the global index of its device and its number there.
pub(super) type ReadingId = (u32, u64);

/// What a hearing amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    /// Deliveries that are due because of it: to all consumers where the reading is news to them, or to this one alone.
    pub(super) due: u32,
    /// Whether the reading is news to this worker's part of the fleet.
    pub(super) news: bool,
    pub(super) part: Part,
    /// It came after a later reading of the device.
    pub(super) reordered: bool,
    /// Whether it could be audited.
    pub(super) audited: bool,
}

/// What it is to the consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// One of the deliveries that are due.
    Delivery,
    /// It came after the time-out: the delivery is lost already, or was for those who were there before.
    Late,
    /// It came after the time-out, and it alone was to hear it: a delivery that was due, and is lost.
    Lost,
    /// It had heard that reading.
    Duplicate,
}

/// A delivery that did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missed {
    /// Slot of the consumer.
    pub(super) slot: u32,
    pub(super) seq: u64,
    pub(super) intended: Tick,
}

/// A published reading.
#[derive(Debug)]
struct Awaited {
    intended: Tick,
    /// Consumers that are still to hear of it.
    consumers: u32,
    /// The place of the only one that is to; `None`: all are.
    only: Option<u32>,
}

/// What is remembered of an audited fleet.
#[derive(Debug)]
struct Audit {
    /// Whether it is known from the reading alone to whom it is due.
    is_foreseen: bool,
    /// Who has heard what: by the device that sent it, and the consumer's place here.
    audience: Audience,
    awaited: HashMap<ReadingId, Awaited>,
    /// The last instant at which each of them may come.
    deadlines: BinaryHeap<Reverse<(Tick, ReadingId)>>,
}

impl Audit {
    /// Forgets the readings of which all have heard, as far as nothing else is due before.
    fn trim(&mut self) {
        while let Some(Reverse((_, reading))) = self.deadlines.peek() {
            if self.awaited.get(reading).is_some_and(|awaited| awaited.consumers > 0) {
                return;
            }
            self.awaited.remove(reading);
            self.deadlines.pop();
        }
    }
}

/// Which consumer is to hear which device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pairing {
    pub(super) share: Share,
    /// Global indexes of the first device that sends and of the first consumer.
    pub(super) senders: u32,
    pub(super) consumers: u32,
}

impl Pairing {
    /// The slot of the consumer that is to hear the device with global index `sender`; `None`: another worker drives it.
    fn slot(self, sender: u32) -> Option<u32> {
        let consumer = self.consumers.checked_add(sender.checked_sub(self.senders)?)?;
        (self.share.owner(consumer) == Some(self.share.index)).then(|| self.share.slot(consumer) as u32)
    }
}

/// One worker's devices of a fleet that only hears.
#[derive(Debug)]
pub(super) struct ConsumerFleet {
    pub(super) fleet: FleetId,
    /// Its place among the fleets that only hear.
    pub(super) nth: u32,
    /// Slot of the first.
    first: u32,
    /// Since when each has listened; [`Tick::FAR`]: it does not.
    since: Vec<Tick>,
    timeout_ns: u64,
    audit: Option<Audit>,
    pairing: Option<Pairing>,
    /// What each has heard of a shared subscription; empty where it is none.
    parts: Vec<u64>,
}

impl ConsumerFleet {
    /// `slots`: of the first of them, and how many there are.
    pub(super) fn new(
        (fleet, nth): (FleetId, u32),
        (first, devices): (u32, usize),
        timeout_ns: u64,
        scrutiny: Scrutiny,
    ) -> Self {
        let audit = (scrutiny != Scrutiny::Counted).then(|| Audit {
            is_foreseen: matches!(scrutiny, Scrutiny::All | Scrutiny::Pairs),
            audience: Audience::unbounded(),
            awaited: HashMap::new(),
            deadlines: BinaryHeap::new(),
        });
        let parts = if scrutiny == Scrutiny::Group { vec![0; devices] } else { Vec::new() };
        Self { fleet, nth, first, since: vec![Tick::FAR; devices], timeout_ns, audit, pairing: None, parts }
    }

    /// The same, where each is to hear the device that `pairing` says.
    pub(super) fn paired(self, pairing: Option<Pairing>) -> Self {
        Self { pairing, ..self }
    }

    /// Whether its devices share a subscription.
    pub(super) fn is_group(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The device in `slot` had a part of the shared subscription: how many it has had by now.
    pub(super) fn take_part(&mut self, slot: u32) -> u64 {
        let part = slot.checked_sub(self.first).and_then(|place| self.parts.get_mut(place as usize));
        part.map_or(0, |part| {
            *part += 1;
            *part
        })
    }

    fn since(&mut self, slot: u32) -> Option<&mut Tick> {
        self.since.get_mut(slot.checked_sub(self.first)? as usize)
    }

    /// The device in `slot` has had a connection since `at`; one that comes back had been there.
    pub(super) fn join(&mut self, slot: u32, at: Tick) {
        if let Some(since) = self.since(slot) {
            *since = at.min(*since);
        }
    }

    /// It is gone for good.
    pub(super) fn leave(&mut self, slot: u32) {
        if let Some(since) = self.since(slot) {
            *since = Tick::FAR;
        }
    }

    /// `reading`, which came due at `intended`, was published: how many deliveries are due by that; `None` if it was known.
    pub(super) fn publish(&mut self, reading: ReadingId, intended: Tick) -> Option<u32> {
        let audit = self.audit.as_mut().filter(|audit| audit.is_foreseen)?;
        let (sender, seq) = reading;
        if audit.audience.hear(sender, ALL, seq) == Hearing::Finding(AuditFinding::Duplicated) {
            return None;
        }
        let was_there = |since: &&Tick| **since <= intended;
        let only = self.pairing.map(|pairing| pairing.slot(sender).map_or(ALL, |slot| slot - self.first));
        let present = match only {
            None => self.since.iter().filter(was_there).count() as u32,
            Some(place) => u32::from(self.since.get(place as usize).as_ref().is_some_and(was_there)),
        };
        if present == 0 || audit.awaited.len() >= MOST_AWAITED {
            return Some(0);
        }
        audit.awaited.insert(reading, Awaited { intended, consumers: present, only });
        audit.deadlines.push(Reverse((intended.plus_ns(self.timeout_ns), reading)));
        Some(present)
    }

    /// The device in `slot` hears at `at` of `reading`, which came due at `intended`. What had to come before `at` has expired.
    pub(super) fn hear(&mut self, slot: u32, reading: ReadingId, intended: Tick, at: Tick) -> Heard {
        let is_late = at > intended.plus_ns(self.timeout_ns);
        let was_there = self.since(slot).is_some_and(|since| *since <= intended);
        let consumer = slot.wrapping_sub(self.first);
        let mut heard = Heard {
            due: 0,
            news: false,
            part: Part::Delivery,
            reordered: false,
            audited: self.audit.is_some(),
        };
        if let Some(audit) = &mut self.audit {
            match audit.audience.hear(reading.0, consumer, reading.1) {
                Hearing::Finding(AuditFinding::Duplicated) => {
                    return Heard { part: Part::Duplicate, ..heard };
                }
                Hearing::Finding(_) => heard.reordered = true,
                Hearing::InOrder | Hearing::Unaudited => {}
            }
        }
        if let Some(due) = self.publish(reading, intended) {
            (heard.due, heard.news) = (due, true);
        }
        if is_late {
            // Nobody else shows that a delivery to this one was due: it shows with what comes too late.
            let is_own = was_there && self.audit.as_ref().is_none_or(|audit| !audit.is_foreseen);
            heard.due += u32::from(is_own);
            return Heard { part: if is_own { Part::Lost } else { Part::Late }, ..heard };
        }
        let awaited = self.audit.as_mut().and_then(|audit| audit.awaited.get_mut(&reading));
        let is_meant = |awaited: &&mut Awaited| awaited.only.is_none_or(|only| only == consumer);
        match awaited.filter(is_meant).filter(|awaited| was_there && awaited.consumers > 0) {
            Some(awaited) => {
                awaited.consumers -= 1;
                self.audit.iter_mut().for_each(Audit::trim);
            }
            // It came later than the reading, or it alone was to hear of it.
            None => heard.due += 1,
        }
        heard
    }

    /// What had to come before `now` and did not.
    pub(super) fn expire(&mut self, now: Tick) -> Vec<Missed> {
        let mut missed = Vec::new();
        let Self { audit: Some(audit), since, first, .. } = self else { return missed };
        while let Some(Reverse((_, reading))) = audit.deadlines.peek().copied().filter(|due| due.0.0 < now) {
            audit.deadlines.pop();
            let Some(Awaited { intended, consumers, only }) = audit.awaited.remove(&reading) else {
                continue;
            };
            let (sender, seq) = reading;
            let (mut others, mut own) = (Vec::new(), Vec::new());
            let meant = (0..)
                .zip(&*since)
                .filter(|(place, since)| **since <= intended && only.is_none_or(|only| only == *place));
            for (consumer, _) in meant {
                let heard = audit.audience.has_heard(sender, consumer, seq);
                if heard { &mut others } else { &mut own }.push(*first + consumer);
            }
            // Who heard of it too late comes last, and so does who left meanwhile.
            let named = own.into_iter().chain(others).chain(std::iter::repeat(*first));
            missed.extend(named.take(consumers as usize).map(|slot| Missed { slot, seq, intended }));
            audit.trim();
        }
        missed
    }

    /// When the next delivery is overdue.
    pub(super) fn next_deadline(&self) -> Tick {
        let next = self.audit.as_ref().and_then(|audit| audit.deadlines.peek());
        next.map_or(Tick::FAR, |Reverse((deadline, _))| deadline.plus_ns(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Shard;

    const TIMEOUT_NS: u64 = 100;

    fn fleet(scrutiny: Scrutiny, devices: usize) -> ConsumerFleet {
        let mut fleet = ConsumerFleet::new((FleetId(1), 0), (10, devices), TIMEOUT_NS, scrutiny);
        (10..10 + devices as u32).for_each(|slot| fleet.join(slot, Tick::ZERO));
        fleet
    }

    /// Deliveries due, whether it is news, and what it is.
    fn heard(fleet: &mut ConsumerFleet, slot: u32, seq: u64, at: u64) -> (u32, bool, Part) {
        let Heard { due, news, part, .. } = fleet.hear(slot, (3, seq), Tick(1_000 + seq), Tick(at));
        (due, news, part)
    }

    fn slots(missed: &[Missed]) -> Vec<u32> {
        missed.iter().map(|missed| missed.slot).collect()
    }

    #[test]
    fn what_one_hears_is_due_to_all_and_lost_where_it_does_not_come_in_time() {
        let mut fleet = fleet(Scrutiny::All, 3);
        assert_eq!(fleet.next_deadline(), Tick::FAR);
        assert_eq!(heard(&mut fleet, 11, 1, 1_050), (3, true, Part::Delivery));
        assert_eq!(fleet.next_deadline(), Tick(1_102));
        assert_eq!(heard(&mut fleet, 12, 1, 1_101), (0, false, Part::Delivery));
        assert_eq!(heard(&mut fleet, 12, 1, 1_101), (0, false, Part::Duplicate));
        assert!(fleet.expire(Tick(1_101)).is_empty(), "it may still come");
        assert_eq!(slots(&fleet.expire(Tick(1_102))), [10]);
        assert_eq!(heard(&mut fleet, 10, 1, 1_103), (0, false, Part::Late));
        (10..13).for_each(|slot| _ = heard(&mut fleet, slot, 2, 1_050));
        assert_eq!(fleet.next_deadline(), Tick::FAR, "all have heard of it");
        assert!(fleet.expire(Tick(9_999)).is_empty());
    }

    #[test]
    fn news_from_another_worker_is_due_here_once() {
        let mut fleet = fleet(Scrutiny::All, 2);
        assert_eq!(fleet.publish((3, 1), Tick(1_001)), Some(2));
        assert_eq!(fleet.publish((3, 1), Tick(1_001)), None);
        assert_eq!(heard(&mut fleet, 10, 1, 1_050), (0, false, Part::Delivery));
        assert_eq!(slots(&fleet.expire(Tick(2_000))), [11]);
        assert_eq!(fleet.publish((3, 1), Tick(1_001)), None);
        assert_eq!(heard(&mut fleet, 10, 2, 1_050), (2, true, Part::Delivery));
    }

    #[test]
    fn what_all_hear_of_too_late_is_lost_to_all() {
        let mut fleet = fleet(Scrutiny::All, 2);
        assert_eq!(heard(&mut fleet, 10, 1, 1_500), (2, true, Part::Late));
        assert_eq!(slots(&fleet.expire(Tick(1_500))), [11, 10]);
        assert_eq!(heard(&mut fleet, 11, 1, 1_501), (0, false, Part::Late));
    }

    #[test]
    fn nothing_is_due_to_those_who_were_not_there_and_what_they_hear_counts() {
        let mut fleet = ConsumerFleet::new((FleetId(1), 0), (0, 3), TIMEOUT_NS, Scrutiny::All);
        fleet.join(0, Tick::ZERO);
        fleet.join(1, Tick(1_010));
        // A connection that comes back changes nothing.
        fleet.join(0, Tick(5_000));
        assert_eq!(heard(&mut fleet, 0, 1, 1_050), (1, true, Part::Delivery));
        assert_eq!(heard(&mut fleet, 1, 1, 1_050), (1, false, Part::Delivery), "replayed to a newcomer");
        assert!(fleet.expire(Tick(9_000)).is_empty());
        fleet.leave(1);
        assert_eq!(heard(&mut fleet, 0, 20, 1_050), (1, true, Part::Delivery));
    }

    #[test]
    fn where_each_hears_its_own_only_that_is_due() {
        for scrutiny in [Scrutiny::Own, Scrutiny::Counted] {
            let mut fleet = fleet(scrutiny, 2);
            assert_eq!(heard(&mut fleet, 10, 2, 1_050), (1, false, Part::Delivery));
            let again = if scrutiny == Scrutiny::Own {
                (0, false, Part::Duplicate)
            } else {
                (1, false, Part::Delivery)
            };
            assert_eq!(heard(&mut fleet, 10, 2, 1_050), again);
            let first = fleet.hear(10, (3, 1), Tick(1_001), Tick(1_060));
            assert_eq!(
                (first.reordered, first.audited),
                (scrutiny == Scrutiny::Own, scrutiny == Scrutiny::Own)
            );
            assert!(fleet.expire(Tick(9_000)).is_empty() && fleet.next_deadline() == Tick::FAR);
        }
    }

    #[test]
    fn what_one_alone_hears_of_too_late_was_due_and_is_lost() {
        for scrutiny in [Scrutiny::Own, Scrutiny::Counted] {
            let mut fleet = fleet(scrutiny, 2);
            assert_eq!(heard(&mut fleet, 10, 1, 1_101), (1, false, Part::Delivery), "just in time");
            assert_eq!(heard(&mut fleet, 10, 2, 1_103), (1, false, Part::Lost));
            assert!(fleet.expire(Tick(9_000)).is_empty(), "it is lost once");
            fleet.leave(11);
            fleet.join(11, Tick(1_050));
            assert_eq!(heard(&mut fleet, 11, 3, 1_500), (0, false, Part::Late), "it was not there yet");
        }
        assert_eq!(heard(&mut fleet(Scrutiny::Own, 1), 10, 2, 1_103), (1, false, Part::Lost));
    }

    #[test]
    fn a_reading_is_due_to_the_one_that_is_paired_with_its_sender() {
        let share = Share { index: 1, count: 2, shard: Shard::WHOLE };
        // Senders 0 to 3, consumers 4 to 7: those of this worker are 5 and 7, in the slots 2 and 3.
        let pairing = Pairing { share, senders: 0, consumers: 4 };
        let mut fleet = ConsumerFleet::new((FleetId(1), 0), (2, 2), TIMEOUT_NS, Scrutiny::Pairs);
        fleet = fleet.paired(Some(pairing));
        fleet.join(2, Tick::ZERO);
        fleet.join(3, Tick::ZERO);
        assert_eq!(fleet.publish((0, 1), Tick(1_000)), Some(0), "another worker's");
        assert_eq!(fleet.publish((1, 1), Tick(1_000)), Some(1));
        assert_eq!(fleet.publish((3, 1), Tick(1_000)), Some(1));
        let heard = fleet.hear(3, (3, 1), Tick(1_000), Tick(1_010));
        assert_eq!((heard.due, heard.part), (0, Part::Delivery));
        assert_eq!(slots(&fleet.expire(Tick(9_000))), [2]);
    }

    /// Whatever is heard by whom and when: what was due is what was delivered and what was missed.
    mod account {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn every_delivery_that_is_due_ends_once(
                steps in proptest::collection::vec((0_u32..4, 1_u64..30, 0_u64..150, any::<bool>()), 1..200),
            ) {
                let mut fleet = fleet(Scrutiny::All, 4);
                let (mut due, mut ended, mut now) = (0_u64, 0_u64, 1_000);
                for (consumer, seq, step, elsewhere) in steps {
                    now += step / 10;
                    ended += fleet.expire(Tick(now)).len() as u64;
                    let intended = Tick(1_000 + seq * 4);
                    if elsewhere {
                        due += u64::from(fleet.publish((3, seq), intended).unwrap_or(0));
                    } else {
                        let heard = fleet.hear(10 + consumer, (3, seq), intended, Tick(now));
                        due += u64::from(heard.due);
                        ended += u64::from(heard.part == Part::Delivery);
                    }
                    prop_assert!(ended <= due);
                }
                ended += fleet.expire(Tick::FAR).len() as u64;
                prop_assert_eq!(due, ended);
            }
        }
    }
}
