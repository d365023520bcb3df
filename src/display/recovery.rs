//! What the end of a run says about faults: what each activation did to the service, and when that had recovered.

use super::figure::{bounded_time, count, dash, factor, instant, time};
use super::grid::{Grid, wrap};
use super::style::{Style, Tone};
use crate::results::{Outage, Percentile, Recovery, RecoveryRule, Report};
use crate::units::{plural, times};

/// Columns that give way on a narrow screen, the first one first: kind, devices, off, backlog, after, failed.
const EXPENDABLE: [usize; 6] = [1, 4, 3, 9, 8, 6];
/// A worst p99 of so many times the level before says how many.
const LARGE: f64 = 2.0;
/// Activations shown; of more, those the service had most trouble with.
const MOST_ACTIVATIONS: usize = 20;

/// The table of the activations of faults and what is left out of it; nothing without faults.
pub(super) fn recovery(report: &Report, verbose: bool, width: usize, style: Style) -> Vec<String> {
    let run = &report.run;
    let left_out = [run.fault_spells_omitted, run.switches_omitted];
    let mut lines = table(&report.faults, left_out, (run.recovery, verbose), style)
        .map_or_else(Vec::new, |grid| grid.draw(width, style));
    if run.faults_by_hand > 0 {
        let note = format!(
            "switched by hand {}: do not compare with other runs of this plan",
            times(run.faults_by_hand.into())
        );
        let note = wrap(&note, width.saturating_sub(2)).into_iter();
        lines.extend(note.map(|line| style.paint(&format!("  {line}"), Tone::Warning)));
    }
    lines
}

/// The columns of the table of activations.
pub(crate) const HEADER: [&str; 10] =
    ["faults", "kind", "on", "off", "devices", "worst p99", "failed", "recovered", "after", "backlog"];

/// The table of `outages`, where the activations and the switches of `omitted` are missing.
fn table(
    outages: &[Outage],
    omitted: [u64; 2],
    (rule, verbose): (RecoveryRule, bool),
    style: Style,
) -> Option<Grid> {
    let notes = left_out(outages, omitted, style);
    if outages.is_empty() && notes.is_empty() {
        return None;
    }
    let mut grid = Grid::new(&EXPENDABLE);
    grid.cells(HEADER.map(str::to_owned).to_vec(), Some(Tone::Faint));
    for outage in shown(outages) {
        let (after, tone) = recovered(outage, style);
        grid.cells(cells(outage, after, style), tone);
        let more = if verbose { details(outage, style) } else { String::new() };
        if !more.is_empty() {
            grid.text(format!("    {more}"), Some(Tone::Faint));
        }
        if !outage.remark.is_empty() {
            grid.text(format!("    {}", outage.remark), Some(Tone::Faint));
        }
    }
    for note in notes {
        grid.text(format!("  {note}"), Some(Tone::Warning));
    }
    grid.text(format!("  {}", rule_in_words(rule, style)), Some(Tone::Faint));
    Some(grid)
}

/// When a service counts as recovered, and on which clock the times are, in words.
pub(crate) fn rule_in_words(rule: RecoveryRule, style: Style) -> String {
    format!(
        "all on the clock of the run, `after` from the end of the fault; recovered = {} s without more failures and p99 at most \
         {} {} its level before, its worst, or {} ms above",
        rule.hold_s,
        rule.factor,
        if style.ascii { "x" } else { "×" },
        rule.floor_ms
    )
}

/// The faults of `outages` by name, in the order in which they began.
pub(crate) fn names(outages: &[Outage]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for outage in outages {
        if !names.contains(&outage.fault.as_str()) {
            names.push(&outage.fault);
        }
    }
    names
}

/// The activations to show, in the order in which they began.
pub(crate) fn shown(outages: &[Outage]) -> Vec<&Outage> {
    let mut places: Vec<usize> = (0..outages.len()).collect();
    if outages.len() > MOST_ACTIVATIONS {
        let trouble = |place: &usize| {
            outages.get(*place).map_or((0, 0), |outage| {
                (gravity(outage.state), (outage.recovered_after_s.unwrap_or(0.0) * 1e6) as u64)
            })
        };
        places.sort_by_key(|place| std::cmp::Reverse(trouble(place)));
        places.truncate(MOST_ACTIVATIONS);
        places.sort_unstable();
    }
    places.into_iter().filter_map(|place| outages.get(place)).collect()
}

const fn gravity(state: Recovery) -> u8 {
    match state {
        Recovery::NotRecovered => 3,
        Recovery::Overlapped => 2,
        Recovery::Open | Recovery::RunEnded | Recovery::NoLevel => 1,
        Recovery::Recovered => 0,
    }
}

/// What is left out of the table of `outages`, and how many activations and switches the files leave out, in words.
pub(crate) fn left_out(outages: &[Outage], [activations, switches]: [u64; 2], style: Style) -> Vec<String> {
    let hidden = outages.len().saturating_sub(MOST_ACTIVATIONS) as u64;
    let notes = [
        (hidden, "further activation", " in faults.csv"),
        (activations, "further activation", ", more than faults.csv holds"),
        (switches, "switch", " of faults came too fast to be recorded"),
    ];
    let counted =
        |(number, noun, more)| (number > 0).then(|| style.spoken(&format!("{}{more}", plural(number, noun))));
    notes.into_iter().filter_map(counted).collect()
}

