//! Every toxic against its law, under a manual clock.

mod proof;
mod statistic;

use super::fading::Fading;
use super::*;
use crate::clock::Tick;
use crate::fault::{Delay, DelayLaw, Loss};
use crate::fault::{Ending, ToxicKind};
use crate::seed::Seed;
use crate::seed::tests::statistic::kolmogorov_smirnov;
use crate::units::{ByteSize, Span};
use statistic::{Bench, MS, quantile};

const MESSAGES: usize = 10_000;

fn latency(law: DelayLaw) -> ToxicKind {
    ToxicKind::Latency(Delay { law, correlation: 0.0 })
}

fn constant(ms: u64) -> ToxicKind {
    latency(DelayLaw::Constant(Span::from_ms(ms)))
}

fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / 2.0_f64.sqrt())
}

/// A law, and its distribution function written anew, in milliseconds.
struct Theory {
    law: DelayLaw,
    cdf: Box<dyn Fn(f64) -> f64>,
}

fn theories() -> Vec<Theory> {
    let ms = Span::from_ms;
    vec![
        Theory {
            law: DelayLaw::Uniform { mean: ms(50), jitter: ms(20) },
            cdf: Box::new(|x| ((x - 30.0) / 40.0).clamp(0.0, 1.0)),
        },
        Theory {
            law: DelayLaw::Normal { mean: ms(50), jitter: ms(5) },
            cdf: Box::new(|x| normal_cdf((x - 50.0) / 5.0)),
        },
        Theory {
            // Mean 20 and deviation 6: σ² = ln 1.09, μ = ln 20 − σ²/2.
            law: DelayLaw::LogNormal { mean: ms(20), jitter: ms(6) },
            cdf: Box::new(|x| {
                let variance = 1.09_f64.ln();
                normal_cdf((x.ln() - 20.0_f64.ln() + 0.5 * variance) / variance.sqrt())
            }),
        },
        Theory {
            law: DelayLaw::Pareto { least: ms(4), shape: 4.0 },
            cdf: Box::new(|x| 1.0 - (4.0 / x.max(4.0)).powi(4)),
        },
        Theory {
            law: DelayLaw::Table([0, 10, 11, 12, 40].map(ms).into()),
            cdf: Box::new(|x| match x {
                x if x < 10.0 => x / 40.0,
                x if x < 12.0 => 0.25 + (x - 10.0) / 4.0,
                x => (0.75 + (x - 12.0) / 112.0).min(1.0),
            }),
        },
    ]
}

/// Delays, milliseconds, of messages so far apart that none meets another; every `nth` of them.
fn delays(seed: u64, law: DelayLaw, correlation: f64, nth: usize) -> Vec<f64> {
    let mut bench = Bench::seeded(seed, &[ToxicKind::Latency(Delay { law, correlation })]);
    let mut delays = Vec::new();
    for turn in 0..MESSAGES * nth {
        bench.now = Tick(turn as u64 * 3_600_000 * MS);
        let arrival = bench.now;
        bench.push(b"message");
        let (pieces, _) = bench.run();
        assert_eq!(pieces.len(), 1);
        if turn % nth == 0 {
            delays.push(pieces[0].0.since(arrival) as f64 / MS as f64);
        }
    }
    delays
}

#[test]
fn single_delays_are_distributed_by_their_law() {
    for (seed, Theory { law, cdf }) in (10..).zip(theories()) {
        let mut delays = delays(seed, law.clone(), 0.0, 1);
        let p = kolmogorov_smirnov(delays.clone(), &cdf);
        assert!(p > 0.001, "{law:?}: p = {p}");
        delays.sort_by(f64::total_cmp);
        for share in [0.5, 0.99] {
            let drawn = delays[(share * MESSAGES as f64) as usize];
            let theory = quantile(&cdf, share, 10_000.0);
            assert!((drawn - theory).abs() < 1.0, "{law:?} at {share}: {drawn} for {theory}");
        }
    }
    assert!(
        delays(1, DelayLaw::Constant(Span::from_ms(7)), 0.0, 1)
            .iter()
            .all(|delay| (delay - 7.0).abs() < 1e-9)
    );
}

