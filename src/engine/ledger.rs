//! One device's book: which readings wait, which are in flight, and how each ended. Pure; the caller brings the time.

use std::collections::VecDeque;

use super::pause::WaitTotals;
use crate::clock::Tick;
use crate::fleet::Reading;
use crate::record::{Ages, AuditFinding, FleetId, Gauge, Kind, Outcome, PhaseId, Sample, Stages};

/// A reading that came due and waits to be sent.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) phase: PhaseId,
    pub(super) reading: Reading,
    /// When the worker noticed that it was due.
    released: Tick,
    /// What the device had waited until then.
    before: WaitTotals,
}

/// A reading that was sent and is not yet closed.
#[derive(Debug, Clone)]
pub(super) struct Outstanding {
    reading: Reading,
    phase: PhaseId,
    released: Tick,
    eligible: Tick,
    actual: Tick,
    /// What of the wait before, and of pauses since, was not for the service.
    waited: WaitTotals,
    /// It was sent before: its end is not a reading's end.
    repeat: bool,
}

/// What came to its time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    Reading(Sample),
    Repeat,
}

/// What came back for a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) outcome: Outcome,
    pub(super) stages: Option<Stages>,
    /// Whether the peer judged the reading anomalous.
    pub(super) flagged: Option<bool>,
}

impl From<Outcome> for Closing {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, stages: None, flagged: None }
    }
}

/// What an answer turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It closed a reading; it may also have come out of order.
    Closed { sample: Sample, reordered: bool },
    /// It belongs to a reading that had already ended.
    AuditFinding(AuditFinding),
    /// It belongs to no reading of this device.
    Stray,
}

/// What the hearing of a reading by one of its subscribers turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// The first of all: it closed the reading.
    First(Sample),
    /// The first of a reading that had been given up.
    Late,
    /// Another one heard it before.
    Again,
    /// The device sent no such reading.
    Stray,
}

/// The book of one device. Bounded by its in-flight limit and its backlog bound.
#[derive(Debug)]
pub(super) struct Ledger {
    fleet: FleetId,
    /// Number of the device within its fleet.
    device: u32,
    timeout_ns: u64,
    in_flight_limit: u32,
    backlog_bound: u32,
    backlog: VecDeque<Waiting>,
    /// How many at the front of the backlog have been sent before.
    recalled: u32,
    /// In the order of their actual start, so that the first is the first to time out.
    in_flight: VecDeque<Outstanding>,
    /// When the device last became able to send after it had not been.
    unblocked: Tick,
    history: History,
}

impl Ledger {
    pub(super) fn new(
        fleet: FleetId,
        device: u32,
        timeout_ns: u64,
        in_flight_limit: u32,
        backlog_bound: u32,
    ) -> Self {
        Self {
            fleet,
            device,
            timeout_ns,
            in_flight_limit,
            backlog_bound,
            backlog: VecDeque::new(),
            recalled: 0,
            in_flight: VecDeque::new(),
            unblocked: Tick::ZERO,
            history: History::default(),
        }
    }

    /// Takes in a reading that came due. `can_send`: the device could hand it to the transport now; `before`: what it has waited so
    /// far. Gives the sample of a dropped reading if the backlog was full.
    pub(super) fn due(
        &mut self,
        phase: PhaseId,
        reading: Reading,
        can_send: bool,
        now: Tick,
        before: WaitTotals,
    ) -> Option<Sample> {
        // Readings that will go out as soon as the device's task runs do not wait in the backlog.
        let leaving = if can_send { self.in_flight_limit as usize - self.in_flight.len() } else { 0 };
        if self.backlog.len() >= self.backlog_bound as usize + leaving {
            return Some(self.unsent(phase, &reading, Outcome::Dropped, now));
        }
        push(&mut self.backlog, Waiting { phase, reading, released: now, before });
        None
    }

