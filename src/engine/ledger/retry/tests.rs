//! Devices that retry, under a clock of their own: policies against servers, by a table and by chance.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Expired, Ledger, Settled};
use super::*;
use crate::engine::retry::{AttemptEnd, Retries, Sequel};
use crate::fleet::{Reading, Values};
use crate::record::{Code, ErrorKind, FleetId, Sample};
use crate::scenario::{RetryCauses, RetryPolicy};
use crate::units::Span;

const MS: u64 = 1_000_000;
const NONE: WaitTotals = WaitTotals { own_ns: 0, plan_ns: 0 };

/// What a server does about one attempt.
#[derive(Debug, Clone, Copy)]
struct Reply {
    after_ms: u64,
    outcome: Outcome,
    /// It asks to be left alone for so long.
    asked_ms: Option<u64>,
}

#[expect(clippy::unnecessary_wraps, reason = "a server may also not answer")]
const fn ok(after_ms: u64) -> Option<Reply> {
    Some(Reply { after_ms, outcome: Outcome::Ok, asked_ms: None })
}

#[expect(clippy::unnecessary_wraps, reason = "a server may also not answer")]
const fn shed(after_ms: u64) -> Option<Reply> {
    Some(Reply { after_ms, outcome: Outcome::Shed, asked_ms: None })
}

/// What a server does about attempt so and so at a reading; `None`: it never answers.
type Server<'s> = &'s dyn Fn(u64, u8) -> Option<Reply>;

/// One device that can always send, and its server.
struct Trial<'s> {
    ledger: Ledger,
    retries: Retries,
    server: Server<'s>,
    /// An attempt that times out takes its connection with it, and the answer to it.
    serial: bool,
    now: Tick,
    /// When answers will come, to which reading.
    answers: Vec<(Tick, u64, Reply)>,
    /// Which attempts at which readings began, and when.
    begun: Vec<(u64, u8, Tick)>,
    samples: Vec<Sample>,
    denied: u64,
    /// Answers that came; those that ended an attempt that another followed, and those that ended a reading.
    answered: usize,
    failed: usize,
    closed: usize,
    findings: Vec<AuditFinding>,
}

impl<'s> Trial<'s> {
    fn new(policy: RetryPolicy, in_flight: u32, serial: bool, server: Server<'s>) -> Self {
        let (deadline, attempt) = (policy.deadline.as_ns(), policy.timeout.as_ns());
        Self {
            ledger: Ledger::new(FleetId(0), 0, deadline, in_flight, 64).with_retry(attempt),
            retries: Retries::new(policy, 1, 1),
            server,
            serial,
            now: Tick::ZERO,
            answers: Vec::new(),
            begun: Vec::new(),
            samples: Vec::new(),
            denied: 0,
            answered: 0,
            failed: 0,
            closed: 0,
            findings: Vec::new(),
        }
    }

    /// Lets readings come due at these instants and all happen that follows; what is open at `end` is lost.
    fn run(mut self, due: &[Tick], end: Tick) -> Self {
        let mut due = due.iter().copied().zip(1..).peekable();
        loop {
            let resting = self.ledger.resting().iter().map(|resting| resting.next.at).min();
            let answer = self.answers.iter().map(|(at, ..)| *at).min();
            let first = due.peek().map(|(at, _)| *at);
            let next = [first, answer, resting, self.ledger.next_expiry()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next < end) else { break };
            assert!(next >= self.now, "time goes back from {:?} to {next:?}", self.now);
            self.now = next;
            while let Some((intended, seq)) = due.next_if(|(at, _)| *at <= next) {
                let reading = Reading { seq, intended, values: Values::One(0.0), mark: None };
                let dropped = self.ledger.due(PhaseId(0), reading, self.ledger.has_room(), next, NONE);
                self.samples.extend(dropped);
            }
            self.hear();
            self.expire();
            self.send();
        }
        while let Some((sample, _)) = self.ledger.end_resting(end, true) {
            self.samples.push(sample);
        }
        while let Some(lost) = self.ledger.lose(end) {
            self.samples.push(lost);
        }
        self
    }