#[test]
fn delays_with_memory_keep_their_law() {
    for (seed, Theory { law, cdf }) in (20..).zip(theories()) {
        // With a correlation of 0.7, delays 25 apart are independent for all purposes: 0.7^25 = 0.0001.
        let p = kolmogorov_smirnov(delays(seed, law.clone(), 0.7, 25), &cdf);
        assert!(p > 0.001, "{law:?}: p = {p}");
    }
    let law = DelayLaw::Normal { mean: Span::from_ms(50), jitter: Span::from_ms(5) };
    for correlation in [0.0, 0.7, 0.95] {
        let delays = delays(1, law.clone(), correlation, 1);
        let (left, right) = (&delays[1..], &delays[..MESSAGES - 1]);
        let product: f64 = left.iter().zip(right).map(|(a, b)| (a - 50.0) * (b - 50.0)).sum();
        let squares: f64 = delays.iter().map(|delay| (delay - 50.0).powi(2)).sum();
        let seen = product / squares;
        assert!((seen - correlation).abs() < 0.04, "{seen} for {correlation}");
    }
}

#[test]
fn pipelined_messages_each_wait_for_their_own_delay_and_not_for_those_of_others() {
    let mut bench = Bench::new(&[constant(50)]);
    for turn in 0..100_u64 {
        bench.now = Tick(turn * MS / 10);
        bench.push(&[0; 40]);
    }
    let (pieces, _) = bench.run();
    let times: Vec<u64> = pieces.iter().map(|(at, _)| at.0).collect();
    assert_eq!(times, (0..100).map(|turn| 50 * MS + turn * MS / 10).collect::<Vec<_>>());

    // With jitter none overtakes another: due = max(previous due, arrival + delay), with the very delays of single messages.
    for Theory { law, .. } in theories() {
        let single = delays(1, law.clone(), 0.0, 1);
        let mut bench = Bench::new(&[latency(law)]);
        let mut due = Tick::ZERO;
        let (mut expected, mut pieces) = (Vec::new(), Vec::new());
        for (turn, delay) in single.iter().take(1_000).enumerate() {
            let at = Tick(turn as u64 * MS);
            bench.run_until(at, &mut pieces);
            bench.now = at;
            bench.push(&[0]);
            due = due.max(bench.now.plus_ns((delay * MS as f64).round() as u64));
            expected.push(due);
        }
        pieces.extend(bench.run().0);
        let mut seen = Vec::new();
        for (at, piece) in pieces {
            seen.extend(piece.iter().map(|_| at));
        }
        assert!(seen.iter().zip(&expected).all(|(seen, due)| seen.0.abs_diff(due.0) <= 1));
        assert_eq!(seen.len(), expected.len());
    }
}

#[test]
fn overlapping_delays_add_up() {
    let mut bench = Bench::new(&[constant(10), constant(20)]);
    bench.push(b"m");
    let (pieces, _) = bench.run();
    assert_eq!(pieces, [(Tick(30 * MS), b"m".to_vec())]);
    assert_eq!(bench.tally.get(), 2);
}

fn bandwidth(rate: f64, burst: u64) -> ToxicKind {
    ToxicKind::Bandwidth { rate, burst: ByteSize(burst) }
}

#[test]
fn a_narrow_link_counts_the_pieces_that_it_holds_back() {
    for (burst, acted) in [(0, 1), (99, 1), (100, 0)] {
        let mut bench = Bench::new(&[bandwidth(1_000.0, burst)]);
        bench.push(&[0; 100]);
        bench.run();
        assert_eq!(bench.tally.get(), acted, "a burst of {burst}");
    }
}

