//! The order of jobs under made-up instants, and jobs of a whole service across crashes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::board::{Attempt, Board, Ended, Order};
use super::report::{State, Submitter};
use super::schedule::Schedule;
use super::{Filter, Heard, Jobs, Submitted};
use crate::clock::{Monotonic, Tick};
use crate::reference::metric::Metrics;
use crate::reference::processor::Shared;
use crate::seed::Seed;
use crate::seed::variate::uniform;
use crate::service::{Backoff, JobClass, Jobs as Setup, Priority, Setup as Service, Work, Workers};
use crate::units::Span;

const SECOND: u64 = 1_000_000_000;

fn class(name: &str) -> JobClass {
    JobClass::named(name)
}

fn board(classes: Vec<JobClass>) -> Board {
    Board::new(&Setup { classes, ..Setup::default() })
}

fn order(class: usize) -> Order {
    Order { class, by: Submitter::Request, priority: None, key: None, about: None }
}

fn keyed(key: &str) -> Order {
    Order { key: Some(key.into()), ..order(0) }
}

fn secs(secs: u64) -> Tick {
    Tick(secs * SECOND)
}

/// Runs one job whose tries all fail, each of them in no time: when each try began, and how the last ended.
fn tries_of_a_failing_job(board: &mut Board, number: u64) -> (Vec<Tick>, Ended) {
    let (mut now, mut began) = (Tick::ZERO, Vec::new());
    loop {
        let attempt = board.take(now).expect("a try is due");
        assert_eq!((attempt.number, attempt.nth as usize), (number, began.len() + 1));
        began.push(now);
        match board.finish(number, Err("on purpose"), now) {
            Ended::Retry(due) => {
                if due > now {
                    assert_eq!(board.take(Tick(due.0 - 1)), None, "no try is early");
                }
                assert_eq!(board.next_due(), Some(due));
                now = due;
            }
            ended => return (began, ended),
        }
    }
}

#[test]
fn waits_between_tries_double_up_to_their_bound() {
    let backoff = |first, longest| Backoff {
        first: Span::from_ms(first),
        longest: Span::from_ms(longest),
        jitter: 0.0,
    };
    for (tries, backoff, expected_ms) in [
        (1, backoff(1_000, 60_000), vec![0]),
        (3, backoff(1_000, 60_000), vec![0, 1_000, 3_000]),
        (6, backoff(1_000, 5_000), vec![0, 1_000, 3_000, 7_000, 12_000, 17_000]),
        (3, backoff(0, 0), vec![0, 0, 0]),
        (4, backoff(250, 250), vec![0, 250, 500, 750]),
    ] {
        let mut board = board(vec![JobClass { tries, backoff, ..class("email") }]);
        board.submit(order(0), Tick::ZERO);
        let (began, ended) = tries_of_a_failing_job(&mut board, 1);
        let expected: Vec<Tick> = expected_ms.into_iter().map(|ms: u64| Tick(ms * 1_000_000)).collect();
        assert_eq!((began, ended), (expected, Ended::Dead));
        let tally = board.tallies()[0];
        assert_eq!((tally.failures, tally.dead, tally.done), (u64::from(tries), 1, 0));
        assert_eq!((tally.waiting, tally.running), (0, 0));
    }
}

