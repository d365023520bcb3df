//! The delivery audit: what was lost, answered twice, out of order or late, by fleet, with the first of each; and whether
//! what a fleet expects of the service was kept.

use serde::{Deserialize, Serialize};

use super::counter;
use crate::clock::Tick;
use crate::record::{AuditFinding, DeliveryGuarantee, FleetInfo, Kind, Layout, Outcome, Sample};
use crate::units::figure::{count, plural};

/// How many there were, and the first by the time it was discovered.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Violations {
    number: u64,
    first: Option<(Tick, u32, u64)>,
}

impl Violations {
    fn note(&mut self, at: Tick, device: u32, seq: u64) {
        self.add(Self { number: 1, first: Some((at, device, seq)) });
    }

    fn add(&mut self, other: Self) {
        self.number += other.number;
        self.first = [self.first, other.first].into_iter().flatten().min();
    }
}

/// What the audit found in one fleet.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
struct FleetTally {
    /// Readings that were sent; of those, the ones that the service refused and that it answered ok.
    sent: u64,
    shed: u64,
    ok: u64,
    lost: Violations,
    duplicated: Violations,
    reordered: Violations,
    late: u64,
    unaudited: u64,
    resent: u64,
    /// Most deliveries of a shared subscription that one device has had since the run began; 0 where nothing is shared.
    largest_part: u64,
}

/// What the audit found, by fleet in the order of the layout.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Deliveries {
    fleets: Vec<FleetTally>,
}

impl Deliveries {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self { fleets: vec![FleetTally::default(); layout.fleets.len()] }
    }

    /// Whether it is of the fleets of `layout`, with counts that an interval can have.
    pub(crate) fn fit(&self, layout: &Layout) -> bool {
        let counts = |tally: &FleetTally| {
            let FleetTally { sent, shed, ok, late, unaudited, resent, largest_part, .. } = *tally;
            let found = [tally.lost.number, tally.duplicated.number, tally.reordered.number];
            found.into_iter().chain([sent, shed, ok, late, unaudited, resent, largest_part])
        };
        self.fleets.len() == layout.fleets.len()
            && self.fleets.iter().flat_map(counts).all(|count| count <= counter::MOST)
    }

    /// Counts a reading that was sent, or a delivery that was due, and whether it was lost. Shed and dropped readings were not lost
    /// by the service.
    pub(crate) fn completed(&mut self, sample: &Sample) {
        let was_sent = sample.kind == Kind::Reading && sample.actual.is_some();
        if !was_sent && sample.kind != Kind::Delivery {
            return;
        }
        let Some(tally) = self.fleets.get_mut(usize::from(sample.fleet.0)) else { return };
        tally.sent += 1;
        match sample.outcome {
            Outcome::Ok => tally.ok += 1,
            Outcome::Shed => tally.shed += 1,
            Outcome::Error(_) | Outcome::Timeout | Outcome::Lost => {
                tally.lost.note(sample.completed, sample.device, sample.seq);
            }
            Outcome::Dropped => {}
        }
    }

    /// Counts a finding of fleet number `fleet`, discovered at about `at`.
    pub(crate) fn found(&mut self, fleet: usize, finding: AuditFinding, at: Tick, device: u32, seq: u64) {
        let Some(tally) = self.fleets.get_mut(fleet) else { return };
        match finding {
            AuditFinding::Duplicated => tally.duplicated.note(at, device, seq),
            AuditFinding::Reordered => tally.reordered.note(at, device, seq),
            AuditFinding::Late => tally.late += 1,
            AuditFinding::Unaudited => tally.unaudited += 1,
            AuditFinding::Resent => tally.resent += 1,
        }
    }

    /// A device of fleet number `fleet` has had so many deliveries of the subscription that it shares.
    pub(crate) fn part(&mut self, fleet: usize, deliveries: u64) {
        if let Some(tally) = self.fleets.get_mut(fleet) {
            tally.largest_part = tally.largest_part.max(deliveries);
        }
    }

    /// Adds all of another worker's.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.fleets.iter_mut().zip(&other.fleets) {
            mine.lost.add(theirs.lost);
            mine.duplicated.add(theirs.duplicated);
            mine.reordered.add(theirs.reordered);
            mine.sent += theirs.sent;
            mine.shed += theirs.shed;
            mine.ok += theirs.ok;
            mine.late += theirs.late;
            mine.unaudited += theirs.unaudited;
            mine.resent += theirs.resent;
            mine.largest_part = mine.largest_part.max(theirs.largest_part);
        }
    }

    pub(crate) fn reset(&mut self) {
        self.fleets.fill(FleetTally::default());
    }

    /// The audit of every fleet.
    pub(crate) fn report(&self, layout: &Layout) -> Vec<FleetDelivery> {
        layout.fleets.iter().zip(&self.fleets).map(|(fleet, tally)| audit(fleet, tally)).collect()
    }
}