    fn hear(&mut self) {
        self.answers.sort_by_key(|(at, seq, _)| std::cmp::Reverse((*at, *seq)));
        while let Some((_, seq, reply)) = self.answers.pop_if(|(at, ..)| *at <= self.now) {
            self.answered += 1;
            let not_before = reply.asked_ms.map(|ms| self.now.plus_ns(ms * MS));
            if self.is_tried_again(seq, reply.outcome, true, not_before) {
                self.failed += 1;
                continue;
            }
            match self.ledger.close(seq, reply.outcome.into(), self.now) {
                Settled::Closed { sample, .. } => {
                    self.closed += 1;
                    self.samples.push(sample);
                }
                Settled::AuditFinding(finding) => self.findings.push(finding),
                Settled::Stray => panic!("an answer to a reading that was never sent"),
            }
        }
    }

    fn expire(&mut self) {
        while let Some((sample, _)) = self.ledger.end_resting(self.now, false) {
            self.samples.push(sample);
        }
        while let Some(seq) = self.ledger.expiring(self.now) {
            if self.serial {
                self.answers.retain(|(_, of, _)| *of != seq);
            }
            if self.is_tried_again(seq, Outcome::Timeout, false, None) {
                continue;
            }
            match self.ledger.expire(self.now) {
                Some(Expired::Reading(sample)) => self.samples.push(sample),
                other => panic!("{other:?} in place of reading {seq}"),
            }
        }
    }

    fn is_tried_again(
        &mut self,
        seq: u64,
        outcome: Outcome,
        answered: bool,
        not_before: Option<Tick>,
    ) -> bool {
        let end = AttemptEnd { seq, outcome, at: self.now, answered, not_before };
        match self.retries.sequel(&self.ledger, &end, |number| f64::from(number) / 100.0) {
            Sequel::Next(at) => {
                let reason = Reason::new(Code::word("trial"), "a failed attempt");
                self.ledger.rest(seq, answered, NextAttempt { at, outcome, reason }, NONE);
                true
            }
            Sequel::Denied(_) => {
                self.denied += 1;
                false
            }
            Sequel::Nothing => false,
        }
    }

    fn send(&mut self) {
        loop {
            let (seq, number) = if let Some(resting) = self.ledger.take_due(self.now) {
                let (_, number) = resting.due();
                let seq = resting.reading().seq;
                self.ledger.start_again(resting, self.now, NONE);
                (seq, number)
            } else if let Some((next, _)) = self.ledger.take_next() {
                let seq = next.reading.seq;
                self.ledger.start(next, self.now, NONE);
                self.retries.earn();
                (seq, 1)
            } else {
                return;
            };
            self.begun.push((seq, number, self.now));
            if let Some(reply) = (self.server)(seq, number) {
                self.answers.push((self.now.plus_ns(reply.after_ms * MS), seq, reply));
            }
        }
    }

    fn begun_ms(&self) -> Vec<u64> {
        self.begun.iter().map(|(_, _, at)| at.0 / MS).collect()
    }
}

fn policy() -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        on: RetryCauses { shed: true, timeout: true, error: true },
        first: Span::from_ms(100),
        factor: 2.0,
        max: Span::from_ms(1_000),
        jitter: 0.0,
        budget: None,
        honour_retry_after: true,
        timeout: Span::from_ms(200),
        deadline: Span::from_ms(1_000),
    }
}

/// Fails by shedding until attempt `after`, and is quick.
fn recovering(after: u8) -> impl Fn(u64, u8) -> Option<Reply> {
    move |_, number| if number > after { ok(10) } else { shed(10) }
}

/// A policy and a server; when attempts began, how and when the reading ended, and its service time, in milliseconds.
type Case<'c> = (RetryPolicy, Server<'c>, &'c [u64], (Outcome, u64, u64));