#[test]
fn a_seeded_failing_job_goes_by_the_computed_table() {
    let backoff = Backoff { first: Span::from_ms(1_000), longest: Span::from_ms(6_000), jitter: 0.5 };
    let failing = JobClass { tries: 5, failure: 0.7, backoff, ..class("email") };
    let (seed, mut outcomes) = (7, BTreeMap::<(bool, usize), u32>::new());
    let mut board = Board::new(&Setup { seed, classes: vec![failing], ..Setup::default() });
    for number in 1..=200 {
        // The table, reckoned from the two streams of the job.
        let mut draws = ["job failure", "job back-off"].map(|label| Seed(seed).stream(label, number));
        let (mut at, mut table, mut is_done) = (Tick::ZERO, Vec::new(), false);
        for doubled in [1.0, 2.0, 4.0, 6.0, 6.0] {
            table.push(at);
            is_done = uniform(&mut draws[0]) > 0.7;
            if is_done {
                break;
            }
            at = at.plus_ns((doubled * 1e9 * (1.0 - 0.5 * uniform(&mut draws[1]))) as u64);
        }
        // What happens.
        board.submit(order(0), Tick::ZERO);
        let (mut now, mut began) = (Tick::ZERO, Vec::new());
        let ended = loop {
            let attempt = board.take(now).expect("a try is due");
            began.push(now);
            let fails = super::chance::fails(seed, number, attempt.nth, 0.7);
            match board.finish(number, if fails { Err("on purpose") } else { Ok(()) }, now) {
                Ended::Retry(due) => now = due,
                ended => break ended,
            }
        };
        assert_eq!(
            (&began, ended),
            (&table, if is_done { Ended::Done } else { Ended::Dead }),
            "job {number}"
        );
        *outcomes.entry((is_done, began.len())).or_default() += 1;
    }
    // 0.7⁵ of the jobs die: 33.6 of 200, with a standard deviation of 5.3.
    let dead = outcomes[&(false, 5)];
    assert!((13..=54).contains(&dead), "{outcomes:?}");
    assert_eq!(outcomes.len(), 6, "every way to end is met with: {outcomes:?}");
}

#[test]
fn the_most_urgent_job_is_next_and_the_first_among_equals() {
    let urgent = JobClass { priority: Priority::High, ..class("urgent") };
    let mut board = board(vec![class("usual"), urgent]);
    board.submit(order(0), Tick::ZERO);
    board.submit(order(0), Tick::ZERO);
    board.submit(order(1), Tick::ZERO);
    board.submit(Order { priority: Some(Priority::Critical), ..order(0) }, Tick::ZERO);
    board.submit(Order { priority: Some(Priority::Low), ..order(1) }, Tick::ZERO);
    let numbers: Vec<u64> = std::iter::from_fn(|| board.take(Tick::ZERO)).map(|next| next.number).collect();
    assert_eq!(numbers, [4, 3, 1, 2, 5]);
}

#[test]
fn no_more_jobs_wait_than_their_class_has_room_for() {
    let mut board = board(vec![JobClass { capacity: 2, ..class("a") }, class("b")]);
    let submitted: Vec<Submitted> = (0..3).map(|_| board.submit(order(0), Tick::ZERO)).collect();
    assert_eq!(submitted, [Submitted::New(1), Submitted::New(2), Submitted::Full]);
    assert_eq!(
        board.submit(order(1), Tick::ZERO),
        Submitted::New(3),
        "classes do not take each other's room"
    );
    board.take(Tick::ZERO);
    assert_eq!(board.submit(order(0), Tick::ZERO), Submitted::New(4), "one at work does not wait");
    assert_eq!(board.tallies()[0].refused, 1);
}

#[test]
fn a_key_stands_for_one_job_until_that_is_dead_or_forgotten() {
    let setup = Setup { history: 1, classes: vec![JobClass { tries: 1, ..class("a") }], ..Setup::default() };
    let mut board = Board::new(&setup);
    let run = |board: &mut Board, outcome| {
        let number = board.take(Tick::ZERO).unwrap().number;
        board.finish(number, outcome, Tick::ZERO);
    };
    assert_eq!(board.submit(keyed("k"), Tick::ZERO), Submitted::New(1));
    assert_eq!(board.submit(keyed("k"), Tick::ZERO), Submitted::Known(1));
    run(&mut board, Ok(()));
    assert_eq!(board.submit(keyed("k"), Tick::ZERO), Submitted::Known(1), "it is done, and not done again");
    assert_eq!(board.submit(keyed("other"), Tick::ZERO), Submitted::New(2));
    run(&mut board, Ok(()));
    assert_eq!(board.submit(keyed("k"), Tick::ZERO), Submitted::New(3), "of the first no more is known");
    run(&mut board, Err("broken"));
    assert_eq!(
        board.submit(keyed("k"), Tick::ZERO),
        Submitted::New(4),
        "whoever submits a dead one again means it"
    );
    let letters: Vec<_> =
        board.dead_letters(9).map(|job| (job.number, job.reason.clone().unwrap())).collect();
    assert_eq!(letters, [(3, "broken".into())]);
}

