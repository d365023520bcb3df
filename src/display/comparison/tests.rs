//! The table of a comparison against made-up ones, drawn.

use super::*;
use crate::compare::{CellDecision, Demand, Rates, Row, specimen};

const RICH: Style = Style { colour: false, ascii: false };

/// The made-up comparison under a tame name.
fn tame() -> Comparison {
    let mut comparison = specimen::comparison();
    comparison.candidate.label = "fix".into();
    comparison
}

fn draw(comparison: &Comparison, width: usize, style: Style) -> String {
    super::comparison(comparison, None, width, style)
}

#[test]
fn the_table_of_a_comparison_has_every_figure_and_why() {
    let text = comparison(&tame(), Some(Path::new("results/x")), 110, RICH);
    insta::assert_snapshot!(text, @r"
quickstart · fix against main · 8 pairs
regression: the candidate is worse
  - steady meters p99 is 12.3 % slower

response time      main       fix    change    median      95 % interval      p               verdict
all fleets
  p50            400 µs    360 µs   -10.0 %   -10.0 %    -13.5 to -6.3 %  0.012           improvement
meters in steady
  p50            412 µs    413 µs    +0.2 %    +0.2 %     -3.7 to +4.3 %  0.012         no difference
  p99           1.24 ms   1.40 ms   +12.3 %   +12.3 %    +7.9 to +16.9 %  0.012            regression
  p99.9        >9.00 ms  >9.50 ms    +5.5 %    +5.5 %     +1.4 to +9.9 %      –        among failures
  error rate     0.10 %    0.30 %  +0.20 pt  +0.20 pt  +0.00 to +0.40 pt  0.012  open, ~12 more pairs
pumps in steady
  p95            900 µs    910 µs    +1.1 %    +1.1 %     -2.9 to +5.2 %      –            not judged
  p99.9               –         –         –         –                  –      –       too few samples

p99 of meters in steady, pair by pair: o main, x fix; 1.24 ms to 1.40 ms
   1  o..........................................................x       +12.3 %
   2  o..........................................................x       +12.3 %
   3  o..........................................................x       +12.3 %
   4  o..........................................................x       +12.3 %
   5  o..........................................................x       +12.3 %
   6  o..........................................................x       +12.3 %
   7  o..........................................................x       +12.3 %
   8  o..........................................................x       +12.3 %

not judged: fewer than 100 samples lie beyond this percentile in some run
too few samples: fewer than 10 lie beyond this percentile in some run
> at least: a failed reading counts as its time-out or more
files results/x
fix is 1.12 times slower at p99 of meters in steady (1.079 to 1.169)
");
}

#[test]
fn a_narrow_plain_stream_gets_ascii_and_fewer_columns() {
    let text = draw(&tame(), 60, Style::PLAIN);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!(text, @r"
quickstart, fix against main, 8 pairs
regression: the candidate is worse
  - steady meters p99 is 12.3 % slower

respons~      main       fix    change               verdict
all fleets
  p50       400 us    360 us   -10.0 %           improvement
meters in steady
  p50       412 us    413 us    +0.2 %         no difference
  p99      1.24 ms   1.40 ms   +12.3 %            regression
  p99.9   >9.00 ms  >9.50 ms    +5.5 %        among failures
  error~    0.10 %    0.30 %  +0.20 pt  open, ~12 more pairs
pumps in steady
  p95       900 us    910 us    +1.1 %            not judged
  p99.9          -         -         -       too few samples

p99 of meters in steady, pair by pair: o main, x fix; 1.24
ms to 1.40 ms
   1  o......................................x       +12.3 %
   2  o......................................x       +12.3 %
   3  o......................................x       +12.3 %
   4  o......................................x       +12.3 %
   5  o......................................x       +12.3 %
   6  o......................................x       +12.3 %
   7  o......................................x       +12.3 %
   8  o......................................x       +12.3 %

not judged: fewer than 100 samples lie beyond this
percentile in some run
too few samples: fewer than 10 lie beyond this percentile in
some run
> at least: a failed reading counts as its time-out or more
fix is 1.12 times slower at p99 of meters in steady (1.079
to 1.169)
");
}

#[test]
fn no_line_is_wider_than_the_screen_and_colour_adds_no_width() {
    let mut wordy = tame();
    wordy.reasons.push("a sentence ".repeat(30));
    wordy.candidate.label = "feature/a-very-long-name-of-a-branch-such-as-tools-make-them".into();
    for style in [RICH, Style::PLAIN] {
        for width in [72, 80, 100, 200] {
            // The title has the names in full.
            for line in draw(&wordy, width, style).lines().skip(1) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
    let coloured = draw(&wordy, 100, Style { colour: true, ascii: false });
    assert!(coloured.contains("\u{1b}[1;31mregression\u{1b}[0m: the candidate is worse"), "{coloured}");
    let mut bare = String::new();
    for (index, part) in coloured.split('\u{1b}').enumerate() {
        bare.push_str(if index == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(trimmed(&bare), trimmed(&draw(&wordy, 100, RICH)));
}

#[test]
fn a_label_cannot_break_the_table_or_speak_to_the_terminal() {
    let text = draw(&specimen::comparison(), 100, RICH);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert_eq!(text.lines().count(), draw(&tame(), 100, RICH).lines().count(), "{text}");
}

#[test]
fn the_heading_says_the_verdict_in_words() {
    use Decision::{Improvement, Inconclusive, NoDifference, Regression};
    let said = |change: &dyn Fn(&mut Comparison)| {
        let mut comparison = tame();
        change(&mut comparison);
        let text = draw(&comparison, 200, Style::PLAIN);
        text.lines().take(2).collect::<Vec<_>>().join(" | ")
    };
    let verdict = |verdict, not_worse| {
        said(&|comparison| (comparison.verdict, comparison.not_worse) = (verdict, not_worse))
    };
    let lines = [
        verdict(Regression, false),
        verdict(Improvement, false),
        verdict(NoDifference, true),
        verdict(Inconclusive, true),
        verdict(Inconclusive, false),
        said(&|comparison| {
            comparison.verdict = Inconclusive;
            comparison.cells[0].verdict = None;
        }),
        said(&|comparison| {
            (comparison.gates, comparison.design.pairing) = (false, Pairing::Unpaired);
            comparison.candidate.runs.truncate(3);
        }),
        said(&|comparison| {
            comparison.design.pairing = Pairing::Single;
            comparison.base.label.clear();
        }),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
quickstart, fix against main, 8 pairs | regression: the candidate is worse
quickstart, fix against main, 8 pairs | improvement: the candidate is better
quickstart, fix against main, 8 pairs | no difference: no judged figure differs by more than its threshold
quickstart, fix against main, 8 pairs | inconclusive: no judged figure is worse; whether any is better, it cannot tell yet
quickstart, fix against main, 8 pairs | inconclusive: cannot tell yet
quickstart, fix against main, 8 pairs | inconclusive: all pairs differ the same way, but they are too few or too unlike to be sure
quickstart, fix against main, 8 and 3 runs | regression (advisory): the candidate is worse
quickstart, fix against unnamed, one run each | regression: the candidate is worse
");
}

#[test]
fn what_is_not_judged_or_taken_back_says_so() {
    let open = |more_pairs, withdrawn| {
        Some(CellDecision { verdict: Decision::Inconclusive, certain: false, more_pairs, withdrawn })
    };
    let lines = [
        (Support::Judged, open(Some(3), None)),
        (Support::Judged, open(None, None)),
        (Support::Judged, open(None, Some(Withdrawal::FailsMore))),
        (Support::Judged, open(None, Some(Withdrawal::NotConfirmed))),
        (Support::Judged, None),
        (Support::Shown, None),
        (Support::Censored, None),
        (Support::None, None),
    ]
    .map(|(support, verdict)| {
        let cell = Cell { support, verdict, ..specimen::comparison().cells[2].clone() };
        row(&cell, RICH).join(" | ").trim_start().to_owned()
    });
    insta::assert_snapshot!(lines.join("\n"), @r"
p99 | 1.24 ms | 1.40 ms | +12.3 % | +12.3 % | +7.9 to +16.9 % | 0.012 | open, ~3 more pairs
p99 | 1.24 ms | 1.40 ms | +12.3 % | +12.3 % | +7.9 to +16.9 % | 0.012 | open
p99 | 1.24 ms | 1.40 ms | +12.3 % | +12.3 % | +7.9 to +16.9 % | 0.012 | not counted: fails more
p99 | 1.24 ms | 1.40 ms | +12.3 % | +12.3 % | +7.9 to +16.9 % | 0.012 | not confirmed
p99 | 1.24 ms | 1.40 ms | +12.3 % | +12.3 % | +7.9 to +16.9 % | 0.012 | described
p99 | 1.24 ms | 1.40 ms | +12.3 % | +12.3 % | +7.9 to +16.9 % | 0.012 | not judged
p99 | >1.24 ms | >1.40 ms | +12.3 % | +12.3 % | +7.9 to +16.9 % | 0.012 | among failures
p99 | – | – | +12.3 % | +12.3 % | +7.9 to +16.9 % | 0.012 | too few samples
");
}

#[test]
fn changes_are_told_in_the_unit_of_the_figure_and_noughts_have_no_sign() {
    let cells = specimen::comparison().cells;
    let [time, share] = [Figure::P99, Figure::ErrorRate]
        .map(|figure| cells.iter().find(|cell| cell.figure == figure).unwrap());
    for (cell, value, long, short) in [
        (time, 0.1_f64.ln_1p(), "+10.0 %", "+10.0"),
        (time, (-0.25_f64).ln_1p(), "-25.0 %", "-25.0"),
        (time, -0.000_01, "+0.0 %", "+0.0"),
        (time, 43.0_f64.ln(), "43.0 times", "43.0 times"),
        (time, 9.0, "8103 times", "8103 times"),
        (time, f64::INFINITY, ">9999 times", ">9999 times"),
        (time, -800.0, "-100.0 %", "-100.0"),
        (share, 0.2, "+20.00 pt", "+20.00"),
        (share, -0.000_01, "+0.00 pt", "+0.00"),
        (share, -1.0, "-100.00 pt", "-100.00"),
    ] {
        assert_eq!((change(cell, value, true), change(cell, value, false)), (long.into(), short.into()));
    }
}

#[test]
fn the_order_of_runs_is_mentioned_where_it_matters_beyond_chance() {
    let told = |effect, firsts: &[bool], scatter: f64| {
        let mut comparison = tame();
        (comparison.order_effect, comparison.design.base_first) = (effect, firsts.to_vec());
        let half = effect.unwrap_or(0.0) / 2.0;
        let sign = |pair: usize, by: usize| if (pair / by).is_multiple_of(2) { 1.0 } else { -1.0 };
        // By turns half the effect up and down, and within each order the scatter up and down.
        comparison.cells[0].differences =
            (0..firsts.len()).map(|pair| sign(pair, 1) * half + sign(pair, 2) * scatter).collect();
        draw(&comparison, 200, RICH).contains("order effect: p50 changes by")
    };
    let turns: Vec<bool> = (0..8).map(|pair| pair % 2 == 0).collect();
    // 8 · 0.05² / 6 · (1/4 + 1/4) is the square of 0.0408; three of these are 0.1225.
    assert!(told(Some(0.13), &turns, 0.05) && told(Some(-0.13), &turns, 0.05));
    assert!(!told(Some(0.12), &turns, 0.05), "chance may do that");
    assert!(!told(Some(0.019), &turns, 0.000_1), "too little to matter");
    assert!(!told(None, &turns, 0.05));
    assert!(!told(Some(1.0), &[true; 8], 0.05) && !told(Some(1.0), &[], 0.05));
}

#[test]
fn the_way_is_told_in_a_line() {
    let mut comparison = tame();
    assert_eq!(estimate(&comparison), "p50 -10.0 % (-13.5 to -6.3)");
    let mut errors = comparison.cells[4].clone();
    errors.group = comparison.cells[0].group.clone();
    let wild = Cell { effect: Some(2.072), ci95: Some([-3.96, 8.13]), ..comparison.cells[0].clone() };
    comparison.cells[0] = wild;
    assert_eq!(estimate(&comparison), "p50 7.94 times (0.02 to 3395)", "one unit for all three");
    comparison = tame();
    comparison.cells.push(errors.clone());
    assert_eq!(estimate(&comparison), "p50 -10.0 % (-13.5 to -6.3), error rate +0.20 pt (+0.00 to +0.40)");
    comparison.cells = vec![Cell { base: Some(0.0), candidate: Some(0.0), ..errors }];
    assert_eq!(estimate(&comparison), "nothing to tell yet");
    assert_eq!(finding(&comparison), "steady meters p99 is 12.3 % slower");
    comparison.reasons.clear();
    assert_eq!(finding(&comparison), "");
}

#[test]
fn lengths_are_round_ones() {
    for (seconds, text) in [
        (-1.0, "0 s"),
        (f64::NAN, "0 s"),
        (0.4, "0 s"),
        (89.4, "89 s"),
        (90.0, "2 min"),
        (3_569.0, "59 min"),
        (3_600.0, "1 h 0 min"),
        (7_260.0, "2 h 1 min"),
    ] {
        assert_eq!(length(seconds), text, "{seconds}");
    }
}

#[test]
fn the_table_of_a_self_test_marks_the_rows_that_fail() {
    let row = |name: &str, met| Row {
        name: name.into(),
        noise: "normal",
        spread: 0.05,
        pairs: 8,
        rates: Rates {
            significant: 0.048,
            red: 0.012,
            confirmed: 0.000_4,
            green: 0.5,
            covered: 0.951,
            pairs: 8.0,
        },
        demands: vec![Demand::Significant { at_most: 0.06 }],
        met,
    };
    let rows = vec![row("equal builds", true), row("+10 % at p99", false)];
    let test = SelfTest { seed: "1".into(), trials: 5_000, rows };
    insta::assert_snapshot!(self_test(&test, 110, Style::PLAIN), @r"
5,000 simulated comparisons per row, seed 1; the rules must hold in every row
simulated          noise  pairs  any p    red  confirmed  p99 same  covered
equal builds  normal 5 %      8  4.8 %  1.2 %     0.04 %    50.0 %   95.1 %     ok
+10 % at p99  normal 5 %      8  4.8 %  1.2 %     0.04 %    50.0 %   95.1 %  FAILS
any p: a figure called different, before the noise threshold; red: called a regression; confirmed: again by
fresh pairs; p99 same: shown not to differ by its threshold; covered: true changes within their 95 % intervals
noise: its distribution, and the standard deviation of a pair's difference at p99
sequential runs must come out red too often: this shows that the test would notice
");
}
