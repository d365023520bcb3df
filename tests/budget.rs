//! Budgets through the built binary: met, failed, without data, ending a run early, and wrong ones. Bounds that cannot but
//! be met or missed: nothing here depends on how fast the machine is.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use squall::record::Judgement;
use squall::results::{BudgetResult, Manifest, RunState, load_manifest, read_summary};

use crate::http_service::Service;

const SCENARIO: &str = r#"
[scenario]
name = "gate"
[run]
connect_rate = "1000/s"
warm_up = "0s"
drain = "2s"
interval = "200ms"
[[phase]]
name = "steady"
duration = "1s"
[[phase]]
name = "late"
duration = "1s"
[fleet.alpha]
protocol = "http"
devices = 10
rate = "20/s"
budget = "50s"
timeout = "60s"
[fleet.beta]
protocol = "mqtt"
devices = 10
rate = "20/s"
"#;

/// A run that has ended.
struct Ended {
    output: Output,
    /// Its folder stays as long as this does.
    _folder: tempfile::TempDir,
    run: Option<PathBuf>,
}

impl Ended {
    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn run(&self) -> &Path {
        self.run.as_deref().unwrap_or_else(|| panic!("nothing was run: {}", self.stderr()))
    }

    /// The screen, as far as a machine busy with other tests does not keep budgets from being judged.
    fn screen(&self) -> Option<String> {
        let screen = String::from_utf8_lossy(&self.output.stdout).into_owned();
        if self.output.status.code() != Some(12) {
            return Some(screen);
        }
        assert!(
            screen.contains("budget     not judged") && !screen.contains("budget     failed"),
            "{screen}"
        );
        None
    }

    fn manifest(&self) -> Manifest {
        load_manifest(self.run()).unwrap()
    }

    /// That it ended with this code. On a machine busy with other tests a run may rightly judge itself invalid, and say so.
    fn assert_code(&self, code: i32) {
        let found = self.output.status.code();
        assert!(found == Some(code) || found == Some(12), "{found:?}: {}", self.stderr());
        if let Some(run) = &self.run {
            assert_eq!(load_manifest(run).unwrap().exit_code.map(i32::from), found);
        }
    }
}

/// Does `command` with `SCENARIO` and these budgets, `file` being those of a file of their own.
fn squall(command: &str, budgets: &str, file: Option<&str>, arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), format!("{SCENARIO}{budgets}")).unwrap();
    let mut squall = Command::new(env!("CARGO_BIN_EXE_squall"));
    squall.current_dir(folder.path()).args([command, "s.toml"]).args(arguments);
    if let Some(text) = file {
        std::fs::write(folder.path().join("gate.toml"), text).unwrap();
        squall.args(["--budget", "gate.toml"]);
    }
    let output = squall.output().unwrap();
    let runs = std::fs::read_dir(folder.path().join("results/gate")).ok();
    let run = runs.and_then(|mut runs| runs.next()).map(|entry| entry.unwrap().path());
    Ended { output, _folder: folder, run }
}

fn of<'m>(manifest: &'m Manifest, demand: &str) -> &'m BudgetResult {
    let found = manifest.budgets.iter().find(|budget| budget.demand == demand);
    found.unwrap_or_else(|| panic!("no {demand} in {:?}", manifest.budgets))
}