#[test]
fn what_is_over_is_kept_up_to_its_bounds() {
    let classes = vec![JobClass { tries: 1, ..class("a") }];
    let mut board = Board::new(&Setup { history: 2, dead_letters: 3, classes, ..Setup::default() });
    for number in 1..=10 {
        board.submit(order(0), Tick::ZERO);
        board.take(Tick::ZERO).unwrap();
        board.finish(number, if number % 2 == 0 { Err("even") } else { Ok(()) }, Tick::ZERO);
    }
    let known: Vec<u64> = (1..=10).filter(|number| board.find(*number).is_some()).collect();
    assert_eq!(known, [6, 7, 8, 9, 10]);
    assert_eq!(board.dead_letters(2).map(|job| job.number).collect::<Vec<_>>(), [10, 8]);
}

#[test]
fn a_crash_costs_no_try_and_no_second_effect_unless_that_is_allowed() {
    for (idempotent, effects) in [(true, 1), (false, 2)] {
        let mut board = board(vec![JobClass { tries: 1, idempotent, ..class("a") }]);
        board.submit(order(0), Tick::ZERO);
        let before = board.take(Tick::ZERO).unwrap();
        assert!(board.crash(1, secs(1)));
        let again = board.take(secs(1)).unwrap();
        assert_eq!((again, again.is_settled), (before, false), "nothing had come of it");
        board.settle(1);
        assert!(board.crash(1, secs(2)));
        let last = board.take(secs(2)).unwrap();
        assert_eq!(last, Attempt { is_settled: idempotent, ..before });
        if !last.is_settled {
            board.settle(1);
        }
        assert_eq!(board.finish(1, Ok(()), secs(3)), Ended::Done);
        let tally = board.tallies()[0];
        assert_eq!((tally.effects, tally.crashes, tally.done, tally.failures), (effects, 2, 1, 0));
    }
}

#[test]
fn a_job_that_makes_workers_crash_again_and_again_is_a_dead_letter() {
    let mut board = board(vec![class("a")]);
    board.submit(order(0), Tick::ZERO);
    let crashes = std::iter::from_fn(|| board.take(Tick::ZERO).map(|_| board.crash(1, Tick::ZERO))).count();
    let job = board.find(1).unwrap();
    assert_eq!((crashes, job.state, job.crashes), (10, State::Dead, 10));
    assert!(job.reason.as_ref().unwrap().contains("10 workers crashed"));
}

#[test]
fn schedules_keep_their_grid_and_make_up_for_what_was_missed_once() {
    let every = |name, secs: u64| JobClass { every: Some(Span::from_ms(secs * 1_000)), ..class(name) };
    let mut schedule = Schedule::new(&[every("a", 10), class("none"), every("b", 25)]);
    let due: Vec<(u64, Vec<usize>)> =
        [0, 9, 10, 11, 20, 25, 95, 99, 100].into_iter().map(|at| (at, schedule.due(secs(at)))).collect();
    let expected = [
        (0, vec![]),
        (9, vec![]),
        (10, vec![0]),
        (11, vec![]),
        (20, vec![0]),
        (25, vec![2]),
        (95, vec![0, 2]),
        (99, vec![]),
        (100, vec![0, 2]),
    ];
    assert_eq!(due, expected);
    assert_eq!(schedule.next(), Some(secs(110)));
    assert_eq!(Schedule::new(&[class("none")]).next(), None);
}