#[test]
fn attempts_begin_and_readings_end_exactly_when_policy_and_server_say() {
    let plain = policy();
    let busy = |after_ms, asked_ms| Some(Reply { after_ms, outcome: Outcome::Shed, asked_ms });
    let asking = move |_, number| if number == 1 { busy(10, Some(500)) } else { ok(10) };
    let closed = move |_, number| if number == 1 { busy(10, Some(1_000)) } else { ok(10) };
    let reset = Outcome::Error(ErrorKind::Reset);
    let failing = Some(Reply { after_ms: 1, outcome: reset, asked_ms: None });
    let error = move |_, number| if number > 2 { ok(10) } else { failing };
    let only = |shed, timeout, error| RetryPolicy { on: RetryCauses { shed, timeout, error }, ..plain };
    let table: &[Case<'_>] = &[
        (plain, &|_, _| ok(10), &[0], (Outcome::Ok, 10, 10)),
        (plain, &recovering(1), &[0, 110], (Outcome::Ok, 120, 10)),
        (plain, &recovering(2), &[0, 110, 320], (Outcome::Ok, 330, 10)),
        (plain, &recovering(3), &[0, 110, 320], (Outcome::Shed, 330, 10)),
        (plain, &error, &[0, 101, 302], (Outcome::Ok, 312, 10)),
        (plain, &|_, _| None, &[0, 300, 700], (Outcome::Timeout, 900, 200)),
        (RetryPolicy { attempts: 1, ..plain }, &|_, _| None, &[0], (Outcome::Timeout, 200, 200)),
        // No attempt begins at the deadline or after it, and none goes on beyond it.
        (RetryPolicy { attempts: 9, ..plain }, &|_, _| None, &[0, 300, 700], (Outcome::Timeout, 900, 200)),
        (
            RetryPolicy { timeout: Span::from_ms(350), ..plain },
            &|_, _| None,
            &[0, 450],
            (Outcome::Timeout, 800, 350),
        ),
        (
            RetryPolicy { timeout: Span::from_ms(500), ..plain },
            &|_, _| None,
            &[0, 600],
            (Outcome::Timeout, 1_000, 400),
        ),
        (RetryPolicy { jitter: 1.0, ..plain }, &recovering(2), &[0, 109, 315], (Outcome::Ok, 325, 10)),
        (
            RetryPolicy { max: Span::from_ms(100), ..plain },
            &recovering(2),
            &[0, 110, 220],
            (Outcome::Ok, 230, 10),
        ),
        (RetryPolicy { factor: 1.0, ..plain }, &recovering(2), &[0, 110, 220], (Outcome::Ok, 230, 10)),
        (plain, &asking, &[0, 510], (Outcome::Ok, 520, 10)),
        (RetryPolicy { honour_retry_after: false, ..plain }, &asking, &[0, 110], (Outcome::Ok, 120, 10)),
        (plain, &closed, &[0], (Outcome::Shed, 10, 10)),
        (only(false, true, true), &recovering(1), &[0], (Outcome::Shed, 10, 10)),
        (only(true, false, true), &|_, _| None, &[0], (Outcome::Timeout, 200, 200)),
        (only(true, true, false), &error, &[0], (reset, 1, 1)),
        (RetryPolicy { budget: Some(0.0), ..plain }, &recovering(1), &[0], (Outcome::Shed, 10, 10)),
        // The answer to an attempt that had timed out is an answer all the same: before the next attempt, and after it.
        (plain, &|_, _| ok(250), &[0], (Outcome::Ok, 250, 250)),
        (plain, &|_, _| ok(350), &[0, 300], (Outcome::Ok, 350, 50)),
    ];
    for (nth, (policy, server, begun, (outcome, end, service))) in table.iter().enumerate() {
        let trial = Trial::new(*policy, 1, false, *server).run(&[Tick::ZERO], Tick(5_000 * MS));
        assert_eq!(trial.begun_ms(), *begun, "case {nth}");
        let [sample] = trial.samples.as_slice() else { panic!("case {nth}: {:?}", trial.samples) };
        let times = (sample.completed.0 / MS, sample.service_time_ns().unwrap() / MS);
        assert_eq!((sample.outcome, times.0, times.1), (*outcome, *end, *service), "case {nth}");
        assert_eq!(usize::from(sample.attempts), begun.len(), "case {nth}");
        assert_eq!(sample.pacing_lag_ns(), Some(0), "case {nth}");
    }
}

#[test]
fn a_connection_that_ends_with_its_attempt_brings_no_late_answer() {
    let trial = Trial::new(policy(), 1, true, &|_, _| ok(250)).run(&[Tick::ZERO], Tick(5_000 * MS));
    assert_eq!(trial.begun_ms(), [0, 300, 700]);
    assert_eq!((trial.samples[0].outcome, trial.findings.len()), (Outcome::Timeout, 0));
}

#[test]
fn a_reading_to_be_sent_again_keeps_its_place_in_flight() {
    // The second reading waits for the first, which is sent twice, and its wait is the service's.
    let server = recovering(1);
    let trial = Trial::new(policy(), 1, false, &server).run(&[Tick::ZERO, Tick(50 * MS)], Tick(5_000 * MS));
    assert_eq!(trial.begun_ms(), [0, 110, 120, 230]);
    let second = &trial.samples[1];
    assert_eq!((second.seq, second.attempts, second.response_time_ns()), (2, 2, 190 * MS));
    let pipelined =
        Trial::new(policy(), 2, false, &server).run(&[Tick::ZERO, Tick(50 * MS)], Tick(5_000 * MS));
    assert_eq!(pipelined.begun_ms(), [0, 50, 110, 160]);
}