#[test]
fn budgets_that_are_met_leave_the_exit_code_alone_and_stand_in_the_manifest() {
    let budgets = r#"
[[budget]]
name = "of use"
fleet = "alpha"
phase = "late"
p50 = "<50s"
p93_7 = "<50s"
service_p50_ms = "<50000"
within_budget_rate = ">=99%"
error_rate = "<=0.1%"
[[budget]]
kind = "connect"
ok = ">=20"
abort_on_fail = true
"#;
    let file = "[[budget]]\nprotocol = \"mqtt\"\nplanned = [\">=300\", \"<500\"]\nlost = \"<1\"\n";
    let ended = squall("run", budgets, Some(file), &["--quiet"]);
    ended.assert_code(0);
    let manifest = ended.manifest();
    assert!(manifest.budgets.iter().all(|budget| budget.met), "{:?}", manifest.budgets);
    assert_eq!((manifest.state, manifest.budgets.len()), (RunState::Complete, 9));
    let late = of(&manifest, "p50 < 50s");
    assert_eq!((late.name.as_deref(), late.scope.as_str()), (Some("of use"), "alpha in late"));
    assert_eq!((late.bound, late.unit.as_str(), late.at_least), (Some(50_000.0), "ms", false));
    let rows = read_summary(ended.run()).unwrap();
    let row =
        rows.iter().find(|row| row.phase == "late" && row.fleet == "alpha" && row.kind == "reading").unwrap();
    let p50_ms = row.figures.p50_ms.unwrap().as_ns() as f64 / 1e6;
    assert_eq!(late.value, Some(p50_ms), "the very figure of summary.csv");
    // What speaks against the measurement has all that bears on it shown: then budgets have a line of their own.
    let is_valid = manifest.validity.as_ref().is_some_and(|judged| judged.verdict == Judgement::Valid);
    let told = if is_valid { "; all 9 budgets met" } else { "budget     all 9 met" };
    assert!(
        ended.screen().is_none_or(|screen| screen.contains(told)),
        "{told} {}",
        String::from_utf8_lossy(&ended.output.stdout)
    );
}

#[test]
fn a_failed_budget_and_one_without_data_exit_with_99() {
    let budgets = r#"
[[budget]]
name = "too much to ask"
p50 = "<1ns"
p95 = "<50s"
[[budget]]
fleet = "alpha"
found_rate = ">1%"
"#;
    let ended = squall("run", budgets, None, &["--quiet"]);
    ended.assert_code(99);
    let manifest = ended.manifest();
    assert_eq!(manifest.state, RunState::Complete, "it is judged at the end");
    let (failed, empty) = (of(&manifest, "p50 < 1ns"), of(&manifest, "found rate > 1%"));
    assert!(!failed.met && failed.value.is_some() && !failed.aborted, "{failed:?}");
    assert_eq!((empty.met, &empty.measured, empty.reason.is_some()), (false, &None, true), "{empty:?}");
    assert!(of(&manifest, "p95 < 50s").met, "each is judged by itself");
    if let Some(screen) = ended.screen() {
        let failed =
            "budget     2 of 3 failed\nbudget     failed too much to ask (all fleets): p50 < 1ns, measured ";
        assert!(screen.contains(failed) && screen.contains("measured no data: "), "{screen}");
    }

    let ended = squall(
        "run",
        "\n[[budget]]\nfleet = \"alpha\"\nfound_rate = \">1%\"\n",
        None,
        &["--quiet", "--json"],
    );
    ended.assert_code(99);
    let report: Value = serde_json::from_slice(&ended.output.stdout).unwrap();
    assert_eq!(report["run"]["budgets"][0]["met"], Value::Bool(false));
}

#[test]
fn a_failed_budget_may_end_the_run_early_with_complete_files() {
    let budgets =
        "\n[[budget]]\nname = \"hopeless\"\np50 = \"<1ns\"\nabort_on_fail = true\ngrace = \"300ms\"\n";
    let ended = squall("run", budgets, None, &["--duration", "120s"]);
    ended.assert_code(99);
    let manifest = ended.manifest();
    assert_eq!(manifest.state, RunState::Aborted);
    let result = of(&manifest, "p50 < 1ns");
    assert!(!result.met && result.aborted && result.value.is_some(), "{result:?}");
    let rows = read_summary(ended.run()).unwrap();
    let headline = rows.iter().find(|row| row.is_headline()).unwrap();
    assert!(headline.figures.planned > 0);
    assert_eq!(headline.figures.ended(), headline.figures.planned, "what was open is settled");
    let events = std::fs::read_to_string(ended.run().join("events.csv")).unwrap();
    assert!(events.contains(",budget_failed,hopeless,"), "{events}");
    assert!(events.contains(",end,,drained"), "{events}");
    assert!(events.contains(",phase_start,steady,") && !events.contains(",phase_start,late,"), "{events}");
    let said = ended.stderr();
    assert!(said.contains("a budget failed: hopeless (all fleets): p50 < 1ns, measured "), "{said}");
    if let Some(screen) = ended.screen() {
        assert!(screen.contains("ended by a budget") && screen.contains("; it ended the"), "{screen}");
    }
}

