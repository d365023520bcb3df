//! The book of a device, by tables and by chance.

use super::*;
use crate::fleet::Values;
use crate::record::ErrorKind;

const PHASE: PhaseId = PhaseId(1);
const MS: u64 = 1_000_000;
const NONE: WaitTotals = WaitTotals { own_ns: 0, plan_ns: 0 };

fn reading(seq: u64, intended: u64) -> Reading {
    Reading { seq, intended: Tick(intended), values: Values::One(0.0), mark: None }
}

fn ledger(in_flight: u32, backlog: u32) -> Ledger {
    Ledger::new(FleetId(0), 7, 100 * MS, in_flight, backlog)
}

/// Takes in and at once sends a reading.
fn send(ledger: &mut Ledger, seq: u64, intended: u64, actual: u64) {
    assert_eq!(ledger.due(PHASE, reading(seq, intended), true, Tick(actual), NONE), None);
    let (next, _) = ledger.take_next().expect("room for the reading");
    ledger.start(next, Tick(actual), NONE);
}

fn expired(ledger: &mut Ledger, now: u64) -> Option<Sample> {
    match ledger.expire(Tick(now))? {
        Expired::Reading(sample) => Some(sample),
        Expired::Repeat => panic!("a repeat is not a reading"),
    }
}

fn closed(settled: Settled) -> (Sample, bool) {
    match settled {
        Settled::Closed { sample, reordered } => (sample, reordered),
        other => panic!("not closed: {other:?}"),
    }
}

#[test]
fn lag_is_split_between_the_generator_and_the_service() {
    // (intended, released, unblocked, actual) → (backlog wait, pacing lag)
    for (intended, released, unblocked, actual, wait, lag) in [
        (100, 130, 0, 130, 0, 30),     // the device was free: all lateness is ours
        (100, 100, 400, 410, 300, 10), // the device was blocked until 400
        (100, 100, 50, 100, 0, 0),
        (100, 180, 190, 200, 10, 90), // we stood still until 180, and the device then sent what was due before
        (100, 180, 500, 510, 320, 90),
    ] {
        let mut book = ledger(1, 4);
        assert_eq!(book.due(PHASE, reading(1, intended), true, Tick(released), NONE), None);
        book.unblock(Tick(unblocked));
        let (next, _) = book.take_next().unwrap();
        book.start(next, Tick(actual), NONE);
        let (sample, _) = closed(book.close(1, Outcome::Ok.into(), Tick(1_000)));
        assert_eq!(sample.backlog_wait_ns(), Some(wait));
        assert_eq!(sample.pacing_lag_ns(), Some(lag));
        assert_eq!(sample.response_time_ns(), 1_000 - intended);
        assert_eq!(sample.service_time_ns(), Some(1_000 - actual));
    }
}

#[test]
fn what_a_reading_waited_for_is_what_came_on_top_while_it_waited() {
    let waited = |own_ns, plan_ns| WaitTotals { own_ns, plan_ns };
    // Due at 100 and sent at 1,000, the device blocked until 900; what it had waited by then → own, plan, service.
    for (before, so_far, own, plan, service) in [
        (NONE, NONE, 0, 0, 800),
        (waited(500, 40), waited(500, 40), 0, 0, 800),
        (waited(500, 40), waited(700, 90), 200, 50, 550),
        (waited(500, 40), waited(2_500, 90), 800, 0, 0),
        (waited(0, 0), waited(300, 2_000), 300, 500, 0),
    ] {
        let mut book = ledger(1, 4);
        assert_eq!(book.due(PHASE, reading(1, 100), false, Tick(100), before), None);
        book.unblock(Tick(900));
        let (next, _) = book.take_next().unwrap();
        book.start(next, Tick(1_000), so_far);
        let (sample, _) = closed(book.close(1, Outcome::Ok.into(), Tick(1_500)));
        assert_eq!((sample.own_wait_ns, sample.plan_wait_ns), (own, plan));
        assert_eq!(sample.service_wait_ns(), Some(service));
        assert_eq!(sample.backlog_wait_ns(), Some(800));
    }
}

