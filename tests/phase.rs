//! Phases that are ended by hand, through the built binary: what is left out, what follows, and what the run says of it.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::Path;

use squall::clock::Tick;
use squall::results::{RunState, load_manifest, read_distributions, read_summary};
use squall::scenario::Plan;

use crate::program::{Desk, events, printed, told, wait_until};
use crate::support::plan;

const RUN: &str = r#"
[scenario]
name = "small"
seed = 3
[run]
connect_rate = "1000/s"
warm_up = "200ms"
drain = "20s"
interval = "200ms"
[[phase]]
name = "before"
duration = "1s"
[[phase]]
name = "middle"
duration = "60s"
[[phase]]
name = "after"
duration = "2s"
load = 2
[fleet.alpha]
protocol = "http"
devices = 7
rate = "20/s"
arrival = "poisson"
timeout = "20s"
backlog = 4096
[fleet.beta]
protocol = "ws"
devices = 5
rate = "10/s"
timeout = "20s"
backlog = 4096
[fleet.gamma]
protocol = "http"
model = "closed"
devices = 2
think = "100ms"
timeout = "20s"
[[fault]]
name = "slow"
kind = "latency"
delay = "20ms"
start = "1500ms"
duration = "30s"
[[fault]]
name = "never"
kind = "slow-worker"
factor = 2
start = "40s"
duration = "5s"
[[fault]]
name = "last"
kind = "latency"
delay = "10ms"
start = "61500ms"
duration = "500ms"
[[budget]]
name = "held"
phase = "after"
p50 = "<19s"
"#;

/// How many readings of each phase and fleet are due in a run of `plan` whose phase `ended` ends at `at`.
fn due(plan: &Plan, ended: &str, at: Tick) -> BTreeMap<(String, String), u64> {
    let layout = plan.layout();
    let mut due = BTreeMap::new();
    for global in 0..plan.devices() {
        let mut device = plan.device(global);
        let fleet = &layout.fleet(device.fleet).name;
        while let Some(planned) = device.next_due() {
            let phase = layout.phase(layout.phase_at(planned));
            if phase.name != ended || planned < at {
                *due.entry((phase.name.clone(), fleet.clone())).or_default() += 1;
            }
        }
    }
    due
}

/// What column `planned` has for readings of each phase and open fleet, added up over the rows of a table.
fn planned(table: &Path) -> BTreeMap<(String, String), u64> {
    let mut sums = BTreeMap::new();
    let mut rows = csv::Reader::from_path(table).unwrap();
    for row in rows.deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        if row["kind"] == "reading" && row["phase"] != "all" && row["fleet"] != "gamma" {
            let sum: &mut u64 = sums.entry((row["phase"].clone(), row["fleet"].clone())).or_default();
            *sum += row["planned"].parse::<u64>().unwrap();
        }
    }
    // While fleets connect there can be rows, of what had to be sent for it, and no reading is due.
    sums.retain(|_, planned| *planned > 0);
    sums
}

