//! The screen as golden text over a stored run, and that no state and no size breaks it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use serde_json::json;

use super::*;
use crate::clock::{Course, Tick, WallTime};
use crate::record::{
    DeliveryGuarantee, FleetId, FleetInfo, Gauge, Kind, Layout, Outcome, PhaseInfo, PhaseRole, Protocol,
    Sample, Sink,
};
use crate::results::{Follower, Manifest, Outage, Reach, RunDirectory, recorders};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const PHASES: [(&str, PhaseRole, u64, u64); 5] = [
    ("connect", PhaseRole::Connect, 0, 1),
    ("warm-up", PhaseRole::WarmUp, 1, 4),
    ("before", PhaseRole::Measured, 4, 14),
    ("stall", PhaseRole::Measured, 14, 19),
    ("after", PhaseRole::Measured, 19, 32),
];
const FLEETS: [(&str, &str, u64); 2] = [("meters", "ws", 400), ("pumps", "mqtt", 100)];

struct Stored {
    _folder: tempfile::TempDir,
    directory: PathBuf,
    run: Manifest,
    outages: Vec<Outage>,
}

fn layout() -> Arc<Layout> {
    let phases = PHASES.map(|(name, role, from, to)| PhaseInfo {
        name: name.into(),
        role,
        start: Tick(from * SECOND),
        end: Tick(to * SECOND),
    });
    let fleets = FLEETS.map(|(name, protocol, _)| FleetInfo {
        name: name.into(),
        protocol: Protocol::named(protocol),
        devices: 100,
        timeout_ns: 20 * SECOND,
        budget_ns: None,
        expects: DeliveryGuarantee::default(),
        trace: None,
        hears: false,
    });
    Arc::new(Layout {
        phases: phases.into(),
        fleets: fleets.into(),
        interval_ns: SECOND,
        faults: Vec::new(),
        course: Course::default(),
    })
}

/// When a service that stands still from 14 s to 19 s, and takes 1 000 readings a second, has answered all of what came due at `at`.
fn answered(at: u64, nth: u64) -> u64 {
    let own = MS + (nth * 7_919) % (3 * MS) + if nth.is_multiple_of(97) { 12 * MS } else { 0 };
    let (from, to) = (14 * SECOND, 19 * SECOND);
    if !(from..2 * to - from).contains(&at) {
        return own;
    }
    // 500 come due a second: the backlog of 2 500 is gone after five more seconds.
    let before = (at - from) / 2;
    (to + before).saturating_sub(at).max(own)
}

/// What happens, in the order of time: the instant, whether it comes due or ends, and the reading.
fn story(layout: &Layout) -> Vec<(u64, bool, Sample)> {
    let mut story = Vec::new();
    for (fleet, (_, _, per_second)) in FLEETS.into_iter().enumerate() {
        for nth in 0..31 * per_second {
            let at = SECOND + nth * SECOND / per_second;
            let response_ns = answered(at, nth);
            let failed = nth.is_multiple_of(1_500) && nth > 0;
            let outcome = if failed { Outcome::Shed } else { Outcome::Ok };
            let intended = Tick(at);
            let sample = Sample {
                phase: layout.phase_at(intended),
                fleet: FleetId(fleet as u16),
                kind: Kind::Reading,
                seq: nth,
                intended,
                eligible: Some(intended),
                actual: Some(intended.plus_ns(60_000 + nth % 40 * 1_000)),
                completed: intended.plus_ns(response_ns),
                outcome,
                stages: None,
                mark: None,
                flagged: None,
                arm: None,
                attempts: 1,
                own_wait_ns: 0,
                plan_wait_ns: 0,
                device: 0,
            };
            story.push((at, true, sample));
            story.push((at + response_ns, false, sample));
        }
    }
    story.sort_by_key(|(at, due, sample)| (*at, !*due, sample.fleet.0, sample.seq));
    story
}