#[test]
fn a_pause_with_readings_in_flight_is_theirs_too_and_a_recalled_one_keeps_its_waits() {
    let mut book = ledger(2, 4);
    send(&mut book, 1, 10, 10);
    send(&mut book, 2, 10, 10);
    book.delay(40);
    let (sample, _) = closed(book.close(1, Outcome::Ok.into(), Tick(100)));
    assert_eq!((sample.own_wait_ns, sample.backlog_wait_ns()), (40, Some(0)));
    book.recall(WaitTotals { own_ns: 500, plan_ns: 0 });
    book.unblock(Tick(90));
    let (next, again) = book.take_next().unwrap();
    book.start(next, Tick(95), WaitTotals { own_ns: 520, plan_ns: 0 });
    let (sample, _) = closed(book.close(2, Outcome::Ok.into(), Tick(100)));
    assert_eq!((again, sample.own_wait_ns, sample.backlog_wait_ns()), (true, 60, Some(80)));
}

#[test]
fn a_full_backlog_drops_the_newest_and_an_idle_device_needs_none() {
    let mut book = ledger(1, 1);
    send(&mut book, 1, 10, 10);
    assert_eq!(book.due(PHASE, reading(2, 20), false, Tick(20), NONE), None);
    let dropped = book.due(PHASE, reading(3, 30), false, Tick(31), NONE).expect("the backlog is full");
    assert_eq!((dropped.outcome, dropped.intended, dropped.actual), (Outcome::Dropped, Tick(30), None));
    assert!(book.take_next().is_none(), "the in-flight limit holds");

    let mut unbuffered = ledger(2, 0);
    assert_eq!(unbuffered.due(PHASE, reading(1, 10), true, Tick(10), NONE), None);
    assert_eq!(unbuffered.due(PHASE, reading(2, 10), true, Tick(10), NONE), None);
    assert!(unbuffered.due(PHASE, reading(3, 10), true, Tick(10), NONE).is_some());
}

#[test]
fn the_audit_tells_duplicates_reordering_late_and_stray_answers_apart() {
    let mut book = ledger(8, 8);
    for seq in 1..=4 {
        send(&mut book, seq, seq, seq);
    }
    assert!(!closed(book.close(2, Outcome::Ok.into(), Tick(10))).1);
    assert!(closed(book.close(1, Outcome::Ok.into(), Tick(11))).1, "1 came after 2");
    assert_eq!(book.close(2, Outcome::Ok.into(), Tick(12)), Settled::AuditFinding(AuditFinding::Duplicated));
    assert_eq!(expired(&mut book, 3 + 100 * MS).map(|s| s.outcome), Some(Outcome::Timeout));
    assert_eq!(book.close(3, Outcome::Ok.into(), Tick(200 * MS)), Settled::AuditFinding(AuditFinding::Late));
    assert_eq!(
        book.close(3, Outcome::Ok.into(), Tick(201 * MS)),
        Settled::AuditFinding(AuditFinding::Duplicated)
    );
    assert_eq!(book.close(99, Outcome::Ok.into(), Tick(202 * MS)), Settled::Stray);
    assert!(!closed(book.close(4, Outcome::Ok.into(), Tick(203 * MS))).1);
    assert!(book.is_settled());
}

#[test]
fn a_reading_sent_twice_ends_once_and_its_second_answer_is_a_duplicate() {
    let mut book = ledger(4, 8);
    send(&mut book, 1, 10, 10);
    book.start_repeat(PHASE, reading(1, 10), Tick(12));
    send(&mut book, 2, 20, 20);
    assert!(!closed(book.close(1, Outcome::Ok.into(), Tick(30))).1);
    assert!(!book.is_settled(), "the repeat is still under way");
    assert_eq!(book.close(1, Outcome::Ok.into(), Tick(31)), Settled::AuditFinding(AuditFinding::Duplicated));
    assert!(!closed(book.close(2, Outcome::Ok.into(), Tick(32))).1);
    assert!(book.is_settled());

    send(&mut book, 3, 40, 40);
    book.start_repeat(PHASE, reading(3, 40), Tick(41));
    closed(book.close(3, Outcome::Ok.into(), Tick(42)));
    assert_eq!(
        book.expire(Tick(41 + 100 * MS)),
        Some(Expired::Repeat),
        "it must not block the device for ever"
    );
    assert!(book.is_settled());
}