#[test]
fn bandwidth_is_kept_however_rarely_anybody_looks() {
    for (rate, burst) in [(1_000.0, 0), (6_250.0, 500), (100_000.0, 0), (3_750_000.0, 20_000), (1e9, 0)] {
        for every_ns in [MS / 10, 7 * MS, 250 * MS] {
            // Other limits are above it, so the least is in force.
            let mut bench =
                Bench::new(&[bandwidth(rate, burst), bandwidth(2.0 * rate, burst), bandwidth(1e12, 0)]);
            let size = (rate as usize).min(200_000);
            bench.push(&vec![0; size]);
            let mut pieces = Vec::new();
            while pieces.iter().map(|(_, piece): &(_, Vec<u8>)| piece.len()).sum::<usize>() < size {
                bench.take(&mut pieces);
                bench.now = bench.now.plus_ns(every_ns);
            }
            let expected = (size as f64 - burst as f64) / rate * 1e9;
            let taken = pieces.last().unwrap().0.0 as f64;
            let late = every_ns as f64;
            assert!(taken > 0.97 * expected && taken < 1.03 * expected + late, "{rate} {every_ns}: {taken}");
        }
    }
}

#[test]
fn a_long_run_of_messages_gets_the_bandwidth_and_no_more() {
    let mut bench = Bench::new(&[bandwidth(50_000.0, 1_000)]);
    let (mut sent, mut passed, mut pieces) = (0, 0, Vec::new());
    // Offered 100 000 bytes per second for 60 seconds, looked at at odd times.
    for turn in 0..6_000_u64 {
        bench.now = Tick(turn * 10 * MS + turn * 7_919 % MS);
        if let Intake::Taken(size) = bench.pipe.push(bench.now, &[0; 1_000]) {
            sent += size;
        }
        bench.take(&mut pieces);
    }
    passed += pieces.iter().map(|(_, piece)| piece.len()).sum::<usize>();
    assert!((passed as f64 / 3_000_000.0 - 1.0).abs() < 0.03, "{passed} of {sent}");
}

#[test]
fn a_changed_rate_holds_at_once_for_what_is_queued() {
    let (slow, fast) = (bandwidth(1_000.0, 0), bandwidth(100_000.0, 0));
    let mut bench = Bench::new(&[]);
    bench.set(&[(0, &fast)]);
    bench.push(&vec![0; 200_000]);
    let mut pieces = Vec::new();
    let passed = |pieces: &[(Tick, Vec<u8>)]| pieces.iter().map(|(_, piece)| piece.len()).sum::<usize>();
    bench.now = Tick(1_000 * MS);
    bench.take(&mut pieces);
    assert!(passed(&pieces).abs_diff(100_000) < 1_448);
    bench.set(&[(0, &fast), (1, &slow)]);
    bench.now = Tick(11_000 * MS);
    bench.take(&mut pieces);
    assert!(passed(&pieces).abs_diff(110_000) < 2 * 1_448);
    bench.set(&[(0, &fast)]);
    bench.now = Tick(11_500 * MS);
    bench.take(&mut pieces);
    assert!(passed(&pieces).abs_diff(160_000) < 3 * 1_448, "{}", passed(&pieces));
    bench.set(&[]);
    bench.take(&mut pieces);
    assert_eq!(passed(&pieces), 200_000);
}

#[test]
fn time_in_which_nobody_takes_the_bytes_is_no_bandwidth_saved_up() {
    let mut bench = Bench::new(&[bandwidth(10_000.0, 0)]);
    bench.push(&vec![0; 100_000]);
    bench.now = Tick(200 * MS);
    assert_eq!(bench.pipe.poll(bench.now), Exit::Bytes);
    bench.now = Tick(60_000 * MS);
    bench.pipe.stuck(bench.now);
    let mut pieces = Vec::new();
    bench.take(&mut pieces);
    let passed: usize = pieces.iter().map(|(_, piece)| piece.len()).sum();
    assert!(passed <= 2 * 1_448, "{passed}");
}

fn slicer(mean: u32, spread: u32, gap: Span) -> ToxicKind {
    ToxicKind::Slicer { mean, spread, gap }
}