fn stored() -> Stored {
    let folder = tempfile::tempdir().unwrap();
    let layout = layout();
    let started = WallTime::from_epoch(Duration::from_secs(1_790_000_000));
    let directory = RunDirectory::create(folder.path(), "stall", "a", started).unwrap();
    let mut files = directory.start_files(&layout, started).unwrap();
    let mut events = directory.start_events().unwrap();
    for (name, role, from, to) in PHASES {
        let at = |second: u64| Tick(second * SECOND);
        events
            .append(at(from), "phase_start", name, if role == PhaseRole::Measured { "measured" } else { "" })
            .unwrap();
        if name == "stall" {
            events.append(at(14), "fault_on", "standstill", "planned 14.0 s, service stall").unwrap();
            events.append(at(19), "fault_off", "standstill", "planned 19.0 s, service stall").unwrap();
        }
        events.append(at(to), "phase_end", name, "").unwrap();
    }
    let (mut workers, collector) = recorders(&layout, 1);
    let mut recorder = workers.pop().unwrap();
    // Intervals are recorded one by one: a collector that is behind would make one of several.
    let (written, next) = std::sync::mpsc::sync_channel(1);
    let recording = std::thread::spawn(move || {
        let mut open = [0_u64; 2];
        let mut boundary = SECOND;
        for (at, due, sample) in story(&self::layout()) {
            while at >= boundary {
                for (fleet, open) in open.into_iter().enumerate() {
                    recorder.gauge(FleetId(fleet as u16), &Gauge { open, overdue: Vec::new() });
                }
                recorder.rotate(Tick(boundary));
                boundary += SECOND;
                next.recv().unwrap();
            }
            let open = &mut open[usize::from(sample.fleet.0)];
            if due {
                recorder.planned(sample.phase, sample.fleet, sample.kind);
                recorder.sent(sample.phase, sample.fleet, sample.kind);
                *open += 1;
            } else {
                recorder.completed(&sample);
                *open -= 1;
            }
        }
        recorder.finish(Tick(boundary));
        next
    });
    collector.run(&mut files, |_| written.send(()).unwrap());
    recording.join().unwrap();
    let directory = directory.path().to_owned();
    Stored { _folder: folder, directory, run: manifest(), outages: vec![outage()] }
}

fn manifest() -> Manifest {
    let rates = json!({"meters": 400.0, "pumps": 100.0});
    let phases: Vec<_> = PHASES
        .iter()
        .map(|(name, role, from, to)| {
            json!({"name": name, "role": role, "begin_s": from, "length_s": to - from, "rate_per_s": 500.0,
                   "rates_per_s": rates})
        })
        .collect();
    serde_json::from_value(json!({
        "schema": 1, "tool_version": "0.1.0", "label": "", "run_id": "2026-11-20T21-41-15Z-a",
        "state": "complete", "seed": "7", "plan_digest": "ab12",
        "plan": {"end_s": 32.0, "drain_s": 5.0, "interval_s": 1.0, "phases": phases,
            "faults": [{"name": "standstill", "layer": "service", "kind": "stall", "devices": 0,
                        "windows_s": [[14.0, 19.0]]}],
            "budgets": [
                {"conditions": [["p99", "<250ms"]], "phase": "before"},
                {"conditions": [["error_rate", "<0.1%"], ["p99", "<2s"]], "fleet": "meters"},
            ]},
        "scenario": {"name": "stall", "text": "", "overrides": []},
        "started": "2026-11-20T21:41:15.123Z", "ended": "2026-11-20T21:42:15.123Z",
        "host": {"name": "runner-1", "kernel": "Linux 6", "cores": 2, "cpu_model": null, "memory_bytes": null},
        "clock": {"resolution_ns": 30}, "pacer": {"kind": "timerfd", "slack_ns": 0}, "workers": 1,
        "targets": {"ws": "ws://127.0.0.1:8080"}, "pacing_lag": null,
        "worker_use": [{"wall_s": 33.0, "cpu_s": 4.1, "waited_s": 1.5, "starved_share": 0.01}],
        "validity": {"verdict": "suspect", "reasons": ["the generator used 80 % of a core: give it another"]},
        "budgets": [{"demand": "p99 < 250ms", "fleet": "all", "measured": "3.90 ms", "met": true}],
        "exit_code": 0,
    }))
    .unwrap()
}