#[test]
fn what_a_cut_interrupts_is_sent_again_in_its_old_order_before_anything_newer() {
    let mut book = ledger(4, 8);
    for seq in 1..=3 {
        send(&mut book, seq, seq, seq);
    }
    book.start_repeat(PHASE, reading(1, 1), Tick(5));
    assert_eq!(book.due(PHASE, reading(4, 6), false, Tick(6), NONE), None);
    closed(book.close(2, Outcome::Ok.into(), Tick(7)));
    book.recall(NONE);
    assert_eq!(book.next_intended(), Some(Tick(1)));
    let order: Vec<(u64, bool)> =
        std::iter::from_fn(|| book.take_next()).map(|(next, again)| (next.reading.seq, again)).collect();
    assert_eq!(order, [(1, true), (3, true), (4, false)]);
    assert!(book.is_settled());
}

#[test]
fn time_outs_run_from_the_actual_start_and_only_when_due() {
    let mut book = ledger(2, 8);
    send(&mut book, 1, 10, 50);
    send(&mut book, 2, 20, 60);
    assert_eq!(book.next_expiry(), Some(Tick(50 + 100 * MS)));
    assert_eq!(book.expire(Tick(49 + 100 * MS)), None);
    let sample = expired(&mut book, 50 + 100 * MS).expect("the first is due");
    assert_eq!((sample.outcome, sample.intended), (Outcome::Timeout, Tick(10)));
    assert_eq!(book.next_expiry(), Some(Tick(60 + 100 * MS)));
}

mod identity {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Due { can_send: bool },
        Send,
        Answer(u64),
        Expire,
        Break,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<bool>().prop_map(|can_send| Step::Due { can_send }),
            Just(Step::Send),
            (0_u64..60).prop_map(Step::Answer),
            Just(Step::Expire),
            Just(Step::Break),
        ]
    }

    proptest! {
        /// Every reading that came due ends exactly once, whatever happens in between.
        #[test]
        fn planned_is_the_sum_of_the_outcomes(
            steps in proptest::collection::vec(step(), 0..300), in_flight in 1_u32..6, backlog in 0_u32..6,
        ) {
            let mut book = ledger(in_flight, backlog);
            let (mut planned, mut ended, mut now) = (0_u64, 0_u64, 0_u64);
            for step in steps {
                now += 30 * MS;
                match step {
                    Step::Due { can_send } => {
                        planned += 1;
                        let can_send = can_send && book.has_room();
                        ended += u64::from(book.due(PHASE, reading(planned, now), can_send, Tick(now), NONE).is_some());
                    }
                    Step::Send => {
                        if let Some((next, _)) = book.take_next() {
                            book.start(next, Tick(now), NONE);
                        }
                    }
                    Step::Answer(seq) => {
                        let settled = book.close(seq, Outcome::Ok.into(), Tick(now));
                        ended += u64::from(matches!(settled, Settled::Closed { .. }));
                    }
                    Step::Expire => while book.expire(Tick(now)).is_some() { ended += 1; },
                    Step::Break => {
                        let kind = Outcome::Error(ErrorKind::Reset);
                        while book.give_up(kind, Tick(now)).is_some() { ended += 1; }
                    }
                }
                prop_assert!(book.in_flight.len() <= in_flight as usize);
                prop_assert!(book.backlog.len() <= (backlog + in_flight) as usize);
            }
            while book.lose(Tick(now)).is_some() { ended += 1; }
            prop_assert_eq!(planned, ended);
            prop_assert!(book.is_settled());
        }
    }
}