#[test]
fn messages_are_cut_to_the_byte_and_pieces_are_spaced() {
    let mut bench = Bench::new(&[slicer(100, 0, Span::from_ms(3))]);
    bench.push(&[7; 250]);
    bench.now = Tick(MS);
    bench.push(&[8; 100]);
    let (pieces, _) = bench.run();
    let seen: Vec<_> = pieces.iter().map(|(at, piece)| (at.0 / MS, piece.len())).collect();
    assert_eq!(seen, [(1, 100), (4, 100), (7, 50), (10, 100)]);
    assert_eq!(bench.tally.get(), 2);
}

#[test]
fn sizes_of_pieces_spread_evenly_and_the_least_of_two_counts() {
    let mut bench = Bench::new(&[slicer(100, 20, Span::ZERO)]);
    bench.push(&vec![0; 200_000]);
    let (pieces, _) = bench.run();
    let sizes: Vec<usize> = pieces.iter().map(|(_, piece)| piece.len()).collect();
    let (last, rest) = sizes.split_last().unwrap();
    assert!(*last <= 120 && rest.iter().all(|size| (80..=120).contains(size)));
    for size in 80..=120 {
        let seen = rest.iter().filter(|other| **other == size).count() as f64;
        // About 2 000 pieces over 41 sizes: 49 each, standard deviation 7.
        assert!((14.0..=84.0).contains(&seen), "{size}: {seen}");
    }
    let mut bench = Bench::new(&[slicer(100, 0, Span::from_ms(1)), slicer(30, 0, Span::from_ms(2))]);
    bench.push(&[0; 90]);
    let (pieces, _) = bench.run();
    let seen: Vec<_> = pieces.iter().map(|(at, piece)| (at.0 / MS, piece.len())).collect();
    assert_eq!(seen, [(0, 30), (3, 30), (6, 30)]);
    // A mean of nothing is one byte at a time.
    let mut bench = Bench::new(&[slicer(0, 0, Span::ZERO)]);
    bench.push(&[0; 5]);
    assert_eq!(bench.run().0.len(), 5);
}

#[test]
fn exactly_so_many_bytes_pass_and_the_smallest_limit_wins() {
    let limit = |size, ending| ToxicKind::Limit { size: ByteSize(size), ending };
    for (kinds, expected, ending) in [
        (vec![limit(1_000, Ending::Fin)], 1_000, Ending::Fin),
        (vec![limit(1_500, Ending::Fin), limit(999, Ending::Reset)], 999, Ending::Reset),
        (vec![limit(999, Ending::Reset), slicer(100, 3, Span::from_ms(1)), constant(5)], 999, Ending::Reset),
        (vec![limit(0, Ending::Fin)], 0, Ending::Fin),
    ] {
        let mut bench = Bench::new(&kinds);
        for _ in 0..10 {
            bench.push(&[1; 300]);
        }
        let (pieces, exit) = bench.run();
        assert_eq!(pieces.iter().map(|(_, piece)| piece.len()).sum::<usize>(), expected);
        assert_eq!(exit, Exit::Cut(ending));
    }
    // Bytes that passed before do not count.
    let mut bench = Bench::new(&[]);
    bench.push(&[1; 500]);
    bench.run();
    bench.set(&[(0, &limit(100, Ending::Fin))]);
    bench.push(&[1; 100]);
    let (pieces, exit) = bench.run();
    assert_eq!((pieces[0].1.len(), exit), (100, Exit::Cut(Ending::Fin)));
}

fn loss(lost: f64) -> Loss {
    Loss {
        worsens: 0.0,
        recovers: 1.0,
        lost_good: lost,
        lost_bad: 0.0,
        rtt: Span::from_ms(40),
        rto: Span::from_ms(240),
    }
}