    /// Whether the in-flight limit leaves room.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < self.in_flight_limit as usize
    }

    /// Whether nothing waits and nothing is in flight.
    pub(super) fn is_settled(&self) -> bool {
        self.backlog.is_empty() && self.in_flight.is_empty()
    }

    /// Whether nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// The reading to send next, if the in-flight limit leaves room, and whether it has been sent before.
    pub(super) fn take_next(&mut self) -> Option<(Waiting, bool)> {
        if !self.has_room() {
            return None;
        }
        let next = self.backlog.pop_front()?;
        let again = self.recalled > 0;
        self.recalled = self.recalled.saturating_sub(1);
        Some((next, again))
    }

    /// Notes that the device became able to send at `at`.
    pub(super) fn unblock(&mut self, at: Tick) {
        self.unblocked = self.unblocked.max(at);
    }

    /// Notes that a reading's first byte is about to be handed to the transport.
    ///
    /// What passed before the worker noticed that it was due is pacing lag, also where the device then waited for the
    /// readings before it: after a stall of the generator that queue is the generator's doing. `so_far`: what the device has waited.
    pub(super) fn start(&mut self, next: Waiting, actual: Tick, so_far: WaitTotals) {
        let Waiting { phase, reading, released, before } = next;
        let wait_ns = self.unblocked.min(actual).since(released);
        let eligible = reading.intended.plus_ns(wait_ns).min(actual);
        let waited = so_far.since(before).within(eligible.since(reading.intended));
        push(
            &mut self.in_flight,
            Outstanding { reading, phase, released, eligible, actual, waited, repeat: false },
        );
    }

    /// Notes that the device waited by our own rule for so long with readings in flight that outlive their connection.
    pub(super) fn delay(&mut self, own_ns: u64) {
        for open in &mut self.in_flight {
            open.waited.own_ns += own_ns;
        }
    }

    /// Notes that a reading is about to be sent once more.
    pub(super) fn start_repeat(&mut self, phase: PhaseId, reading: Reading, actual: Tick) {
        let waited = WaitTotals::default();
        let repeat =
            Outstanding { reading, phase, released: actual, eligible: actual, actual, waited, repeat: true };
        push(&mut self.in_flight, repeat);
    }

    /// Adds to `gauge` what is open at `now`, and to `overdue` the ages of what is overdue. What the plan kept from being answered until `excused` counts from there.
    pub(super) fn gauge(&self, excused: Tick, now: Tick, (gauge, overdue): (&mut Gauge, &mut Ages)) {
        let open = self.in_flight.iter().filter(|open| !open.repeat).map(|open| open.reading.intended);
        let waiting = self.backlog.iter().map(|waiting| waiting.reading.intended);
        for intended in open.chain(waiting) {
            gauge.open += 1;
            if now.since(intended.max(excused)) >= self.timeout_ns {
                overdue.count(now.since(intended));
            }
        }
    }

    /// When the reading to be sent next was due.
    pub(super) fn next_intended(&self) -> Option<Tick> {
        self.backlog.front().map(|next| next.reading.intended)
    }

    /// Takes back what is in flight, because the plan cuts the connection: it will be sent again, in its old order, before
    /// anything newer. May go beyond the backlog's bound by the in-flight limit. `so_far`: what the device has waited.
    pub(super) fn recall(&mut self, so_far: WaitTotals) {
        let mut recalled: Vec<_> = self.in_flight.drain(..).filter(|open| !open.repeat).collect();
        recalled.sort_by_key(|open| open.reading.seq);
        self.recalled += recalled.len() as u32;
        for open in recalled.into_iter().rev() {
            let Outstanding { phase, reading, released, waited, .. } = open;
            self.backlog.push_front(Waiting { phase, reading, released, before: so_far.since(waited) });
        }
    }

    /// Takes out the reading `seq`, sent as far as the device knows, while the server may still refuse the device.
    pub(super) fn set_aside(&mut self, seq: u64) -> Option<Outstanding> {
        let place = self.in_flight.iter().position(|open| open.reading.seq == seq && !open.repeat)?;
        self.in_flight.remove(place)
    }

    /// Takes back a reading that was set aside, for it to be settled or recalled.
    pub(super) fn put_back(&mut self, open: Outstanding) {
        push(&mut self.in_flight, open);
    }

    /// Settles an answer for `seq` that was decoded at `at`.
    pub(super) fn close(&mut self, seq: u64, closing: Closing, at: Tick) -> Settled {
        let of_seq = |open: &Outstanding| open.reading.seq == seq;
        // The original, where it is still open: an answer does not tell the two apart.
        let original = self.in_flight.iter().position(|open| of_seq(open) && !open.repeat);
        let Some(open) = original.and_then(|place| self.in_flight.remove(place)) else {
            if let Some(repeat) = self.in_flight.iter().position(of_seq) {
                self.in_flight.remove(repeat);
            }
            return self.history.classify(seq).map_or(Settled::Stray, Settled::AuditFinding);
        };
        let reordered = self.history.answer(seq);
        Settled::Closed { sample: self.sample(&open, closing, at), reordered }
    }

    /// Settles a reading that a subscriber heard at `at`: every subscriber gets it, and the first hearing closes it.
    pub(super) fn deliver(&mut self, seq: u64, at: Tick) -> Delivered {
        match self.close(seq, Outcome::Ok.into(), at) {
            Settled::Closed { sample, .. } => Delivered::First(sample),
            // Further back than it remembers, it cannot tell a reading that was given up from one that others heard.
            Settled::AuditFinding(AuditFinding::Late) if self.history.remembers(seq) => Delivered::Late,
            Settled::AuditFinding(_) => Delivered::Again,
            Settled::Stray => Delivered::Stray,
        }
    }

    /// The instant at which the oldest reading in flight times out.
    pub(super) fn next_expiry(&self) -> Option<Tick> {
        self.in_flight.front().map(|open| open.actual.plus_ns(self.timeout_ns))
    }

    /// Takes out the oldest thing in flight if it has timed out.
    pub(super) fn expire(&mut self, now: Tick) -> Option<Expired> {
        if self.next_expiry()? > now {
            return None;
        }
        if self.in_flight.front()?.repeat {
            self.in_flight.pop_front();
            return Some(Expired::Repeat);
        }
        self.give_up(Outcome::Timeout, now).map(Expired::Reading)
    }

    /// Takes out the oldest reading in flight, ended as `outcome`, and the repeats before it.
    pub(super) fn give_up(&mut self, outcome: Outcome, now: Tick) -> Option<Sample> {
        let open = loop {
            let open = self.in_flight.pop_front()?;
            if !open.repeat {
                break open;
            }
        };
        self.history.give_up(open.reading.seq);
        Some(self.sample(&open, outcome.into(), now))
    }

    /// Takes out one of the readings that are still open at the end of the drain: it is lost.
    pub(super) fn lose(&mut self, now: Tick) -> Option<Sample> {
        if let Some(sample) = self.give_up(Outcome::Lost, now) {
            return Some(sample);
        }
        let Waiting { phase, reading, .. } = self.backlog.pop_front()?;
        Some(self.unsent(phase, &reading, Outcome::Lost, now))
    }

    fn sample(&self, open: &Outstanding, closing: Closing, completed: Tick) -> Sample {
        Sample {
            eligible: Some(open.eligible),
            actual: Some(open.actual),
            stages: closing.stages,
            flagged: closing.flagged,
            own_wait_ns: open.waited.own_ns,
            plan_wait_ns: open.waited.plan_ns,
            ..self.unsent(open.phase, &open.reading, closing.outcome, completed)
        }
    }

    fn unsent(&self, phase: PhaseId, reading: &Reading, outcome: Outcome, completed: Tick) -> Sample {
        Sample {
            phase,
            fleet: self.fleet,
            device: self.device,
            kind: Kind::Reading,
            seq: reading.seq,
            intended: reading.intended,
            eligible: None,
            actual: None,
            completed,
            outcome,
            stages: None,
            mark: reading.mark,
            flagged: None,
            own_wait_ns: 0,
            plan_wait_ns: 0,
        }
    }
}