/// The cells of an activation, in the order of [`HEADER`]; `after` is what [`recovered`] says.
pub(crate) fn cells(outage: &Outage, after: String, style: Style) -> Vec<String> {
    let counted = |number: u64| if number == 0 { dash(style).to_owned() } else { count(number, style) };
    let turn = if outage.turn == 0 { String::new() } else { format!(" {}", outage.turn + 1) };
    let off = match outage.end_s {
        _ if outage.instant => "at once".to_owned(),
        Some(end_s) => since_start(end_s, style),
        None => "never".to_owned(),
    };
    let after_s = outage.recovered_after_s.filter(|_| outage.state == Recovery::Recovered);
    let (recovered, after) = match outage.ended_s().zip(after_s) {
        Some((ended_s, after_s)) => (since_start(ended_s + after_s, style), after),
        None => (after, dash(style).to_owned()),
    };
    vec![
        format!("  {}{turn}", outage.fault),
        outage.kind.clone(),
        since_start(outage.start_s, style),
        off,
        counted(u64::from(outage.devices)),
        worst(outage, style),
        counted(outage.outcomes().failed()),
        recovered,
        after,
        counted(outage.peak_backlog),
    ]
}

/// What the table has no column for.
fn details(outage: &Outage, style: Style) -> String {
    let drained = outage.backlog_drained_after_s.filter(|_| outage.peak_backlog > 0);
    let parts = [
        outage.p99_before_ms.map(|ms| format!("p99 before {}", time((ms * 1e6) as u64, style))),
        outage.first_ok_after_s.map(|after| format!("first ok after {}", seconds(after, style))),
        drained.map(|after| format!("backlog drained after {}", seconds(after, style))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(style.dot())
}

/// The worst p99, and how many times the level before that is where it is much more.
fn worst(outage: &Outage, style: Style) -> String {
    let Some(ms) = outage.worst_p99_ms else { return dash(style).to_owned() };
    let worst =
        bounded_time(Percentile { ns: (ms * 1e6) as u64, censored: outage.worst_p99_censored }, style);
    match outage.p99_before_ms {
        Some(before) if before > 0.0 && ms / before >= LARGE => {
            format!("{worst} {}", factor(ms / before, style))
        }
        _ => worst,
    }
}

/// When the service had recovered, or why that is not known.
pub(crate) fn recovered(outage: &Outage, style: Style) -> (String, Option<Tone>) {
    match outage.state {
        Recovery::Recovered => match outage.recovered_after_s {
            Some(after) if after > 0.0 => (seconds(after, style), None),
            _ => ("at once".to_owned(), None),
        },
        Recovery::NotRecovered => ("NOT RECOVERED".to_owned(), Some(Tone::Bad)),
        Recovery::Overlapped => ("overlapped".to_owned(), Some(Tone::Warning)),
        Recovery::RunEnded => ("run ended".to_owned(), Some(Tone::Faint)),
        Recovery::NoLevel => ("no level".to_owned(), Some(Tone::Faint)),
        Recovery::Open => ("not finished".to_owned(), Some(Tone::Faint)),
    }
}

/// An instant on the clock of the run.
fn since_start(seconds: f64, style: Style) -> String {
    instant((seconds.max(0.0) * 1e9) as u64, style)
}

/// A time since the beginning or the end of a fault.
pub(crate) fn seconds(seconds: f64, style: Style) -> String {
    if seconds <= 0.0 { "0 s".to_owned() } else { time((seconds * 1e9) as u64, style) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::display) fn outage(start_s: f64, state: Recovery, after: Option<f64>) -> Outage {
        let text = serde_json::json!({
            "fault": "stall", "layer": "service", "kind": "stall", "turn": 0, "planned_s": start_s,
            "start_s": start_s, "end_s": start_s + 10.0, "instant": false, "devices": 0, "acted": 0,
            "state": state, "recovered_after_s": after, "p99_before_ms": 1.5, "worst_p99_ms": 9_900.0,
            "worst_p99_censored": false, "worst_at_s": start_s, "ok": 10, "shed": 0, "error": 0, "timeout": 0,
            "lost": 0, "dropped": 0, "duplicated": 0, "reordered": 0, "first_ok_after_s": 0.1,
            "backlog_before": 2, "peak_backlog": 10_000, "backlog_drained_after_s": 10.0, "reconnected": 0,
            "peak_reconnects_per_s": null, "reconnected_99_after_s": null, "remark": "",
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn of_many_activations_the_worst_are_shown_in_the_order_of_time() {
        let mut outages: Vec<_> =
            (0..30).map(|n| outage(f64::from(n), Recovery::Recovered, Some(f64::from(n)))).collect();
        outages[0].state = Recovery::NotRecovered;
        outages[0].recovered_after_s = None;
        let starts: Vec<_> = shown(&outages).iter().map(|outage| outage.start_s as u32).collect();
        let expected: Vec<_> = std::iter::once(0).chain(11..30).collect();
        assert_eq!(starts, expected);
        assert_eq!(shown(&outages[..5]).len(), 5);
    }

    fn drawn(outages: &[Outage], width: usize, style: Style) -> String {
        let lines =
            table(outages, [0, 0], (RecoveryRule::default(), false), style).unwrap().draw(width, style);
        lines.join("\n")
    }

    fn outages() -> [Outage; 5] {
        let plain = outage(30.0, Recovery::Recovered, Some(10.0));
        [
            Outage {
                fault: "slow-link".into(),
                kind: "latency".into(),
                start_s: 0.0,
                end_s: None,
                devices: 1_200,
                worst_p99_ms: None,
                peak_backlog: 0,
                recovered_after_s: None,
                state: Recovery::RunEnded,
                ..plain.clone()
            },
            plain.clone(),
            Outage {
                fault: "cut".into(),
                kind: "disconnect".into(),
                instant: true,
                devices: 300,
                recovered_after_s: Some(0.0),
                ..plain.clone()
            },
            Outage {
                timeout: 1_234,
                worst_p99_ms: Some(5_000.0),
                worst_p99_censored: true,
                turn: 1,
                state: Recovery::NotRecovered,
                recovered_after_s: None,
                remark: "the service did not answer".into(),
                ..plain.clone()
            },
            Outage { state: Recovery::Overlapped, recovered_after_s: None, turn: 2, ..plain },
        ]
    }

    #[test]
    fn what_did_not_recover_stands_out() {
        let text = drawn(&outages(), 110, Style { colour: false, ascii: false });
        insta::assert_snapshot!(text, @r"
faults             kind      on      off  devices      worst p99  failed      recovered    after  backlog
  slow-link     latency     0 s    never    1 200              –       –      run ended        –        –
  stall           stall  30.0 s   40.0 s        –  9.90 s ×6 600       –         50.0 s   10.0 s   10 000
  cut        disconnect  30.0 s  at once      300  9.90 s ×6 600       –         30.0 s  at once   10 000
  stall 2         stall  30.0 s   40.0 s        –    >5 s ×3 330   1 234  NOT RECOVERED        –   10 000
    the service did not answer
  stall 3         stall  30.0 s   40.0 s        –  9.90 s ×6 600       –     overlapped        –   10 000
  all on the clock of the run, `after` from the end of the fault; recovered = 3 s without more failures and
  p99 at most 2 × its level before, its worst, or 1 ms above
");
        let coloured = drawn(&outages(), 110, Style { colour: true, ascii: false });
        let told = table(&outages()[1..2], [0, 0], (RecoveryRule::default(), true), Style::PLAIN).unwrap();
        let told = told.draw(110, Style::PLAIN).join("\n");
        assert!(
            told.contains("\n    p99 before 1.50 ms, first ok after 100 ms, backlog drained after 10.0 s\n"),
            "{told}"
        );
        let red = coloured.lines().find(|line| line.starts_with("\u{1b}[1;31m")).unwrap();
        assert!(red.contains("NOT RECOVERED"), "{red}");
    }

    #[test]
    fn a_narrow_plain_screen_keeps_what_matters() {
        let text = drawn(&outages(), 72, Style::PLAIN);
        assert!(text.is_ascii(), "{text}");
        insta::assert_snapshot!(text, @r"
faults           on      worst p99  failed      recovered    after
  slow-link     0 s              -       -      run ended        -
  stall      30.0 s  9.90 s x6,600       -         50.0 s   10.0 s
  cut        30.0 s  9.90 s x6,600       -         30.0 s  at once
  stall 2    30.0 s    >5 s x3,330   1,234  NOT RECOVERED        -
    the service did not answer
  stall 3    30.0 s  9.90 s x6,600       -     overlapped        -
  all on the clock of the run, `after` from the end of the fault;
  recovered = 3 s without more failures and p99 at most 2 x its level
  before, its worst, or 1 ms above
");
    }

    #[test]
    fn nothing_is_said_without_faults_and_all_that_is_left_out() {
        assert!(table(&[], [0, 0], (RecoveryRule::default(), false), Style::PLAIN).is_none());
        let many: Vec<_> = (0..30).map(|n| outage(f64::from(n), Recovery::Recovered, Some(1.0))).collect();
        for (shown, omitted, expected) in [
            (
                30,
                [7, 9],
                [
                    "  10 further activations in faults.csv",
                    "  7 further activations, more than faults.csv holds",
                    "  9 switches of faults came too fast to be recorded",
                ],
            ),
            (
                21,
                [1, 1],
                [
                    "  1 further activation in faults.csv",
                    "  1 further activation, more than faults.csv holds",
                    "  1 switch of faults came too fast to be recorded",
                ],
            ),
        ] {
            let grid =
                table(&many[..shown], omitted, (RecoveryRule::default(), false), Style::PLAIN).unwrap();
            let lines = grid.draw(100, Style::PLAIN);
            let notes: Vec<_> = lines.iter().skip(1 + MOST_ACTIVATIONS).take(3).map(String::as_str).collect();
            assert_eq!(notes, expected);
        }
    }
}