#[test]
fn a_lost_segment_holds_up_all_that_follows_and_nothing_before_it() {
    // Every transmission is lost with p = 0.1, so stalls are 0, 240, 240 + 480, … ms with 0.9, 0.09, 0.009, …
    let mut bench = Bench::new(&[ToxicKind::Loss(loss(0.1))]);
    let mut seen = [0_u32; 4];
    for turn in 0..MESSAGES {
        bench.now = Tick(turn as u64 * 3_600_000 * MS);
        let arrival = bench.now;
        bench.push(&[1; 100]);
        let stall_ms = bench.run().0[0].0.since(arrival) / MS;
        let times = [0, 240, 720].iter().position(|stall| *stall == stall_ms).unwrap_or(3);
        seen[times] += 1;
    }
    for (seen, share) in seen.iter().zip([0.9, 0.09, 0.009, 0.001]) {
        let mean = share * MESSAGES as f64;
        let deviation = (mean * (1.0 - share)).sqrt();
        assert!((f64::from(*seen) - mean).abs() < 4.5 * deviation + 1.0, "{seen} for {mean}");
    }
    // In long messages three segments follow, and the sender finds out after a round trip.
    let mut bench = Bench::seeded(3, &[ToxicKind::Loss(loss(0.02))]);
    let (mut fast, mut stalls) = (0, 0);
    let message: Vec<u8> = (0..60_000).map(|i| (i % 251) as u8).collect();
    for turn in 0..200_u64 {
        bench.now = Tick(turn * 3_600_000 * MS);
        let arrival = bench.now;
        bench.push(&message);
        let (pieces, _) = bench.run();
        let times: Vec<_> = pieces.iter().map(|(at, _)| at.since(arrival) / MS).collect();
        assert!(times.is_sorted());
        assert_eq!(pieces.concat_bytes(), message);
        fast += usize::from(times.contains(&40));
        stalls += usize::from(times.last() > Some(&0));
    }
    assert!(fast > 60 && stalls >= fast, "{fast} of {stalls}");
}

trait Concat {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl Concat for Vec<(Tick, Vec<u8>)> {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|(_, piece)| piece).copied().collect()
    }
}

#[test]
fn losses_come_in_bursts_as_gilbert_and_elliott_have_it() {
    let bursts = Loss { worsens: 0.02, recovers: 0.25, lost_good: 0.001, lost_bad: 0.6, ..loss(0.0) };
    let mut fading = Fading::new(bursts, Seed(9).stream("test", 0));
    let lost: Vec<bool> = (0..400_000).map(|_| fading.loses()).collect();
    let share = |hits: usize| hits as f64 / lost.len() as f64;
    let bad = 0.02 / 0.27;
    let expected = bad * 0.6 + (1.0 - bad) * 0.001;
    let seen = share(lost.iter().filter(|lost| **lost).count());
    // Standard deviations of about 1.4 % and 2.2 %: neighbours are alike, which makes them about twice those of a binomial.
    assert!((seen / expected - 1.0).abs() < 0.055, "{seen} for {expected}");
    // Both of two neighbours lost: the chain steps in between.
    let both = bad * 0.6 * (0.75 * 0.6 + 0.25 * 0.001) + (1.0 - bad) * 0.001 * (0.98 * 0.001 + 0.02 * 0.6);
    let seen = share(lost.windows(2).filter(|pair| pair[0] && pair[1]).count());
    assert!((seen / both - 1.0).abs() < 0.09, "{seen} for {both}");
}

#[test]
fn overlapping_chances_combine_as_independent_ones() {
    let mut bench = Bench::new(&[ToxicKind::Loss(loss(0.1)), ToxicKind::Loss(loss(0.2))]);
    let mut held = 0;
    for turn in 0..MESSAGES {
        bench.now = Tick(turn as u64 * 3_600_000 * MS);
        let arrival = bench.now;
        bench.push(&[1; 100]);
        held += u32::from(bench.run().0[0].0 > arrival);
    }
    // 1 − 0.9 × 0.8 = 0.28, standard deviation 45.
    assert!((2_600..=3_000).contains(&held), "{held}");

    let reset = |chance| ToxicKind::Reset { after: None, chance };
    let mut broken = 0;
    for seed in 0..4_000 {
        let mut bench = Bench::seeded(seed, &[reset(0.1), reset(0.2)]);
        broken += u32::from(bench.pipe.push(Tick(0), b"m") == Intake::Reset);
    }
    assert!((1_000..=1_240).contains(&broken), "{broken}");
}