fn audit(fleet: &FleetInfo, tally: &FleetTally) -> FleetDelivery {
    let first_violation = |violations: &Violations| {
        violations.first.map(|(at, device, seq)| FirstViolation {
            device: fleet.device_name(device),
            seq,
            t_s: (at.as_secs_f64() * 1e6).round() / 1e6,
        })
    };
    let mut delivery = FleetDelivery {
        fleet: fleet.name.clone(),
        expects: Expectation::from(fleet.expects),
        lost: tally.lost.number,
        first_lost: first_violation(&tally.lost),
        duplicated: tally.duplicated.number,
        first_duplicated: first_violation(&tally.duplicated),
        reordered: tally.reordered.number,
        first_reordered: first_violation(&tally.reordered),
        late: tally.late,
        unaudited: tally.unaudited,
        resent: tally.resent,
        imbalance: imbalance(fleet, tally),
        untested: None,
        kept: None,
    };
    if delivery.expects != Expectation::default() {
        let broken = delivery.broken().is_some();
        delivery.untested = untested(delivery.expects, tally).filter(|_| !broken);
        delivery.kept = delivery.untested.is_none().then_some(!broken);
    }
    delivery
}

/// The largest part of a shared subscription over an even one; `None` where nothing was shared.
fn imbalance(fleet: &FleetInfo, tally: &FleetTally) -> Option<f64> {
    let even = tally.ok as f64 / f64::from(fleet.devices);
    (tally.largest_part > 0 && tally.ok > 0)
        .then(|| (tally.largest_part as f64 / even * 1_000.0).round() / 1_000.0)
}

/// Why what was found does not show that expectations were kept; `None` if it does.
fn untested(expects: Expectation, tally: &FleetTally) -> Option<String> {
    let of_answers = expects.no_duplicates || expects.ordered;
    if tally.sent == 0 {
        return Some("no reading was sent".to_owned());
    }
    if tally.sent == tally.shed {
        return Some("the service refused every reading".to_owned());
    }
    if of_answers && tally.ok == 0 {
        return Some("no reading was answered".to_owned());
    }
    (of_answers && tally.unaudited > 0).then(|| {
        let hearings = tally.unaudited;
        format!(
            "{} not audited: more pairs of device and subscriber than are remembered",
            plural(hearings, "delivery")
        )
    })
}

/// What a fleet expects of the service's delivery, as files hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Expectation {
    /// No reading that was sent is lost.
    pub no_loss: bool,
    /// None is answered twice.
    pub no_duplicates: bool,
    /// They are answered in the order they were sent.
    pub ordered: bool,
}

impl From<DeliveryGuarantee> for Expectation {
    fn from(guarantee: DeliveryGuarantee) -> Self {
        Self {
            no_loss: guarantee.no_loss,
            no_duplicates: guarantee.no_duplicates,
            ordered: guarantee.ordered,
        }
    }
}

/// The first reading of its kind that the audit came upon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirstViolation {
    /// Its device.
    pub device: String,
    /// Its number within the device.
    pub seq: u64,
    /// When it was discovered, seconds since the run began. Losses are stamped exactly; the others with the latest stamp
    /// that their worker had by then, so by less than an interval too early.
    pub t_s: f64,
}

/// The audit of one fleet over the whole run: warm-up, measured phases and drain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetDelivery {
    /// The fleet.
    pub fleet: String,
    /// What it expects.
    pub expects: Expectation,
    /// Readings that were sent and ended with an error, a time-out, or never. Shed and dropped ones are not among them. Of a
    /// fleet that only hears: deliveries that did not come within its time-out.
    pub lost: u64,
    /// The first of them.
    pub first_lost: Option<FirstViolation>,
    /// Answers to readings already answered; of readings that subscribers hear, those that the same subscriber had heard.
    pub duplicated: u64,
    /// The first of them.
    pub first_duplicated: Option<FirstViolation>,
    /// Answers that came after that of a later reading, at the same subscriber where subscribers hear them.
    pub reordered: u64,
    /// The first of them.
    pub first_reordered: Option<FirstViolation>,
    /// Answers to readings already given up; those readings are among the lost.
    pub late: u64,
    /// Deliveries to subscribers of which it could not be remembered what they had heard, or when the reading had come due.
    #[serde(default)]
    pub unaudited: u64,
    /// Answers to readings already answered that the device itself had sent more than once: no duplicates of the service's.
    #[serde(default)]
    pub resent: u64,
    /// Of a fleet that shares a subscription: the deliveries to the device that had the most, over those of an even share. 1: all had
    /// the same; the number of devices: one had everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imbalance: Option<f64>,
    /// Why the run does not show whether what it expects was kept.
    #[serde(default)]
    pub untested: Option<String>,
    /// Whether what it expects was kept; `None` if it expects nothing, or if that was not tested.
    pub kept: Option<bool>,
}