fn outage() -> Outage {
    serde_json::from_value(json!({
        "fault": "standstill", "layer": "service", "kind": "stall", "turn": 0, "planned_s": 14.0,
        "start_s": 14.0, "end_s": 19.0, "instant": false, "devices": 0, "acted": null,
        "state": "recovered", "recovered_after_s": 5.0, "p99_before_ms": 3.98, "worst_p99_ms": 4_990.0,
        "worst_p99_censored": false, "worst_at_s": 19.0, "ok": 5_000, "shed": 1, "error": 0, "timeout": 0,
        "lost": 0, "dropped": 0, "duplicated": 0, "reordered": 0, "first_ok_after_s": 0.1,
        "backlog_before": 2, "peak_backlog": 2_500, "backlog_drained_after_s": 5.0, "reconnected": 0,
        "peak_reconnects_per_s": null, "reconnected_99_after_s": null, "remark": "",
    }))
    .unwrap()
}

fn read(stored: &Stored, directory: &Path, until_s: f64) -> Follower {
    let mut follower = Follower::open(directory, &stored.run).unwrap();
    while follower.advance(until_s).unwrap() == Reach::More {}
    follower
}

const REPLAY: Rights = Rights { owns: false, orders: false, replays: true };
const OWN: Rights = Rights { owns: true, orders: true, replays: false };

/// The screen after `keys`.
fn shown(
    (stored, follower): (&Stored, &Follower),
    mode: Mode,
    (rights, keys): (Rights, &[KeyCode]),
    (columns, rows): (u16, u16),
    depth: Depth,
) -> Buffer {
    let switches = [Switch { name: "standstill".into(), kind: "service stall".into(), on: false }];
    let mut controls = Controls::new(rights);
    for key in keys {
        controls.press(KeyEvent::new(*key, KeyModifiers::NONE), &switches);
    }
    let watched = follower.watched();
    let known = known_by(&stored.outages, watched.reached_s);
    let outages = if mode == Mode::Ended { &stored.outages } else { &known };
    let present = follower.present();
    let model = Model {
        run: &stored.run,
        watched,
        present,
        outages,
        switches: &switches,
        mode,
        is_killed: false,
        message: None,
    };
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, rows));
    draw(&model, &controls, Palette::new(depth), &mut buffer);
    buffer
}

/// The letters of a screen, a line each, as a terminal would show them.
fn letters(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut backend = TestBackend::new(area.width, area.height);
    let blank = Buffer::empty(area);
    ratatui::backend::Backend::draw(&mut backend, blank.diff(buffer).into_iter()).unwrap();
    let cells = backend.buffer().content.chunks(area.width.into());
    let line = |cells: &[ratatui::buffer::Cell]| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    };
    cells.map(line).collect::<Vec<_>>().join("\n")
}

const RUNS: Mode = Mode::Replay { speed: 8.0, runs: true };