#[test]
fn the_recovery_from_a_fault_can_be_demanded() {
    let budgets = r#"
[[fault]]
name = "slow"
kind = "latency"
start = "300ms"
duration = "200ms"
delay = "1ms"
[[budget]]
fault = "slow"
devices = ">=20"
failed = "<=0"
worst_p99 = "<1ns"
recovered_after = "<1h"
"#;
    let ended = squall("run", budgets, None, &["--quiet"]);
    ended.assert_code(99);
    let manifest = ended.manifest();
    assert!(of(&manifest, "devices >= 20").met && of(&manifest, "failed <= 0").met, "{:?}", manifest.budgets);
    let worst = of(&manifest, "worst p99 < 1ns");
    assert!(!worst.met && worst.value.is_some_and(|ms| ms > 0.0), "{worst:?}");
    // Two seconds are less than the three that prove a recovery: whether it was is not known, and that fails.
    let after = of(&manifest, "recovered after < 1h");
    assert_eq!((after.met, after.reason.is_some()), (false, true), "{after:?}");
}

#[test]
fn wrong_budgets_are_named_with_their_place_before_anything_is_sent() {
    let file = r#"[[budget]]
fleet = "alpa"
p99 = "250ms"
[[budget]]
eror_rate = "<1%"
recovered_after = "<5s"
[scenario]
name = "x"
"#;
    for command in ["run", "check"] {
        let ended = squall(command, "", Some(file), &[]);
        assert_eq!((ended.output.status.code(), ended.run.is_some()), (Some(2), false));
        insta::allow_duplicates! {
            insta::assert_snapshot!(ended.stderr(), @r#"
            error: gate.toml:2:9: budget[1].fleet: there is no fleet `alpa`; did you mean `alpha`?
                2 | fleet = "alpa"
                  |         ^^^^^^
            gate.toml:3:7: budget[1].p99: `250ms` does not begin with <, <=, > or >=; write "<250ms", or one of <=, > and >=
                3 | p99 = "250ms"
                  |       ^^^^^^^
            gate.toml:5:1: budget[2].eror_rate: unknown key; did you mean `error_rate`?
                5 | eror_rate = "<1%"
                  | ^^^^^^^^^
            gate.toml:6:19: budget[2].recovered_after: is known of faults only; add fault = "NAME"
                6 | recovered_after = "<5s"
                  |                   ^^^^^
            gate.toml:7:2: scenario: does not belong here; a file of budgets has [[budget]] tables only
                7 | [scenario]
                  |  ^^^^^^^^
            "#);
        }
    }
    for (budget, said) in [
        ("fleet = \"gamma\"\np99 = \"<1s\"", "there is no fleet `gamma`; there are: alpha, beta"),
        ("phase = \"erly\"\np99 = \"<1s\"", "there is no phase `erly`; there are: steady, late"),
        ("p99_99 = \"<1s\"", "s.toml: budget.p99_99: `p99.99 < 1s` cannot be judged: of at most"),
    ] {
        let ended = squall("run", &format!("\n[[budget]]\n{budget}\n"), None, &[]);
        assert_eq!((ended.output.status.code(), ended.run.is_some()), (Some(2), false));
        assert!(ended.stderr().contains(said), "{}", ended.stderr());
    }
    let ended = squall("run", "", None, &["--budget", "nowhere.toml"]);
    assert_eq!(ended.output.status.code(), Some(2));
    assert!(ended.stderr().contains("cannot read nowhere.toml"), "{}", ended.stderr());
}

#[test]
fn check_says_in_words_what_is_demanded() {
    let budgets = "\n[[budget]]\nname = \"quick\"\nphase = \"late\"\np95 = \"<250ms\"\nerror_rate = \"<0.1%\"\nabort_on_fail = true\ngrace = \"1s\"\n";
    let ended = squall("check", budgets, Some("[[budget]]\nlost = \"<1\"\n"), &[]);
    let screen = String::from_utf8_lossy(&ended.output.stdout).into_owned();
    assert_eq!(ended.output.status.code(), Some(0), "{}", ended.stderr());
    let lines: Vec<_> = screen.lines().skip_while(|line| !line.starts_with("budget: ")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    budget: quick (all fleets in late): p95 < 250ms, error rate < 0.1%; ends the run as soon as it
    fails, from 1 s into the measured phases on
    budget: all fleets: lost < 1
    ");
}

#[test]
fn an_error_rate_counts_whatever_was_not_answered_ok() {
    // How many readings are answered of 30, with what, what the fleet says, and which of the finer rates has the rest.
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let devices = |own: &str| {
        format!(
            "[scenario]\nname = \"gate\"\n[run]\nwarm_up = \"0s\"\ndrain = \"1s\"\n[[phase]]\nname = \"steady\"\nduration = \"1s\"\n\
             [fleet.alpha]\nprotocol = \"http\"\ndevices = 3\nrate = \"10/s\"\n{own}\n[[budget]]\nerror_rate = \"<5%\"\n\
             failed_rate = \"<5%\"\nshed_rate = \"<=0%\"\ntimeout_rate = \"<=0%\"\nlost_rate = \"<=0%\"\ndropped_rate = \"<=0%\"\n\
             [[budget]]\nkind = \"connect\"\nconnect_error_rate = \"<=0%\"\n"
        )
    };
    for (case, answered, own, broken) in [
        ("the service falls silent and the run ends", (OK, 9), "timeout = \"60s\"", vec!["lost_rate"]),
        ("the service falls silent and time runs out", (OK, 9), "timeout = \"100ms\"", vec!["timeout_rate"]),
        (
            "the service falls silent and the backlog is full",
            (OK, 9),
            "timeout = \"60s\"\nin_flight = 1\nbacklog = 1",
            vec!["dropped_rate", "lost_rate"],
        ),
        ("the service is well", (OK, usize::MAX), "timeout = \"60s\"", vec![]),
        ("the service refuses all", (BUSY, usize::MAX), "timeout = \"60s\"", vec!["shed_rate"]),
    ] {
        let service = Service::answering(answered.0, answered.1);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), devices(own)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_squall"))
            .current_dir(folder.path())
            .args(["run", "s.toml", "--quiet", "--target", &format!("http=http://{}/", service.addr())])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let runs = std::fs::read_dir(folder.path().join("results/gate")).unwrap();
        let run = runs.map(|entry| entry.unwrap().path()).next().unwrap();
        let (manifest, rows) = (load_manifest(&run).unwrap(), read_summary(&run).unwrap());
        let figures = &rows.iter().find(|row| row.is_headline()).unwrap().figures;
        let rate = (figures.planned - figures.ok) as f64 / figures.planned as f64;
        for budget in &manifest.budgets {
            let met = match budget.metric.as_str() {
                "error_rate" | "failed_rate" => {
                    assert_eq!(budget.value, Some(rate), "{case}: {budget:?}");
                    broken.is_empty()
                }
                own => !broken.contains(&own),
            };
            assert_eq!(budget.met, met, "{case}: {budget:?}");
        }
        // Whoever gets no answer at all is told so; a busy machine may make the run invalid.
        let code = if broken.is_empty() {
            0
        } else if figures.ok == 0 {
            1
        } else {
            99
        };
        let found = output.status.code();
        assert!(found == Some(code) || found == Some(12), "{case}: {found:?}: {said}");
    }
}

#[test]
fn budgets_that_never_look_at_failures_are_noted() {
    const NOTE: &str = "no budget looks at failures";
    for (budgets, noted) in [
        ("", false),
        ("[[budget]]\np90 = \"<1s\"\n", true),
        ("[[budget]]\np90 = \"<1s\"\nerror_rate = \"<1%\"\n", false),
        ("[[budget]]\np90 = \"<1s\"\n[[budget]]\nfleet = \"alpha\"\nfailed_rate = \"<1%\"\n", false),
        ("[[budget]]\nok_rate = \">99%\"\n", false),
        ("[[budget]]\nshed = \"<5\"\nmax = \"<5s\"\n", true),
        ("[[budget]]\nkind = \"connect\"\nconnect_error_rate = \"<=0%\"\n", true),
    ] {
        let ended = squall("check", budgets, None, &[]);
        ended.assert_code(0);
        let said =
            String::from_utf8_lossy(&ended.output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(said.contains(NOTE), noted, "{budgets}: {said}");
    }
}