#[test]
fn a_partition_keeps_everything_and_gives_it_back_in_order() {
    let partition = ToxicKind::Partition;
    let mut bench = Bench::new(&[]);
    bench.set(&[(0, &partition)]);
    for turn in 0..10_u8 {
        bench.now = Tick(u64::from(turn) * MS);
        bench.push(&[turn; 3]);
    }
    bench.pipe.end(bench.now, Ending::Fin);
    bench.now = Tick(5_000 * MS);
    assert_eq!(bench.run(), (vec![], Exit::Idle));
    assert_eq!(bench.tally.get(), 10);
    bench.set(&[]);
    let (pieces, exit) = bench.run();
    assert_eq!(pieces.concat_bytes(), (0..10_u8).flat_map(|turn| [turn; 3]).collect::<Vec<_>>());
    assert_eq!(exit, Exit::End(Ending::Fin));
}

#[test]
fn after_a_partition_the_bandwidth_still_holds() {
    let (partition, rate) = (ToxicKind::Partition, bandwidth(1_000.0, 0));
    let mut bench = Bench::new(&[]);
    bench.set(&[(0, &rate), (1, &partition)]);
    bench.push(&[0; 2_000]);
    bench.now = Tick(60_000 * MS);
    bench.set(&[(0, &rate)]);
    bench.run();
    assert_eq!(bench.now, Tick(62_000 * MS));
}

#[test]
fn a_full_pipe_takes_nothing_more() {
    let partition = ToxicKind::Partition;
    let mut bench = Bench::new(&[]);
    bench.set(&[(0, &partition)]);
    bench.push(&vec![1; CAPACITY - 10]);
    assert_eq!(bench.pipe.push(bench.now, &[2; 50]), Intake::Taken(10));
    assert_eq!(bench.pipe.push(bench.now, &[3; 50]), Intake::Full);
    bench.set(&[]);
    assert_eq!(bench.run().0.concat_bytes().len(), CAPACITY);
    bench.push(&[4; 50]);
}

#[test]
fn what_a_blackhole_swallows_is_gone_and_the_connection_with_it() {
    let hole = ToxicKind::Blackhole;
    let mut bench = Bench::new(&[constant(10)]);
    bench.push(b"before");
    bench.set(&[(0, &constant(10)), (1, &hole)]);
    assert!(!bench.pipe.is_broken());
    bench.push(b"lost");
    bench.pipe.end(bench.now, Ending::Fin);
    let (pieces, exit) = bench.run();
    assert_eq!((pieces.concat_bytes(), exit), (b"before".to_vec(), Exit::Idle));
    assert!(!bench.pipe.is_broken());
    bench.set(&[]);
    assert!(bench.pipe.is_broken());
    // Who lost nothing goes on.
    let mut bench = Bench::new(&[]);
    bench.set(&[(1, &hole)]);
    bench.set(&[]);
    assert!(!bench.pipe.is_broken());
}

#[test]
fn the_end_travels_behind_the_bytes_and_closing_may_take_longer() {
    let slow = |ms| ToxicKind::SlowClose { delay: Span::from_ms(ms) };
    let mut bench = Bench::new(&[constant(30), slow(100), slow(50)]);
    bench.push(b"last");
    bench.pipe.end(bench.now, Ending::Fin);
    assert_eq!(bench.pipe.push(bench.now, b"too late"), Intake::Full);
    let (pieces, exit) = bench.run();
    assert_eq!((pieces.concat_bytes(), exit), (b"last".to_vec(), Exit::End(Ending::Fin)));
    assert_eq!(bench.now, Tick(180 * MS));
    // A reset does not wait for a slow closer.
    let mut bench = Bench::new(&[constant(30), slow(100)]);
    bench.pipe.end(bench.now, Ending::Reset);
    assert_eq!(bench.run().1, Exit::End(Ending::Reset));
    assert_eq!(bench.now, Tick(30 * MS));
}