#[test]
fn the_schedule_leaves_a_job_out_while_one_of_its_class_is_open() {
    let mut board = board(vec![class("a"), class("b")]);
    assert_eq!(board.submit_scheduled(0, Tick::ZERO), Some(1));
    assert_eq!(board.submit_scheduled(0, secs(1)), None);
    assert_eq!(board.submit_scheduled(1, secs(1)), Some(2), "another class is another matter");
    board.take(secs(1));
    assert_eq!(board.submit_scheduled(0, secs(2)), None, "nor while it is worked on");
    board.finish(1, Ok(()), secs(2));
    assert_eq!(board.submit_scheduled(0, secs(3)), Some(3));
    assert_eq!(board.tallies()[0].skipped, 2);
}

/// Jobs of a service with these settings.
fn jobs(setup: Setup) -> Arc<Jobs> {
    let workers = Workers { restart: Span::from_ms(1), ..Workers::default() };
    let service = Service { jobs: setup, workers, ..Service::default() };
    Jobs::new(&Arc::new(Shared::new(&service, Monotonic::start(), &Arc::new(Metrics::default())).unwrap()))
}

/// Waits until nothing is open any more.
fn wait_for_the_end(jobs: &Jobs) {
    while jobs.tallies().0.iter().any(|tally| tally.waiting + tally.running > 0) {
        std::thread::yield_now();
    }
}