#[test]
fn what_the_device_itself_doubles_is_no_duplicate_and_what_it_sends_late_not_out_of_order() {
    // Each attempt is answered after 350 ms, 150 ms after its time-out.
    let twice = Trial::new(policy(), 4, false, &|_, _| ok(350)).run(&[Tick::ZERO], Tick(5_000 * MS));
    assert_eq!(twice.findings, [AuditFinding::Resent]);
    // Three attempts time out and are answered after the deadline.
    let late = Trial::new(policy(), 4, false, &|_, _| ok(1_500)).run(&[Tick::ZERO], Tick(5_000 * MS));
    assert_eq!(late.samples[0].outcome, Outcome::Timeout);
    assert_eq!(late.findings, [AuditFinding::Late, AuditFinding::Resent, AuditFinding::Resent]);

    let mut book = Ledger::new(FleetId(0), 0, 1_000 * MS, 4, 4).with_retry(200 * MS);
    for seq in 1..=2 {
        let reading = Reading { seq, intended: Tick::ZERO, values: Values::One(0.0), mark: None };
        assert_eq!(book.due(PhaseId(0), reading, true, Tick::ZERO, NONE), None);
        let (next, _) = book.take_next().unwrap();
        book.start(next, Tick::ZERO, NONE);
    }
    let next = |at| NextAttempt {
        at: Tick(at),
        outcome: Outcome::Shed,
        reason: Reason::new(Code::word("trial"), "a failed attempt"),
    };
    book.rest(1, true, next(50), NONE);
    // The attempt has been answered: one more answer is the service's own.
    assert_eq!(book.close(1, Outcome::Ok.into(), Tick(20)), Settled::AuditFinding(AuditFinding::Duplicated));
    assert!(matches!(book.close(2, Outcome::Ok.into(), Tick(30)), Settled::Closed { reordered: false, .. }));
    let resting = book.take_due(Tick(50)).unwrap();
    book.start_again(resting, Tick(50), NONE);
    assert!(matches!(book.close(1, Outcome::Ok.into(), Tick(60)), Settled::Closed { reordered: false, .. }));
    assert_eq!(book.close(1, Outcome::Ok.into(), Tick(70)), Settled::AuditFinding(AuditFinding::Duplicated));
}

#[test]
fn the_lateness_of_a_further_attempt_runs_from_when_it_was_due_and_could_be_sent() {
    // (when it was due, when the device was able to send, when it did) → (backlog wait, pacing lag)
    for (due, unblocked, actual, wait, lag) in
        [(300, 0, 310, 300, 10), (300, 350, 351, 350, 1), (300, 0, 300, 300, 0)]
    {
        let mut book = Ledger::new(FleetId(0), 0, 1_000 * MS, 1, 4).with_retry(200 * MS);
        let reading = Reading { seq: 1, intended: Tick::ZERO, values: Values::One(0.0), mark: None };
        assert_eq!(book.due(PhaseId(0), reading, true, Tick::ZERO, NONE), None);
        let (first, _) = book.take_next().unwrap();
        book.start(first, Tick::ZERO, NONE);
        let reason = Reason::new(Code::word("trial"), "a failed attempt");
        book.rest(1, true, NextAttempt { at: Tick(due), outcome: Outcome::Shed, reason }, NONE);
        assert!(!book.is_settled() && book.is_idle());
        assert_eq!((book.next_wanted(), book.rests_until()), (Some(Tick(due)), Some(Tick(due))));
        book.unblock(Tick(unblocked));
        assert!(book.take_due(Tick(due - 1)).is_none());
        let resting = book.take_due(Tick(actual)).unwrap();
        book.start_again(resting, Tick(actual), NONE);
        let Settled::Closed { sample, .. } = book.close(1, Outcome::Ok.into(), Tick(400)) else { panic!() };
        assert_eq!((sample.backlog_wait_ns(), sample.pacing_lag_ns()), (Some(wait), Some(lag)));
        assert_eq!((sample.response_time_ns(), sample.service_time_ns()), (400, Some(400 - actual)));
    }
}