/// Appends to a queue that hardly ever holds more than one entry: a queue's usual first four places would be half a kilobyte
/// of every device.
fn push<T>(queue: &mut VecDeque<T>, entry: T) {
    if queue.capacity() == 0 {
        queue.reserve_exact(1);
    }
    queue.push_back(entry);
}

/// The last sequence numbers a device ended, for the delivery audit: a sliding window of 64.
#[derive(Debug, Default)]
struct History {
    /// The highest sequence number that was sent and has ended, plus one; 0 while none has.
    top: u64,
    /// The highest sequence number that was answered, plus one.
    answered_top: u64,
    /// Bit k: sequence number `top − 1 − k` was answered.
    answered: u64,
}

impl History {
    const WINDOW: u64 = 64;

    /// Notes the first answer to `seq`; true if a later reading had been answered before it.
    fn answer(&mut self, seq: u64) -> bool {
        self.advance(seq);
        self.mark(seq);
        let reordered = seq + 1 < self.answered_top;
        self.answered_top = self.answered_top.max(seq + 1);
        reordered
    }

    /// Notes that `seq` ended without an answer.
    fn give_up(&mut self, seq: u64) {
        self.advance(seq);
    }

    /// What an answer to a reading that is not in flight means; `None` if no such reading was ever sent.
    fn classify(&mut self, seq: u64) -> Option<AuditFinding> {
        if seq >= self.top {
            return None;
        }
        let age = self.top - 1 - seq;
        if age >= Self::WINDOW {
            return Some(AuditFinding::Late);
        }
        if self.answered >> age & 1 == 1 {
            return Some(AuditFinding::Duplicated);
        }
        self.mark(seq);
        Some(AuditFinding::Late)
    }

    /// Whether `seq`, which has ended, is among the last of which is known how.
    fn remembers(&self, seq: u64) -> bool {
        self.top.saturating_sub(seq) <= Self::WINDOW
    }

    fn advance(&mut self, seq: u64) {
        if seq >= self.top {
            let step = seq + 1 - self.top;
            self.answered = if step >= Self::WINDOW { 0 } else { self.answered << step };
            self.top = seq + 1;
        }
    }

    fn mark(&mut self, seq: u64) {
        let age = self.top - 1 - seq;
        if age < Self::WINDOW {
            self.answered |= 1 << age;
        }
    }
}

#[cfg(test)]
mod tests;