#[test]
fn a_phase_that_is_ended_leaves_out_the_rest_of_it_and_the_run_says_so() {
    let desk = Desk::with(RUN);
    let child = desk.begin(&["run", "s.toml", "--workers", "2"]);
    let mut run = None;
    wait_until("the second phase is under way", || {
        let runs = std::fs::read_dir(desk.path("results/small")).into_iter().flatten().flatten();
        run = runs.map(|run| run.path()).next();
        run.as_ref()
            .is_some_and(|run| run.join("events.csv").exists() && events(run).contains("fault_on,slow"))
    });
    let run = run.unwrap();
    let end = || desk.run(&["phase", "end", "--run", run.to_str().unwrap()]);
    let first = end();
    assert_eq!(first.status.code(), Some(0), "{}", told(&first));
    assert!(told(&first).starts_with("phase `middle` ends at "), "{}", told(&first));
    assert!(told(&first).contains("; `after` follows"), "{}", told(&first));
    let ended = child.wait_with_output().unwrap();
    // On a busy machine the measurement may be invalid, but not for this.
    assert!(matches!(ended.status.code(), Some(0 | 12)), "{}", told(&ended));
    assert!(told(&ended).contains("by hand: phase `middle` ends at "), "{}", told(&ended));
    assert!(
        told(&ended).contains("plan altered") && told(&ended).contains("was ended by hand"),
        "{}",
        told(&ended)
    );
    assert!(matches!(end().status.code(), Some(1 | 2)), "the run has ended");

    let manifest = load_manifest(&run).unwrap();
    assert_eq!(manifest.state, RunState::Complete);
    let [altered] = manifest.plan_altered.as_slice() else { panic!("{:?}", manifest.plan_altered) };
    assert_eq!((altered.phase.as_str(), altered.faults.as_slice()), ("middle", &["never".to_owned()][..]));
    let shown = manifest.plan.as_ref().unwrap();
    let bounds: Vec<_> = shown.phases.iter().map(|phase| (phase.begin_s, phase.length_s)).collect();
    let at_s = altered.at_s;
    assert!((shown.end_s - at_s - 2.0).abs() < 1e-6, "{shown:?}");
    assert!(
        (bounds[2].0 + 1.0 - bounds[3].0).abs() < 1e-6 && (bounds[4].0 - at_s).abs() < 1e-6,
        "{bounds:?}"
    );
    assert!((altered.left_out_s + bounds[3].1 - 60.0).abs() < 1e-6, "{altered:?}");

    let events = events(&run);
    let place = |what: &str| events.find(what).unwrap_or_else(|| panic!("no {what} in {events}"));
    assert!(place("plan_altered,middle,") < place("phase_end,middle"), "{events}");
    assert!(place("phase_end,middle") < place("phase_start,after"), "{events}");
    assert!(
        place("fault_off,slow") < place("fault_on,last") && !events.contains("fault_on,never"),
        "{events}"
    );
    assert!(events.contains("faults left out: never"), "{events}");

    // What is not left out is what was planned, to the last reading.
    let at = Tick((at_s * 1e3).round() as u64 * 1_000_000);
    let expected = due(&plan(RUN), "middle", at);
    assert_eq!(planned(&run.join("summary.csv")), expected);
    assert_eq!(planned(&run.join("intervals.csv")), expected);
    let summary = read_summary(&run).unwrap();
    for row in &summary {
        assert_eq!(row.figures.planned, row.figures.ended(), "{row:?}");
    }
    let closed =
        summary.iter().find(|row| row.fleet == "gamma" && row.phase == "after" && row.kind == "reading");
    assert!(closed.is_some_and(|row| row.figures.planned > 2), "{summary:?}");
    let headline = summary.iter().find(|row| row.is_headline()).unwrap();
    assert_eq!(headline.figures.planned, read_distributions(&run).unwrap()[&None].len());
    assert!((headline.duration_s - (bounds[3].1 + 3.0)).abs() < 1e-6, "{headline:?}");
    let budget = &manifest.budgets[0];
    assert!(budget.met || manifest.is_invalid(), "{budget:?}");
    assert_told(&desk, &run);
}

/// The report and the page say that the plan was altered.
fn assert_told(desk: &Desk, run: &Path) {
    let report = printed(&desk.path(""), 160, &["report", run.to_str().unwrap()]);
    assert!(report.contains("plan altered") && report.contains("do not compare"), "{report}");
    let page = desk.path("page.html");
    let written = desk.run(&["report", run.to_str().unwrap(), "--html", page.to_str().unwrap()]);
    assert!(written.status.success(), "{}", told(&written));
    assert!(std::fs::read_to_string(&page).unwrap().contains("not comparable with other runs of this plan"));
    let compared = desk.run(&["compare", run.to_str().unwrap(), "--", run.to_str().unwrap()]);
    assert_eq!(compared.status.code(), Some(12), "{}", told(&compared));
    assert!(told(&compared).contains("was altered: phase `middle` was ended by hand"), "{}", told(&compared));
}

#[test]
fn what_cannot_be_ended_is_refused_in_a_sentence() {
    let slow = RUN.replace("connect_rate = \"1000/s\"", "connect_rate = \"0.5/s\"");
    // Runs of other tests have the name that it is asked for by.
    let desk = Desk::with(&slow.replace("\"small\"", "\"slow-to-connect\""));
    let mut child = desk.begin(&["run", "s.toml", "--quiet"]);
    let mut refused = desk.run(&["phase", "end", "--run", "slow-to-connect"]);
    wait_until("the run takes orders", || {
        refused = desk.run(&["phase", "end", "--run", "slow-to-connect"]);
        refused.status.code() == Some(2) && told(&refused).contains("phase")
    });
    assert!(told(&refused).contains("the fleets are still connecting"), "{}", told(&refused));
    child.kill().unwrap();
    child.wait().unwrap();
    let nobody = desk.run(&["phase", "end", "--run", "slow-to-connect"]);
    assert!(matches!(nobody.status.code(), Some(1 | 2)), "{}", told(&nobody));
    assert!(told(&nobody).contains("no running test"), "{}", told(&nobody));
}