#[test]
fn ten_thousand_jobs_survive_crashes() {
    const JOBS: u64 = 5_000;
    // They take time, so that workers are at some when they crash.
    let cost = Span::from_ns(50_000);
    let wide = |idempotent, name| JobClass {
        capacity: 10_000,
        steps: 2,
        tries: 100,
        cost,
        idempotent,
        ..class(name)
    };
    let classes = vec![wide(true, "once"), wide(false, "at-least-once")];
    let jobs = jobs(Setup { workers: 2, history: 20_000, classes, ..Setup::default() });
    let threads = jobs.start().unwrap();
    for number in 0..JOBS {
        for class in 0..2 {
            assert!(matches!(jobs.submit(class, None, Some(&number.to_string()), None), Submitted::New(_)));
        }
        if number % 50 == 49 {
            let crashes = || jobs.figures().worker_crashes;
            let before = crashes();
            assert_eq!(jobs.crash_at_once(1), 1);
            while crashes() == before {
                std::thread::yield_now();
            }
        }
    }
    wait_for_the_end(&jobs);
    let (tallies, _) = jobs.tallies();
    for tally in &tallies {
        assert_eq!((tally.submitted, tally.done, tally.dead), (JOBS, JOBS, 0), "none is lost: {tally:?}");
    }
    assert_eq!(tallies[0].effects, JOBS, "none has its effect twice");
    assert!(tallies[1].effects >= JOBS);
    assert!(jobs.figures().worker_crashes > 0);
    assert!(tallies.iter().any(|tally| tally.crashes > 0), "some are at a job then: {tallies:?}");
    for number in 1..=2 * JOBS {
        let (text, is_over) = jobs.report(number).unwrap();
        assert!(is_over && (text.contains("\"effects\":1,") || text.contains("at-least-once")), "{text}");
    }
    jobs.stop();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn inline_and_queued_jobs_come_to_the_same() {
    let backoff = Backoff { first: Span::ZERO, longest: Span::ZERO, jitter: 0.0 };
    let classes = vec![JobClass { tries: 2, failure: 0.5, backoff, ..class("a") }];
    let ends = |workers| {
        let jobs = jobs(Setup { workers, classes: classes.clone(), ..Setup::default() });
        let threads = jobs.start().unwrap();
        assert_eq!(threads.len(), workers);
        for _ in 0..100 {
            let submitted = jobs.submit(0, None, None, None);
            if let (0, Submitted::New(number)) = (workers, submitted) {
                assert!(jobs.report(number).unwrap().1, "inline a job is over when its submission returns");
            }
        }
        wait_for_the_end(&jobs);
        jobs.stop();
        for thread in threads {
            thread.join().unwrap();
        }
        let tally = jobs.tallies().0[0];
        (tally.done, tally.dead, tally.failures, tally.effects)
    };
    let inline = ends(0);
    assert_eq!(inline, ends(2));
    assert_eq!((inline.0 + inline.1, inline.0), (100, inline.3));
    assert!(inline.1 > 0 && inline.2 > inline.1, "some fail, and some of them recover: {inline:?}");
}

#[test]
fn subscribers_hear_every_step_of_what_they_asked_for() {
    let classes = vec![JobClass { steps: 3, ..class("a") }, class("b")];
    let jobs = jobs(Setup { workers: 0, subscribers: 2, buffer: 8, classes, ..Setup::default() });
    let mut all = jobs.subscribe(Filter::default()).unwrap();
    let mut one = jobs.subscribe(Filter { job: Some(2), class: None }).unwrap();
    assert!(jobs.subscribe(Filter::default()).is_none(), "subscribers are bounded");
    jobs.submit(0, None, None, None);
    jobs.submit(1, None, Some("k"), Some("what it is about"));
    let heard = |watcher: &mut super::Watcher| {
        let mut heard = Vec::new();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        loop {
            let next = std::pin::pin!(watcher.next()).poll(&mut cx);
            match next {
                std::task::Poll::Ready(Heard::Event(event)) => {
                    let told: serde_json::Value = serde_json::from_str(&event.text).unwrap();
                    heard.push(format!(
                        "{} {} {}",
                        told["job"],
                        told["state"].as_str().unwrap(),
                        told["step"]
                    ));
                }
                std::task::Poll::Ready(Heard::Missed(count)) => heard.push(format!("missed {count}")),
                _ => return heard,
            }
        }
    };
    let first = ["1 waiting 0", "1 running 0", "1 running 1", "1 running 2", "1 done 3"];
    let second = ["2 waiting 0", "2 running 0", "2 done 1"];
    assert_eq!(heard(&mut all), [&first[..], &second[..]].concat());
    assert_eq!(heard(&mut one), second);
    for _ in 0..4 {
        jobs.submit(1, None, None, None);
    }
    assert_eq!(heard(&mut all)[0], "missed 4", "who is too slow is told how many went by");
    assert_eq!(jobs.figures().events_missed, 4);
}

#[test]
fn the_two_chores_do_their_work() {
    use crate::reference::cache::Tier;
    use crate::reference::model::Key;
    let chore = |name, does| JobClass { does, scores: 100, idle: Span::from_ns(1), ..class(name) };
    let classes = vec![chore("warm", Work::CacheWarm), chore("clean", Work::SessionCleanup)];
    let service = Service { jobs: Setup { workers: 0, classes, ..Setup::default() }, ..Service::default() };
    let shared = Arc::new(Shared::new(&service, Monotonic::start(), &Arc::new(Metrics::default())).unwrap());
    let jobs = Jobs::new(&shared);
    let key = Key { version: shared.cache.version(0), ..Key::decode("0 8 1 2 3 4").unwrap() };
    shared.warm(&[key]);
    jobs.submit(0, None, None, None);
    shared.cache.clear();
    jobs.submit(0, None, None, None);
    let found = shared.cache.get(&key, shared.clock.now());
    assert_eq!(found.map(|found| found.tier), Some(Tier::Exact), "after a flush it is warm again");
    let name: Arc<str> = "m-1".into();
    let (device, _) = shared.devices.get(&name);
    jobs.submit(1, None, None, None);
    assert_eq!(shared.devices.len(), 1, "one that has not spoken yet is not silent");
    let now = shared.lasting(shared.clock.now());
    crate::reference::device::open(&device).signal.quality.observe(1.0, now, &service.features);
    let taken = shared.clock.now();
    while shared.clock.now().since(taken) <= 1 {}
    jobs.submit(1, None, None, None);
    assert_eq!(shared.devices.len(), 0);
}