/// What each attempt meets, drawn once and looked up by reading and attempt.
fn replies() -> impl Strategy<Value = Vec<Option<Reply>>> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Ok),
        3 => Just(Outcome::Shed),
        1 => Just(Outcome::Error(ErrorKind::Status)),
    ];
    let reply = (0_u64..700, outcome, prop::option::weighted(0.2, 0_u64..900))
        .prop_map(|(after_ms, outcome, asked_ms)| Reply { after_ms, outcome, asked_ms });
    prop::collection::vec(prop::option::weighted(0.8, reply), 8..24)
}

prop_compose! {
    fn policies()(
        attempts in 1_u8..6, on in any::<[bool; 3]>(), first in 0_u64..300, factor in 1.0_f64..4.0, jitter in 0.0_f64..=1.0,
        budget in prop::option::of(0.0_f64..=1.0), honour_retry_after in any::<bool>(), (deadline, share) in (1_u64..1_500, 0.01_f64..=1.0),
    ) -> RetryPolicy {
        RetryPolicy {
            attempts,
            on: RetryCauses { shed: on[0], timeout: on[1], error: on[2] },
            first: Span::from_ms(first),
            factor,
            max: Span::from_ms(400),
            jitter,
            budget,
            honour_retry_after,
            timeout: Span::from_ns((share * (deadline * MS) as f64) as u64 + 1),
            deadline: Span::from_ms(deadline),
        }
    }
}

/// The account of one trial: every reading ends once, attempts add up, and each answer is somebody's.
fn check(policy: &RetryPolicy, due: &[Tick], trial: &Trial<'_>) -> Result<(), TestCaseError> {
    let mut by_reading: BTreeMap<u64, Vec<(u8, Tick)>> = BTreeMap::new();
    for (seq, number, at) in &trial.begun {
        by_reading.entry(*seq).or_default().push((*number, *at));
    }
    prop_assert_eq!(trial.samples.len(), due.len());
    for sample in &trial.samples {
        let begun = by_reading.remove(&sample.seq).unwrap_or_default();
        prop_assert_eq!(usize::from(sample.attempts), begun.len());
        prop_assert!(sample.attempts <= policy.attempts);
        prop_assert!(begun.iter().map(|(number, _)| *number).eq(1..=sample.attempts));
        prop_assert_eq!(sample.actual, begun.last().map(|(_, at)| *at));
        let deadline = policy.deadline_of(sample.intended);
        prop_assert!(begun.iter().skip(1).all(|(_, at)| *at < deadline));
        prop_assert!(sample.attempts <= 1 || sample.completed <= deadline || sample.outcome == Outcome::Lost);
        if let (Some(eligible), Some(actual)) = (sample.eligible, sample.actual) {
            prop_assert!(sample.intended <= eligible && eligible <= actual && actual <= sample.completed);
        }
    }
    prop_assert!(by_reading.is_empty());
    let (first, all) = (trial.begun.iter().filter(|(_, number, _)| *number == 1).count(), trial.begun.len());
    if let Some(share) = policy.budget {
        prop_assert!((all - first) as f64 <= share * first as f64 + 10.0 + 1e-3);
    }
    // The server answers no attempt twice.
    let found = |finding| trial.findings.iter().filter(|found| **found == finding).count();
    let (late, resent) = (found(AuditFinding::Late), found(AuditFinding::Resent));
    prop_assert_eq!(late + resent, trial.findings.len());
    prop_assert_eq!(trial.answered, trial.failed + trial.closed + late + resent);
    prop_assert!(trial.closed + late <= due.len(), "an answer to a reading that has one is no first");
    prop_assert!(resent <= all - first, "no more than there were retries");
    Ok(())
}

const END: Tick = Tick(4_000 * MS);

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, max_shrink_iters: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_reading_ends_once_and_every_attempt_and_answer_is_accounted_for(
        policy in policies(), replies in replies(), in_flight in 1_u32..4, serial in any::<bool>(),
        gaps in prop::collection::vec(0_u64..400, 1..7),
    ) {
        let due: Vec<Tick> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(Tick(*at * MS)) }).collect();
        let server = |seq: u64, number: u8| replies[(seq as usize * 5 + usize::from(number)) % replies.len()];
        let in_flight = if serial { 1 } else { in_flight };
        let trial = Trial::new(policy, in_flight, serial, &server).run(&due, END);
        check(&policy, &due, &trial)?;
    }
}