#[test]
#[expect(clippy::too_many_lines, reason = "the pictures stand where they are compared")]
fn golden_screens() {
    let stored = stored();
    let (fault, late, end) = (
        read(&stored, &stored.directory, 17.0),
        read(&stored, &stored.directory, 22.0),
        read(&stored, &stored.directory, f64::INFINITY),
    );
    let of = |follower, mode, rights: (Rights, &[KeyCode]), size| {
        letters(&shown((&stored, follower), mode, rights, size, Depth::Plain))
    };
    let tab = |times: usize| vec![KeyCode::Tab; times];
    insta::assert_snapshot!(of(&late, RUNS, (REPLAY, &[]), (80, 24)), @r#"
    squall stall seed 7  ● valid: generator late 98.9 µs at p99  ▶ ×8 22 s of 32 s
    phase    ││   │before       │stall │after              ▲ service: 1 failed
    faults                      ███████ standstill off for 3 s, recovering
             response time of all readings  ╌ p50  ━ p99        last 1 s     after
       100 s                                               p50    2.50 s    2.25 s
                   ░    ░░    ░          ░░░               p90    2.90 s   ~2.45 s
        10 s                                               p99   ~2.99 s       n/a
                                        ━━━━               p99.9     n/a       n/a
         1 s                                               max     >20 s     >20 s


      100 ms

       10 ms  ━━▒▒▒━▒▒▒▒━━━▒▒▒━▒▒
              ██━━━█━━━━███━━━█━━╌
        1 ms  ╌╌╌▓▓╌╌╌╌▓╌╌╌╌▓▓╌╌╌
        ok/s  ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▁      ████               999 of 500 due
      failed       ▄    ▄▄    ▄          ██▄               6 so far
     waiting              ▁▁▁▁▁▁▁▂▃▅▅▆██▆▅▅▃               1 000
        late  ████████████████████      ████               99.0 µs p99
    fleet                    due/s     ok/s   failed   waiting       p50       p99
    meters ws                  400      799        5       800    2.50 s       n/a
    pumps mqtt                 100      200        1       200    2.50 s       n/a
     space  pause  t T  ±10 s  < >  speed  tab  view  q  leave  w  minute  ?
    "#);
    insta::assert_snapshot!(of(&end, Mode::Ended, (REPLAY, &[]), (120, 40)), @r#"
    squall stall seed 7                      ▲ suspect: the generator used 80 % of a core: give it another  complete, 33 s
    phase    │ │       │before                  │stall      │after                               ▲ service: 0.1 % failed
    faults                                      ████████████ standstill off, recovered after 5.00 s
             response time of all readings  ╌ p50  ━ p99                                              measured       after
       100 s                                                                                     p50   3.34 ms     3.43 ms
                       ░░░       ░░░       ░░░                 ░░░░░   ░░        ░░        ░░    p90    3.61 s      1.86 s
        10 s                                                                                     p99    4.87 s     ~2.44 s
                                                             ━━                                  p99.9 ~5.00 s         n/a
                                                             ██━━━━━▓▓▓                          max     >20 s       >20 s
         1 s                                                        ━━━
                                                                       ━━
                                                                       ▓▓
      100 ms                                                           ▓▓
                                                                       ▓▓
                                                                       ▒▒
       10 ms    ━━░░░░░━━━░░░░░░░━━━━━░░░░░━━━░░                       ▒▒░░░━━░░░━━░░░░░░░░━━
                                                                       ▒▒
                ▓▓━━━━━╌╌╌━━━━━━━╌╌╌██━━━━━╌╌╌━━╌╌╌                    ░░━━━╌╌━━━╌╌━━━━━━━━╌╌╌╌╌
        1 ms    ╌╌▓▓▓▓▓▓▓▓╌╌▓▓▓▓▓▓▓▓╌╌▓▓▓▓▓▓▓▓╌╌                       ░░╌╌╌▓▓▓▓▓▓▓╌╌╌▓▓▓▓▓▓▓
                                                             ████████████
        ok/s    ████████████████████████████████▁▁▁          ████████████████████████████████▁▁▁ 500 of 500 due
      failed           ▄▄▄       ▄▄▄       ▄▄▄                 ███▄▄   ▄▄        ▄▄        ██    10 measured
                                                     ▂▂▂▅▅███▅▅▂▂▂
     waiting                        ▁▁▁▁▁▁▁▁▁▁▁▁▃▃▃▆▆█████████████▆▆▃▃▃          ▁▁▁▁▁▁▁▁▁▁▁▁    0
        late    ███████████████████████████████████          ███████████████████████████████████ 99.0 µs p99

    fleet                    due/s     ok/s   failed   waiting       p50       p99     p99.9       max   service p99
    meters ws                  400      400        8         0   3.32 ms    4.87 s   ~5.00 s     >20 s        4.86 s
    pumps mqtt                 100     99.9        2         0   3.39 ms   ~4.87 s       n/a     >20 s       ~4.87 s

    promises  ✓ all: p99 < 250ms, measured 3.90 ms
    log          14.0 s  phase_end    before
                 14.0 s  phase_start  stall  measured
                 14.0 s  fault_on     standstill  planned 14.0 s, service stall
                 19.0 s  fault_off    standstill  planned 19.0 s, service stall
                 19.0 s  phase_end    stall
                 19.0 s  phase_start  after  measured
                 32.0 s  phase_end    after

     space  pause   t T  ±10 s   < >  speed   tab  view   q  leave   w  last minute   ?  help
    "#);
    insta::assert_snapshot!(of(&fault, Mode::Live, (OWN, &[KeyCode::Char('f')]), (80, 24)), @r#"
    squall stall seed 7       ● valid: generator late 98.9 µs at p99  17 s of 32 s
    phase    ││   │before       │stall │after              ■ service: silent
    faults                      ████░standstill on
             response time of all readings  ╌ p50  ━ p99        last 1 s    before
       100 s                                               p50       n/a   2.48 ms
                   ░    ░░    ░                            p90       n/a   3.73 ms
        10 s                                               p99       n/a  ~13.1 ms
                                                           p99.9     n/a       n/a
         1┌─ faults ───────────────────────────────────────────────────────┐ >20 s
          │ ▸ off  standstill           service stall                      │
          │                                                                │
      100 │ enter  switch, on until it is switched off     digits  seconds │
          │ x  all off     esc  close                                      │
       10 │ switched by hand, a run is not comparable with others          │
          └────────────────────────────────────────────────────────────────┘
        1 ms  ╌╌╌██╌╌╌╌█╌╌╌╌██╌╌╌
        ok/s  ███████████████████▁                         0 of 500 due
      failed       █    ██    █                            3 so far
     waiting              ▁▁▁▁▁▁▁▃▅██                      1 500
        late  ████████████████████                         –
    fleet                    due/s     ok/s   failed   waiting       p50       p99
    meters ws                  400        0        3     1 200       n/a       n/a
    pumps mqtt                 100        0        –       300         –         –
     f  faults  space  freeze  tab  view  q  end run  n  end phase  w  minute  ?
    "#);
    insta::assert_snapshot!(of(&fault, Mode::Live, (OWN, &[KeyCode::Char('w'), KeyCode::Left]), (80, 24)), @r#"
    squall stall seed 7       ● valid: generator late 98.9 µs at p99  17 s of 32 s
    phase    ││   │before       │stall │after              ■ service: silent
    faults                      ████░standstill on
             response time of all readings  ╌ p50  ━ p99   at 16 s
       100 s                        ┊                      p50                   –
                   ░    ░░    ░     ┊                      p99                   –
        10 s                        ┊                      max                   –
                                    ┊                      ok/s                  0
         1 s                        ┊                      failed                0
                                    ┊                      waiting           1 500
                                    ┊                      late p99              –
      100 ms                        ┊
                                    ┊
       10 ms  ━━▒▒▒━▒▒▒▒━━━▒▒▒━▒▒   ┊
              ██━━━█━━━━███━━━█━━╌  ┊
        1 ms  ╌╌╌██╌╌╌╌█╌╌╌╌██╌╌╌   ┊
        ok/s  ███████████████████▁                         0 of 500 due
      failed       █    ██    █                            3 so far
     waiting              ▁▁▁▁▁▁▁▃▅██                      1 500
        late  ████████████████████                         –
    fleet                    due/s     ok/s   failed   waiting       p50       p99
    meters ws                  400        0        3     1 200       n/a       n/a
    pumps mqtt                 100        0        –       300         –         –
     f  faults  space  freeze  tab  view  q  end run  n  end phase  w  plan  ?
    "#);
    insta::assert_snapshot!(of(&late, Mode::Live, (OWN, &tab(1)), (80, 24)), @r#"
    squall stall fleets       ● valid: generator late 98.9 µs at p99  22 s of 32 s
    phase    ││   │before       │stall │after              ▲ service: 1 failed
    faults                      ███████ standstill off for 3 s, recovering

    last interval, as in the scenario (s sorts)
    fleet                    due/s     ok/s   failed   waiting       p50       p99
    meters ws                  400      799        5       800    2.50 s       n/a
    pumps mqtt                 100      200        1       200    2.50 s       n/a

    so far                  came due        ok      shed     error   timeout
    meters                     7 200     6 395         5         –         –
    pumps                      1 800     1 599         1         –         –











     f  faults  space  freeze  tab  view  q  end run  n  end phase  s  sort  ?
    "#);
    insta::assert_snapshot!(of(&late, Mode::Live, (OWN, &tab(2)), (120, 24)), @r#"
    squall stall faults                                               ● valid: generator late 98.9 µs at p99  22 s of 32 s
    phase    │ │       │before                   │stall       │after  ▌                          ▲ service: 1 failed
    faults                                       █████████████ standstill off for 3 s, recovering

    fault            kind               on at      for  p99 before  worst p99   failed  peak backlog  recovery
    standstill       stall             14.0 s   5.00 s     3.98 ms          –        1         2 500  recovering for 3 s

    to come    standstill          service stall: no more















     f  faults   space  freeze screen   tab  view   q  end run   n  end phase   ?  help
    "#);
    insta::assert_snapshot!(of(&end, Mode::Ended, (REPLAY, &tab(3)), (80, 24)), @r#"
    squall stall generator  ▲ suspect: the generator used 80 % of…  complete, 33 s
    phase    ││   │before       │     │after               ▲ service: 0.1 % failed
    faults                      ██████ standstill off, recovered after 5.00 s

    how late the generator woke, measured phases
    p50 79.0 µs  p90 95.0 µs  p99 99.0 µs  p99.9 99.0 µs  max 99.0 µs

       < 1 µs
       < 3 µs
      < 10 µs
      < 30 µs
     < 100 µs ████████████████████████████████████████████ 14 000  100.0 %
     < 300 µs
       < 1 ms
       < 3 ms
      < 10 ms
     < 100 ms
        later

    1 worker, timerfd
    worker 1  12.4 % of a core, waited awake 1.50 s, starved 1.0 %
    the generator used 80 % of a core: give it another

     space  pause   t T  ±10 s   < >  speed   tab  view   q  leave   ?  help
    "#);
    insta::assert_snapshot!(of(&end, Mode::Ended, (REPLAY, &tab(4)), (80, 24)), @r#"
    squall stall percentiles  ▲ suspect: the generator used 80 % …  complete, 33 s
    phase    ││   │before       │     │after               ▲ service: 0.1 % failed
    faults                      ██████ standstill off, recovered after 5.00 s
             14 000 readings  ━ response  ┅ at least  ╌ service (closed loop)

       100 s ┊     ┊              ┊                     ┊                    ┊
             ┊     ┊              ┊                     ┊                    ┊
        10 s ┊     ┊              ┊                     ┊                    ┊
             ┊     ┊            ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
             ┊     ┊     ━━━━━━━  ┊                     ┊                    ┊
         1 s ┊     ┊    ━╌        ┊                     ┊                    ┊
             ┊     ┊   ━          ┊                     ┊                    ┊
      100 ms ┊     ┊              ┊                     ┊                    ┊
             ┊     ┊              ┊                     ┊                    ┊
       10 ms ┊     ┊              ┊                     ┊                    ┊
             ┊     ━━━━           ┊                     ┊                    ┊
             ┊━━━━━╌              ┊                     ┊                    ┊
        1 ms ━     ┊              ┊                     ┊                    ┊
             ┊     ┊              ┊                     ┊                    ┊
      100 µs ┊     ┊              ┊                     ┊                    ┊
             p0    p50            p90                   p99                  p99.9


     space  pause   t T  ±10 s   < >  speed   tab  view   q  leave   ?  help
    "#);
    insta::assert_snapshot!(of(&late, Mode::Live, (OWN, &[]), (40, 8)), @r#"
    stall  22 s of 32 s
    ● valid: generator late 98.9 µs at p99
    ▲ service: 1 failed
    999 of 500 due/s
    p50 2.50 s  p99 ~2.99 s
    6 failed
    standstill off for 3 s, recovering
    "#);
}

#[test]
fn a_run_that_grows_is_shown_as_its_replay_is_at_the_same_instant() {
    let stored = stored();
    let growing = tempfile::tempdir().unwrap();
    let mut live = Follower::open(growing.path(), &stored.run).unwrap();
    assert_eq!(live.advance(f64::INFINITY).unwrap(), Reach::End);
    let whole = |name: &str| std::fs::read(stored.directory.join(name)).unwrap();
    let files = ["intervals.csv", "latency.hlog", "events.csv"].map(|name| (name, whole(name)));
    let starts = |line: &str| -> Option<f64> {
        let cells: Vec<_> = line.split(',').collect();
        cells.iter().find_map(|cell| cell.parse().ok())
    };
    for until_s in [3.0, 9.0, 17.0, 20.0, 31.0] {
        for (name, bytes) in &files {
            let text = String::from_utf8_lossy(bytes);
            let width_s = if *name == "events.csv" { 0.0 } else { 1.0 };
            let kept = text.split_inclusive('\n').take_while(|line| {
                let header = line.starts_with(['#', '"', 'r', 't']);
                header || starts(line).is_none_or(|start_s| start_s + width_s <= until_s + 1e-6)
            });
            // And a part of the next line, which is not whole yet.
            let length: usize = kept.map(str::len).sum::<usize>() + 10;
            std::fs::write(growing.path().join(name), &bytes[..length.min(bytes.len())]).unwrap();
        }
        while live.advance(f64::INFINITY).unwrap() == Reach::More {}
        let replayed = read(&stored, &stored.directory, until_s);
        for keys in [vec![], vec![KeyCode::Char('w')], vec![KeyCode::Tab], vec![KeyCode::Tab; 4]] {
            let of = |follower| shown((&stored, follower), Mode::Live, (OWN, &keys), (120, 40), Depth::Full);
            assert_eq!(letters(&of(&live)), letters(&of(&replayed)), "{until_s} {keys:?}");
            assert_eq!(of(&live), of(&replayed), "{until_s} {keys:?}");
        }
    }
}

#[test]
fn colours_carry_the_heat_where_there_are_some_and_shapes_where_there_are_none() {
    let stored = stored();
    let end = read(&stored, &stored.directory, f64::INFINITY);
    let of = |depth| shown((&stored, &end), Mode::Ended, (REPLAY, &[]), (80, 24), depth);
    let colours = |buffer: &Buffer| {
        let mut colours: Vec<_> = buffer.content.iter().flat_map(|cell| [cell.fg, cell.bg]).collect();
        colours.sort_by_key(|colour| format!("{colour:?}"));
        colours.dedup();
        colours
    };
    let plain = of(Depth::Plain);
    assert_eq!(colours(&plain), [ratatui::style::Color::Reset]);
    assert!(letters(&plain).contains('▓') && !letters(&plain).contains('▀'));
    let (sixteen, full) = (of(Depth::Sixteen), of(Depth::Full));
    let named = |colour: &ratatui::style::Color| {
        !matches!(colour, ratatui::style::Color::Rgb(..) | ratatui::style::Color::Indexed(_))
    };
    assert!(colours(&sixteen).iter().all(named) && colours(&sixteen).len() > 3);
    assert!(letters(&full).contains('▀') && colours(&full).len() > 12);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_size_and_no_keys_break_the_screen(
        columns in 1_u16..300,
        rows in 1_u16..100,
        until_s in prop::sample::select(vec![-1.0, 1.0, 4.0, 15.0, 40.0]),
        keys in proptest::collection::vec(prop::sample::select(vec!['f', 'w', 's', '+', '?', 'e', 'n', '2', '3', '4', '5', 'j', '<', '>']), 0..6),
        back in 0_u16..60,
    ) {
        thread_local! {
            static STORED: Stored = stored();
        }
        STORED.with(|stored| {
            let follower = read(stored, &stored.directory, until_s);
            let mut keys: Vec<_> = keys.into_iter().map(KeyCode::Char).collect();
            keys.extend((0..back).map(|_| KeyCode::Left));
            for depth in [Depth::Plain, Depth::Full] {
                shown((stored, &follower), Mode::Live, (OWN, &keys), (columns, rows), depth);
            }
        });
    }
}