impl FleetDelivery {
    /// Why what it expects was not kept, or not tested; `None` if it was kept or it expects nothing.
    pub fn unkept(&self) -> Option<String> {
        match (self.kept, &self.untested) {
            (Some(false), _) => Some(self.broken().unwrap_or_default()),
            (None, Some(untested)) => Some(format!("not tested: {untested}")),
            _ => None,
        }
    }

    /// What broke the expectations, with the first of each: `3 missing, first meters-00017 seq 42`; `None` if they were kept.
    pub fn broken(&self) -> Option<String> {
        let expected = [self.expects.no_loss, self.expects.no_duplicates, self.expects.ordered];
        self.breaches(expected)
    }

    /// Everything that was found, whether expected otherwise or not; `None` if nothing was.
    pub fn findings(&self) -> Option<String> {
        let breaches = self.breaches([true; 3]);
        let late = (self.late > 0).then(|| format!("{} answered late", count(self.late)));
        let resent =
            (self.resent > 0).then(|| format!("{} answered again after retries", count(self.resent)));
        let unaudited = (self.unaudited > 0).then(|| format!("{} not audited", count(self.unaudited)));
        let shared =
            self.imbalance.map(|imbalance| format!("the largest share is {imbalance} of an even one"));
        let parts: Vec<_> =
            breaches.into_iter().chain(late).chain(resent).chain(unaudited).chain(shared).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn breaches(&self, wanted: [bool; 3]) -> Option<String> {
        let found = [
            (self.lost, "missing", &self.first_lost),
            (self.duplicated, "duplicated", &self.first_duplicated),
            (self.reordered, "reordered", &self.first_reordered),
        ];
        let parts: Vec<_> = found
            .into_iter()
            .zip(wanted)
            .filter(|((number, ..), wanted)| *wanted && *number > 0)
            .map(|((number, word, first), _)| match first {
                Some(first) => format!("{} {word}, first {} seq {}", count(number), first.device, first.seq),
                None => format!("{} {word}", count(number)),
            })
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ErrorKind, FleetId, PhaseId};
    use crate::results::tests::layout;

    fn sample(outcome: Outcome, sent: bool, completed: u64, device: u32, seq: u64) -> Sample {
        Sample {
            phase: PhaseId(2),
            fleet: FleetId(0),
            device,
            kind: Kind::Reading,
            seq,
            intended: Tick(1),
            eligible: None,
            actual: sent.then_some(Tick(1)),
            completed: Tick(completed),
            outcome,
            stages: None,
            mark: None,
            flagged: None,
            arm: None,
            attempts: u8::from(sent),
            own_wait_ns: 0,
            plan_wait_ns: 0,
        }
    }

    #[test]
    fn lost_is_what_was_sent_and_not_answered_ok() {
        for (outcome, sent, lost) in [
            (Outcome::Ok, true, 0),
            (Outcome::Shed, true, 0),
            (Outcome::Dropped, false, 0),
            (Outcome::Error(ErrorKind::Refused), false, 0),
            (Outcome::Error(ErrorKind::Reset), true, 1),
            (Outcome::Timeout, true, 1),
            (Outcome::Lost, true, 1),
        ] {
            let mut deliveries = Deliveries::new(&layout());
            deliveries.completed(&sample(outcome, sent, 9, 3, 4));
            let audit = deliveries.report(&layout());
            assert_eq!(audit[0].lost, lost, "{outcome:?} {sent}");
            assert_eq!(audit[0].kept, None);
        }
    }

    #[test]
    fn the_first_offender_is_the_first_discovered_of_all_workers() {
        let (mut one, mut other) = (Deliveries::new(&layout()), Deliveries::new(&layout()));
        one.completed(&sample(Outcome::Timeout, true, 900, 3, 4));
        one.completed(&sample(Outcome::Lost, true, 1_000, 0, 1));
        other.completed(&sample(Outcome::Timeout, true, 800, 17, 42));
        other.found(0, AuditFinding::Duplicated, Tick(5), 2, 7);
        one.found(0, AuditFinding::Duplicated, Tick(6), 1, 6);
        one.found(1, AuditFinding::Late, Tick(6), 1, 6);
        let mut layout = (*layout()).clone();
        layout.fleets[0].expects = DeliveryGuarantee { no_loss: true, no_duplicates: false, ordered: true };
        for order in [[&one, &other], [&other, &one]] {
            let mut merged = Deliveries::new(&layout);
            for deliveries in order {
                merged.add(deliveries);
            }
            let audit = merged.report(&layout);
            assert_eq!(audit[0].broken().as_deref(), Some("3 missing, first meters-00017 seq 42"));
            assert_eq!(
                audit[0].findings().as_deref(),
                Some("3 missing, first meters-00017 seq 42; 2 duplicated, first meters-00002 seq 7")
            );
            assert_eq!(audit[0].kept, Some(false));
            assert_eq!(audit[1].findings().as_deref(), Some("1 answered late"));
        }
    }

    #[test]
    fn only_what_was_promised_can_be_broken() {
        let mut layout = (*layout()).clone();
        let guarantee =
            |no_loss, no_duplicates, ordered| DeliveryGuarantee { no_loss, no_duplicates, ordered };
        let mut deliveries = Deliveries::new(&layout);
        deliveries.completed(&sample(Outcome::Ok, true, 9, 1, 2));
        deliveries.found(0, AuditFinding::Reordered, Tick(1), 1, 2);
        for (expects, kept) in [
            (guarantee(false, false, false), None),
            (guarantee(true, true, false), Some(true)),
            (guarantee(false, false, true), Some(false)),
        ] {
            layout.fleets[0].expects = expects;
            assert_eq!(deliveries.report(&layout)[0].kept, kept, "{expects:?}");
        }
    }

    type Promise = (bool, bool, bool);
    /// What is promised, how readings ended and whether they were sent, hearings without audit, whether it is kept, and the text.
    type Case<'t> = (Promise, &'t [(Outcome, bool)], u64, Option<bool>, Option<&'t str>);

    #[test]
    fn what_was_not_put_to_the_test_is_not_kept() {
        let mut layout = (*layout()).clone();
        let (refused, answered) = (Outcome::Error(ErrorKind::Refused), Outcome::Ok);
        let (lossless, once) = ((true, false, false), (false, true, false));
        let unanswered = Some("not tested: no reading was answered");
        let table: [Case<'_>; 9] = [
            (lossless, &[], 0, None, Some("not tested: no reading was sent")),
            (
                once,
                &[(refused, false), (Outcome::Dropped, false)],
                0,
                None,
                Some("not tested: no reading was sent"),
            ),
            (
                lossless,
                &[(Outcome::Shed, true)],
                0,
                None,
                Some("not tested: the service refused every reading"),
            ),
            (lossless, &[(Outcome::Shed, true), (answered, true)], 0, Some(true), None),
            (once, &[(Outcome::Timeout, true)], 0, None, unanswered),
            (
                lossless,
                &[(Outcome::Timeout, true)],
                0,
                Some(false),
                Some("1 missing, first meters-00001 seq 2"),
            ),
            (lossless, &[(answered, true)], 5, Some(true), None),
            (
                once,
                &[(answered, true)],
                5,
                None,
                Some(
                    "not tested: 5 deliveries not audited: more pairs of device and subscriber than are remembered",
                ),
            ),
            ((false, false, false), &[], 0, None, None),
        ];
        for ((no_loss, no_duplicates, ordered), readings, unaudited, kept, unkept) in table {
            layout.fleets[0].expects = DeliveryGuarantee { no_loss, no_duplicates, ordered };
            let mut deliveries = Deliveries::new(&layout);
            for (outcome, sent) in readings {
                deliveries.completed(&sample(*outcome, *sent, 9, 1, 2));
            }
            for _ in 0..unaudited {
                deliveries.found(0, AuditFinding::Unaudited, Tick(1), 1, 2);
            }
            let audit = &deliveries.report(&layout)[0];
            assert_eq!((audit.kept, audit.unkept().as_deref()), (kept, unkept), "{readings:?} {unaudited}");
        }
    }
}
